#include <gradweave/graph/formula/special.hpp>

#include <cmath>
#include <limits>

#include <boost/math/special_functions/beta.hpp>
#include <boost/math/special_functions/digamma.hpp>
#include <boost/math/special_functions/erf.hpp>
#include <boost/math/special_functions/gamma.hpp>
#include <boost/math/special_functions/polygamma.hpp>

namespace gradweave::special {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

// Results instead of exceptions; float64 is not computed as long double.
namespace policies = boost::math::policies;
using Quiet =
    policies::policy<policies::domain_error<policies::ignore_error>,
                     policies::pole_error<policies::ignore_error>,
                     policies::overflow_error<policies::ignore_error>,
                     policies::evaluation_error<policies::ignore_error>, policies::promote_double<false>>;
constexpr Quiet quiet{};

bool is_pole(double x) { return x <= 0 && x == std::floor(x); }

}  // namespace

double erfinv(double x) {
  if (!(std::abs(x) <= 1)) return nan;
  return std::abs(x) == 1 ? x * infinity : boost::math::erf_inv(x, quiet);
}
double erfcinv(double x) {
  const bool is_inside = x >= 0 && x <= 2;
  if (!is_inside) return nan;
  return x == 0 ? infinity : x == 2 ? -infinity : boost::math::erfc_inv(x, quiet);
}
double lgamma(double x) {
  if (std::isnan(x)) return x;
  return is_pole(x) || std::isinf(x) ? infinity : boost::math::lgamma(x, quiet);
}
double digamma(double x) {
  if (x == 0) return std::copysign(infinity, -x);
  if (std::isnan(x) || is_pole(x)) return nan;
  return std::isinf(x) ? x : boost::math::digamma(x, quiet);
}
double polygamma(double n, double x) {
  const bool is_order = n >= 0 && n < 1e9 && n == std::floor(n);
  if (!is_order) return nan;
  const auto order = static_cast<int>(n);
  if (order == 0) return digamma(x);
  if (std::isnan(x)) return x;
  if (is_pole(x)) return order % 2 != 0 ? infinity : x == 0 ? std::copysign(infinity, -x) : nan;
  if (x == infinity) return 0;
  return boost::math::polygamma(order, x, quiet);
}
double gammainc(double a, double x) {
  const bool is_inside = a > 0 && x >= 0;
  if (!is_inside) return nan;
  return x == infinity ? (a == infinity ? nan : 1) : a == infinity ? 0 : boost::math::gamma_p(a, x, quiet);
}
double gammaincc(double a, double x) {
  const bool is_inside = a > 0 && x >= 0;
  if (!is_inside) return nan;
  return x == infinity ? (a == infinity ? nan : 0) : a == infinity ? 1 : boost::math::gamma_q(a, x, quiet);
}
double betainc(double a, double b, double x) {
  const bool is_inside = a > 0 && b > 0 && x >= 0 && x <= 1 && a < infinity && b < infinity;
  if (!is_inside) return nan;
  return boost::math::ibeta(a, b, x, quiet);
}
double gamma_gradient(double a, double x) {
  const bool is_inside = a > 0 && a < infinity && x >= 0 && x < infinity;
  if (!is_inside) return nan;
  if (x == 0) return 0;
  if (x <= a && a <= 100) {
    // gammainc(a, x) is the density times x sum_k t_k, t_k = x^k gamma(a) / gamma(a + k + 1), whose
    // derivative in a has a factor log(x) - digamma(a + k + 1) in each term: all of one sign, about.
    double term = 1 / a, slope = digamma(a + 1) - std::log(x), sum = 0;
    for (double k = 1;; ++k) {
      const double added = term * slope;
      sum += added;
      if (std::abs(added) <= std::abs(sum) * 0x1p-54) return x * sum;
      term *= x / (a + k);
      slope += 1 / (a + k);
    }
  }
  // The derivative in a, of whichever of the two functions is the smaller, from five points.
  const double h = 1e-3 * a / std::sqrt(1 + a), sign = x <= a ? -1 : 1;
  const auto tail = [&](double at) { return x <= a ? gammainc(at, x) : gammaincc(at, x); };
  const double difference = 8 * (tail(a + h) - tail(a - h)) - (tail(a + 2 * h) - tail(a - 2 * h));
  return sign * difference / (12 * h) / boost::math::gamma_p_derivative(a, x, quiet);
}

}  // namespace gradweave::special
