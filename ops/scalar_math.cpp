#include <gradweave/ops/scalar_math.hpp>

#include <cmath>
#include <limits>
#include <numbers>
#include <optional>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/graph/formula/vocabulary.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/integer.hpp>
#include <gradweave/ops/reduction.hpp>

namespace gradweave {
namespace {

struct Floor {
  static constexpr std::string_view name = "floor";
  static auto forward(const auto& x) noexcept { return x.floor(); }
  static Tensor vjp(const Tensor&, const Tensor&, const Tensor&) { return {}; }
  static Samples samples() { return {{uniform(-2, 2)}}; }
};

struct Ceil {
  static constexpr std::string_view name = "ceil";
  static auto forward(const auto& x) noexcept { return x.ceil(); }
  static Tensor vjp(const Tensor&, const Tensor&, const Tensor&) { return {}; }
  static Samples samples() { return {{uniform(-2, 2)}}; }
};

struct Round {
  static constexpr std::string_view name = "round";
  static auto forward(const auto& x) noexcept { return x.rint(); }
  static Tensor vjp(const Tensor&, const Tensor&, const Tensor&) { return {}; }
  static Samples samples() { return {{uniform(-2, 2)}}; }
};

struct Tan {
  static constexpr std::string_view name = "tan";
  static auto forward(const auto& x) noexcept { return x.tan(); }
  static Tensor vjp(const Tensor& g, const Tensor&, const Tensor& y) { return g * (1 + square(y)); }
  static Samples samples() { return {{uniform(-1.2, 1.2)}}; }
};

struct Asin {
  static constexpr std::string_view name = "asin";
  static auto forward(const auto& x) noexcept { return x.asin(); }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return g * rsqrt(1 - square(x)); }
  static Samples samples() { return {{uniform(-0.9, 0.9)}}; }
};

struct Acos {
  static constexpr std::string_view name = "acos";
  static auto forward(const auto& x) noexcept { return x.acos(); }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return -g * rsqrt(1 - square(x)); }
  static Samples samples() { return {{uniform(-0.9, 0.9)}}; }
};

struct Atan {
  static constexpr std::string_view name = "atan";
  static auto forward(const auto& x) noexcept { return x.atan(); }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return g / (1 + square(x)); }
  static Samples samples() { return {{uniform(-3, 3)}}; }
};

struct Sinh {
  static constexpr std::string_view name = "sinh";
  static auto forward(const auto& x) noexcept { return x.sinh(); }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return g * cosh(x); }
  static Samples samples() { return {{uniform(-2, 2)}}; }
};

struct Cosh {
  static constexpr std::string_view name = "cosh";
  static auto forward(const auto& x) noexcept { return x.cosh(); }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return g * sinh(x); }
  static Samples samples() { return {{uniform(-2, 2)}}; }
};

struct Asinh {
  static constexpr std::string_view name = "asinh";
  static auto forward(const auto& x) noexcept { return x.asinh(); }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return g * rsqrt(square(x) + 1); }
  static Samples samples() { return {{uniform(-3, 3)}}; }
};

struct Acosh {
  static constexpr std::string_view name = "acosh";
  static auto forward(const auto& x) noexcept { return x.acosh(); }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) {
    return g * rsqrt(x - 1) * rsqrt(x + 1);
  }
  static Samples samples() { return {{uniform(1.2, 3)}}; }
};

struct Atanh {
  static constexpr std::string_view name = "atanh";
  static auto forward(const auto& x) noexcept { return x.atanh(); }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return g / (1 - square(x)); }
  static Samples samples() { return {{uniform(-0.9, 0.9)}}; }
};

struct Exp2 {
  static constexpr std::string_view name = "exp2";
  template <class X>
  static auto forward(const X& x) noexcept {
    return x.unaryExpr(detail::Exp2<typename X::Scalar>());
  }
  static Tensor vjp(const Tensor& g, const Tensor&, const Tensor& y) { return g * y * std::numbers::ln2; }
  static Samples samples() { return {{uniform(-2, 2)}}; }
};

struct Log2 {
  static constexpr std::string_view name = "log2";
  static auto forward(const auto& x) noexcept { return x.log2(); }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return g / (x * std::numbers::ln2); }
  static Samples samples() { return {{uniform(0.3, 3)}}; }
};

struct Log10 {
  static constexpr std::string_view name = "log10";
  static auto forward(const auto& x) noexcept { return x.log10(); }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return g / (x * std::numbers::ln10); }
  static Samples samples() { return {{uniform(0.3, 3)}}; }
};

struct Rsqrt {
  static constexpr std::string_view name = "rsqrt";
  static auto forward(const auto& x) noexcept { return x.rsqrt(); }
  static Tensor vjp(const Tensor& g, const Tensor&, const Tensor& y) { return -0.5 * g * y * y * y; }
  static Samples samples() { return {{uniform(0.3, 3)}}; }
};

struct Reciprocal {
  static constexpr std::string_view name = "reciprocal";
  static auto forward(const auto& x) noexcept { return x.inverse(); }
  static Tensor vjp(const Tensor& g, const Tensor&, const Tensor& y) { return -g * y * y; }
  static Samples samples() { return {{uniform(0.3, 3)}}; }
};

struct Cbrt {
  static constexpr std::string_view name = "cbrt";
  template <class X>
  static auto forward(const X& x) noexcept {
    return x.unaryExpr(detail::Cbrt<typename X::Scalar>());
  }
  static Tensor vjp(const Tensor& g, const Tensor&, const Tensor& y) { return g / (3 * square(y)); }
  static Samples samples() { return {{uniform(0.3, 3)}}; }
};

struct Trunc {
  static constexpr std::string_view name = "trunc";
  template <class X>
  static auto forward(const X& x) noexcept {
    return select(x < typename X::Scalar(0), x.ceil(), x.floor());
  }
  static Tensor vjp(const Tensor&, const Tensor&, const Tensor&) { return {}; }
  static Samples samples() { return {{uniform(-2, 2)}}; }
};

// A quotient with the remainder's sign: a - trunc(a / b) b, exactly.
struct Fmod {
  static constexpr std::string_view name = "fmod";
  static constexpr DTypes dtypes = numeric;
  template <class X>
  static auto forward(const X& a, const auto& b) noexcept {
    return a.binaryExpr(b, detail::Fmod<typename X::Scalar>());
  }
  static Tensor vjp(std::size_t i, const Tensor& g, const Tensor& a, const Tensor& b, const Tensor&) {
    return i == 0 ? g : -g * trunc(a / b);
  }
  static Samples samples() { return {{uniform(-6, 6), uniform(1, 3, {3})}}; }
};

struct Atan2 {
  static constexpr std::string_view name = "atan2";
  template <class X>
  static auto forward(const X& y, const auto& x) noexcept {
    return y.binaryExpr(x, detail::Atan2<typename X::Scalar>());
  }
  static Tensor vjp(std::size_t i, const Tensor& g, const Tensor& y, const Tensor& x, const Tensor&) {
    const Tensor scaled = g / (square(x) + square(y));
    return i == 0 ? scaled * x : -scaled * y;
  }
  static Samples samples() {
    return {{uniform(0.5, 2), uniform(-2, -0.5, {3})}, {uniform(-2, -0.5), uniform(0.5, 2)}};
  }
};

struct Hypot {
  static constexpr std::string_view name = "hypot";
  template <class X>
  static auto forward(const X& a, const auto& b) noexcept {
    return a.abs().binaryExpr(b.abs(),
                              Eigen::internal::scalar_hypot_op<typename X::Scalar, typename X::Scalar>());
  }
  static Tensor vjp(std::size_t i, const Tensor& g, const Tensor& a, const Tensor& b, const Tensor& y) {
    return g * ((i == 0 ? a : b) / where(y == 0, 1, y));
  }
  static Samples samples() {
    return {{uniform(0.5, 2), uniform(-2, -0.5, {3})}, {uniform(-2, -0.5), uniform(-2, -0.5)}};
  }
};

struct CopySign {
  static constexpr std::string_view name = "copysign";
  template <class X>
  static auto forward(const X& a, const auto& b) noexcept {
    return a.binaryExpr(b, detail::CopySign<typename X::Scalar>());
  }
  static Tensor vjp(std::size_t i, const Tensor& g, const Tensor& a, const Tensor&, const Tensor& y) {
    return i == 0 ? g * sign(a) * sign(y) : Tensor();
  }
  static Samples samples() {
    return {{uniform(0.5, 2), uniform(-2, -0.5, {3})}, {uniform(-2, -0.5), uniform(0.5, 2)}};
  }
};

struct Fmax {
  static constexpr std::string_view name = "fmax";
  static constexpr bool ordered = true;
  static constexpr DTypes dtypes = numeric;
  template <class X, class T = typename X::Scalar>
  static auto forward(const X& a, const auto& b) noexcept {
    return a.binaryExpr(b, Eigen::internal::scalar_max_op<T, T, Eigen::PropagateNumbers>());
  }
  static Tensor vjp(std::size_t i, const Tensor& g, const Tensor& a, const Tensor& b, const Tensor&) {
    return share(i, g, a, b, a >= b);
  }
  // Equal operands share alike, as in PyTorch; where one is NaN the other has
  // all.
  static Tensor share(std::size_t i, const Tensor& g, const Tensor& a, const Tensor& b, const Tensor& first) {
    const Tensor has_a = logical_or(first, b != b);
    const Tensor part = where(a == b, 0.5, cast(i == 0 ? has_a : logical_not(has_a), g.dtype()));
    return g * part;
  }
  static Samples samples() { return {{uniform(-2, 2), uniform(-2, 2, {3})}}; }
};

struct Fmin {
  static constexpr std::string_view name = "fmin";
  static constexpr bool ordered = true;
  static constexpr DTypes dtypes = numeric;
  template <class X, class T = typename X::Scalar>
  static auto forward(const X& a, const auto& b) noexcept {
    return a.binaryExpr(b, Eigen::internal::scalar_min_op<T, T, Eigen::PropagateNumbers>());
  }
  static Tensor vjp(std::size_t i, const Tensor& g, const Tensor& a, const Tensor& b, const Tensor&) {
    return Fmax::share(i, g, a, b, a <= b);
  }
  static Samples samples() { return {{uniform(-2, 2), uniform(-2, 2, {3})}}; }
};

// Whole numbers and bools are whole already.
template <class Op>
Tensor rounded(const Operand& x) {
  const bool is_whole = x.tensor() != nullptr && !x.tensor()->is_empty() && !is_floating(x.tensor()->dtype());
  return is_whole ? *x.tensor() : apply<Op>(x);
}
DType floating_dtype_of(const Operand& x) {
  const bool is_known = x.tensor() != nullptr && !x.tensor()->is_empty() && is_floating(x.tensor()->dtype());
  return is_known ? x.tensor()->dtype() : default_dtype();
}
double largest_of(DType dtype) {
  switch (dtype) {
    case DType::float16:
      return 65504;
    case DType::bfloat16:
      return 0x1.fep127;
    case DType::float64:
      return std::numeric_limits<double>::max();
    default:
      return static_cast<double>(std::numeric_limits<float>::max());
  }
}

}  // namespace

Tensor floor(const Operand& x) { return rounded<Floor>(x); }
Tensor ceil(const Operand& x) { return rounded<Ceil>(x); }
Tensor round(const Operand& x) { return rounded<Round>(x); }
Tensor trunc(const Operand& x) { return rounded<Trunc>(x); }
Tensor round(const Operand& x, int decimals) {
  const double scale = std::pow(10.0, std::abs(decimals));
  return decimals >= 0 ? round(x * scale) / scale : round(x / scale) * scale;
}
Tensor frac(const Operand& x) { return x - Operand(trunc(x), x.where()); }
Tensor fmod(const Operand& a, const Operand& b) {
  // Kernels see uint64 as int64; of numbers that are not negative it is the same as `remainder`.
  for (const Operand* x : {&a, &b}) {
    if (x->tensor() != nullptr && !x->tensor()->is_empty() && x->tensor()->dtype() == DType::uint64)
      return remainder(a, b);
  }
  return apply<Fmod>(a, b);
}
Tensor tan(const Operand& x) { return apply<Tan>(x); }
Tensor asin(const Operand& x) { return apply<Asin>(x); }
Tensor acos(const Operand& x) { return apply<Acos>(x); }
Tensor atan(const Operand& x) { return apply<Atan>(x); }
Tensor sinh(const Operand& x) { return apply<Sinh>(x); }
Tensor cosh(const Operand& x) { return apply<Cosh>(x); }
Tensor asinh(const Operand& x) { return apply<Asinh>(x); }
Tensor acosh(const Operand& x) { return apply<Acosh>(x); }
Tensor atanh(const Operand& x) { return apply<Atanh>(x); }
Tensor exp2(const Operand& x) { return apply<Exp2>(x); }
Tensor log2(const Operand& x) { return apply<Log2>(x); }
Tensor log10(const Operand& x) { return apply<Log10>(x); }
Tensor rsqrt(const Operand& x) { return apply<Rsqrt>(x); }
Tensor reciprocal(const Operand& x) { return apply<Reciprocal>(x); }
Tensor cbrt(const Operand& x) { return apply<Cbrt>(x); }
Tensor atan2(const Operand& y, const Operand& x) { return apply<Atan2>(y, x); }
Tensor hypot(const Operand& a, const Operand& b) { return apply<Hypot>(a, b); }
Tensor copysign(const Operand& a, const Operand& b) { return apply<CopySign>(a, b); }
Tensor fmax(const Operand& a, const Operand& b) { return apply<Fmax>(a, b); }
Tensor fmin(const Operand& a, const Operand& b) { return apply<Fmin>(a, b); }

Tensor isposinf(const Operand& x) { return equal(x, std::numeric_limits<double>::infinity()); }
Tensor isneginf(const Operand& x) { return equal(x, -std::numeric_limits<double>::infinity()); }
Tensor clamp_min(const Operand& x, const Operand& low) { return where(less(x, low), low, x); }
Tensor clamp_max(const Operand& x, const Operand& high) { return where(greater(x, high), high, x); }
Tensor ldexp(const Operand& x, const Operand& n) { return multiply(x, exp2(n)); }
Tensor float_power(const Operand& x, const Operand& y) {
  const auto wide = [](const Operand& a) {
    return a.tensor() == nullptr ? full({}, a.number(), DType::float64) : cast(a, DType::float64);
  };
  return pow(wide(x), wide(y));
}

// Where x is 0 the logarithm is asked of 1, so that no infinity meets the 0,
// forward or back.
Tensor xlogy(const Operand& x, const Operand& y) {
  const Tensor is_zero = logical_and(equal(x, 0), equal(y, y));
  return x * Operand(log(where(is_zero, 1, y)), x.where());
}
Tensor xlog1py(const Operand& x, const Operand& y) {
  const Tensor is_zero = logical_and(equal(x, 0), equal(y, y));
  return x * Operand(log1p(where(is_zero, 0, y)), x.where());
}
Tensor logaddexp(const Operand& a, const Operand& b) {
  const Tensor apart = -abs(a - b);
  // Equal infinities are no distance apart.
  return maximum(a, b) + log1p(exp(where(equal(a, b), 0, apart)));
}
Tensor logaddexp2(const Operand& a, const Operand& b) {
  const Tensor apart = -abs(a - b);
  return maximum(a, b) + log1p(exp2(where(equal(a, b), 0, apart))) * (1 / std::numbers::ln2);
}
Tensor lerp(const Operand& a, const Operand& b, const Operand& weight) {
  const Tensor step = b - a;
  return where(abs(weight) < 0.5, a + Operand(weight * step, a.where()),
               b - Operand(step * (1 - weight), a.where()));
}
Tensor heaviside(const Operand& x, const Operand& at_zero) {
  const Tensor step = cast(greater(x, 0), floating_dtype_of(x));
  return where(equal(x, 0), at_zero, where(not_equal(x, x), x, step));
}
Tensor sinc(const Operand& x) {
  const Tensor angle = where(equal(x, 0), 1, x) * std::numbers::pi;
  return where(equal(x, 0), 1 - square(x) * (std::numbers::pi * std::numbers::pi / 6), sin(angle) / angle);
}
Tensor logit(const Operand& p) { return log(p / (1 - p)); }
Tensor logit(const Operand& p, double epsilon) {
  return logit(Operand(clamp(p, epsilon, 1 - epsilon), p.where()));
}
Tensor deg2rad(const Operand& x) { return x * (std::numbers::pi / 180); }
Tensor rad2deg(const Operand& x) { return x * (180 / std::numbers::pi); }

Tensor isnan(const Operand& x) { return not_equal(x, x); }
Tensor isinf(const Operand& x) {
  if (!is_floating(tensor_of(x, "isinf").dtype())) return zeros(x.tensor()->shape(), DType::bool_);
  return abs(x) == std::numeric_limits<double>::infinity();
}
Tensor isfinite(const Operand& x) {
  if (!is_floating(tensor_of(x, "isfinite").dtype())) return ones(x.tensor()->shape(), DType::bool_);
  return abs(x) < std::numeric_limits<double>::infinity();
}
Tensor isclose(const Operand& a, const Operand& b, double rtol, double atol, bool equal_nan) {
  // An infinite tolerance would make everything close.
  const Tensor near =
      logical_and(abs(a - b) <= atol + rtol * abs(b), abs(b) < std::numeric_limits<double>::infinity());
  const Tensor close = logical_or(near, equal(a, b));
  return equal_nan ? logical_or(close, logical_and(isnan(a), isnan(b))) : close;
}
Tensor signbit(const Operand& x) {
  if (!is_floating(tensor_of(x, "signbit").dtype())) return less(x, 0);
  return copysign(1, x) < 0;
}
Tensor nan_to_num(const Operand& x, const NanToNum& options) {
  const DType dtype = tensor_of(x, "nan_to_num").dtype();
  if (!is_floating(dtype)) return *x.tensor();
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const double largest = largest_of(dtype);
  const Tensor numbers = where(isnan(x), options.nan, x);
  const Tensor above = where(numbers == infinity, options.posinf.value_or(largest), numbers);
  return where(above == -infinity, options.neginf.value_or(-largest), above);
}

std::vector<const Operation*> scalar_math_operations() {
  return {
      &operation_of<Floor>(),      &operation_of<Ceil>(),  &operation_of<Round>(),    &operation_of<Tan>(),
      &operation_of<Asin>(),       &operation_of<Acos>(),  &operation_of<Atan>(),     &operation_of<Sinh>(),
      &operation_of<Cosh>(),       &operation_of<Asinh>(), &operation_of<Acosh>(),    &operation_of<Atanh>(),
      &operation_of<Exp2>(),       &operation_of<Log2>(),  &operation_of<Log10>(),    &operation_of<Rsqrt>(),
      &operation_of<Reciprocal>(), &operation_of<Cbrt>(),  &operation_of<Trunc>(),    &operation_of<Fmod>(),
      &operation_of<Atan2>(),      &operation_of<Hypot>(), &operation_of<CopySign>(), &operation_of<Fmax>(),
      &operation_of<Fmin>()};
}

}  // namespace gradweave
