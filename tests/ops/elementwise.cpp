// Functions of each element at points where the answer is known: from closed forms, tables and IEEE 754.
#include <gradweave/ops/elementwise.hpp>

#include <bit>
#include <cmath>
#include <limits>

#include <gradweave/graph/check/gradcheck.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/ops/ops.hpp>

#include "catch.hpp"
#include "support.hpp"

namespace gradweave {
namespace {

using Numbers = std::vector<double>;
using Function = Tensor (*)(const Operand&);

// Equal bit for bit, but for NaNs, which are all alike.
bool identical(double a, double b) {
  return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
}
bool identical(const Numbers& a, const Numbers& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](double x, double y) { return identical(x, y); });
}

// `x` repeated, so that vectors of elements are computed as well as single ones.
Tensor repeated(double x, DType dtype) { return cast(constant(Numbers(19, x)), dtype); }

TEST_CASE("functions at known points", "[ops]") {
  struct Row {
    const char* name;
    Function function;
    double x, y;
  };
  const Row rows[] = {
      {"exp", exp, 1, 2.718281828459045},  // e
      {"exp", exp, -1, 0.36787944117144233},
      {"expm1", expm1, 1e-10, 1.00000000005e-10},
      {"log", log, 10, 2.302585092994046},
      {"log", log, 2, 0.6931471805599453},
      {"log1p", log1p, 1e-10, 9.9999999995e-11},
      {"sqrt", sqrt, 2, 1.4142135623730951},
      {"square", square, -1.5, 2.25},
      {"abs", abs, -1.5, 1.5},
      {"negative", negative, 1.5, -1.5},
      {"sign", sign, -3, -1},
      {"sin", sin, 0.5235987755982988, 0.5},  // pi / 6
      {"sin", sin, 1, 0.8414709848078965},
      {"cos", cos, 1.0471975511965979, 0.5},  // pi / 3
      {"cos", cos, 1, 0.5403023058681398},
      {"tanh", tanh, 1, 0.7615941559557649},    // (e^2 - 1) / (e^2 + 1)
      {"tanh", tanh, 0.5493061443340549, 0.5},  // log(3) / 2
      {"sigmoid", sigmoid, 0, 0.5},
      {"sigmoid", sigmoid, 1.0986122886681098, 0.75},  // log(3)
      {"sigmoid", sigmoid, -1, 0.2689414213699951},
      {"softplus", softplus, 0, 0.6931471805599453},        // log(2)
      {"softplus", softplus, 1, 1.3132616875182228},        // log(1 + e)
      {"softplus", softplus, -50, 1.9287498479639178e-22},  // exp(-50)
      {"erf", erf, 0.5, 0.5204998778130465},                // Abramowitz and Stegun, table 7.1
      {"erf", erf, 1, 0.8427007929497149},
      {"erf", erf, -2, -0.9953222650189527},
      {"relu", relu, -2, 0},
      {"relu", relu, 2, 2},
  };
  for (const Row& row : rows) {
    INFO(row.name << "(" << row.x << ")");
    for (double y : row.function(repeated(row.x, f64)).to_vector<double>())
      CHECK(y == Approx(row.y).epsilon(1e-15).margin(0));
    for (double y : row.function(repeated(row.x, f32)).to_vector<double>())
      CHECK(y == Approx(row.y).epsilon(5e-7).margin(0));
  }
}

TEST_CASE("functions at the edges of the numbers, as IEEE 754 and C's mathematics have them", "[ops]") {
  struct Row {
    const char* name;
    Function function;
    Numbers y;  // at -inf, -1, -0, 0, inf, nan
  };
  const Row rows[] = {
      {"exp", exp, {0, std::exp(-1), 1, 1, inf, nan}},
      {"expm1", expm1, {-1, std::expm1(-1), -0.0, 0, inf, nan}},
      {"log", log, {nan, nan, -inf, -inf, inf, nan}},
      {"log1p", log1p, {nan, -inf, -0.0, 0, inf, nan}},
      {"sqrt", sqrt, {nan, nan, -0.0, 0, inf, nan}},
      {"square", square, {inf, 1, 0, 0, inf, nan}},
      {"abs", abs, {inf, 1, 0, 0, inf, nan}},
      {"negative", negative, {inf, 1, 0, -0.0, -inf, nan}},
      {"sign", sign, {-1, -1, 0, 0, 1, 0}},  // a NaN has none
      {"sin", sin, {nan, std::sin(-1), -0.0, 0, nan, nan}},
      {"cos", cos, {nan, std::cos(-1), 1, 1, nan, nan}},
      {"tanh", tanh, {-1, std::tanh(-1), -0.0, 0, 1, nan}},
      {"sigmoid", sigmoid, {0, 1 / (1 + std::exp(1)), 0.5, 0.5, 1, nan}},
      {"relu", relu, {0, 0, 0, 0, inf, nan}},
      {"softplus", softplus, {0, std::log1p(std::exp(-1)), std::log(2), std::log(2), inf, nan}},
      {"erf", erf, {-1, std::erf(-1), -0.0, 0, 1, nan}},
  };
  const Numbers x{-inf, -1, -0.0, 0, inf, nan};
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < x.size(); ++i) {
      INFO(row.name << "(" << x[i] << ")");
      for (DType dtype : {f32, f64}) {
        const Numbers y = row.function(repeated(x[i], dtype)).to_vector<double>();
        for (double value : {y.front(), y.back()}) {  // in a vector, and alone
          if (std::isfinite(row.y[i]) && row.y[i] != std::round(row.y[i])) {
            CHECK(value == Approx(row.y[i]).epsilon(5e-7));
          } else {
            CHECK((identical(value, row.y[i]) || (value == 0 && row.function == relu)));  // of either sign
          }
        }
      }
    }
  }
}

TEST_CASE("what is no number stays none, whatever its bits", "[ops]") {
  std::vector<float> x;
  for (const std::uint32_t payload :
       {1U, 255U, 511U, 0x3FFFFFU, 0x400000U, 0x400001U, 0x4001FFU, 0x7FFFFFU}) {
    for (const std::uint32_t sign : {0U, 0x80000000U})
      x.push_back(std::bit_cast<float>(sign | 0x7F800000U | payload));
  }
  for (auto* function : {&exp, &expm1, &log, &log1p, &sqrt, &sigmoid, &tanh, &softplus, &erf, &sin, &cos}) {
    for (const float y : (*function)(constant(x)).to_vector()) CHECK(std::isnan(y));
  }
}

TEST_CASE("pow at its edges is C's pow", "[ops]") {
  const Numbers bases{-inf, -2, -1, -0.0, 0, 0.5, 1, 2, inf, nan};
  for (double exponent : {-3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0, 7.0, 20.0}) {
    const Numbers by_number = pow(constant(bases), exponent).to_vector<double>();
    const Numbers by_tensor = pow(constant(bases), constant(exponent, f64)).to_vector<double>();
    for (std::size_t i = 0; i < bases.size(); ++i) {
      INFO(bases[i] << " to the power of " << exponent);
      const double truth = std::pow(bases[i], exponent);
      CHECK((identical(by_number[i], truth) || by_number[i] == Approx(truth).epsilon(1e-15)));
      CHECK((identical(by_tensor[i], truth) || by_tensor[i] == Approx(truth).epsilon(1e-15)));
    }
  }
  CHECK(pow(constant({2, 3}, i64), 2).to_vector() == std::vector<float>{4, 9});
  CHECK(pow(2, constant({0, 1, 10})).to_vector() == std::vector<float>{1, 2, 1024});
}

TEST_CASE("arithmetic at its edges", "[ops]") {
  const Tensor x = constant({1, -1, 0, inf, nan}, f64);
  CHECK(identical((x / 0).to_vector<double>(), {inf, -inf, nan, inf, nan}));
  CHECK(identical((x / zeros({5}, f64)).to_vector<double>(), {inf, -inf, nan, inf, nan}));
  CHECK(identical((1 / x).to_vector<double>(), {1, -1, inf, 0, nan}));
  CHECK(identical((x - x).to_vector<double>(), {0, 0, 0, nan, nan}));
  CHECK(identical((x * 0).to_vector<double>(), {0, -0.0, 0, nan, nan}));
}

TEST_CASE("whole numbers: division is true division, the rest stays whole", "[ops]") {
  const Tensor x = constant({7, -7}, i64);
  CHECK((x / 2).to_vector() == std::vector<float>{3.5, -3.5});
  CHECK((x / 2).dtype() == f32);
  CHECK(identical((x / zeros({2}, i64)).to_vector<double>(), {inf, -inf}));
  CHECK((x * x - 1).to_vector<Index>() == std::vector<Index>{48, 48});
  CHECK(square(x).dtype() == i64);
  CHECK(abs(x).to_vector<Index>() == std::vector<Index>{7, 7});
  CHECK(relu(x).to_vector<Index>() == std::vector<Index>{7, 0});
  CHECK(exp(x).dtype() == f32);
}

TEST_CASE("bools: addition is or, multiplication is and, as in NumPy", "[ops]") {
  const Tensor a = constant({0, 0, 1, 1}, DType::bool_), b = constant({0, 1, 0, 1}, DType::bool_);
  CHECK((a + b).to_vector<int>() == std::vector<int>{0, 1, 1, 1});
  CHECK((a * b).to_vector<int>() == std::vector<int>{0, 0, 0, 1});
  CHECK((a == b).to_vector<int>() == std::vector<int>{1, 0, 0, 1});
  CHECK((a < b).to_vector<int>() == std::vector<int>{0, 1, 0, 0});
}

TEST_CASE("shapes broadcast as in NumPy's manual", "[ops]") {
  // numpy.org/doc/stable/user/basics.broadcasting.html
  struct Row {
    Shape a, b, result;
  };
  const Row fit[] = {{{256, 256, 3}, {3}, {256, 256, 3}},
                     {{8, 1, 6, 1}, {7, 1, 5}, {8, 7, 6, 5}},
                     {{5, 4}, {1}, {5, 4}},
                     {{5, 4}, {4}, {5, 4}},
                     {{15, 3, 5}, {15, 1, 5}, {15, 3, 5}},
                     {{15, 3, 5}, {3, 5}, {15, 3, 5}},
                     {{15, 3, 5}, {3, 1}, {15, 3, 5}},
                     {{}, {2, 3}, {2, 3}}};
  for (const Row& row : fit) {
    CHECK((zeros(row.a) + zeros(row.b)).shape() == row.result);
    CHECK((zeros(row.b) * zeros(row.a)).shape() == row.result);
  }
  CHECK_THROWS_AS(zeros({3}) + zeros({4}), ShapeError);
  CHECK_THROWS_AS(zeros({2, 1}) + zeros({8, 4, 3}), ShapeError);

  const Tensor a = constant({{0.0}, {10.0}, {20.0}, {30.0}}), b = constant({1, 2, 3});
  CHECK((a + b).to_vector() == std::vector<float>{1, 2, 3, 11, 12, 13, 21, 22, 23, 31, 32, 33});
}

TEST_CASE("comparisons with NaN are false, and != is true", "[ops]") {
  const Tensor x = constant({nan, nan, 1}), y = constant({nan, 1, 1});
  CHECK((x == y).to_vector<int>() == std::vector<int>{0, 0, 1});
  CHECK((x != y).to_vector<int>() == std::vector<int>{1, 1, 0});
  CHECK((x < y).to_vector<int>() == std::vector<int>{0, 0, 0});
  CHECK((x <= y).to_vector<int>() == std::vector<int>{0, 0, 1});
  CHECK((x > y).to_vector<int>() == std::vector<int>{0, 0, 0});
  CHECK((x >= y).to_vector<int>() == std::vector<int>{0, 0, 1});
  CHECK((constant(-0.0) == constant(0.0)).item<bool>());
}

TEST_CASE("maximum, minimum and clamp keep NaN", "[ops]") {
  const Tensor x = constant({nan, 1, 2, -inf, nan, 5, 6, 7, 8, nan}),
               y = constant({1, nan, 3, 0, nan, 5, 5, 8, 8, 1});
  CHECK(identical(maximum(x, y).to_vector<double>(), {nan, nan, 3, 0, nan, 5, 6, 8, 8, nan}));
  CHECK(identical(minimum(x, y).to_vector<double>(), {nan, nan, 2, -inf, nan, 5, 5, 7, 8, nan}));
  CHECK(identical(clamp(x, 0, 6).to_vector<double>(), {nan, 1, 2, 0, nan, 5, 6, 6, 6, nan}));
  CHECK(clamp(constant({-3, 0, 3}, i64), -1.5, 1.5).to_vector<Index>() == std::vector<Index>{-1, 0, 1});
  CHECK(clamp(constant({-3, 0, 3}, i64), 0.5, inf).to_vector<Index>() == std::vector<Index>{1, 1, 3});
}

TEST_CASE("where takes from one side only", "[ops]") {
  const Tensor condition = constant({1, 0}, DType::bool_);
  CHECK(where(condition, constant({1, nan}), constant({inf, 2})).to_vector() == std::vector<float>{1, 2});
  CHECK(where(condition, constant({{1}, {2}}), 3).to_vector() == std::vector<float>{1, 3, 2, 3});
  CHECK_THROWS_AS(where(1, condition, condition), DTypeError);
}

// ---- Derivatives where they are a convention, or delicate.

// The first and second derivative of f at x, 0 where f's gradient does not depend on x any more.
Numbers derivatives(Tensor (*f)(const Tensor&), double at) {
  const Tensor x = variable(at, f64);
  const auto [first] = gradients(f(x), {x});
  const auto [second] = gradients(first, {x}, {}, Unconnected::zeros);
  return {first.item<double>(), second.item<double>()};
}

TEST_CASE("first and second derivatives at delicate points", "[ops]") {
  struct Row {
    const char* text;
    Tensor (*f)(const Tensor&);
    double at;
    Numbers expected;
  };
  const Row rows[] = {
      {"x^2 at 0", [](const Tensor& x) { return pow(x, 2); }, 0, {0, 2}},
      {"x^2 at 0, the exponent a tensor",
       [](const Tensor& x) { return pow(x, constant(2, f64)); },
       0,
       {0, 2}},
      {"x^3 at 0", [](const Tensor& x) { return pow(x, 3); }, 0, {0, 0}},
      {"x^3 at -1", [](const Tensor& x) { return pow(x, 3); }, -1, {3, -6}},
      {"x^1 at 0", [](const Tensor& x) { return pow(x, 1) * 1; }, 0, {1, 0}},
      {"x^0 at 0, the exponent a tensor",
       [](const Tensor& x) { return pow(x, constant(0, f64)); },
       0,
       {0, 0}},
      {"x^1.5 at 0", [](const Tensor& x) { return pow(x, 1.5); }, 0, {0, inf}},
      {"x^-1 at 2", [](const Tensor& x) { return pow(x, -1); }, 2, {-0.25, 0.25}},
      {"2^x at 0",
       [](const Tensor& x) { return pow(constant(2, f64), x); },
       0,
       {std::log(2), std::pow(std::log(2), 2)}},
      {"0^x at 0", [](const Tensor& x) { return pow(constant(0, f64), x); }, 0, {0, 0}},
      {"x^2 as square, at 0", [](const Tensor& x) { return square(x); }, 0, {0, 2}},
      {"x * x at 0", [](const Tensor& x) { return x * x; }, 0, {0, 2}},
      {"|x| at 0", [](const Tensor& x) { return abs(x); }, 0, {0, 0}},
      {"|x| at -2", [](const Tensor& x) { return abs(x); }, -2, {-1, 0}},
      {"relu at 0", [](const Tensor& x) { return relu(x); }, 0, {0, 0}},
      {"sqrt at 0", [](const Tensor& x) { return sqrt(x); }, 0, {inf, -inf}},
      {"sqrt at 4", [](const Tensor& x) { return sqrt(x); }, 4, {0.25, -1.0 / 32}},
      {"log at 0", [](const Tensor& x) { return log(x); }, 0, {inf, -inf}},
      {"log1p at 0", [](const Tensor& x) { return log1p(x); }, 0, {1, -1}},
      {"expm1 at 0", [](const Tensor& x) { return expm1(x); }, 0, {1, 1}},
      {"sigmoid at 0", [](const Tensor& x) { return sigmoid(x); }, 0, {0.25, 0}},
      {"sigmoid far left", [](const Tensor& x) { return sigmoid(x); }, -1000, {0, 0}},
      {"sigmoid far right", [](const Tensor& x) { return sigmoid(x); }, 1000, {0, 0}},
      {"tanh at 0", [](const Tensor& x) { return tanh(x); }, 0, {1, 0}},
      {"tanh far out", [](const Tensor& x) { return tanh(x); }, 1000, {0, 0}},
      {"softplus at 0", [](const Tensor& x) { return softplus(x); }, 0, {0.5, 0.25}},
      {"softplus far out", [](const Tensor& x) { return softplus(x); }, 1000, {1, 0}},
      {"erf at 0", [](const Tensor& x) { return erf(x); }, 0, {2 / std::sqrt(std::acos(-1.0)), 0}},
      {"max(x, 0) at the tie", [](const Tensor& x) { return maximum(x, 0); }, 0, {0.5, 0}},
      {"max(x, x)", [](const Tensor& x) { return maximum(x, x); }, 3, {1, 0}},
      {"min(x, -x) at the tie", [](const Tensor& x) { return minimum(x, -x); }, 0, {0, 0}},
      {"clamp on its limit", [](const Tensor& x) { return clamp(x, -1, 1); }, 1, {1, 0}},
      {"clamp outside", [](const Tensor& x) { return clamp(x, -1, 1); }, 1.5, {0, 0}},
      {"x / x at 3", [](const Tensor& x) { return x / x; }, 3, {0, 0}},
      {"the distance to 0 at 2", [](const Tensor& x) { return sqrt(sum(square(x))); }, 2, {1, 0}},
      // The gradient of the side that was not taken is infinite, and must not turn 0 into NaN there.
      {"log behind two wheres",
       [](const Tensor& x) { return where(x > 0, log(where(x > 0, x, 1)), 0); },
       0,
       {0, 0}},
  };
  for (const Row& row : rows) {
    const Numbers actual = derivatives(row.f, row.at);
    for (std::size_t order : {std::size_t{0}, std::size_t{1}}) {
      INFO(row.text << ", derivative " << order + 1);
      if (std::isfinite(row.expected[order])) {
        CHECK(actual[order] == Approx(row.expected[order]).epsilon(1e-15).margin(1e-300));
      } else {
        CHECK(identical(actual[order], row.expected[order]));
      }
    }
  }
}

TEST_CASE("where hands the cotangent to the side that was taken", "[ops]") {
  const Tensor a = variable({1, nan}), b = variable({nan, 2});
  const auto [da, db] = gradients(sum(where(constant({1, 0}, DType::bool_), a, b)), {a, b});
  CHECK(da.to_vector() == std::vector<float>{1, 0});
  CHECK(db.to_vector() == std::vector<float>{0, 1});
}

struct Blend {
  static constexpr std::string_view name = "blend";
  static constexpr std::size_t scalar_inputs = 1;
  static auto forward(const auto& a, const auto& b, const auto& share) { return a + share * (b - a); }
  static Tensor vjp(std::size_t i, const Tensor& g, const Tensor& a, const Tensor& b, const Tensor& share,
                    const Tensor&) {
    return i == 0 ? g * (1 - share) : i == 1 ? g * share : sum(g * (b - a));
  }
  static Samples samples() { return {{uniform(-2, 2), uniform(-2, 2, {3}), uniform(0, 1, {})}}; }
};

TEST_CASE("an op may ask for inputs that are single numbers", "[ops]") {
  const auto blend = [](const Operand& a, const Operand& b, const Operand& share) {
    return apply<Blend>(a, b, share);
  };
  const GradcheckReport report = check_operation(operation_of<Blend>());
  INFO(report.message);
  CHECK(report.ok);
  for (const Index n : {0, 1, 2, 16, 17, 5000}) {
    INFO(n);
    const Tensor a = arange(n, f32), b = a * 3 + 1;
    // The number is given, computed beforehand, and computed together with what it serves.
    const Tensor half = constant(0.5), computed = half * half + 0.25;
    const std::vector<float> expected = ((a + b) / 2).to_vector();
    CHECK(blend(a, b, half).to_vector() == expected);
    CHECK(blend(a, b, 0.5).to_vector() == expected);
    CHECK(blend(a, b, computed).to_vector() == expected);
    if (n > 0) CHECK(blend(a, b, select(a * 0 + 1, 0, 0) / 2).to_vector() == expected);
    CHECK(blend(blend(a, b, half), blend(a, b, computed), computed).to_vector() == expected);
  }
  CHECK_THROWS_AS(blend(ones({3}), ones({3}), ones({3})), ShapeError);
  CHECK(blend(ones({3}), zeros({3}), constant({0.25})).to_vector() == std::vector<float>(3, 0.75));
}

TEST_CASE("at a tie, maximum and minimum share the cotangent", "[ops]") {
  const Tensor a = variable({1, 2, 3}), b = variable({3, 2, 1});
  const auto [da, db] = gradients(sum(maximum(a, b)), {a, b});
  CHECK(da.to_vector() == std::vector<float>{0, 0.5, 1});
  CHECK(db.to_vector() == std::vector<float>{1, 0.5, 0});
  const auto [ea, eb] = gradients(sum(minimum(a, b)), {a, b});
  CHECK(ea.to_vector() == std::vector<float>{1, 0.5, 0});
  CHECK(eb.to_vector() == std::vector<float>{0, 0.5, 1});
}

}  // namespace
}  // namespace gradweave
