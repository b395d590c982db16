// Elementary functions for kernels, where Eigen's are wrong at the edges: its float sqrt of infinity is NaN
// and up to 3 ulp off, its exp of -infinity is the smallest normal number, its pow of -infinity or -0 loses
// the sign.
#pragma once
#include <cmath>
#include <limits>

#include <Eigen/Core>

namespace gradweave {
namespace detail {

/// 0 where the result would be smaller than the smallest normal number.
template <class T>
struct Exp {
  static T least() { return std::log(std::numeric_limits<T>::min()); }
  T operator()(T x) const { return x < least() ? T(0) : std::exp(x); }
  template <class Packet>
  Packet packetOp(const Packet& x) const {  // NOLINT(readability-identifier-naming): Eigen calls it
    using namespace Eigen::internal;
    return pandnot(pexp(x), pcmp_lt(x, pset1<Packet>(least())));
  }
};

/// Rounded correctly; compilers vectorise it, given -fno-math-errno.
template <class T>
struct Sqrt {
  T operator()(T x) const { return std::sqrt(x); }
};

/// Small whole exponents by multiplication, which keeps signs and is faster.
template <class T>
struct Pow {
  explicit Pow(double e) : exponent(static_cast<T>(e)) {
    if (std::abs(e) <= 32 && e == std::trunc(e)) whole = static_cast<int>(e);
  }
  T operator()(T x) const {
    if (whole == 0) return std::pow(x, exponent);
    return multiplied(
        x, T(1), [](T a, T b) { return a * b; }, [](T a, T b) { return a / b; });
  }
  template <class Packet>
  Packet packetOp(const Packet& x) const {  // NOLINT(readability-identifier-naming): Eigen calls it
    using namespace Eigen::internal;
    if (whole == 0) return generic_pow(x, pset1<Packet>(exponent));
    return multiplied(
        x, pset1<Packet>(T(1)), [](const Packet& a, const Packet& b) { return pmul(a, b); },
        [](const Packet& a, const Packet& b) { return pdiv(a, b); });
  }

  T exponent;
  int whole = 0;

 private:
  template <class X>
  X multiplied(X square, const X& one, auto times, auto over) const {
    X power = one;
    for (int left = std::abs(whole); left > 0; left /= 2) {
      if (left % 2 != 0) power = times(power, square);
      if (left > 1) square = times(square, square);
    }
    return whole < 0 ? over(one, power) : power;
  }
};

}  // namespace detail

template <class X>
auto exp_of(const X& x) {
  return x.unaryExpr(detail::Exp<typename X::Scalar>());
}
template <class X>
auto sqrt_of(const X& x) {
  return x.unaryExpr(detail::Sqrt<typename X::Scalar>());
}
template <class X>
auto pow_of(const X& x, double exponent) {
  return x.unaryExpr(detail::Pow<typename X::Scalar>(exponent));
}

}  // namespace gradweave

template <class T>
struct Eigen::internal::functor_traits<gradweave::detail::Exp<T>> : functor_traits<scalar_exp_op<T>> {};
template <class T>
struct Eigen::internal::functor_traits<gradweave::detail::Pow<T>> : functor_traits<scalar_pow_op<T, T>> {};
