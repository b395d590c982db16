// Elementary functions for kernels, where Eigen's are wrong at the edges: its float sqrt of infinity is NaN
// and up to 3 ulp off, its exp of -infinity is the smallest normal number and with AVX-512 4 ulp off, its pow
// of -infinity or -0 loses the sign.
#pragma once
#include <cmath>
#include <limits>
#include <type_traits>

#include <Eigen/Core>

#include <gradweave/graph/formula/symbol.hpp>

namespace gradweave {
namespace detail {

/// 0 where the result would be smaller than the smallest normal number.
template <class T>
struct Exp {
  static constexpr ElementFunction function = ElementFunction::exp;
  static T least() { return std::log(std::numeric_limits<T>::min()); }
  T operator()(T x) const { return x < least() ? T(0) : std::exp(x); }
  template <class Packet>
  Packet packetOp(const Packet& x) const {  // NOLINT(readability-identifier-naming): Eigen calls it
    using namespace Eigen::internal;
    return pandnot(unbounded(x), pcmp_lt(x, pset1<Packet>(least())));
  }

 private:
  template <class Packet>
  static Packet unbounded(const Packet& x) {
    using namespace Eigen::internal;
    if constexpr (!std::is_same_v<T, float>) {
      return pexp(x);
    } else {
      // 2^n exp(r), where |r| <= log(2) / 2; the polynomial is that of Cephes' expf. A sum as large as
      // 3 * 2^22 has n in its last bits.
      using Bits = typename unpacket_traits<Packet>::integer_packet;
      const auto number = [](float value) { return pset1<Packet>(value); };
      const Packet shift = number(12582912.0F), shifted = pmadd(x, number(1.44269504F), shift);
      const Packet n = psub(shifted, shift);
      const Packet r = pmadd(n, number(2.12194440e-4F), pmadd(n, number(-0.693359375F), x));
      Packet y = number(1.9875691500e-4F);
      for (const float c :
           {1.3981999507e-3F, 8.3334519073e-3F, 4.1665795894e-2F, 1.6666665459e-1F, 5.0000001201e-1F})
        y = pmadd(y, r, number(c));
      y = padd(pmadd(pmul(r, r), y, r), number(1));
      const Bits scaled = padd(preinterpret<Bits>(y), plogical_shift_left<23>(preinterpret<Bits>(shifted)));
      const Packet most = number(88.7228317F);  // the logarithm of the largest float, rounded down
      // Beyond it infinity, and where x is no number, x: its bits would be scaled to those of a number.
      return pselect(pcmp_le(x, most), preinterpret<Packet>(scaled),
                     padd(x, number(std::numeric_limits<float>::infinity())));
    }
  }
};

/// With u = exp(x), (u - 1) x / log(u): the error of u cancels. From Higham, "Accuracy and Stability of
/// Numerical Algorithms" (2002), 1.14.1.
template <class T>
struct Expm1 {
  static constexpr ElementFunction function = ElementFunction::expm1;
  T operator()(T x) const { return std::expm1(x); }
  template <class Packet>
  Packet packetOp(const Packet& x) const {  // NOLINT(readability-identifier-naming): Eigen calls it
    using namespace Eigen::internal;
    const Packet zero = pset1<Packet>(T(0)), one = pset1<Packet>(T(1));
    const Packet u = Exp<T>().packetOp(x), near = psub(u, one);
    const Packet far = por(pcmp_eq(u, zero), pcmp_eq(u, pset1<Packet>(std::numeric_limits<T>::infinity())));
    const Packet y = pselect(far, near, pmul(near, pdiv(x, plog(u))));
    return pselect(pcmp_eq(u, one), x, y);
  }
};

/// Rounded correctly; compilers vectorise it, given -fno-math-errno.
template <class T>
struct Sqrt {
  static constexpr ElementFunction function = ElementFunction::sqrt;
  T operator()(T x) const { return std::sqrt(x); }
};

/// Small whole exponents by multiplication, which keeps signs and is faster.
template <class T>
struct PowOfNumber {
  static constexpr bool composed = true;
  explicit PowOfNumber(double e) : exponent(static_cast<T>(e)) {
    if (std::abs(e) <= 32 && e == std::trunc(e)) whole = static_cast<int>(e);
  }
  T operator()(T x) const { return whole == 0 ? std::pow(x, exponent) : multiplied(x, T(1)); }
  Symbol operator()(const Symbol& x) const {
    return whole == 0 ? Symbol::of(ElementFunction::pow, x, double{exponent}) : multiplied(x, Symbol(1));
  }
  template <class Packet>
  Packet packetOp(const Packet& x) const {  // NOLINT(readability-identifier-naming): Eigen calls it
    using namespace Eigen::internal;
    if (whole == 0) return generic_pow(x, pset1<Packet>(exponent));
    return multiplied(Lanes<Packet>{x}, Lanes<Packet>{pset1<Packet>(T(1))}).values;
  }

  T exponent;
  int whole = 0;

 private:
  template <class Packet>
  struct Lanes {
    Packet values;
    friend Lanes operator*(const Lanes& a, const Lanes& b) {
      return {Eigen::internal::pmul(a.values, b.values)};
    }
    friend Lanes operator/(const Lanes& a, const Lanes& b) {
      return {Eigen::internal::pdiv(a.values, b.values)};
    }
  };
  template <class X>
  X multiplied(X square, const X& one) const {
    int left = std::abs(whole);
    for (; left % 2 == 0; left /= 2) square = square * square;
    X power = square;
    while (left /= 2, left > 0) {
      square = square * square;
      if (left % 2 != 0) power = power * square;
    }
    return whole < 0 ? one / power : power;
  }
};

}  // namespace detail

template <class X>
auto exp_of(const X& x) {
  return x.unaryExpr(detail::Exp<typename X::Scalar>());
}
template <class X>
auto expm1_of(const X& x) {
  return x.unaryExpr(detail::Expm1<typename X::Scalar>());
}
template <class X>
auto sqrt_of(const X& x) {
  return x.unaryExpr(detail::Sqrt<typename X::Scalar>());
}
template <class X>
auto pow_of(const X& x, double exponent) {
  return x.unaryExpr(detail::PowOfNumber<typename X::Scalar>(exponent));
}

}  // namespace gradweave

template <class T>
struct Eigen::internal::functor_traits<gradweave::detail::Exp<T>> : functor_traits<scalar_exp_op<T>> {};
template <class T>
struct Eigen::internal::functor_traits<gradweave::detail::Expm1<T>> : functor_traits<scalar_expm1_op<T>> {};
template <class T>
struct Eigen::internal::functor_traits<gradweave::detail::PowOfNumber<T>>
    : functor_traits<scalar_pow_op<T, T>> {};
