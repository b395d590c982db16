#include <gradweave/ops/kernels/rejection.hpp>

#include <cmath>
#include <numbers>

#include <gradweave/graph/formula/special.hpp>
#include <gradweave/ops/kernels/philox.hpp>

namespace gradweave {
namespace {

double open_unit(std::uint32_t word) { return (static_cast<double>(word) + 0.5) * 0x1p-32; }

}  // namespace

// Marsaglia and Tsang, "A simple method for generating gamma variables", 2000; below 1 by the power of a
// uniform number that they give there.
double draw_gamma(std::uint64_t seed, std::uint64_t position, double concentration) {
  double factor = 1;
  if (concentration < 1) {
    const auto words = words_at(seed, position);
    factor = std::pow(1 - unit(words[0], words[1]), 1 / concentration);
    concentration += 1;
  }
  const double d = concentration - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (std::uint32_t turn = 1;; ++turn) {
    const auto words = words_at(seed, position, turn);
    const double normal =
        std::sqrt(-2 * std::log(open_unit(words[0]))) * std::cos(2 * std::numbers::pi * open_unit(words[1]));
    const double root = 1 + c * normal, v = root * root * root, square = normal * normal;
    if (root <= 0) continue;
    const double u = 1 - unit(words[2], words[3]);
    if (u < 1 - 0.0331 * square * square || std::log(u) < square / 2 + d * (1 - v + std::log(v)))
      return factor * d * v;
  }
}

// By inversion below 10; else Hoermann's PTRS ("The transformed rejection method for generating Poisson
// random variables", 1993).
double draw_poisson(std::uint64_t seed, std::uint64_t position, double rate) {
  if (rate < 10) {
    const auto words = words_at(seed, position);
    const double u = unit(words[0], words[1]);
    double k = 0, probability = std::exp(-rate), sum = probability;
    while (u >= sum && probability > 0x1p-60) {
      ++k;
      probability *= rate / k;
      sum += probability;
    }
    return k;
  }
  const double log_rate = std::log(rate), b = 0.931 + 2.53 * std::sqrt(rate), a = -0.059 + 0.02483 * b;
  const double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4), v_r = 0.9277 - 3.6224 / (b - 2);
  for (std::uint32_t turn = 1;; ++turn) {
    const auto words = words_at(seed, position, turn);
    const double u = unit(words[0], words[1]) - 0.5, v = 1 - unit(words[2], words[3]);
    const double us = 0.5 - std::abs(u), k = std::floor((2 * a / us + b) * u + rate + 0.43);
    if (us >= 0.07 && v <= v_r) return k;
    if (k < 0 || (us < 0.013 && v > us)) continue;
    if (std::log(v * inverse_alpha / (a / (us * us) + b)) <= k * log_rate - rate - special::lgamma(k + 1))
      return k;
  }
}

}  // namespace gradweave
