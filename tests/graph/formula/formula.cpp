// Formulas, and what can be read from them.
#include <cmath>

#include <gradweave/graph/define.hpp>
#include <gradweave/graph/formula_of.hpp>
#include <gradweave/ops/ops.hpp>

#include "catch.hpp"
#include "support.hpp"

namespace gradweave {
namespace {

using Catch::Matchers::ContainsSubstring;

template <class Op>
Formula formula(const Op& op = {}, DType dtype = f32, std::size_t inputs = 1) {
  return formula_of(operation_of<Op>(), &op, std::vector<DType>(inputs, dtype));
}

struct Softplus {
  static constexpr std::string_view name = "softplus";
  static auto forward(const auto& x) noexcept { return x.max(0) + (-x.abs()).exp().log1p(); }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return g * sigmoid(x); }
};

TEST_CASE("an op of six lines says its formula", "[formula]") {
  const Formula f = formula<Softplus>();
  CHECK(to_latex(f) == "\\max\\left(x, 0\\right) + \\log\\left(1 + {e^{-\\left|{x}\\right|}}\\right)");
  CHECK(to_c(f, "softplus") ==
        "float softplus(float x) {\n"
        "  return (x < 0.0f ? 0.0f : x) + log1p(exp(-fabs(x)));\n"
        "}\n");
  const float x = 0.5F;
  float y = 0;
  evaluate(f, std::array<const void*, 1>{&x}, &y, 1);
  CHECK(y == Approx(0.974077).epsilon(1e-6));
}

TEST_CASE("the built-in ops say theirs", "[formula]") {
  const Tensor x = constant({1, 2}), y = constant({3, 4});
  const auto c = [](const Tensor& t) { return to_c(formula_of(t), "f"); };
  const auto latex = [](const Tensor& t) { return to_latex(formula_of(t)); };
  CHECK(latex(sigmoid(x)) == "\\frac{1}{1 + e^{-x}}");
  CHECK(latex(x - y * 1) == "x_{0} - x_{1}");
  CHECK(latex(pow(x, 3)) == "x \\cdot \\left(x \\cdot x\\right)");
  CHECK(latex(where(x > 0, x, y)) ==
        "\\begin{cases}{x_{1}} & \\text{if } {x_{0}} \\\\ {x_{2}} & \\text{otherwise}\\end{cases}");
  CHECK(c(tanh(cast(x, f64))) == "double f(double x) {\n  return tanh(x);\n}\n");
  CHECK(c(add(std::array{x, y, x})) ==
        "float f(float x0, float x1, float x2) {\n  return x0 + x1 + x2;\n}\n");
  CHECK(c(cast(x, DType::bool_)) == "bool f(float x) {\n  return x != 0;\n}\n");
  CHECK(c(pow(x, 4)) == "float f(float x) {\n  const float t1 = x * x;\n  return t1 * t1;\n}\n");
}

// A product and a sum rounded once, and each rounded.
struct Once {
  static constexpr std::string_view name = "once";
  static auto forward(const auto& a, const auto& b, const auto& c) noexcept { return multiply_add(a, b, c); }
  static Tensor vjp(std::size_t, const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&) {
    return {};
  }
};
struct Twice {
  static constexpr std::string_view name = "twice";
  static auto forward(const auto& a, const auto& b, const auto& c) noexcept { return a * b + c; }
  static Tensor vjp(std::size_t, const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&) {
    return {};
  }
};

TEST_CASE("a product and a sum that are rounded once say so", "[formula]") {
  CHECK_THAT(to_c(formula<Once>({}, f32, 3), "f"), ContainsSubstring("return fma(x0, x1, x2);"));
  CHECK_THAT(to_c(formula<Twice>({}, f32, 3), "f"), ContainsSubstring("return x0 * x1 + x2;"));
  // (1 + 2^-12)^2 - 1 - 2^-11 is 2^-24, which the product alone cannot hold.
  const float a = 1 + 0x1p-12F, c = -1 - 0x1p-11F;
  const std::array<const void*, 3> inputs{&a, &a, &c};
  float once = 0, twice = 0;
  evaluate(formula<Once>({}, f32, 3), inputs, &once, 1);
  evaluate(formula<Twice>({}, f32, 3), inputs, &twice, 1);
  CHECK(once == 0x1p-24F);
  CHECK(twice == 0);
  for (const Index n : {1, 16, 37}) {  // the kernel of `Once`, alone and in vectors
    const Tensor x = full({n}, a), z = full({n}, c);
    CHECK(min(apply(Once{}, {x, x, z})).item() == 0x1p-24);
    CHECK(max(apply(Once{}, {x, x, z})).item() == 0x1p-24);
  }
}

// What cannot be read.
struct Lambda {
  static constexpr std::string_view name = "lambda";
  static auto forward(const auto& x) {
    return x + x.unaryExpr([](auto v) { return std::cbrt(v); });
  }
  static Tensor vjp(const Tensor&, const Tensor&, const Tensor&) { return {}; }
};
struct Loop {
  static constexpr std::string_view name = "loop";
  template <class X>
  static typename X::PlainObject forward(const X& x) {
    typename X::PlainObject y = x;
    for (Index i = 1; i < y.size(); ++i) y[i] += y[i] / 2;
    return y;
  }
  static Tensor vjp(const Tensor&, const Tensor&, const Tensor&) { return {}; }
};

TEST_CASE("an op that hides something runs, and its formula says what hides it", "[formula]") {
  CHECK(apply(Lambda{}, {constant({8})}).item() == 10);
  const Formula f = formula<Lambda>();
  CHECK_THAT(f.hidden_by(), ContainsSubstring("lambda"));
  CHECK(to_latex(f) == "x + ?\\left(x\\right)");
  CHECK_THROWS_WITH(to_c(f, "f"), ContainsSubstring("the formula of lambda is hidden by "));
  float x = 1, y = 0;
  CHECK_THROWS_AS(evaluate(f, std::array<const void*, 1>{&x}, &y, 1), ValueError);
  CHECK(range_of(f, std::array<Interval, 1>{{{0, 1}}}).contains(nan));

  CHECK(apply(Loop{}, {constant({2, 2})}).to_vector() == std::vector<float>{2, 3});
  CHECK(formula<Loop>().hidden_by() == "an array that is computed before the expression");
}

TEST_CASE("operations are counted, equal terms once", "[formula]") {
  const auto counts = count_functions(formula_of(pow(constant({2}), 4)));
  CHECK(counts == std::map<ElementFunction, int>{{ElementFunction::multiply, 2}});
  CHECK(cost_of(formula_of(pow(constant({2}), 4))) == 2);
  CHECK(cost_of(formula_of(exp(constant({2})))) > cost_of(formula_of(-constant({2}))));
}

TEST_CASE("ranges of results follow from ranges of inputs", "[formula]") {
  const Tensor x = constant({1}, f64);
  const auto range = [](const Tensor& t, double low, double high) {
    return range_of(formula_of(t), std::array<Interval, 1>{{{low, high}}});
  };
  const auto of_two = [](const Tensor& t, const Interval& a, const Interval& b) {
    return range_of(formula_of(t), std::array{a, b});
  };
  CHECK(range(x * 2, -1, 3) == Interval{-2, 6});
  CHECK(range(abs(x), -1, 3) == Interval{0, 3});
  CHECK(range(pow(x, 3), -1, 2) == Interval{-4, 8});  // x (x x), of which it does not know that they are one
  CHECK(range(clamp(x, 0, 1), -inf, inf) == Interval{0, 1});
  CHECK(of_two(x < x, {1, 2}, {3, 4}) == Interval{1, 1});
  CHECK(of_two(x < x, {1, 3}, {3, 4}) == Interval{0, 1});
  const Interval all = range(sigmoid(x), -inf, inf);
  CHECK((all.low == 0 && all.high == 1));
  const Interval wave = range(sin(x), 0, 3);
  CHECK((wave.low == 0 && wave.high >= 1 && wave.high < 1.001));
  CHECK(range(log(x), -1, 1).nan);
  CHECK_FALSE(range(log(x), 1, 2).nan);
  CHECK(of_two(x / x, {1, 1}, {-1, 1}) == Interval{-inf, inf});
  CHECK(of_two(x / x, {1, 2}, {4, 8}) == Interval{0.125, 0.5});
  CHECK(of_two(x / x, {0, 1}, {0, 1}).nan);
  // Whole numbers wrap.
  const Tensor whole = constant(std::vector<Index>{1});
  CHECK(of_two(whole * whole, {-3, 4}, {2, 2}) == Interval{-6, 8});
  CHECK(of_two(whole * whole, {0, 0x1p62}, {2, 2}) == Interval{-0x1p63, 0x1p63});
  CHECK_THROWS_AS(range(whole * whole, 0, 1), ValueError);
}

TEST_CASE("only results of elementwise ops have a formula", "[formula]") {
  const Tensor x = constant({{1, 2}, {3, 4}});
  CHECK_THROWS_WITH(formula_of(matmul(x, x)), ContainsSubstring("matmul is not an elementwise op"));
  CHECK_THROWS_AS(formula_of(x), GraphError);
  CHECK_THROWS_AS(formula_of(Tensor()), GraphError);
  CHECK_THROWS_AS(formula<Softplus>({}, i64), DTypeError);
  CHECK_THROWS_AS(to_c(formula<Softplus>({}, DType::float16), "f"), DTypeError);
}

}  // namespace
}  // namespace gradweave
