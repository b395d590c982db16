#include <gradweave/ops/integer.hpp>

#include <type_traits>

#include <gradweave/graph/define.hpp>
#include <gradweave/graph/formula/symbol.hpp>
#include <gradweave/ops/elementwise.hpp>

namespace gradweave {
namespace {

struct BitwiseAnd {
  static constexpr std::string_view name = "bitwise_and";
  static constexpr DTypes dtypes = integral;
  static auto forward(const auto& a, const auto& b) noexcept { return a.binaryExpr(b, detail::BitwiseAnd()); }
  static Samples samples() { return {{integers(0, 16), integers(0, 16, {3})}}; }
};

struct BitwiseOr {
  static constexpr std::string_view name = "bitwise_or";
  static constexpr DTypes dtypes = integral;
  static auto forward(const auto& a, const auto& b) noexcept { return a.binaryExpr(b, detail::BitwiseOr()); }
  static Samples samples() { return {{integers(0, 16), integers(0, 16, {3})}}; }
};

struct BitwiseXor {
  static constexpr std::string_view name = "bitwise_xor";
  static constexpr DTypes dtypes = integral;
  static auto forward(const auto& a, const auto& b) noexcept { return a.binaryExpr(b, detail::BitwiseXor()); }
  static Samples samples() { return {{integers(0, 16), integers(0, 16, {3})}}; }
};

struct BitwiseNot {
  static constexpr std::string_view name = "bitwise_not";
  static constexpr DTypes dtypes = integral;
  static auto forward(const auto& x) noexcept { return x.unaryExpr(detail::BitwiseNot()); }
  static Samples samples() { return {{integers(0, 16)}}; }
};

struct LeftShift {
  static constexpr std::string_view name = "left_shift";
  static constexpr DTypes dtypes = integral;
  static auto forward(const auto& x, const auto& count) noexcept {
    return x.binaryExpr(count, detail::LeftShift());
  }
  static Samples samples() { return {{integers(0, 16), integers(0, 5, {3})}}; }
};

// Kernels see uint64 as int64: `is_unsigned` tells what the upper bit means.
struct RightShift {
  bool is_unsigned;
  static constexpr std::string_view name = "right_shift";
  static constexpr DTypes dtypes = integral;
  auto forward(const auto& x, const auto& count) const noexcept {
    return x.binaryExpr(count, detail::RightShift{is_unsigned});
  }
  static SamplesOf<RightShift> samples() { return {{{false}, {integers(0, 100), integers(0, 5, {3})}}}; }
};

// As Python's and NumPy's: a remainder has no rounding error, and the sign of b; of whole numbers, both are 0
// where b is.
template <class T>
struct Quotient {
  bool is_unsigned;
  static constexpr bool composed = true;
  template <class X>
  X operator()(const X& a, const X& b) const {
    using namespace detail;
    if constexpr (std::is_floating_point_v<T>) {
      const X rest = fmod(a, b), whole = (a - rest) / b;
      const X exact = chosen(rest != X(0) && (rest < X(0)) != (b < X(0)), whole - X(1), whole);
      const X below = floor(exact), nearest = chosen(exact - below > X(0.5), below + X(1), below);
      return chosen(b == X(0), a / b, chosen(exact == X(0), copysign(X(0), a / b), nearest));
    } else if (is_unsigned) {
      return chosen(b == X(0), X(0), divide_unsigned(a, chosen(b == X(0), X(1), b)));
    } else {
      const X by = chosen(b == X(0) || b == X(-1), X(1), b);  // else the division may overflow
      const X rest = fmod(a, by), whole = a / by;
      const X below = chosen(rest != X(0) && (rest < X(0)) != (by < X(0)), whole - X(1), whole);
      return chosen(b == X(0), X(0), chosen(b == X(-1), X(0) - a, below));
    }
  }
};
template <class T>
struct RemainderOf {
  bool is_unsigned;
  static constexpr bool composed = true;
  template <class X>
  X operator()(const X& a, const X& b) const {
    using namespace detail;
    if constexpr (std::is_floating_point_v<T>) {
      const X rest = fmod(a, b);
      return chosen(rest == X(0), copysign(X(0), b), chosen((rest < X(0)) != (b < X(0)), rest + b, rest));
    } else if (is_unsigned) {
      return chosen(b == X(0), X(0), fmod_unsigned(a, chosen(b == X(0), X(1), b)));
    } else {
      const X by = chosen(b == X(0) || b == X(-1), X(1), b), rest = fmod(a, by);
      return chosen(rest != X(0) && (rest < X(0)) != (by < X(0)), rest + by, rest);
    }
  }
};

struct FloorDivide {
  bool is_unsigned;
  static constexpr std::string_view name = "floor_divide";
  static constexpr DTypes dtypes = numeric;
  template <class A, class T = typename A::Scalar>
  auto forward(const A& a, const auto& b) const noexcept {
    return a.binaryExpr(b, Quotient<T>{is_unsigned});
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
    return a.binaryExpr(b, RemainderOf<T>{is_unsigned});
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
