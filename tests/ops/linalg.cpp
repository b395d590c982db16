// Decompositions, systems and functions of matrices.
#include <gradweave/ops/linalg.hpp>

#include <cmath>
#include <limits>

#include <gradweave/graph/check/gradcheck.hpp>
#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave::linalg_tests {
namespace {

using Doubles = std::vector<double>;

Tensor doubles(const Literal& values) { return constant(values, DType::float64); }
Tensor drawn(const Shape& shape, std::uint64_t seed = 1) {
  Generator generator(seed);
  const Tensor x = random_normal(shape, generator, 0, 1, DType::float64);
  eval(x);
  return x;
}
void require_close(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  const Doubles x = a.to_vector<double>(), y = b.to_vector<double>();
  for (std::size_t i = 0; i < x.size(); ++i) CHECK(x[i] == Approx(y[i]).margin(1e-10));
}

TEST_CASE("cholesky and what it solves", "[ops][linalg]") {
  const Tensor a = doubles({{4, 2}, {2, 5}});
  const Tensor l = cholesky(a);
  CHECK(l.to_vector<double>() == Doubles{2, 0, 1, 2});
  require_close(matmul(a, cholesky_solve(doubles({{1}, {2}}), l)), doubles({{1}, {2}}));
  CHECK_THROWS_WITH(eval(cholesky(doubles({{1, 2}, {2, 1}}))),
                    Catch::Matchers::ContainsSubstring("not positive definite"));
  CHECK_THROWS_WITH(eval(cholesky(stack({a, -a}))), Catch::Matchers::ContainsSubstring("matrix 1"));
  CHECK_THROWS_AS(eval(cholesky(doubles({{NAN, 0}, {0, 1}}))), ValueError);
  CHECK_THROWS_AS(cholesky(ones({2, 3})), ShapeError);
}

TEST_CASE("systems of equations, stacked and broadcast", "[ops][linalg]") {
  const Tensor a = doubles({{2, 1}, {1, 3}}), b = doubles({3, 5});
  require_close(solve(a, b), doubles({0.8, 1.4}));
  const Tensor stack_of_a = drawn({3, 4, 4}), right = drawn({4, 2}, 2);
  require_close(matmul(stack_of_a, solve(stack_of_a, right)), broadcast_to(right, {3, 4, 2}));
  require_close(matmul(inverse(stack_of_a), stack_of_a), broadcast_to(eye(4, DType::float64), {3, 4, 4}));
  require_close(solve_triangular(doubles({{2, 9}, {1, 4}}), doubles({2, 9}), false), doubles({1, 2}));
  require_close(solve_triangular(doubles({{2, 1}, {9, 4}}), doubles({4, 8}), true), doubles({1, 2}));
  require_close(solve_triangular(doubles({{7, 3}, {9, 7}}), doubles({4, 1}), true, true, true),
                doubles({1, 1}));
  CHECK_THROWS_WITH(eval(solve(doubles({{1, 2}, {2, 4}}), b)),
                    Catch::Matchers::ContainsSubstring("solve") &&
                        Catch::Matchers::ContainsSubstring("the matrix is singular"));
  CHECK_THROWS_WITH(eval(inverse(stack({a, a, a * 0}))),
                    Catch::Matchers::ContainsSubstring("inverse") &&
                        Catch::Matchers::ContainsSubstring("matrix 2 is singular"));
  CHECK_THROWS_AS(solve(a, doubles({1, 2, 3})), ShapeError);
  CHECK_THROWS_AS(inverse(ones({2, 3})), ShapeError);
  CHECK(solve(zeros({0, 0}), zeros({0, 2})).to_vector().empty());
}

TEST_CASE("systems from the right", "[ops][linalg]") {
  const Tensor a = doubles({{2, 1}, {1, 3}}), b = doubles({{3, 5}, {1, 0}, {0, 1}});
  require_close(matmul(solve(a, b, false), a), b);
  const Tensor upper = doubles({{2, 1}, {0, 3}});
  require_close(matmul(solve_triangular(upper, b, true, false), upper), b);
  require_close(matmul(solve_triangular(transpose(upper), b, false, false), transpose(upper)), b);
  CHECK(gradcheck([&](std::span<const Tensor> in) { return solve(a, in[0], false); }, {variable(b)}).ok);
}

TEST_CASE("upper triangles", "[ops][linalg]") {
  const Tensor a = doubles({{4, 2}, {99, 5}});  // the lower triangle is not read
  require_close(cholesky(a, true), doubles({{2, 1}, {0, 2}}));
  require_close(cholesky_solve(doubles({1, 2}), cholesky(a, true), true), doubles({0.0625, 0.375}));
  require_close(eigvalsh(doubles({{2, 1}, {99, 2}}), true), doubles({1, 3}));
}

TEST_CASE("determinants, and their gradients where they are 0", "[ops][linalg]") {
  CHECK(det(doubles({{1, 2}, {3, 4}})).item<double>() == Approx(-2));
  CHECK(det(zeros({0, 0})).item<double>() == 1);
  const Tensor singular = variable({{1, 2}, {2, 4}}, DType::float64);
  require_close(gradients(det(singular), {singular})[0], doubles({{4, -2}, {-2, 1}}));  // cofactors
  const Tensor none = variable(Literal({{0, 0, 0}, {0, 0, 0}, {0, 0, 0}}), DType::float64);
  require_close(gradients(det(none), {none})[0], zeros({3, 3}, DType::float64));
  const auto [sign, logabsdet] = slogdet(doubles({{1, 2}, {3, 4}}));
  CHECK(sign.item<double>() == -1);
  CHECK(logabsdet.item<double>() == Approx(std::log(2)));
  CHECK(logdet(doubles({{3, 1}, {1, 2}})).item<double>() == Approx(std::log(5)));
  CHECK(std::isnan(logdet(doubles({{1, 2}, {3, 4}})).item<double>()));
  CHECK(slogdet(singular).sign.item<double>() == 0);
  CHECK(slogdet(singular).logabsdet.item<double>() == -std::numeric_limits<double>::infinity());
}

TEST_CASE("decompositions put together give the matrix", "[ops][linalg]") {
  for (const Shape& shape : {Shape{5, 3}, Shape{3, 5}, Shape{2, 4, 4}}) {
    const Tensor a = drawn(shape);
    const auto [q, r] = qr(a);
    require_close(matmul(q, r), a);
    require_close(matmul(transpose(q), q),
                  broadcast_to(eye(q.size(-1), DType::float64), matmul(transpose(q), q).shape()));
    require_close(triu(r), r);
    const auto [u, s, vh] = svd(a);
    require_close(matmul(u * expand_dims(s, -2), vh), a);
    CHECK(all(slice(s, -1, 0, s.size(-1) - 1) >= slice(s, -1, 1, s.size(-1))).item<bool>());
  }
  const Tensor half = drawn({4, 4}), symmetric = half + transpose(half);
  const auto [w, v] = eigh(symmetric);
  require_close(matmul(symmetric, v), v * w);
  CHECK(eigh(doubles({{2, 99}, {1, 2}})).eigenvalues.to_vector<double>()[0] ==
        Approx(1));  // reads the lower half
  CHECK_THROWS_AS(eval(svd(doubles({{INFINITY}})).s), ValueError);
  CHECK_THROWS_WITH(eval(eigh(stack({symmetric, symmetric * INFINITY})).eigenvalues),
                    Catch::Matchers::ContainsSubstring("matrix 1 has no eigenvalues"));
  CHECK(svd(zeros({0, 3})).s.shape() == Shape{0});
}

// Kahan's and Hilbert's matrices, and scales at the ends of the range.
TEST_CASE("singular values are accurate", "[ops][linalg]") {
  require_close(svdvals(doubles({{3, 0}, {4, 5}})), doubles({std::sqrt(45), std::sqrt(5)}));
  const Tensor i = arange(0, 6, 1, DType::float64);
  const Tensor hilbert = 1 / (expand_dims(i, 0) + expand_dims(i, 1) + 1);
  const Doubles s = svdvals(hilbert).to_vector<double>();  // published: condition 1.4951e7
  CHECK(s.front() == Approx(1.6188998589).epsilon(1e-9));
  CHECK(s.back() == Approx(1.082799484565e-7).epsilon(1e-6));
  CHECK(cond(hilbert).item<double>() == Approx(1.495105864e7).epsilon(1e-6));
  for (const double scale : {1e300, 1e-300, 1e-160}) {
    const auto [u, values, vh] = svd(drawn({6, 4}) * scale);
    require_close(matmul(u * expand_dims(values / scale, -2), vh), drawn({6, 4}));
    require_close(matmul(transpose(u), u), eye(4, DType::float64));
  }
  // Zeros on the diagonal of the bidiagonal matrix, rank 1, and equal values.
  const Tensor shifted = doubles({{0, 1, 0, 0}, {0, 0, 2, 0}, {0, 0, 0, 3}, {0, 0, 0, 0}});
  require_close(svdvals(shifted), doubles({3, 2, 1, 0}));
  require_close(svdvals(ones({3, 5}, DType::float64)), doubles({std::sqrt(15), 0, 0}));
  require_close(svdvals(eye(5, DType::float64)), ones({5}, DType::float64));
  const Tensor large = drawn({90, 70});
  const auto [u, values, vh] = svd(large);
  require_close(matmul(u * expand_dims(values, -2), vh), large);
  require_close(matmul(vh, transpose(vh)), eye(70, DType::float64));
  require_close(sum(square(values)), sum(square(large)));
}

TEST_CASE("one matrix of many is as it is alone, at any number of threads", "[ops][linalg]") {
  const Tensor all = drawn({40, 20, 20});
  const int before = get_num_threads();
  for (const int threads : {1, 4}) {
    set_num_threads(threads);
    CHECK(select(svd(all).u, 0, 33).to_vector<double>() == svd(select(all, 0, 33)).u.to_vector<double>());
    CHECK(select(inverse(all), 0, 33).to_vector<double>() == inverse(select(all, 0, 33)).to_vector<double>());
    CHECK(select(det(all), 0, 33).item<double>() == det(select(all, 0, 33)).item<double>());
  }
  set_num_threads(before);
}

TEST_CASE("least squares and the pseudo-inverse", "[ops][linalg]") {
  const Tensor a = doubles({{1, 0}, {1, 1}, {1, 2}});  // a line through three points
  require_close(lstsq(a, doubles({1, 2, 4})), doubles({5.0 / 6, 1.5}));
  require_close(lstsq(doubles({{1, 1}, {1, 1}, {0, 1}}), doubles({{1}, {3}, {0}})), doubles({{2}, {0}}));
  require_close(lstsq(doubles({{1, 1, 0}}), doubles({2})), doubles({1, 1, 0}));  // the shortest
  require_close(matmul(pinv(a), a), eye(2, DType::float64));
  CHECK(gradcheck([](std::span<const Tensor> in) { return lstsq(in[0], in[1]); },
                  {variable(a), variable(doubles({1, 2, 4}))})
            .ok);
  // Equal singular values, where the gradient through `svd` is none.
  const Tensor identity = variable(eye(2, DType::float64));
  require_close(gradients(sum(pinv(identity)), {identity})[0], -ones({2, 2}, DType::float64));
  CHECK(pinv(zeros({2, 3})).to_vector() == std::vector<float>(6));
  CHECK(pinv(zeros({0, 3})).shape() == Shape{3, 0});
  CHECK(matrix_rank(stack({doubles({{1, 1}, {1, 1}}), eye(2, DType::float64), zeros({2, 2}, DType::float64)}))
            .to_vector<Index>() == std::vector<Index>{1, 2, 0});
  require_close(pinv(doubles({{1, 1}, {1, 1}})), doubles({{0.25, 0.25}, {0.25, 0.25}}));
}

// PyTorch's documentation of torch.linalg.matrix_norm: arange(9) - 4 as a matrix.
TEST_CASE("norms of matrices", "[ops][linalg]") {
  const Tensor a = reshape(arange(0, 9, 1, DType::float64), {3, 3}) - 4;
  constexpr double infinity = std::numeric_limits<double>::infinity();
  CHECK(matrix_norm(a).item<double>() == Approx(7.745966692414834));
  CHECK(matrix_norm(a, MatrixNorm::nuclear).item<double>() == Approx(9.797958971132712));
  CHECK(matrix_norm(a, infinity).item<double>() == 9);
  CHECK(matrix_norm(a, -infinity).item<double>() == 2);
  CHECK(matrix_norm(a, 1).item<double>() == 7);
  CHECK(matrix_norm(a, -1).item<double>() == 6);
  CHECK(matrix_norm(a, 2).item<double>() == Approx(7.348469228349533));
  CHECK(matrix_norm(a, -2).item<double>() == Approx(0).margin(1e-12));
  CHECK(matrix_norm(stack({a, a}), 1, true).shape() == Shape{2, 1, 1});
  CHECK(matrix_norm(stack({a, a}), MatrixNorm::nuclear).shape() == Shape{2});
  CHECK_THROWS_AS(matrix_norm(a, 3), ValueError);
  const Tensor b = doubles({{1, 0, -1}, {0, 1, 0}, {1, 0, 1}});  // as of torch.linalg.cond
  CHECK(cond(b).item<double>() == Approx(1.4142135623730951));
  CHECK(cond(b, infinity).item<double>() == Approx(2));
  CHECK(cond(b, -1).item<double>() == Approx(1));
  CHECK(cond(b, 1).item<double>() == Approx(2));
}

TEST_CASE("functions of matrices", "[ops][linalg]") {
  const double angle = 0.5;
  require_close(matrix_exp(doubles({{0, -angle}, {angle, 0}})),
                doubles({{std::cos(angle), -std::sin(angle)}, {std::sin(angle), std::cos(angle)}}));
  // Moler and van Loan's example, which a plain series gets wrong.
  const Tensor moler = matrix_exp(doubles({{-49, 24}, {-64, 31}}));
  CHECK(max(abs(moler -
                doubles({{-0.735758758144755, 0.551819099658089}, {-1.471517599088235, 1.103638240715556}})))
            .item<double>() < 1e-12);
  const Doubles scaled = matrix_exp(doubles({{0, 1e3}, {0, 0}})).to_vector<double>();
  CHECK(scaled == Doubles{1, 1e3, 0, 1});
  CHECK(matrix_exp(diag(doubles({1, -800}))).to_vector<double>()[0] == Approx(std::exp(1)).epsilon(1e-13));
  CHECK(std::isnan(matrix_exp(doubles({{INFINITY}})).item<double>()));
  const Tensor a = doubles({{1, 1}, {1, 0}});  // Fibonacci's numbers
  CHECK(matrix_power(a, 10).to_vector<double>() == Doubles{89, 55, 55, 34});
  CHECK(matrix_power(a, 0).to_vector<double>() == Doubles{1, 0, 0, 1});
  require_close(matmul(matrix_power(a, -3), matrix_power(a, 3)), eye(2, DType::float64));
}

}  // namespace
}  // namespace gradweave::linalg_tests
