// The functions that formulas are made of, and one table of what is known of each.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <gradweave/graph/types/dtype.hpp>

namespace gradweave {

enum class ElementFunction : std::uint8_t {
  // Terms without operands, and what nobody can look into.
  input,
  number,
  hidden,
  // Rounded to the nearest number of the dtype; whole numbers wrap.
  cast,
  add,
  subtract,
  multiply,
  divide,
  multiply_add,  ///< a b + c, rounded once
  negative,
  abs,
  sign,
  floor,
  ceil,
  rint,   ///< halves to even
  round,  ///< halves away from zero
  copysign,
  fmod,  ///< the remainder of a division that truncates, of the first operand's sign, as C's fmod and %
  divide_unsigned,
  fmod_unsigned,
  maximum,  ///< where one operand is NaN, so is the result
  minimum,
  max,  ///< where one operand is NaN, the result is either
  min,
  fmax,  ///< where one operand is NaN, the result is the other
  fmin,
  // Conditions: of bools, or with results that are.
  equal,
  not_equal,
  less,
  less_equal,
  logical_and,
  logical_or,
  logical_not,
  select,  ///< the second operand where the first is true, else the third
  // Bits of int64. Counts of shifts beyond 0 to 63 leave none of the bits.
  bitwise_and,
  bitwise_or,
  bitwise_xor,
  bitwise_not,
  left_shift,
  right_shift,
  right_shift_unsigned,
  // Functions of the reals.
  sqrt,
  rsqrt,
  pow,
  hypot,
  exp,
  expm1,
  log,
  log1p,
  log2,
  log10,
  sin,
  cos,
  tan,
  asin,
  acos,
  atan,
  sinh,
  cosh,
  tanh,
  asinh,
  acosh,
  atanh,
  atan2,
  exp2,
  cbrt,
  erf,
  erfc,
  erfinv,
  erfcinv,
  lgamma,
  digamma,
  polygamma,  ///< the derivative of digamma whose number is the first operand
  gammainc,   ///< regularised, lower
  gammaincc,  ///< and upper
  betainc
};
inline constexpr std::size_t function_count = static_cast<std::size_t>(ElementFunction::betainc) + 1;

/// How a function is written. `#1`, `#2` and `#3` stand for its operands, which are put in parentheses if
/// they bind less than `level`, a level of C's operators.
struct Notation {
  const char* text;
  int level;
};

/// How the range of a function follows from those of its operands.
enum class RangeRule : std::uint8_t {
  monotone,  ///< in each operand: extremes lie where operands have theirs
  even,      ///< f(x) = f(-x), least at 0, and monotone beyond
  other
};

struct FunctionInfo {
  ElementFunction function;
  std::string_view name;
  int operands;
  float cost;  ///< in additions, roughly, when vectors are computed
  /// How far a kernel is from the function, at most, in units in the last place of float32 and of float64; 0:
  /// the result is the one of its bits.
  float float_ulps, double_ulps;
  RangeRule range;
  Notation latex;
  Notation c;        ///< with <tgmath.h>; empty where C has none
  Notation c_whole;  ///< of whole numbers, where it differs
  /// Its values; null where operands of this kind make no sense.
  double (*real)(double, double, double);
  Index (*whole)(Index, Index, Index);
};

const FunctionInfo& about(ElementFunction function);

}  // namespace gradweave
