// What formulas are written with beside Eigen's own array functions: functions of array expressions that a
// kernel runs as fast as those, and that a formula names.
#pragma once
#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <type_traits>

#include <Eigen/Core>

#include <gradweave/graph/formula/function.hpp>
#include <gradweave/graph/types/dtype.hpp>

namespace gradweave {

template <class X>
concept ArrayExpression = std::derived_from<X, Eigen::ArrayBase<X>>;

// A functor of Eigen's `unaryExpr` and its sisters that a formula can name has a member `function`, a
// constant or of the functor's state. One that is made of others says `composed = true` and can be called
// with `Symbol`s (symbol.hpp), too. A lambda, or any other functor, hides what it does.
namespace detail {

/// By masks: a branch would be mispredicted half of the time.
template <class T>
struct Select {
  static constexpr ElementFunction function = ElementFunction::select;
  T operator()(bool condition, T yes, T no) const {
    using Bits = std::conditional_t<sizeof(T) == 8, std::uint64_t,
                                    std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint8_t>>;
    const auto mask = static_cast<Bits>(-static_cast<Bits>(condition));
    return std::bit_cast<T>(static_cast<Bits>((std::bit_cast<Bits>(yes) & mask) |
                                              (std::bit_cast<Bits>(no) & static_cast<Bits>(~mask))));
  }
};

#if defined(EIGEN_VECTORIZE_FMA) || defined(__ARM_NEON)
inline constexpr bool has_vectors_of_fma = true;
#else
inline constexpr bool has_vectors_of_fma = false;
#endif
template <class T>
struct MultiplyAdd {
  static constexpr ElementFunction function = ElementFunction::multiply_add;
  T operator()(T a, T b, T c) const {
    if constexpr (std::is_floating_point_v<T>) {
      return std::fma(a, b, c);
    } else {
      return static_cast<T>(a * b + c);
    }
  }
  template <class Packet>
  Packet packetOp(const Packet& a, const Packet& b, const Packet& c) const {  // NOLINT: Eigen calls it
    return Eigen::internal::pmadd(a, b, c);
  }
};

struct BitwiseAnd {
  static constexpr ElementFunction function = ElementFunction::bitwise_and;
  Index operator()(Index a, Index b) const { return a & b; }
};
struct BitwiseOr {
  static constexpr ElementFunction function = ElementFunction::bitwise_or;
  Index operator()(Index a, Index b) const { return a | b; }
};
struct BitwiseXor {
  static constexpr ElementFunction function = ElementFunction::bitwise_xor;
  Index operator()(Index a, Index b) const { return a ^ b; }
};
struct BitwiseNot {
  static constexpr ElementFunction function = ElementFunction::bitwise_not;
  Index operator()(Index a) const { return ~a; }
};

constexpr bool is_too_far(Index count) { return count < 0 || count >= 64; }
struct LeftShift {
  static constexpr ElementFunction function = ElementFunction::left_shift;
  Index operator()(Index x, Index count) const {
    return is_too_far(count) ? 0 : static_cast<Index>(static_cast<std::uint64_t>(x) << count);
  }
};
struct RightShift {
  bool is_unsigned = false;
  ElementFunction function =
      is_unsigned ? ElementFunction::right_shift_unsigned : ElementFunction::right_shift;
  Index operator()(Index x, Index count) const {
    if (is_unsigned)
      return is_too_far(count) ? 0 : static_cast<Index>(static_cast<std::uint64_t>(x) >> count);
    return x >> (is_too_far(count) ? 63 : count);
  }
};

// Of the C library, element by element.
template <class T>
struct Exp2 {
  static constexpr ElementFunction function = ElementFunction::exp2;
  T operator()(T x) const { return std::exp2(x); }
};
template <class T>
struct Cbrt {
  static constexpr ElementFunction function = ElementFunction::cbrt;
  T operator()(T x) const { return std::cbrt(x); }
};
template <class T>
struct Atan2 {
  static constexpr ElementFunction function = ElementFunction::atan2;
  T operator()(T y, T x) const { return std::atan2(y, x); }
};
template <class T>
struct CopySign {
  static constexpr ElementFunction function = ElementFunction::copysign;
  T operator()(T a, T b) const { return std::copysign(a, b); }
};
template <class T>
struct Fmod {
  static constexpr ElementFunction function = ElementFunction::fmod;
  T operator()(T a, T b) const {
    if constexpr (std::is_floating_point_v<T>) {
      return std::fmod(a, b);
    } else {
      return b == 0 || b == T(-1) ? T(0) : static_cast<T>(a % b);
    }
  }
};

template <class T>
struct Pow {
  static constexpr ElementFunction function = ElementFunction::pow;
  T operator()(T base, T exponent) const { return std::pow(base, exponent); }
};

}  // namespace detail

/// An array of one number, as long as `like`.
template <ArrayExpression X>
auto filled(const X& like, typename X::Scalar value) {
  return X::PlainObject::Constant(like.size(), value);
}

/// The larger and the smaller of two, where a NaN stays one.
template <ArrayExpression A, ArrayExpression B, class T = typename A::Scalar>
auto larger(const A& a, const B& b) {
  return a.binaryExpr(b, Eigen::internal::scalar_max_op<T, T, Eigen::PropagateNaN>());
}
template <ArrayExpression A, ArrayExpression B, class T = typename A::Scalar>
auto smaller(const A& a, const B& b) {
  return a.binaryExpr(b, Eigen::internal::scalar_min_op<T, T, Eigen::PropagateNaN>());
}

/// `yes` where the condition is true, else `no`. Both are computed.
template <ArrayExpression C, ArrayExpression A, ArrayExpression B>
auto select(const C& condition, const A& yes, const B& no) {
  using F = detail::Select<typename A::Scalar>;
  return Eigen::CwiseTernaryOp<F, const C, const A, const B>(condition, yes, no);
}

/// a b + c, rounded once. Where the processor has no such instruction it is slow.
template <ArrayExpression A, ArrayExpression B, ArrayExpression C>
auto multiply_add(const A& a, const B& b, const C& c) {
  using F = detail::MultiplyAdd<typename A::Scalar>;
  return Eigen::CwiseTernaryOp<F, const A, const B, const C>(a, b, c);
}

}  // namespace gradweave

template <class T>
struct Eigen::internal::functor_traits<gradweave::detail::Select<T>> {
  enum { Cost = 1, PacketAccess = false };
};
template <class T>
struct Eigen::internal::functor_traits<gradweave::detail::MultiplyAdd<T>> {
  enum {
    Cost = 1,
    PacketAccess = packet_traits<T>::Vectorizable &&
                   (!std::is_floating_point_v<T> || gradweave::detail::has_vectors_of_fma)
  };
};
