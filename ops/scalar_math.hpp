// Functions of single numbers beyond those of elementwise.hpp, by their names
// in PyTorch: rounding, inverse and hyperbolic functions, roots and powers of
// two, tests for NaN and infinities.
#pragma once
#include <optional>

#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// To whole numbers, in the dtype of x: down, up, to the nearest (halves to
/// even), towards zero. Whole numbers stay as they are. The gradient is 0.
Tensor floor(const Operand& x);
Tensor ceil(const Operand& x);
Tensor round(const Operand& x);
Tensor trunc(const Operand& x);
/// To so many decimals; negative ones round to tens, hundreds, ...
Tensor round(const Operand& x, int decimals);
/// What `trunc` leaves, of the sign of x.
Tensor frac(const Operand& x);
/// The remainder of a division that is rounded towards zero, of the sign of a
/// (`remainder` has that of b). Whole numbers modulo 0 give 0.
Tensor fmod(const Operand& a, const Operand& b);

Tensor tan(const Operand& x);
Tensor asin(const Operand& x);
Tensor acos(const Operand& x);
Tensor atan(const Operand& x);
/// The angle of the point (x, y), from -pi to pi.
Tensor atan2(const Operand& y, const Operand& x);
Tensor sinh(const Operand& x);
Tensor cosh(const Operand& x);
Tensor asinh(const Operand& x);
Tensor acosh(const Operand& x);
Tensor atanh(const Operand& x);
/// sqrt(a^2 + b^2) without overflow; the gradient at (0, 0) is 0.
Tensor hypot(const Operand& a, const Operand& b);

Tensor exp2(const Operand& x);
Tensor log2(const Operand& x);
Tensor log10(const Operand& x);
Tensor rsqrt(const Operand& x);
Tensor reciprocal(const Operand& x);
Tensor cbrt(const Operand& x);

/// x log(y), and 0 where x is 0, whatever y (but NaN).
Tensor xlogy(const Operand& x, const Operand& y);
/// x log1p(y), as above.
Tensor xlog1py(const Operand& x, const Operand& y);
/// log(exp(a) + exp(b)), without overflow; and to base 2.
Tensor logaddexp(const Operand& a, const Operand& b);
Tensor logaddexp2(const Operand& a, const Operand& b);
/// a + weight (b - a), exact at both ends.
Tensor lerp(const Operand& a, const Operand& b, const Operand& weight);
/// |a| with the sign of b, also of a zero.
Tensor copysign(const Operand& a, const Operand& b);
/// 0 for negative x, 1 for positive, `at_zero` in between.
Tensor heaviside(const Operand& x, const Operand& at_zero);
/// sin(pi x) / (pi x), 1 at 0.
Tensor sinc(const Operand& x);
/// log(p / (1 - p)); with `epsilon` p is clamped to [epsilon, 1 - epsilon]
/// first.
Tensor logit(const Operand& p);
Tensor logit(const Operand& p, double epsilon);
Tensor deg2rad(const Operand& x);
Tensor rad2deg(const Operand& x);

/// Bools; whole numbers are finite.
Tensor isnan(const Operand& x);
Tensor isinf(const Operand& x);
Tensor isfinite(const Operand& x);
Tensor isposinf(const Operand& x);
Tensor isneginf(const Operand& x);
/// Whether |a - b| <= atol + rtol |b|; equal infinities are close, NaN only
/// with `equal_nan` to NaN.
Tensor isclose(const Operand& a, const Operand& b, double rtol = 1e-5, double atol = 1e-8,
               bool equal_nan = false);
Tensor signbit(const Operand& x);
/// Numbers in place of NaN, infinity and -infinity: by default 0 and the
/// largest finite ones.
struct NanToNum {
  double nan = 0;
  std::optional<double> posinf = {}, neginf = {};
};
Tensor nan_to_num(const Operand& x, const NanToNum& options = {});
/// The larger, the smaller; where one is NaN, the other.
Tensor fmax(const Operand& a, const Operand& b);
Tensor fmin(const Operand& a, const Operand& b);
/// x, or the limit where it is smaller (larger); of two that are equal x gets all of the cotangent.
Tensor clamp_min(const Operand& x, const Operand& low);
Tensor clamp_max(const Operand& x, const Operand& high);
/// x 2^n, and `pow` in float64.
Tensor ldexp(const Operand& x, const Operand& n);
Tensor float_power(const Operand& x, const Operand& y);

std::vector<const Operation*> scalar_math_operations();

}  // namespace gradweave
