#include <gradweave/ops/integer.hpp>

#include <cmath>
#include <concepts>

#include <gradweave/graph/define.hpp>
#include <gradweave/ops/elementwise.hpp>

namespace gradweave {
namespace {

struct BitwiseAnd {
  static constexpr std::string_view name = "bitwise_and";
  static constexpr DTypes dtypes = integral;
  static auto forward(const auto& a, const auto& b) noexcept {
    return a.binaryExpr(b, [](Index x, Index y) { return x & y; });
  }
  static Samples samples() { return {{integers(0, 16), integers(0, 16, {3})}}; }
};

struct BitwiseOr {
  static constexpr std::string_view name = "bitwise_or";
  static constexpr DTypes dtypes = integral;
  static auto forward(const auto& a, const auto& b) noexcept {
    return a.binaryExpr(b, [](Index x, Index y) { return x | y; });
  }
  static Samples samples() { return {{integers(0, 16), integers(0, 16, {3})}}; }
};

struct BitwiseXor {
  static constexpr std::string_view name = "bitwise_xor";
  static constexpr DTypes dtypes = integral;
  static auto forward(const auto& a, const auto& b) noexcept {
    return a.binaryExpr(b, [](Index x, Index y) { return x ^ y; });
  }
  static Samples samples() { return {{integers(0, 16), integers(0, 16, {3})}}; }
};

struct BitwiseNot {
  static constexpr std::string_view name = "bitwise_not";
  static constexpr DTypes dtypes = integral;
  static auto forward(const auto& x) noexcept {
    return x.unaryExpr([](Index v) { return ~v; });
  }
  static Samples samples() { return {{integers(0, 16)}}; }
};

constexpr bool is_too_far(Index count) { return count < 0 || count >= 64; }

struct LeftShift {
  static constexpr std::string_view name = "left_shift";
  static constexpr DTypes dtypes = integral;
  static auto forward(const auto& x, const auto& count) noexcept {
    return x.binaryExpr(count, [](Index v, Index by) {
      return is_too_far(by) ? 0 : static_cast<Index>(static_cast<std::uint64_t>(v) << by);
    });
  }
  static Samples samples() { return {{integers(0, 16), integers(0, 5, {3})}}; }
};

// Kernels see uint64 as int64: `is_unsigned` tells what the upper bit means.
struct RightShift {
  bool is_unsigned;
  static constexpr std::string_view name = "right_shift";
  static constexpr DTypes dtypes = integral;
  auto forward(const auto& x, const auto& count) const noexcept {
    return x.binaryExpr(count, [no_sign = is_unsigned](Index v, Index by) {
      if (no_sign) return is_too_far(by) ? 0 : static_cast<Index>(static_cast<std::uint64_t>(v) >> by);
      return v >> (is_too_far(by) ? 63 : by);
    });
  }
  static SamplesOf<RightShift> samples() { return {{{false}, {integers(0, 100), integers(0, 5, {3})}}}; }
};

struct Division {
  Index quotient, remainder;
};
[[gnu::noinline]] Division divided(Index a, Index b, bool is_unsigned) {
  if (b == 0) return {0, 0};
  if (is_unsigned) {
    const auto x = static_cast<std::uint64_t>(a), y = static_cast<std::uint64_t>(b);
    return {static_cast<Index>(x / y), static_cast<Index>(x % y)};
  }
  if (b == -1) return {static_cast<Index>(0 - static_cast<std::uint64_t>(a)), 0};  // of the lowest, it wraps
  const Index rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? Division{a / b - 1, rest + b} : Division{a / b, rest};
}

// As Python's and NumPy's: a remainder has no rounding error, and the sign of b.
Index remainder_of(Index a, Index b, bool is_unsigned) { return divided(a, b, is_unsigned).remainder; }
template <std::floating_point T>
T remainder_of(T a, T b, bool) {
  const T rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(T(0), b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}
Index quotient_of(Index a, Index b, bool is_unsigned) { return divided(a, b, is_unsigned).quotient; }
template <std::floating_point T>
T quotient_of(T a, T b, bool) {
  if (b == 0) return a / b;
  const T rest = std::fmod(a, b);
  const T exact = (a - rest) / b - (rest != 0 && (rest < 0) != (b < 0) ? T(1) : T(0));
  if (exact == 0) return std::copysign(T(0), a / b);
  const T below = std::floor(exact);
  return exact - below > T(0.5) ? below + 1 : below;
}

struct FloorDivide {
  bool is_unsigned;
  static constexpr std::string_view name = "floor_divide";
  static constexpr DTypes dtypes = numeric;
  template <class A, class T = typename A::Scalar>
  auto forward(const A& a, const auto& b) const noexcept {
    return a.binaryExpr(b, [no_sign = is_unsigned](T x, T y) { return quotient_of(x, y, no_sign); });
  }
  static Tensor vjp(std::size_t, const Tensor&, const Tensor&, const Tensor&, const Tensor&) { return {}; }
  static SamplesOf<FloorDivide> samples() { return {{{false}, {uniform(-6, 6), uniform(1, 3, {3})}}}; }
};

struct Remainder {
  bool is_unsigned;
  static constexpr std::string_view name = "remainder";
  static constexpr DTypes dtypes = numeric;
  template <class A, class T = typename A::Scalar>
  auto forward(const A& a, const auto& b) const noexcept {
    return a.binaryExpr(b, [no_sign = is_unsigned](T x, T y) { return remainder_of(x, y, no_sign); });
  }
  static Tensor vjp(std::size_t i, const Tensor& g, const Tensor& a, const Tensor& b, const Tensor&) {
    return i == 0 ? g : -(g * floor_divide(a, b));
  }
  static SamplesOf<Remainder> samples() { return {{{false}, {uniform(-6, 6), uniform(1, 3, {3})}}}; }
};

// Whether what is computed is uint64, as far as tensors say so.
bool is_uint64(const Operand& a, const Operand& b) {
  std::optional<DType> common;
  for (const Operand* x : {&a, &b}) {
    if (x->tensor() == nullptr || x->tensor()->is_empty()) continue;
    common = common ? promote(*common, x->tensor()->dtype()) : x->tensor()->dtype();
  }
  return common == DType::uint64;
}

bool is_bool(const Operand& x) {
  if (x.tensor() == nullptr) return x.number_dtype() == DType::bool_;
  return !x.tensor()->is_empty() && x.tensor()->dtype() == DType::bool_;
}

}  // namespace

Tensor bitwise_and(const Operand& a, const Operand& b) {
  return is_bool(a) && is_bool(b) ? logical_and(a, b) : apply<BitwiseAnd>(a, b);
}
Tensor bitwise_or(const Operand& a, const Operand& b) {
  return is_bool(a) && is_bool(b) ? logical_or(a, b) : apply<BitwiseOr>(a, b);
}
Tensor bitwise_xor(const Operand& a, const Operand& b) {
  return is_bool(a) && is_bool(b) ? logical_xor(a, b) : apply<BitwiseXor>(a, b);
}
Tensor bitwise_not(const Operand& x) { return is_bool(x) ? logical_not(x) : apply<BitwiseNot>(x); }
Tensor left_shift(const Operand& x, const Operand& count) { return apply<LeftShift>(x, count); }
Tensor right_shift(const Operand& x, const Operand& count) {
  return apply(RightShift{is_uint64(x, count)}, {x, count});
}
Tensor floor_divide(const Operand& a, const Operand& b) {
  return apply(FloorDivide{is_uint64(a, b)}, {a, b});
}
Tensor remainder(const Operand& a, const Operand& b) { return apply(Remainder{is_uint64(a, b)}, {a, b}); }

std::vector<const Operation*> integer_operations() {
  return {&operation_of<BitwiseAnd>(),  &operation_of<BitwiseOr>(), &operation_of<BitwiseXor>(),
          &operation_of<BitwiseNot>(),  &operation_of<LeftShift>(), &operation_of<RightShift>(),
          &operation_of<FloorDivide>(), &operation_of<Remainder>()};
}

}  // namespace gradweave
