#include <gradweave/graph/formula/function.hpp>

#include <array>
#include <cmath>

#include <gradweave/graph/formula/symbol.hpp>
#include <gradweave/graph/formula/vocabulary.hpp>

namespace gradweave {
namespace {

// Whole numbers wrap.
constexpr std::uint64_t bits(Index x) { return static_cast<std::uint64_t>(x); }
constexpr Index wrapped(std::uint64_t x) { return static_cast<Index>(x); }

// Of each: name, operands, cost, units in the last place of float32 and float64, range; LaTeX, C, C of whole
// numbers, each with how its operator binds (3 ?:, 4 ||, 5 &&, 6 |, 7 ^, 8 &, 9 ==, 10 <, 11 <<, 12 +, 13 *,
// 14 unary, 15 a power, 16 not an operator); and its values.
// clang-format off
constexpr std::array<FunctionInfo, function_count> function_table = [] {
  using enum ElementFunction;
  using enum RangeRule;
  return std::array<FunctionInfo, function_count>{{
    {input, "input", 0, 0, 0, 0, other, {"", 16}, {"", 16}, {}, nullptr, nullptr},
    {number, "number", 0, 0, 0, 0, other, {"", 16}, {"", 16}, {}, nullptr, nullptr},
    {hidden, "hidden", 0, 0, 0, 0, other, {"", 16}, {"", 16}, {}, nullptr, nullptr},
    {cast, "cast", 1, 1, 0, 0, other, {"", 16}, {"", 16}, {}, nullptr, nullptr},
    // Arithmetic.
    {add, "add", 2, 1, 0, 0, monotone, {"#1 + #2", 12}, {"#1 + #2", 12},
     {"(int64_t)((uint64_t)#1 + (uint64_t)#2)", 14}, [](double a, double b, double) { return a + b; },
     [](Index a, Index b, Index) { return wrapped(bits(a) + bits(b)); }},
    {subtract, "subtract", 2, 1, 0, 0, monotone, {"#1 - #2", 12}, {"#1 - #2", 12},
     {"(int64_t)((uint64_t)#1 - (uint64_t)#2)", 14}, [](double a, double b, double) { return a - b; },
     [](Index a, Index b, Index) { return wrapped(bits(a) - bits(b)); }},
    {multiply, "multiply", 2, 1, 0, 0, monotone, {"#1 \\cdot #2", 13}, {"#1 * #2", 13},
     {"(int64_t)((uint64_t)#1 * (uint64_t)#2)", 14}, [](double a, double b, double) { return a * b; },
     [](Index a, Index b, Index) { return wrapped(bits(a) * bits(b)); }},
    {divide, "divide", 2, 8, 0, 0, monotone, {"\\frac{#1}{#2}", 16}, {"#1 / #2", 13}, {},
     [](double a, double b, double) { return a / b; },
     [](Index a, Index b, Index) -> Index { return b == 0 ? 0 : b == -1 ? wrapped(0 - bits(a)) : a / b; }},
    {multiply_add, "multiply_add", 3, 1, 0, 0, monotone,
     {"\\operatorname{fma}\\left(#1, #2, #3\\right)", 16}, {"fma(#1, #2, #3)", 16},
     {"(int64_t)((uint64_t)#1 * (uint64_t)#2 + (uint64_t)#3)", 14},
     [](double a, double b, double c) { return std::fma(a, b, c); },
     [](Index a, Index b, Index c) { return wrapped(bits(a) * bits(b) + bits(c)); }},
    {negative, "negative", 1, 1, 0, 0, monotone, {"-#1", 14}, {"-#1", 14},
     {"(int64_t)(0 - (uint64_t)#1)", 14}, [](double a, double, double) { return -a; },
     [](Index a, Index, Index) { return wrapped(0 - bits(a)); }},
    {abs, "abs", 1, 1, 0, 0, even, {"\\left|{#1}\\right|", 16}, {"fabs(#1)", 16},
     {"#1 < 0 ? (int64_t)(0 - (uint64_t)#1) : #1", 3}, [](double a, double, double) { return std::abs(a); },
     [](Index a, Index, Index) { return a < 0 ? wrapped(0 - bits(a)) : a; }},
    {sign, "sign", 1, 2, 0, 0, monotone,
     {"\\operatorname{sign}\\left(#1\\right)", 16}, {"(#1 > 0) - (#1 < 0)", 12}, {},
     [](double a, double, double) { return (a > 0 ? 1.0 : 0.0) - (a < 0 ? 1.0 : 0.0); },
     [](Index a, Index, Index) { return Index{a > 0} - Index{a < 0}; }},
    {floor, "floor", 1, 1, 0, 0, monotone, {"\\left\\lfloor{#1}\\right\\rfloor", 16}, {"floor(#1)", 16}, {},
     [](double a, double, double) { return std::floor(a); }, nullptr},
    {ceil, "ceil", 1, 1, 0, 0, monotone, {"\\left\\lceil{#1}\\right\\rceil", 16}, {"ceil(#1)", 16}, {},
     [](double a, double, double) { return std::ceil(a); }, nullptr},
    {rint, "rint", 1, 1, 0, 0, monotone, {"\\operatorname{rint}\\left(#1\\right)", 16}, {"rint(#1)", 16}, {},
     [](double a, double, double) { return std::rint(a); }, nullptr},
    {round, "round", 1, 3, 0, 0, monotone, {"\\operatorname{round}\\left(#1\\right)", 16}, {"round(#1)", 16},
     {}, [](double a, double, double) { return std::round(a); }, nullptr},
    {copysign, "copysign", 2, 2, 0, 0, other,
     {"\\operatorname{copysign}\\left(#1, #2\\right)", 16}, {"copysign(#1, #2)", 16}, {},
     [](double a, double b, double) { return std::copysign(a, b); }, nullptr},
    {fmod, "fmod", 2, 60, 0, 0, other,
     {"\\operatorname{fmod}\\left(#1, #2\\right)", 16}, {"fmod(#1, #2)", 16}, {"#1 % #2", 13},
     [](double a, double b, double) { return std::fmod(a, b); },
     [](Index a, Index b, Index) { return b == 0 || b == -1 ? 0 : a % b; }},
    {divide_unsigned, "divide_unsigned", 2, 30, 0, 0, other,
     {"\\operatorname{divide\\_unsigned}\\left(#1, #2\\right)", 16}, {"", 16},
     {"(int64_t)((uint64_t)#1 / (uint64_t)#2)", 14}, nullptr,
     [](Index a, Index b, Index) -> Index { return b == 0 ? 0 : detail::divide_unsigned(a, b); }},
    {fmod_unsigned, "fmod_unsigned", 2, 30, 0, 0, other,
     {"\\operatorname{fmod\\_unsigned}\\left(#1, #2\\right)", 16}, {"", 16},
     {"(int64_t)((uint64_t)#1 % (uint64_t)#2)", 14}, nullptr,
     [](Index a, Index b, Index) -> Index { return b == 0 ? 0 : detail::fmod_unsigned(a, b); }},
    {maximum, "maximum", 2, 3, 0, 0, monotone,
     {"\\max\\left(#1, #2\\right)", 16}, {"#1 > #2 || #1 != #1 ? #1 : #2", 3}, {"#1 > #2 ? #1 : #2", 3},
     [](double a, double b, double) { return a > b || a != a ? a : b; },
     [](Index a, Index b, Index) { return a > b ? a : b; }},
    {minimum, "minimum", 2, 3, 0, 0, monotone,
     {"\\min\\left(#1, #2\\right)", 16}, {"#1 < #2 || #1 != #1 ? #1 : #2", 3}, {"#1 < #2 ? #1 : #2", 3},
     [](double a, double b, double) { return a < b || a != a ? a : b; },
     [](Index a, Index b, Index) { return a < b ? a : b; }},
    {max, "max", 2, 1, 0, 0, monotone, {"\\max\\left(#1, #2\\right)", 16}, {"#1 < #2 ? #2 : #1", 3}, {},
     [](double a, double b, double) { return a < b ? b : a; },
     [](Index a, Index b, Index) { return a < b ? b : a; }},
    {min, "min", 2, 1, 0, 0, monotone, {"\\min\\left(#1, #2\\right)", 16}, {"#2 < #1 ? #2 : #1", 3}, {},
     [](double a, double b, double) { return b < a ? b : a; },
     [](Index a, Index b, Index) { return b < a ? b : a; }},
    {fmax, "fmax", 2, 3, 0, 0, other, {"\\max\\left(#1, #2\\right)", 16}, {"fmax(#1, #2)", 16},
     {"#1 < #2 ? #2 : #1", 3}, [](double a, double b, double) { return std::fmax(a, b); },
     [](Index a, Index b, Index) { return a < b ? b : a; }},
    {fmin, "fmin", 2, 3, 0, 0, other, {"\\min\\left(#1, #2\\right)", 16}, {"fmin(#1, #2)", 16},
     {"#1 > #2 ? #2 : #1", 3}, [](double a, double b, double) { return std::fmin(a, b); },
     [](Index a, Index b, Index) { return a > b ? b : a; }},
    // Conditions.
    {equal, "equal", 2, 1, 0, 0, other, {"#1 = #2", 9}, {"#1 == #2", 9}, {},
     [](double a, double b, double) { return a == b ? 1.0 : 0.0; },
     [](Index a, Index b, Index) -> Index { return a == b ? 1 : 0; }},
    {not_equal, "not_equal", 2, 1, 0, 0, other, {"#1 \\ne #2", 9}, {"#1 != #2", 9}, {},
     [](double a, double b, double) { return a != b ? 1.0 : 0.0; },
     [](Index a, Index b, Index) -> Index { return a != b ? 1 : 0; }},
    {less, "less", 2, 1, 0, 0, other, {"#1 < #2", 9}, {"#1 < #2", 10}, {},
     [](double a, double b, double) { return a < b ? 1.0 : 0.0; },
     [](Index a, Index b, Index) -> Index { return a < b ? 1 : 0; }},
    {less_equal, "less_equal", 2, 1, 0, 0, other, {"#1 \\le #2", 9}, {"#1 <= #2", 10}, {},
     [](double a, double b, double) { return a <= b ? 1.0 : 0.0; },
     [](Index a, Index b, Index) -> Index { return a <= b ? 1 : 0; }},
    {logical_and, "logical_and", 2, 1, 0, 0, monotone, {"#1 \\wedge #2", 5}, {"#1 && #2", 5}, {},
     [](double a, double b, double) { return a != 0 && b != 0 ? 1.0 : 0.0; },
     [](Index a, Index b, Index) -> Index { return a != 0 && b != 0 ? 1 : 0; }},
    {logical_or, "logical_or", 2, 1, 0, 0, monotone, {"#1 \\vee #2", 4}, {"#1 || #2", 4}, {},
     [](double a, double b, double) { return a != 0 || b != 0 ? 1.0 : 0.0; },
     [](Index a, Index b, Index) -> Index { return a != 0 || b != 0 ? 1 : 0; }},
    {logical_not, "logical_not", 1, 1, 0, 0, monotone, {"\\neg #1", 14}, {"!#1", 14}, {},
     [](double a, double, double) { return a == 0 ? 1.0 : 0.0; },
     [](Index a, Index, Index) -> Index { return a == 0 ? 1 : 0; }},
    {select, "select", 3, 2, 0, 0, other,
     {"\\begin{cases}{#2} & \\text{if } {#1} \\\\ {#3} & \\text{otherwise}\\end{cases}", 16}, {"#1 ? #2 : #3", 3},
     {}, [](double a, double b, double c) { return a != 0 ? b : c; },
     [](Index a, Index b, Index c) { return a != 0 ? b : c; }},
    // Bits.
    {bitwise_and, "bitwise_and", 2, 1, 0, 0, other,
     {"\\operatorname{bitwise\\_and}\\left(#1, #2\\right)", 16}, {"#1 & #2", 8}, {}, nullptr,
     [](Index a, Index b, Index) { return a & b; }},
    {bitwise_or, "bitwise_or", 2, 1, 0, 0, other,
     {"\\operatorname{bitwise\\_or}\\left(#1, #2\\right)", 16}, {"#1 | #2", 6}, {}, nullptr,
     [](Index a, Index b, Index) { return a | b; }},
    {bitwise_xor, "bitwise_xor", 2, 1, 0, 0, other,
     {"\\operatorname{bitwise\\_xor}\\left(#1, #2\\right)", 16}, {"#1 ^ #2", 7}, {}, nullptr,
     [](Index a, Index b, Index) { return a ^ b; }},
    {bitwise_not, "bitwise_not", 1, 1, 0, 0, other,
     {"\\operatorname{bitwise\\_not}\\left(#1\\right)", 16}, {"~#1", 14}, {}, nullptr,
     [](Index a, Index, Index) { return ~a; }},
    {left_shift, "left_shift", 2, 2, 0, 0, other,
     {"\\operatorname{left\\_shift}\\left(#1, #2\\right)", 16}, {"(uint64_t)#2 < 64 ? (int64_t)((uint64_t)#1 << #2) : 0", 3},
     {}, nullptr, [](Index a, Index b, Index) { return detail::LeftShift()(a, b); }},
    {right_shift, "right_shift", 2, 2, 0, 0, other,
     {"\\operatorname{right\\_shift}\\left(#1, #2\\right)", 16}, {"#1 >> ((uint64_t)#2 < 64 ? #2 : 63)", 11},
     {}, nullptr, [](Index a, Index b, Index) { return detail::RightShift{false}(a, b); }},
    {right_shift_unsigned, "right_shift_unsigned", 2, 2, 0, 0, other,
     {"\\operatorname{right\\_shift\\_unsigned}\\left(#1, #2\\right)", 16}, {"(uint64_t)#2 < 64 ? (int64_t)((uint64_t)#1 >> #2) : 0", 3},
     {}, nullptr, [](Index a, Index b, Index) { return detail::RightShift{true}(a, b); }},
    // Functions of the reals.
    {sqrt, "sqrt", 1, 8, 3, 1, monotone, {"\\sqrt{#1}", 16}, {"sqrt(#1)", 16}, {},
     [](double a, double, double) { return std::sqrt(a); }, nullptr},
    {rsqrt, "rsqrt", 1, 16, 4, 2, monotone, {"\\frac{1}{\\sqrt{#1}}", 16}, {"1 / sqrt(#1)", 13}, {},
     [](double a, double, double) { return 1 / std::sqrt(a); }, nullptr},
    {pow, "pow", 2, 60, 2, 4, other, {"#1^{#2}", 15}, {"pow(#1, #2)", 16}, {},
     [](double a, double b, double) { return std::pow(a, b); }, nullptr},
    {hypot, "hypot", 2, 20, 2, 2, other,
     {"\\operatorname{hypot}\\left(#1, #2\\right)", 16}, {"hypot(#1, #2)", 16}, {},
     [](double a, double b, double) { return std::hypot(a, b); }, nullptr},
    {exp, "exp", 1, 12, 1.5, 2, monotone, {"e^{#1}", 15}, {"exp(#1)", 16}, {},
     [](double a, double, double) { return std::exp(a); }, nullptr},
    {expm1, "expm1", 1, 30, 3, 1, monotone, {"e^{#1} - 1", 12}, {"expm1(#1)", 16}, {},
     [](double a, double, double) { return std::expm1(a); }, nullptr},
    {log, "log", 1, 20, 1, 1.5, monotone, {"\\log\\left(#1\\right)", 16}, {"log(#1)", 16}, {},
     [](double a, double, double) { return std::log(a); }, nullptr},
    {log1p, "log1p", 1, 30, 3, 1, monotone, {"\\log\\left(1 + {#1}\\right)", 16}, {"log1p(#1)", 16}, {},
     [](double a, double, double) { return std::log1p(a); }, nullptr},
    {log2, "log2", 1, 20, 2, 2, monotone, {"\\log_2\\left(#1\\right)", 16}, {"log2(#1)", 16}, {},
     [](double a, double, double) { return std::log2(a); }, nullptr},
    {log10, "log10", 1, 20, 2, 2, monotone, {"\\log_{10}\\left(#1\\right)", 16}, {"log10(#1)", 16}, {},
     [](double a, double, double) { return std::log10(a); }, nullptr},
    {sin, "sin", 1, 20, 1.5, 1, other, {"\\sin\\left(#1\\right)", 16}, {"sin(#1)", 16}, {},
     [](double a, double, double) { return std::sin(a); }, nullptr},
    {cos, "cos", 1, 20, 1.5, 1, other, {"\\cos\\left(#1\\right)", 16}, {"cos(#1)", 16}, {},
     [](double a, double, double) { return std::cos(a); }, nullptr},
    {tan, "tan", 1, 40, 2, 2, other, {"\\tan\\left(#1\\right)", 16}, {"tan(#1)", 16}, {},
     [](double a, double, double) { return std::tan(a); }, nullptr},
    {asin, "asin", 1, 40, 2, 2, monotone, {"\\arcsin\\left(#1\\right)", 16}, {"asin(#1)", 16}, {},
     [](double a, double, double) { return std::asin(a); }, nullptr},
    {acos, "acos", 1, 40, 2, 2, monotone, {"\\arccos\\left(#1\\right)", 16}, {"acos(#1)", 16}, {},
     [](double a, double, double) { return std::acos(a); }, nullptr},
    {atan, "atan", 1, 40, 2, 2, monotone, {"\\arctan\\left(#1\\right)", 16}, {"atan(#1)", 16}, {},
     [](double a, double, double) { return std::atan(a); }, nullptr},
    {sinh, "sinh", 1, 40, 2, 2, monotone, {"\\sinh\\left(#1\\right)", 16}, {"sinh(#1)", 16}, {},
     [](double a, double, double) { return std::sinh(a); }, nullptr},
    {cosh, "cosh", 1, 40, 2, 2, even, {"\\cosh\\left(#1\\right)", 16}, {"cosh(#1)", 16}, {},
     [](double a, double, double) { return std::cosh(a); }, nullptr},
    {tanh, "tanh", 1, 20, 5, 2.5, monotone, {"\\tanh\\left(#1\\right)", 16}, {"tanh(#1)", 16}, {},
     [](double a, double, double) { return std::tanh(a); }, nullptr},
    {asinh, "asinh", 1, 40, 2, 2, monotone,
     {"\\operatorname{arsinh}\\left(#1\\right)", 16}, {"asinh(#1)", 16}, {},
     [](double a, double, double) { return std::asinh(a); }, nullptr},
    {acosh, "acosh", 1, 40, 2, 2, monotone,
     {"\\operatorname{arcosh}\\left(#1\\right)", 16}, {"acosh(#1)", 16}, {},
     [](double a, double, double) { return std::acosh(a); }, nullptr},
    {atanh, "atanh", 1, 40, 2, 2, monotone,
     {"\\operatorname{artanh}\\left(#1\\right)", 16}, {"atanh(#1)", 16}, {},
     [](double a, double, double) { return std::atanh(a); }, nullptr},
    {erf, "erf", 1, 30, 6, 1, monotone, {"\\operatorname{erf}\\left(#1\\right)", 16}, {"erf(#1)", 16}, {},
     [](double a, double, double) { return std::erf(a); }, nullptr},
    {erfc, "erfc", 1, 40, 4, 4, monotone, {"\\operatorname{erfc}\\left(#1\\right)", 16}, {"erfc(#1)", 16}, {},
     [](double a, double, double) { return std::erfc(a); }, nullptr},
    {lgamma, "lgamma", 1, 60, 16, 16, other,
     {"\\log\\left|\\Gamma\\left(#1\\right)\\right|", 16}, {"lgamma(#1)", 16}, {},
     [](double a, double, double) { return std::lgamma(a); }, nullptr},
  }};
}();
// clang-format on
static_assert([] {
  for (std::size_t i = 0; i < function_count; ++i) {
    if (function_table[i].function != static_cast<ElementFunction>(i)) return false;
  }
  return true;
}());

}  // namespace

const FunctionInfo& about(ElementFunction function) {
  return function_table[static_cast<std::size_t>(function)];
}

}  // namespace gradweave
