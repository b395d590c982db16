// Products of every small shape and some large ones, against sums of whole numbers, which are exact.
#include <string_view>
#include <vector>

#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

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

}  // namespace
}  // namespace gradweave
