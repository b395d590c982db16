// How a derivative is judged. Along a direction d, central differences D(h) = (f(x + h d) - f(x - h d)) / 2h
// err by c h^2 + ..., so five halvings of the step must shrink the distance from a right derivative a
// thousandfold, or to rounding; from a wrong one it stays what it is, whatever tolerance one would have
// chosen. Richardson's extrapolation (in Ridders' form: the entry of the tableau that its neighbours agree
// with best; C. Ridders, "Accurate computation of F'(x) and F'(x)F''(x)", 1982) then pins the value. Where
// the one-sided differences keep disagreeing as h shrinks there is no derivative to compare with: a kink.
#include <gradweave/graph/check/differences.hpp>

#include <algorithm>
#include <array>
#include <cmath>

namespace gradweave::detail {
namespace {

double extrapolate(const Differences& seen, std::size_t p) {
  std::array<std::vector<double>, step_count> rows;
  double best = seen.central[0][p], smallest = std::numeric_limits<double>::infinity();
  for (std::size_t k = 0; k < seen.steps.size(); ++k) {
    rows[k] = {seen.central[k][p]};
    double power = 1;
    for (std::size_t j = 1; j <= k; ++j) {
      power *= 4;
      const double better = rows[k][j - 1] + (rows[k][j - 1] - rows[k - 1][j - 1]) / (power - 1);
      const double change =
          std::max(std::abs(better - rows[k][j - 1]), std::abs(better - rows[k - 1][j - 1]));
      if (change < smallest) smallest = change, best = better;
      rows[k].push_back(better);
    }
  }
  return best;
}

bool is_kink(const Differences& seen, std::size_t p) {
  const std::size_t last = seen.steps.size() - 1;
  const double jump = std::abs(seen.jump[last][p]);  // of a smooth function it halves with the step
  return jump > 8 * seen.floor(last) && jump > 0.5 * std::abs(seen.jump[0][p]);
}

}  // namespace

bool is_near_kink(const Differences& seen, std::size_t p) {
  for (std::size_t k = 0; k + 1 < seen.steps.size(); ++k) {
    const double jump = std::abs(seen.jump[k + 1][p]);
    if (jump > 8 * seen.floor(k + 1) && jump > 0.75 * std::abs(seen.jump[k][p])) return true;
  }
  return false;
}

Judgement judge(const Differences& seen, std::size_t p, double analytic) {
  const std::size_t last = seen.steps.size() - 1;
  std::array<double, step_count> error{};
  for (std::size_t k = 0; k <= last; ++k) error[k] = std::abs(seen.central[k][p] - analytic);

  Judgement result;
  result.numeric = extrapolate(seen, p);
  const double scale = std::max(std::abs(result.numeric), std::abs(analytic));
  result.is_zero = scale <= seen.floor(last);

  std::size_t end = last;  // the last step before rounding takes over
  while (end > 0 && error[end] <= 4 * seen.floor(end)) --end;
  if (end > 0) result.order = std::log2(error[0] / error[end]) / std::log2(seen.steps[0] / seen.steps[end]);

  // Eightfold allowance, and from the second step or third if the error of the first happens to be small.
  double expected = 0;
  for (std::size_t k = 0; k <= 2; ++k)
    expected = std::max(expected, error[k] * std::pow(seen.steps[last] / seen.steps[k], 2));
  const bool falls = error[last] <= std::max(seen.floor(last), 8 * expected);
  const bool agrees = std::abs(result.numeric - analytic) <= seen.floor(last) + 1e-6 * scale;
  if (is_kink(seen, p)) {
    result.verdict = Gradcheck::kink;
  } else if (!falls || !agrees) {
    result.verdict = Gradcheck::wrong;
  }
  return result;
}

}  // namespace gradweave::detail
