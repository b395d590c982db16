// Functions of single numbers.
#include <gradweave/ops/scalar_math.hpp>

#include <cmath>
#include <limits>
#include <numbers>

#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave::scalar_math_tests {
namespace {

using Doubles = std::vector<double>;
using Ints = std::vector<Index>;
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

Tensor doubles(const Literal& values) { return constant(values, DType::float64); }
double at(Tensor (*f)(const Operand&), double x) { return f(doubles(x)).item<double>(); }

TEST_CASE("rounding", "[ops][scalar]") {
  const Tensor x = doubles({-2.5, -0.5, 0.5, 1.5, 2.7});
  CHECK(floor(x).to_vector<double>() == Doubles{-3, -1, 0, 1, 2});
  CHECK(ceil(x).to_vector<double>() == Doubles{-2, 0, 1, 2, 3});
  CHECK(round(x).to_vector<double>() == Doubles{-2, 0, 0, 2, 3});  // halves to even
  CHECK(trunc(x).to_vector<double>() == Doubles{-2, 0, 0, 1, 2});
  CHECK(std::signbit(at(trunc, -0.5)));
  CHECK(at(frac, -2.75) == -0.75);
  CHECK(round(doubles({1.2345, 1250}), 2).to_vector<double>()[0] == Approx(1.23));
  CHECK(round(doubles(1250), -2).item<double>() == 1200);
  CHECK(floor(constant({3, -2}, DType::int32)).dtype() == DType::int32);
  const Tensor v = variable({1.5});
  CHECK(gradients(floor(v), {v}, {}, Unconnected::zeros)[0].item<double>() == 0);
}

TEST_CASE("fmod has the sign of the first, remainder that of the second", "[ops][scalar]") {
  CHECK(fmod(doubles({-7, 7, 5.5}), doubles({3, -3, 2})).to_vector<double>() == Doubles{-1, 1, 1.5});
  CHECK(remainder(doubles({-7, 7}), doubles({3, -3})).to_vector<double>() == Doubles{2, -2});
  CHECK(fmod(constant({-7, 7}, DType::int64), constant({3, 0}, DType::int64)).to_vector<Index>() ==
        Ints{-1, 0});
}

TEST_CASE("trigonometric, hyperbolic and their inverses", "[ops][scalar]") {
  constexpr double pi = std::numbers::pi;
  CHECK(at(tan, pi / 4) == Approx(1));
  CHECK(at(asin, 0.5) == Approx(pi / 6));
  CHECK(at(acos, 0.5) == Approx(pi / 3));
  CHECK(at(atan, 1) == Approx(pi / 4));
  CHECK(at(atan, infinity) == Approx(pi / 2));
  CHECK(at(sinh, std::log(2)) == Approx(0.75));
  CHECK(at(cosh, std::log(2)) == Approx(1.25));
  CHECK(at(asinh, 0.75) == Approx(std::log(2)));
  CHECK(at(acosh, 1.25) == Approx(std::log(2)));
  CHECK(at(atanh, 0.6) == Approx(std::log(2)));
  CHECK(std::isnan(at(asin, 1.5)));
  CHECK(std::isnan(at(acosh, 0.5)));
  CHECK(at(asinh, 1e-20) == 1e-20);
  CHECK(atan2(doubles({1, -1, 0, -0.0}), doubles({-1, -1, -1, -1})).to_vector<double>()[1] ==
        Approx(-0.75 * pi));
  CHECK(atan2(doubles(-0.0), doubles(-1)).item<double>() == Approx(-pi));
}

TEST_CASE("roots, powers of two and hypotenuses", "[ops][scalar]") {
  CHECK(at(exp2, 10) == 1024);
  CHECK(at(log2, 1024) == 10);
  CHECK(at(log10, 1000) == Approx(3));
  CHECK(at(rsqrt, 16) == 0.25);
  CHECK(at(rsqrt, 0) == infinity);
  CHECK(at(reciprocal, 4) == 0.25);
  CHECK(at(cbrt, -27) == Approx(-3));
  CHECK(hypot(doubles(3e200), doubles(4e200)).item<double>() == Approx(5e200));
  const Tensor zero = variable({0.0});
  CHECK(gradients(hypot(zero, 0), {zero})[0].item<double>() == 0);
}

TEST_CASE("logarithms of sums and products", "[ops][scalar]") {
  CHECK(xlogy(doubles({0, 0, 2}), doubles({0, infinity, 1})).to_vector<double>() == Doubles{0, 0, 0});
  CHECK(std::isnan(xlogy(doubles(0), doubles(nan)).item<double>()));
  CHECK(xlog1py(doubles(0), doubles(-1)).item<double>() == 0);
  CHECK(logaddexp(doubles(1000), doubles(1000)).item<double>() == Approx(1000 + std::log(2)));
  CHECK(logaddexp(doubles(-infinity), doubles(-infinity)).item<double>() == -infinity);
  CHECK(logaddexp(doubles(infinity), doubles(infinity)).item<double>() == infinity);
  CHECK(logaddexp2(doubles(3), doubles(3)).item<double>() == Approx(4));
  CHECK(at(logit, 0.5) == 0);
  CHECK(logit(doubles(0), 0.1).item<double>() == Approx(std::log(1.0 / 9)));
}

TEST_CASE("interpolation, signs and steps", "[ops][scalar]") {
  CHECK(lerp(doubles({0.1, 0.1}), doubles({0.7, 0.7}), doubles({0, 1})).to_vector<double>() ==
        Doubles{0.1, 0.7});
  CHECK(lerp(doubles(1), doubles(3), 0.25).item<double>() == 1.5);
  CHECK(copysign(doubles({1, -1}), doubles({-0.0, 2})).to_vector<double>() == Doubles{-1, 1});
  CHECK(heaviside(doubles({-1, 0, 2}), 0.5).to_vector<double>() == Doubles{0, 0.5, 1});
  CHECK(std::isnan(heaviside(doubles(nan), 0.5).item<double>()));
  CHECK(at(sinc, 0) == 1);
  CHECK(at(sinc, 0.5) == Approx(2 / std::numbers::pi));
  CHECK(at(deg2rad, 180) == Approx(std::numbers::pi));
  CHECK(at(rad2deg, std::numbers::pi) == Approx(180));
  const Tensor zero = variable({0.0}, DType::float64);
  const auto [slope] = gradients(sinc(zero), {zero});
  CHECK(slope.item<double>() == 0);
  CHECK(gradients(slope, {zero})[0].item<double>() == Approx(-std::numbers::pi * std::numbers::pi / 3));
}

TEST_CASE("NaN and infinities", "[ops][scalar]") {
  const Tensor x = doubles({1, nan, infinity, -infinity});
  CHECK(isnan(x).to_vector<Index>() == Ints{0, 1, 0, 0});
  CHECK(isinf(x).to_vector<Index>() == Ints{0, 0, 1, 1});
  CHECK(isfinite(x).to_vector<Index>() == Ints{1, 0, 0, 0});
  CHECK(isfinite(constant({1, 2}, DType::int64)).to_vector<Index>() == Ints{1, 1});
  CHECK(isclose(x, x).to_vector<Index>() == Ints{1, 0, 1, 1});
  CHECK(isclose(x, x, 0, 0, true).to_vector<Index>() == Ints{1, 1, 1, 1});
  CHECK(isclose(doubles({1, 1}), doubles({infinity, 1.000001})).to_vector<Index>() == Ints{0, 1});
  CHECK(signbit(doubles({-0.0, 0.0, -3})).to_vector<Index>() == Ints{1, 0, 1});
  CHECK(nan_to_num(x).to_vector<double>() ==
        Doubles{1, 0, std::numeric_limits<double>::max(), std::numeric_limits<double>::lowest()});
  CHECK(nan_to_num(x, {.nan = 7, .posinf = 8, .neginf = 9}).to_vector<double>() == Doubles{1, 7, 8, 9});
  CHECK(fmax(doubles({nan, 1}), doubles({2, nan})).to_vector<double>() == Doubles{2, 1});
  CHECK(fmin(constant({3, 1}, DType::int64), constant({2, 2}, DType::int64)).to_vector<Index>() ==
        Ints{2, 1});
  const Tensor a = variable({nan, 2.0, 3.0}), b = variable({1.0, 2.0, nan});
  const auto [ga, gb] = gradients(sum(fmax(a, b)), {a, b});
  CHECK(ga.to_vector<double>() == Doubles{0, 0.5, 1});
  CHECK(gb.to_vector<double>() == Doubles{1, 0.5, 0});
}

}  // namespace
}  // namespace gradweave::scalar_math_tests
