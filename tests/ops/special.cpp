// Special functions, at values that tables give (Abramowitz and Stegun, DLMF).
#include <gradweave/ops/special.hpp>

#include <cmath>
#include <limits>
#include <numbers>

#include <gradweave/graph/formula/formula.hpp>
#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave::special_tests {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double euler = 0.57721566490153286;

double at(Tensor (*f)(const Operand&), double x) { return f(constant(x, DType::float64)).item<double>(); }
double at(Tensor (*f)(const Operand&, const Operand&), double a, double x) {
  return f(constant(a, DType::float64), constant(x, DType::float64)).item<double>();
}

TEST_CASE("error functions and their inverses", "[ops][special]") {
  CHECK(at(erfc, 0) == 1);
  CHECK(at(erfc, 10) == Approx(2.0884875837625446e-45));  // where 1 - erf is 0
  CHECK(at(erfinv, 0.5) == Approx(0.47693627620446987));
  CHECK(at(erfinv, 1) == infinity);
  CHECK(std::isnan(at(erfinv, 1.5)));
  CHECK(at(erfcinv, 1e-100) == Approx(15.065574702593));
  CHECK(erfinv(erf(constant(0.3))).item<double>() == Approx(0.3));
}

TEST_CASE("the gamma function and its kin", "[ops][special]") {
  CHECK(at(lgamma, 5) == Approx(std::log(24)));
  CHECK(at(lgamma, 0.5) == Approx(0.5 * std::log(std::numbers::pi)));
  CHECK(at(lgamma, -0.5) == Approx(std::log(2 * std::sqrt(std::numbers::pi))));
  CHECK(at(lgamma, -3) == infinity);
  CHECK(at(digamma, 1) == Approx(-euler));
  CHECK(at(digamma, 0.5) == Approx(-euler - 2 * std::log(2)));
  CHECK(at(digamma, 0) == -infinity);
  CHECK(std::isnan(at(digamma, -2)));
  CHECK(polygamma(1, constant(1, DType::float64)).item<double>() ==
        Approx(std::numbers::pi * std::numbers::pi / 6));
  CHECK(polygamma(2, constant(1, DType::float64)).item<double>() == Approx(-2.4041138063191886));
  CHECK(polygamma(1, constant(0.0)).item<double>() == infinity);
  CHECK_THROWS_AS(polygamma(-1, constant(1)), ValueError);
}

TEST_CASE("incomplete gamma and beta functions", "[ops][special]") {
  CHECK(at(gammainc, 1, 2) == Approx(1 - std::exp(-2)));
  CHECK(at(gammaincc, 1, 2) == Approx(std::exp(-2)));
  CHECK(at(gammaincc, 0.5, 50) == Approx(std::erfc(std::sqrt(50))));
  CHECK(at(gammainc, 3, infinity) == 1);
  CHECK(std::isnan(at(gammainc, -1, 2)));
  const auto beta = [](double a, double b, double x) {
    return betainc(constant(a, DType::float64), constant(b, DType::float64), constant(x, DType::float64))
        .item<double>();
  };
  CHECK(beta(1, 1, 0.3) == Approx(0.3));
  CHECK(beta(2, 3, 0.5) == Approx(0.6875));
  CHECK(std::isnan(beta(2, 3, 1.5)));
  const Tensor a = variable({1.5}), x = variable({2.0});
  CHECK_THROWS_WITH(gradients(sum(gammainc(a, x)), {a}),
                    Catch::Matchers::ContainsSubstring("no derivative in its parameters"));
  CHECK(gradients(sum(gammainc(a, x)), {x})[0].item<double>() ==
        Approx(std::sqrt(2) * std::exp(-2) / std::tgamma(1.5)));
}

TEST_CASE("the normal distribution", "[ops][special]") {
  CHECK(at(ndtr, 1.959963984540054) == Approx(0.975));
  CHECK(at(ndtr, -38) == Approx(2.885428360068e-316).epsilon(1e-3));
  CHECK(at(ndtri, 0.975) == Approx(1.959963984540054));
  CHECK(at(ndtri, 0) == -infinity);
  CHECK(std::isnan(at(ndtri, nan)));
}

}  // namespace
}  // namespace gradweave::special_tests
