#include <gradweave/ops/windows.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>

namespace gradweave::windows {
namespace {

// f of how far along an element is, from 0 to 1.
template <class F>
Tensor window(Index count, const Options& options, const F& f) {
  if (count < 0) throw ValueError(fmt::format("a window of {} numbers", count));
  std::vector<double> values(static_cast<std::size_t>(count), 1.0);
  const auto span = static_cast<double>(options.symmetric ? count - 1 : count);
  for (Index k = 0; k < count && count > 1; ++k)
    values[static_cast<std::size_t>(k)] = f(static_cast<double>(k) / span, span);
  return cast(constant(values), options.dtype);
}

// The modified Bessel function of the first kind of order 0: its power series (Abramowitz, Stegun, 9.6.12).
double bessel_i0(double x) {
  double sum = 1, term = 1;
  for (int k = 1; term > 1e-17 * sum; ++k) {
    term *= x * x / (4.0 * k * k);
    sum += term;
  }
  return sum;
}

void require(bool holds, const char* what) {
  if (!holds) throw ValueError(fmt::format("windows: {}", what));
}

}  // namespace

Tensor bartlett(Index count, const Options& options) {
  return window(count, options, [](double t, double) { return 1 - std::abs(2 * t - 1); });
}
Tensor general_cosine(Index count, std::span<const double> a, const Options& options) {
  require(!a.empty(), "a general cosine window has a coefficient at least");
  return window(count, options, [&](double t, double) {
    double sum = 0;
    for (std::size_t k = 0; k < a.size(); ++k)
      sum += (k % 2 == 0 ? a[k] : -a[k]) * std::cos(2 * std::numbers::pi * static_cast<double>(k) * t);
    return sum;
  });
}
Tensor blackman(Index count, const Options& options) {
  constexpr double a[] = {0.42, 0.5, 0.08};
  return general_cosine(count, a, options);
}
Tensor nuttall(Index count, const Options& options) {
  constexpr double a[] = {0.3635819, 0.4891775, 0.1365995, 0.0106411};
  return general_cosine(count, a, options);
}
Tensor general_hamming(Index count, double alpha, const Options& options) {
  const double a[] = {alpha, 1 - alpha};
  return general_cosine(count, a, options);
}
Tensor hamming(Index count, const Options& options) { return general_hamming(count, 0.54, options); }
Tensor hann(Index count, const Options& options) { return general_hamming(count, 0.5, options); }
Tensor cosine(Index count, const Options& options) {
  // Between elements, not at them: it nowhere is 0.
  return window(count, options, [](double t, double span) {
    return std::sin(std::numbers::pi * (t * span + 0.5) / (span + 1));
  });
}
Tensor exponential(Index count, double tau, const Options& options) {
  require(tau > 0, "tau is positive");
  return window(count, options,
                [tau](double t, double span) { return std::exp(-std::abs(t - 0.5) * span / tau); });
}
Tensor gaussian(Index count, double deviation, const Options& options) {
  require(deviation > 0, "a standard deviation is positive");
  return window(count, options, [deviation](double t, double span) {
    const double apart = (t - 0.5) * span / deviation;
    return std::exp(-apart * apart / 2);
  });
}
Tensor kaiser(Index count, double beta, const Options& options) {
  require(beta >= 0, "beta is not negative");
  return window(count, options, [beta](double t, double) {
    const double from_middle = 2 * t - 1;
    return bessel_i0(beta * std::sqrt(std::max(0.0, 1 - from_middle * from_middle))) / bessel_i0(beta);
  });
}

}  // namespace gradweave::windows
