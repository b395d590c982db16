// Arithmetic, comparison and functions of each element. Inputs broadcast and are promoted as in NumPy; a
// number beside a tensor takes the tensor's dtype where it fits. Functions of the reals turn whole numbers
// and bools into the default dtype (float32 but within a `WithDefaultDType`). They are within 6 units in the
// last place (tests/ops/accuracy.cpp has the bound of each); what would be smaller than the smallest normal
// number may come out as 0. Whole numbers wrap; int64 must not overflow. Halves are computed as float32 and
// rounded once an op.
#pragma once
#include <gradweave/graph/algebra.hpp>

namespace gradweave {

inline Tensor operator+(const Operand& a, const Operand& b) { return add(a, b); }
Tensor subtract(const Operand& a, const Operand& b);
Tensor multiply(const Operand& a, const Operand& b);
/// a + alpha b and a - alpha b.
inline Tensor add(const Operand& a, const Operand& b, const Operand& alpha) {
  return add(a, multiply(b, alpha));
}
inline Tensor subtract(const Operand& a, const Operand& b, const Operand& alpha) {
  return subtract(a, multiply(b, alpha));
}
/// True division: whole numbers and bools give the default dtype.
Tensor divide(const Operand& a, const Operand& b);
Tensor negative(const Operand& x);
inline Tensor operator-(const Operand& a, const Operand& b) { return subtract(a, b); }
inline Tensor operator*(const Operand& a, const Operand& b) { return multiply(a, b); }
inline Tensor operator/(const Operand& a, const Operand& b) { return divide(a, b); }
inline Tensor operator-(const Operand& x) { return negative(x); }

/// Comparisons give bool and stop gradients. They are exact, also of uint64, and of a whole number that the
/// tensor's dtype cannot hold; int64 with uint64 is compared as float64, as in NumPy.
Tensor equal(const Operand& a, const Operand& b);
Tensor not_equal(const Operand& a, const Operand& b);
Tensor less(const Operand& a, const Operand& b);
Tensor less_equal(const Operand& a, const Operand& b);
Tensor greater(const Operand& a, const Operand& b);
Tensor greater_equal(const Operand& a, const Operand& b);
inline Tensor operator==(const Operand& a, const Operand& b) { return equal(a, b); }
inline Tensor operator!=(const Operand& a, const Operand& b) { return not_equal(a, b); }
inline Tensor operator<(const Operand& a, const Operand& b) { return less(a, b); }
inline Tensor operator<=(const Operand& a, const Operand& b) { return less_equal(a, b); }
inline Tensor operator>(const Operand& a, const Operand& b) { return greater(a, b); }
inline Tensor operator>=(const Operand& a, const Operand& b) { return greater_equal(a, b); }

/// -1, 0 or 1, and 0 for NaN; its derivative is zero.
Tensor sign(const Operand& x);
/// The derivative at 0 is 0.
Tensor abs(const Operand& x);
Tensor exp(const Operand& x);
/// exp(x) - 1, exact near 0.
Tensor expm1(const Operand& x);
/// The natural logarithm; -inf at 0, NaN below. Numbers smaller than the smallest normal one count as that.
Tensor log(const Operand& x);
/// log(1 + x), exact near 0.
Tensor log1p(const Operand& x);
Tensor sqrt(const Operand& x);
Tensor square(const Operand& x);
/// x to the power of y. Where y is a number, x may be any sign and its derivatives at 0 are those of the
/// polynomial; a tensor y is also differentiated, with the derivative with respect to y taken as 0 where x is
/// 0.
Tensor pow(const Operand& x, const Operand& y);
Tensor sin(const Operand& x);
Tensor cos(const Operand& x);
Tensor tanh(const Operand& x);
/// 1 / (1 + exp(-x)), the logistic function; 3 ulp over the whole range.
Tensor sigmoid(const Operand& x);
/// max(x, 0); the derivative at 0 is 0.
Tensor relu(const Operand& x);
/// log(1 + exp(x)), without overflow.
Tensor softplus(const Operand& x);
/// The error function 2/sqrt(pi) * integral of exp(-t^2) from 0 to x; within 6 ulp in float32, 1 in float64.
Tensor erf(const Operand& x);
/// The larger of two; where they are equal each gets half of the cotangent.
Tensor maximum(const Operand& a, const Operand& b);
/// The smaller of two; where they are equal each gets half of the cotangent.
Tensor minimum(const Operand& a, const Operand& b);
/// Elementwise truth; numbers stand for whether they are not zero. (`&&`, `||` and `!` are about whole
/// conditions.)
Tensor logical_and(const Operand& a, const Operand& b);
Tensor logical_or(const Operand& a, const Operand& b);
Tensor logical_xor(const Operand& a, const Operand& b);
Tensor logical_not(const Operand& x);
/// a where `condition` (bool), else b. The cotangent goes only to the side that was taken.
Tensor where(const Operand& condition, const Operand& a, const Operand& b);
/// x limited to [low, high], whole numbers to the whole ones in it; the derivative is 1 inside and on the
/// limits, 0 outside. Throws ValueError when low > high.
Tensor clamp(const Operand& x, double low, double high);

std::vector<const Operation*> elementwise_operations();

}  // namespace gradweave
