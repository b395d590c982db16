// Decompositions, systems and functions of matrices.
#include <gradweave/ops/linalg.hpp>

#include <cmath>
#include <limits>

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
  require_close(solve_triangular(doubles({{7, 3}, {9, 7}}), doubles({4, 1}), true, true), doubles({1, 1}));
  CHECK_THROWS_WITH(eval(solve(doubles({{1, 2}, {2, 4}}), b)),
                    Catch::Matchers::ContainsSubstring("singular"));
  CHECK_THROWS_AS(solve(a, doubles({1, 2, 3})), ShapeError);
  CHECK(solve(zeros({0, 0}), zeros({0, 2})).to_vector().empty());
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
  CHECK(svd(zeros({0, 3})).s.shape() == Shape{0});
}

TEST_CASE("least squares and the pseudo-inverse", "[ops][linalg]") {
  const Tensor a = doubles({{1, 0}, {1, 1}, {1, 2}});  // a line through three points
  require_close(lstsq(a, doubles({1, 2, 4})), doubles({5.0 / 6, 1.5}));
  require_close(matmul(pinv(a), a), eye(2, DType::float64));
  require_close(pinv(doubles({{1, 1}, {1, 1}})), doubles({{0.25, 0.25}, {0.25, 0.25}}));
}

TEST_CASE("functions of matrices", "[ops][linalg]") {
  const double angle = 0.5;
  require_close(matrix_exp(doubles({{0, -angle}, {angle, 0}})),
                doubles({{std::cos(angle), -std::sin(angle)}, {std::sin(angle), std::cos(angle)}}));
  const Tensor a = doubles({{1, 1}, {1, 0}});  // Fibonacci's numbers
  CHECK(matrix_power(a, 10).to_vector<double>() == Doubles{89, 55, 55, 34});
  CHECK(matrix_power(a, 0).to_vector<double>() == Doubles{1, 0, 0, 1});
  require_close(matmul(matrix_power(a, -3), matrix_power(a, 3)), eye(2, DType::float64));
}

}  // namespace
}  // namespace gradweave::linalg_tests
