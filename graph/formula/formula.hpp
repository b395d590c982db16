// Formula: what an elementwise op computes of each element, as a tree that programs can read; and its
// readings: values, C, LaTeX, how many operations, a range. formula_of.hpp gives the formula of an op.
#pragma once
#include <array>
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <gradweave/graph/formula/function.hpp>

namespace gradweave {

/// A function of elements as terms, of which each stands behind its operands and the last is the result.
/// Terms that are equal are one.
///
/// Numbers are rounded to each term's dtype, once; a product and a sum are rounded together in a
/// `multiply_add` and nowhere else.
struct Formula {
  struct Term {
    ElementFunction function = ElementFunction::input;
    DType dtype = DType::float64;
    std::array<std::uint16_t, 3>
        operands{};  ///< as many as `function` has; of a hidden term, `operand_count`
    std::uint8_t operand_count = 0;
    /// Of an input, its number; of a number, its value where the dtype is not floating.
    Index whole = 0;
    double real = 0;        ///< a number of a floating dtype
    std::string hidden_by;  ///< of a hidden term: what keeps from reading it, such as the type of a lambda

    std::span<const std::uint16_t> operand_span() const { return {operands.data(), operand_count}; }
    friend bool operator==(const Term&, const Term&) = default;
  };
  std::string name;  ///< of the op
  std::vector<DType> inputs;
  std::vector<Term> terms;

  const Term& result() const { return terms.back(); }
  /// What hides a part of the formula, such as the type of a lambda; empty where all can be read.
  std::string hidden_by() const;
};

/// The values at `count` elements of each input, written to `output`: what the op's kernel computes, up to
/// `float_ulps` or `double_ulps` of each function, and bit for bit where only arithmetic occurs. Throws
/// ValueError for a formula with a hidden term, and for another number of inputs than the formula has.
void evaluate(const Formula& formula, std::span<const void* const> inputs, void* output, Index count);

/// A C function of one element, for a source that includes <tgmath.h>, <stdbool.h> and <stdint.h>:
///
///     float logistic(float x) {
///       return 1.0f / (1.0f + exp(-x));
///     }
///
/// Several inputs are x0, x1 and so on. Compile it with -ffp-contract=off: a product and a sum that are
/// rounded once are written fma(a, b, c). Throws ValueError for a formula with a hidden term, and DTypeError
/// for one of halves, which C does not have.
std::string to_c(const Formula& formula, std::string_view name);

/// As mathematics: `\frac{1}{1 + e^{-x}}`. Several inputs are x_0, x_1 and so on, and what is hidden is `?`
/// of its operands.
std::string to_latex(const Formula& formula);

/// How often each function occurs, counting terms that occur several times once.
std::map<ElementFunction, int> count_functions(const Formula& formula);
/// What an element costs, roughly, in additions.
double cost_of(const Formula& formula);

/// The numbers from `low` to `high`, bounds included, and perhaps NaN.
struct Interval {
  double low = 0, high = 0;
  bool nan = false;

  bool contains(double value) const { return value != value ? nan : low <= value && value <= high; }
  friend bool operator==(const Interval&, const Interval&) = default;
};
/// Numbers among which all results are, of the op's kernel as well, when the inputs are in theirs. It is
/// often wider than need be: of x - x it does not know that the two are the same. bool counts as 0 and 1.
/// Throws ValueError for another number of inputs than the formula has.
Interval range_of(const Formula& formula, std::span<const Interval> inputs);

}  // namespace gradweave
