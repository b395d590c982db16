// Rosenblatt's perceptron (1958): a neuron that says on which side of a line a point lies, and moves its line
// whenever it is wrong. Its famous rule, w += rate * label * x for a misjudged point, is nowhere in this
// file: it is the gradient of "how far on the wrong side", relu(-label * output).
#include <fmt/format.h>

#include <gradweave/ops/ops.hpp>

using namespace gradweave;

int main() {
  // Points in a square, labelled by the line y = 0.3 x + 0.2 which the neuron does not know. Those right
  // beside the line are moved away from it.
  constexpr Index points = 200;
  Generator random(3);
  const Tensor x = random_uniform({points, 1}, random, -1, 1);
  Tensor y = random_uniform({points, 1}, random, -1, 1);
  const Tensor label = where(y > 0.3 * x + 0.2, 1.0, -1.0);
  y = y + 0.05 * label;
  const Tensor inputs = concat({x, y, ones({points, 1})}, 1);  // the last weight is the bias
  eval(inputs, label);

  const auto accuracy_of = [&](const Tensor& w) {
    return mean(cast(matmul(inputs, w) * label > 0, DType::float32)).item<double>();
  };

  Tensor w = variable({{0.5}, {-0.5}, {0.5}});  // an arbitrary line to begin with
  fmt::print("at first: accuracy {:.1f} %\n", 100 * accuracy_of(w));
  int epoch = 0;
  for (; epoch < 100 && accuracy_of(w) < 1; ++epoch) {
    for (Index i = 0; i < points; ++i) {
      const Tensor mistake = relu(-select(label, 0, i) * matmul(select(inputs, 0, i), w));
      const auto [gradient] = gradients(sum(mistake), {w});
      w = variable(w - 0.1 * gradient);
    }
    fmt::print("epoch {}: accuracy {:.1f} %\n", epoch + 1, 100 * accuracy_of(w));
  }

  const auto line = w.to_vector();
  fmt::print("\nlearned y = {:.2f} x + {:.2f}, the truth is y = 0.30 x + 0.20\n", -line[0] / line[1],
             -line[2] / line[1]);
  const double accuracy = accuracy_of(w);
  fmt::print("accuracy {:.1f} % after {} epochs\n", 100 * accuracy, epoch);
  return accuracy == 1 ? 0 : 1;  // the points can be separated, so the perceptron theorem promises it
}
