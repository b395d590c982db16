// How the gradient checker judges one derivative from differences at shrinking steps. Internal to
// gradcheck.cpp.
#pragma once
#include <limits>
#include <vector>

#include <gradweave/graph/check/gradcheck.hpp>

namespace gradweave::detail {

inline constexpr std::size_t step_count = 6;
inline constexpr double rounding = 64 * std::numeric_limits<double>::epsilon();

// What was seen along one direction: for each step (large to small) the differences of every observed number.
struct Differences {
  std::vector<double> steps;
  std::vector<std::vector<double>> central;
  std::vector<std::vector<double>> jump;  // right-hand minus left-hand difference
  double magnitude = 0;                   // of what was subtracted, hence of the rounding errors ...
  double noise = 0;  // ... and those seen, where values are small differences of large ones

  double floor(std::size_t k) const { return (rounding * magnitude + 16 * noise) / steps[k]; }
};

struct Judgement {
  Gradcheck verdict = Gradcheck::right;
  double numeric = 0;
  double order = 2;
  bool is_zero = false;
};

/// Observed number `p` against its analytic derivative; there must be at least three steps.
Judgement judge(const Differences& seen, std::size_t p, double analytic);
/// Whether a kink lies between the steps: somewhere the one-sided differences hardly come closer.
bool is_near_kink(const Differences& seen, std::size_t p);

}  // namespace gradweave::detail
