// Products of every small shape and some large ones, against sums of whole numbers, which are exact.
#include <cmath>
#include <limits>
#include <string_view>
#include <vector>

#include <gradweave/graph/kernels/parallel.hpp>
#include <gradweave/ops/ops.hpp>

#include "catch.hpp"
#include "support.hpp"

namespace gradweave {
namespace {

Index left(Index i, Index l) { return (3 * i + 5 * l) % 7 - 3; }
Index right(Index l, Index j) { return (2 * l + 3 * j) % 11 - 5; }

// The product as it should be.
std::vector<double> expected(Index n, Index k, Index m) {
  std::vector<double> all;
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < m; ++j) {
      Index total = 0;
      for (Index l = 0; l < k; ++l) total += left(i, l) * right(l, j);
      all.push_back(static_cast<double>(total));
    }
  }
  return all;
}

// (rows, cols) of f, whose rows lie `gap` elements apart.
Tensor matrix(Index rows, Index cols, Index gap, DType dtype, Index (*f)(Index, Index), bool transposed) {
  std::vector<double> values;
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < cols + gap; ++j)
      values.push_back(static_cast<double>(j >= cols ? 99 : transposed ? f(j, i) : f(i, j)));
  }
  const Tensor all = cast(reshape(constant(values), {rows, cols + gap}), dtype);
  eval(all);
  const Tensor part = slice(all, 1, 0, cols);
  return transposed ? transpose(part) : part;
}

void check_product(Index n, Index k, Index m, DType dtype) {
  const std::vector<double> answer = expected(n, k, m);
  for (const bool ta : {false, true}) {
    for (const bool tb : {false, true}) {
      for (const Index gap : {0, 3}) {
        const Tensor a = ta ? matrix(k, n, gap, dtype, left, true) : matrix(n, k, gap, dtype, left, false);
        const Tensor b = tb ? matrix(m, k, gap, dtype, right, true) : matrix(k, m, gap, dtype, right, false);
        INFO(n << " x " << k << " x " << m << " of " << name_of(dtype) << (ta ? ", first" : "")
               << (tb ? ", second" : "") << " transposed, gap " << gap);
        CHECK(matmul(a, b).to_vector<double>() == answer);
      }
    }
  }
}

TEST_CASE("products of every shape, dtype and layout", "[matmul]") {
  for (const DType dtype : {DType::float32, DType::float64, DType::int64}) {
    for (const Index n : {1, 2, 5, 7, 12, 27}) {
      for (const Index k : {1, 2, 4, 9, 33}) {
        for (const Index m : {1, 3, 8, 15, 16, 31, 33, 70}) check_product(n, k, m, dtype);
      }
    }
    check_product(1, 700, 300, dtype);
    check_product(300, 700, 1, dtype);
    check_product(5, 1100, 35, dtype);
    check_product(250, 520, 66, dtype);
  }
}

TEST_CASE("a row of a product does not depend on the rows beside it", "[matmul]") {
  if (std::string_view(GRADWEAVE_GEMM) != "tiles") SKIP_TEST("another library multiplies");
  Generator generator(3);
  const Tensor a = random_normal({50, 600}, generator) + 0, b = random_normal({600, 45}, generator) + 0;
  const Tensor all = matmul(a, b);
  for (const Index i : {0, 1, 17, 49}) {
    for (const Index count : {1, 2, 7}) {
      const Tensor few = matmul(slice(a, 0, i, i + count), b);
      CHECK(select(few, 0, 0).to_vector() == select(all, 0, i).to_vector());
    }
  }
}

TEST_CASE("operands that repeat along an axis", "[matmul]") {
  const Tensor row = constant({1, 2, 3}), ones_ = ones({3, 20});
  CHECK(matmul(broadcast_to(row, {40, 3}), ones_ + 0).to_vector() == std::vector<float>(800, 6));
  const Tensor column = reshape(constant({1, 2, 3}), {3, 1});
  CHECK(matmul(ones({40, 3}) + 0, broadcast_to(column, {3, 20})).to_vector() == std::vector<float>(800, 6));
}

// ---- Products that one can work out by hand, and NumPy's rules for vectors and batches.

using Floats = std::vector<float>;

TEST_CASE("the product of two matrices", "[ops][matmul]") {
  const Tensor a = constant({{1, 2}, {3, 4}, {5, 6}}), b = constant({{1, 0, -1}, {2, 1, 0}});
  CHECK(matmul(a, b).to_vector() == Floats{5, 2, -1, 11, 4, -3, 17, 6, -5});
  CHECK(matmul(transpose(b), transpose(a)).to_vector() == Floats{5, 11, 17, 2, 4, 6, -1, -3, -5});
}

// numpy.matmul's rules, by the shapes that come out.
TEST_CASE("vectors, matrices and batches", "[ops][matmul]") {
  struct Row {
    Shape a, b, result;
  };
  const Row rows[] = {
      {{3}, {3}, {}},
      {{3}, {3, 4}, {4}},
      {{2, 3}, {3}, {2}},
      {{2, 3}, {3, 4}, {2, 4}},
      {{5, 2, 3}, {3}, {5, 2}},
      {{3}, {5, 3, 4}, {5, 4}},
      {{5, 2, 3}, {3, 4}, {5, 2, 4}},
      {{2, 3}, {5, 3, 4}, {5, 2, 4}},
      {{9, 5, 7, 4}, {9, 5, 4, 3}, {9, 5, 7, 3}},
      {{9, 1, 7, 4}, {5, 4, 3}, {9, 5, 7, 3}},
      {{0, 3}, {3, 4}, {0, 4}},
      {{2, 0}, {0, 4}, {2, 4}},
  };
  for (const Row& row : rows) {
    INFO(to_string(row.a) << " with " << to_string(row.b));
    const Tensor y = matmul(ones(row.a), ones(row.b));
    CHECK(y.shape() == row.result);
    // Ones times ones: every element counts the inner size.
    const auto inner = static_cast<float>(row.a[row.a.rank() - 1]);
    CHECK(y.to_vector() == Floats(static_cast<std::size_t>(numel(row.result)), inner));
  }
}

TEST_CASE("products of every size, against the sum of a series", "[ops][matmul]") {
  // (i + 1) * (j + 1) summed over k = 1..n of k * k: n (n + 1) (2 n + 1) / 6, exact in float64.
  for (Index n : {1, 2, 3, 7, 8, 17, 64, 129}) {
    const Tensor k = arange(n, f64) + 1, rows = arange(5, f64) + 1, cols = arange(6, f64) + 1;
    const Tensor a = expand_dims(rows, 1) * k, b = expand_dims(k, 1) * cols;
    const Tensor expected = expand_dims(rows, 1) * cols * static_cast<double>(n * (n + 1) * (2 * n + 1) / 6);
    INFO("inner size " << n);
    CHECK(matmul(a, b).to_vector<double>() == expected.to_vector<double>());
    CHECK(matmul(a, transpose(contiguous(transpose(b)))).to_vector<double>() == expected.to_vector<double>());
    CHECK(matmul(transpose(contiguous(transpose(a))), b).to_vector<double>() == expected.to_vector<double>());
    CHECK(matmul(k, k).item<double>() == static_cast<double>(n * (n + 1) * (2 * n + 1) / 6));
  }
}

TEST_CASE("strided operands: slices, broadcasts, permuted batches", "[ops][matmul]") {
  const Tensor x = reshape(arange(24, DType::float32), {2, 3, 4});
  // Every other column times ones: 0 + 2, 4 + 6, ...
  CHECK(matmul(slice(x, 2, 0, 4, 2), ones({2})).to_vector() == Floats{2, 10, 18, 26, 34, 42});
  CHECK(matmul(broadcast_to(constant({1, 2, 3}), {4, 3}), ones({3})).to_vector() == Floats(4, 6));
  CHECK(matmul(permute(x, {1, 0, 2}), ones({4, 1})).to_vector() == Floats{6, 54, 22, 70, 38, 86});
}

TEST_CASE("dtypes of products", "[ops][matmul]") {
  const Tensor whole = constant({{1, 2}, {3, 4}}, i64);
  CHECK(matmul(whole, whole).dtype() == i64);
  CHECK(matmul(whole, whole).to_vector<Index>() == std::vector<Index>{7, 10, 15, 22});
  CHECK(matmul(whole, ones({2, 2})).dtype() == f64);  // as int64 with float32 promote
  CHECK(matmul(ones({2, 2}), ones({2, 2}, f64)).dtype() == f64);
}

TEST_CASE("NaN and infinity go through products, 0 times infinity included", "[ops][matmul]") {
  const double inf = std::numeric_limits<double>::infinity();
  const Tensor a = constant({{1, 0}, {0, 1}}), b = constant({{inf, 1}, {2, 3}});
  const Floats y = matmul(a, b).to_vector();
  CHECK(y[0] == static_cast<float>(inf));
  CHECK(y[1] == 1.0F);
  CHECK(std::isnan(y[2]));
  CHECK(y[3] == 3.0F);
}

TEST_CASE("the gradients of a product, by hand", "[ops][matmul]") {
  // d sum(A B) / dA has the row sums of B in each row; dB the column sums of A in each column.
  const Tensor a = variable({{1, 2}, {3, 4}, {5, 6}}), b = variable({{1, 0, -1}, {2, 1, 0}});
  const auto [da, db] = gradients(sum(matmul(a, b)), {a, b});
  CHECK(da.to_vector() == Floats{0, 3, 0, 3, 0, 3});
  CHECK(db.to_vector() == Floats{9, 9, 9, 12, 12, 12});

  // A batch that was broadcast gets the sum.
  const Tensor w = variable({{1, 0}, {0, 1}}), x = variable(ones({3, 4, 2}));
  const auto [dw, dx] = gradients(sum(matmul(x, w)), {w, x});
  CHECK(dw.to_vector() == Floats(4, 12));
  CHECK(dx.to_vector() == Floats(24, 1));

  const Tensor u = variable({1, 2, 3}), v = variable({4, 5, 6});
  const auto [du, dv] = gradients(matmul(u, v), {u, v});
  CHECK(du.to_vector() == Floats{4, 5, 6});
  CHECK(dv.to_vector() == Floats{1, 2, 3});
}

TEST_CASE("however many threads share out the columns of a product, its bits are the same",
          "[ops][matmul][threads]") {
  const int before = get_num_threads();
  Generator generator(3);
  for (const Index rows : {1, 7, 64}) {
    const Tensor x = random_normal({rows, 300}, generator), w = random_normal({517, 300}, generator);
    const Tensor bias = random_normal({517}, generator);
    eval(x, w, bias);
    const auto run = [&](int threads) {
      set_num_threads(threads);
      const Tensor product = linear(x, w), y = sigmoid(product + bias);
      const Tensor alone = tanh(linear(x, w * 2) + bias);  // its product is nowhere as a whole
      eval(product, y, alone);
      return concat({product, y, alone}, 0).to_vector();
    };
    const Floats one = run(1);
    for (const int threads : {2, 3, 16}) CHECK(run(threads) == one);
  }
  set_num_threads(2);  // nothing to add up, but much to write, to a block of memory that it just fits
  const Tensor none = constant(Floats{}, {64, 0}), nothing = constant(Floats{}, {10'238, 0});
  CHECK(linear(none, nothing).to_vector() == Floats(64 * 10'238, 0));
  set_num_threads(before);
}

TEST_CASE("products that do not fit", "[ops][matmul]") {
  CHECK_THROWS_AS(matmul(ones({2, 3}), ones({2, 3})), ShapeError);
  CHECK_THROWS_AS(matmul(ones({3}), ones({4})), ShapeError);
  CHECK_THROWS_AS(matmul(ones({2, 2, 3}), ones({3, 3, 4})), ShapeError);
  CHECK_THROWS_AS(matmul(ones({2, 3}), 2), ShapeError);
  CHECK_THROWS_AS(matmul(ones({2, 3}), constant(2)), ShapeError);
}

}  // namespace
}  // namespace gradweave
