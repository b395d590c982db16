// A line through points, found three times: by gradient descent, by a single step of Newton's method with the
// Hessian that the graph gives as well, and by the formula in the books. Tensors and gradients are all it
// takes.
#include <cmath>

#include <fmt/format.h>

#include <gradweave/ops/ops.hpp>

using namespace gradweave;

int main() {
  // Points on y = 3 x + 2, shaken a little.
  constexpr Index points = 100;
  Generator random(1);
  const Tensor x = random_uniform({points}, random, -1, 1, DType::float64);
  const Tensor y = 3 * x + 2 + random_normal({points}, random, 0, 0.1, DType::float64);
  const auto loss_of = [&](const Tensor& line) {
    return mean(square(select(line, 0, 0) * x + select(line, 0, 1) - y));
  };
  const auto show = [](const char* how, const Tensor& line) {
    const auto values = line.to_vector<double>();
    fmt::print("{:<24} slope {:.6f}, intercept {:.6f}\n", how, values[0], values[1]);
  };

  const Tensor start = variable({0, 0}, DType::float64);  // slope, intercept

  Tensor line = start;
  for (int step = 0; step < 200; ++step) {
    const Tensor loss = loss_of(line);
    const auto [slope] = gradients(loss, {line});
    line = variable(line - 0.3 * slope);
    if (step % 50 == 0) fmt::print("step {:3}: loss {:.6f}\n", step, loss.item<double>());
  }
  show("gradient descent", line);

  // The loss is a parabola, so one step with its curvature lands at the bottom: start - H^-1 g.
  const Tensor loss = loss_of(start);
  const auto g = gradients(loss, {start})[0].to_vector<double>();
  const auto h = hessian(loss, start).to_vector<double>();
  const double determinant = h[0] * h[3] - h[1] * h[2];
  const Tensor newton =
      constant({-(h[3] * g[0] - h[1] * g[1]) / determinant, -(h[0] * g[1] - h[2] * g[0]) / determinant},
               DType::float64);
  show("one step of Newton", newton);

  // Slope = covariance / variance.
  const Tensor slope = mean((x - mean(x)) * (y - mean(y))) / var(x, {}, false, 0);
  const Tensor formula = stack({slope, mean(y) - slope * mean(x)});
  show("least squares formula", formula);

  const auto descent_error = max(abs(line - formula)).item<double>();
  const auto newton_error = max(abs(newton - formula)).item<double>();
  const auto truth_error = max(abs(formula - constant({3, 2}, DType::float64))).item<double>();
  const bool all_agree = descent_error < 1e-6 && newton_error < 1e-10 && truth_error < 0.1;
  fmt::print("{}\n", all_agree ? "all three agree" : "they differ");
  return all_agree ? 0 : 1;
}
