// The checker itself: what it accepts, what it refuses, and what it calls by another name than "wrong".
#include <gradweave/graph/check/gradcheck.hpp>

#include <sstream>

#include <gradweave/graph/define.hpp>
#include <gradweave/ops/ops.hpp>

#include "catch.hpp"
#include "gradcheck_matcher.hpp"

namespace gradweave {
namespace {

using Catch::Matchers::ContainsSubstring;
using Inputs = std::span<const Tensor>;

Tensor f64_variable(const Literal& values) { return variable(values, DType::float64); }

TEST_CASE("right derivatives pass, to third order", "[gradcheck]") {
  const auto f = [](Inputs x) { return sigmoid(matmul(x[0], x[1])) * exp(x[2]); };
  const std::vector<Tensor> inputs{f64_variable({{1, -0.5}, {0.3, 2}}), f64_variable({{0.7, 1}, {-1, 0.2}}),
                                   f64_variable({0.1, -0.4})};
  CHECK_THAT(f, HasRightGradients(inputs));
  GradcheckOptions third;
  third.order = 3;
  CHECK_THAT(f, HasRightGradients(inputs, third));
}

TEST_CASE("large inputs are checked along random directions", "[gradcheck]") {
  const std::vector<double> ramp = arange(400, DType::float64).to_vector<double>();
  const Tensor x = variable(ramp, {20, 20}) * 0.01;
  eval(x);
  CHECK_THAT([](Inputs in) { return tanh(matmul(in[0], transpose(in[0]))); },
             HasRightGradients({variable(x)}));
}

// x^2 with a rule that can be spoilt.
struct WrongSquare {
  double factor;  // 2 is right
  double shift;   // 0 is right
  static constexpr std::string_view name = "wrong_square";
  static auto forward(const auto& x) { return x * x; }
  Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) const { return g * x * factor + g * shift; }
};
Tensor wrong_square(const Operand& x, double factor, double shift = 0) {
  return apply(WrongSquare{factor, shift}, {x});
}

TEST_CASE("wrong derivatives are reported with all there is to know", "[gradcheck]") {
  const Tensor x = f64_variable({0.5, 3, 1});
  const auto report = gradcheck([](Inputs in) { return wrong_square(in[0], 2.02); }, {x});
  CHECK_FALSE(report.ok);
  CHECK(report.verdict == Gradcheck::wrong);
  CHECK(report.order == 1);
  CHECK(report.input == 0);
  CHECK(report.input_index == report.output_index);
  CHECK(report.analytic == Approx(1.01 * report.numeric));
  CHECK(report.numeric == Approx(1));
  CHECK(std::abs(report.observed_order) < 0.1);  // the error does not fall
  CHECK_THAT(report.message, ContainsSubstring("wrong_square") &&
                                 ContainsSubstring("input 0[0] of shape (3,)") &&
                                 ContainsSubstring("observed order"));
  std::ostringstream text;
  text << report;
  CHECK(text.str() == report.message);
}

TEST_CASE("an error of one part in a million is noticed", "[gradcheck]") {
  const Tensor x = f64_variable({0.5, 3, 1});
  CHECK(gradcheck([](Inputs in) { return wrong_square(in[0], 2); }, {x}).ok);
  CHECK_FALSE(gradcheck([](Inputs in) { return wrong_square(in[0], 2.00001); }, {x}).ok);
  CHECK_FALSE(gradcheck([](Inputs in) { return wrong_square(in[0], 2, 1e-6); }, {x}).ok);
  CHECK_FALSE(gradcheck([](Inputs in) { return sum(wrong_square(in[0], 2, 1e-6) * 1e-5); }, {x}).ok);
}

// Right in first order, wrong in second: the rule hides that it depends on x.
struct Frozen {
  static constexpr std::string_view name = "frozen";
  static auto forward(const auto& x) { return x * x; }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return g * detach(x) * 2; }
};

TEST_CASE("the second derivative is checked unless one asks for the first alone", "[gradcheck]") {
  const Tensor x = f64_variable({0.5, 3});
  const auto f = [](Inputs in) { return apply<Frozen>(Operand(in[0])); };
  const auto report = gradcheck(f, {x});
  CHECK(report.verdict == Gradcheck::wrong);
  CHECK(report.order == 2);
  CHECK(report.analytic == 0);
  GradcheckOptions first;
  first.order = 1;
  CHECK(gradcheck(f, {x}, first).ok);
}

// Not linear in its cotangent, but right for the unit cotangents of a Jacobian.
struct Crooked {
  static constexpr std::string_view name = "crooked";
  static auto forward(const auto& x) { return x * x; }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return square(g) * x * 2; }
};

TEST_CASE("forward mode that is not the adjoint of reverse mode is noticed", "[gradcheck]") {
  const auto report =
      gradcheck([](Inputs in) { return apply<Crooked>(Operand(in[0])); }, {f64_variable({0.5, 3})});
  CHECK(report.verdict == Gradcheck::adjoint);
}

TEST_CASE("checks that check nothing fail", "[gradcheck]") {
  const Tensor x = f64_variable({1, 2}), y = f64_variable({3});
  SECTION("the input does not reach the output") {
    const auto report = gradcheck([](Inputs in) { return in[0] * in[0]; }, {x, y});
    CHECK(report.verdict == Gradcheck::unconnected);
    CHECK(report.input == 1);
    GradcheckOptions options;
    options.allow_unconnected = true;
    CHECK(gradcheck([](Inputs in) { return in[0] * in[0]; }, {x, y}, options).ok);
  }
  SECTION("no way leads to the output, and yet it changes: that is wrong") {
    const auto report = gradcheck([](Inputs in) { return in[0] * detach(in[1]); }, {x, y});
    CHECK(report.verdict == Gradcheck::wrong);
    CHECK(report.input == 1);
  }
  SECTION("everything is zero") {
    CHECK(gradcheck([](Inputs in) { return relu(in[0] - 10); }, {x}).verdict == Gradcheck::zero);
  }
}

TEST_CASE("a kink is called a kink", "[gradcheck]") {
  const auto at = [](double x, auto f) {
    return gradcheck([f](Inputs in) { return f(in[0]); }, {f64_variable({x})}).verdict;
  };
  const auto absolute = [](const Tensor& x) { return abs(x); };
  CHECK(at(0, absolute) == Gradcheck::kink);
  CHECK(at(1, absolute) == Gradcheck::right);
  CHECK(at(1e-3, absolute) == Gradcheck::right);  // within the first steps, but the last ones are clear of it
  CHECK(at(0, [](const Tensor& x) { return relu(x) + x; }) == Gradcheck::kink);
  CHECK(at(2, [](const Tensor& x) { return maximum(x, square(x) / 2); }) == Gradcheck::kink);
}

TEST_CASE("a function that changes its mind is called nondeterministic", "[gradcheck]") {
  int calls = 0;
  const auto report =
      gradcheck([&](Inputs in) { return in[0] * static_cast<double>(++calls); }, {f64_variable({1})});
  CHECK(report.verdict == Gradcheck::nondeterministic);
}

TEST_CASE("values that are not finite are told apart", "[gradcheck]") {
  CHECK(gradcheck([](Inputs in) { return log(in[0]); }, {f64_variable({-1})}).verdict ==
        Gradcheck::not_finite);
  CHECK(gradcheck([](Inputs in) { return sqrt(in[0]); }, {f64_variable({0})}).verdict ==
        Gradcheck::not_finite);
  CHECK(gradcheck([](Inputs in) { return log(in[0]); }, {f64_variable({0.01})})
            .ok);  // the first steps leave the domain
}

TEST_CASE("what f throws becomes the report", "[gradcheck]") {
  const auto report = gradcheck([](Inputs in) { return matmul(in[0], in[0]); }, {f64_variable({{1, 2, 3}})});
  CHECK(report.verdict == Gradcheck::error);
  CHECK_THAT(report.message, ContainsSubstring("inner sizes"));
  CHECK(gradcheck([](Inputs in) { return cast(in[0], DType::float32); }, {f64_variable({1})}).verdict ==
        Gradcheck::error);
  CHECK(gradcheck([](Inputs) { return Tensor(); }, {f64_variable({1})}).verdict == Gradcheck::error);
}

TEST_CASE("asking for the impossible is an error", "[gradcheck]") {
  const auto f = [](Inputs in) { return in[0] * 2; };
  CHECK_THROWS_AS(gradcheck(f, {}), ValueError);
  CHECK_THROWS_AS(gradcheck(f, {variable({1})}), ValueError);  // float32
  CHECK_THROWS_AS(gradcheck(f, {constant({1}, DType::float64)}), ValueError);
  GradcheckOptions options;
  options.order = 0;
  CHECK_THROWS_AS(gradcheck(f, {f64_variable({1})}, options), ValueError);
}

TEST_CASE("functions with steep and flat places", "[gradcheck]") {
  const Tensor x = f64_variable({0.02, 0.5, 4});
  CHECK_THAT([](Inputs in) { return 1.0 / in[0]; }, HasRightGradients({x}));
  CHECK_THAT([](Inputs in) { return sin(in[0] * 50); }, HasRightGradients({x}));
  CHECK_THAT([](Inputs in) { return pow(in[0], 7); }, HasRightGradients({x}));
  CHECK_THAT([](Inputs in) { return logsumexp(in[0] * 30); }, HasRightGradients({x}));
  CHECK_THAT([](Inputs in) { return softmax(in[0] * 5); }, HasRightGradients({x}));
  CHECK_THAT([](Inputs in) { return var(in[0]) * 1e6; }, HasRightGradients({x}));
}

}  // namespace
}  // namespace gradweave
