// Cumulative sums, products and extrema, and the recurrence behind them.
#include <gradweave/ops/scan.hpp>

#include <cmath>
#include <limits>

#include <gradweave/graph/check/gradcheck.hpp>
#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave::scan_tests {
namespace {

using Doubles = std::vector<double>;
using Ints = std::vector<Index>;

TEST_CASE("cumsum runs along any axis", "[ops][scan]") {
  const Tensor x = constant({{1, 2, 3}, {4, 5, 6}});
  CHECK(cumsum(x, 1).to_vector<double>() == Doubles{1, 3, 6, 4, 9, 15});
  CHECK(cumsum(x, 0).to_vector<double>() == Doubles{1, 2, 3, 5, 7, 9});
  CHECK(cumsum(transpose(x), -2).to_vector<double>() == Doubles{1, 4, 3, 9, 6, 15});
  CHECK(cumsum(constant({1, 1, 0}, DType::bool_), 0).dtype() == DType::int64);
  CHECK(cumsum(constant({200, 100}, DType::uint8), 0).to_vector<Index>() == Ints{200, 300});
  CHECK(cumsum(zeros({2, 0}), 1).shape() == Shape{2, 0});
  CHECK_THROWS_AS(cumsum(x, 2), ShapeError);
}

TEST_CASE("a long cumsum of float32 rounds once an element", "[ops][scan]") {
  const Index n = 1 << 20;
  const Tensor sums = cumsum(full({n}, 0.1), 0);
  CHECK(select(sums, 0, n - 1).item<double>() ==
        Approx(static_cast<double>(n) * static_cast<double>(0.1F)).epsilon(1e-7));
}

TEST_CASE("the gradient of cumsum counts how often an element is there", "[ops][scan]") {
  const Tensor x = variable({5, 6, 7});
  const auto [g] = gradients(sum(cumsum(x, 0)), {x});
  CHECK(g.to_vector<Index>() == Ints{3, 2, 1});
}

TEST_CASE("cumprod and its derivative where factors are zero", "[ops][scan]") {
  CHECK(cumprod(constant({1, 2, 3, 4}), 0).to_vector<Index>() == Ints{1, 2, 6, 24});
  const Tensor x = variable({2, 0, 3, 0}, DType::float64);
  const auto [g] = gradients(sum(cumprod(x, 0)), {x});
  // y = 2, 0, 0, 0: d/dx0 = 1 + 0, d/dx1 = 2 + 2 * 3 + 0, the others 0.
  CHECK(g.to_vector<double>() == Doubles{1, 8, 0, 0});
  CHECK(cumprod(zeros({0}), 0).shape() == Shape{0});
  CHECK(cumprod(constant({{1, 2}, {3, 4}}), 0).to_vector<Index>() == Ints{1, 2, 3, 8});
}

TEST_CASE("linear_scan gives discounted returns", "[ops][scan]") {
  const Tensor rewards = constant({1, 0, 2}, DType::float64);
  CHECK(linear_scan(0.5, rewards, 0, true).to_vector<double>() == Doubles{1.5, 1, 2});
  CHECK(linear_scan(constant({{0.5}, {1}}, DType::float64), rewards, -1).to_vector<double>() ==
        Doubles{1, 0.5, 2.25, 1, 1, 3});
}

TEST_CASE("cummax says where; the last among equals, and a NaN stays", "[ops][scan]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto [values, indices] = cummax(constant({1, 3, 2, 3, 5}), 0);
  CHECK(values.to_vector<Index>() == Ints{1, 3, 3, 3, 5});
  CHECK(indices.to_vector<Index>() == Ints{0, 1, 1, 3, 4});
  CHECK(cummin(constant({{3, 1}, {2, 4}}), 0).values.to_vector<Index>() == Ints{3, 1, 2, 1});
  const auto with_nan = cummax(constant({1, nan, 3}), 0);
  CHECK(with_nan.indices.to_vector<Index>() == Ints{0, 1, 1});
  CHECK(std::isnan(select(with_nan.values, 0, 2).item<double>()));
}

TEST_CASE("logcumsumexp neither overflows nor loses what is small", "[ops][scan]") {
  const double infinity = std::numeric_limits<double>::infinity();
  const Tensor x = constant({-infinity, 1000, 1000, -2000}, DType::float64);
  const Doubles y = logcumsumexp(x, 0).to_vector<double>();
  CHECK(y[0] == -infinity);
  CHECK(y[1] == 1000);
  CHECK(y[2] == Approx(1000 + std::log(2)));
  CHECK(y[3] == Approx(1000 + std::log(2)));
  CHECK(logcumsumexp(constant({1, infinity, 2}), 0).to_vector<double>()[2] == infinity);
  const Tensor v = variable({0.3, -1, 2, 0.5}, DType::float64);
  const auto f = [](std::span<const Tensor> in) { return sum(square(logcumsumexp(in[0], 0))); };
  CHECK(gradcheck(f, {v}));
}

TEST_CASE("diff and trapezoid", "[ops][scan]") {
  const Tensor x = constant({1, 4, 9, 16});
  CHECK(diff(x).to_vector<Index>() == Ints{3, 5, 7});
  CHECK(diff(x, 2).to_vector<Index>() == Ints{2, 2});
  CHECK(diff(x, 9).shape() == Shape{0});
  CHECK(diff(constant({1, 0, 0}, DType::bool_)).to_vector<Index>() == Ints{1, 0});
  CHECK(trapezoid(x).item<double>() == 21.5);
  CHECK(trapezoid(x, 2).item<double>() == 43);
  CHECK(trapezoid(x, constant({0, 1, 3, 4})).item<double>() == 28);
  CHECK_THROWS_AS(diff(x, -1), ValueError);
}

}  // namespace
}  // namespace gradweave::scan_tests
