// An op of your own, in a file of your own: its values, its derivative, and what the checker feeds it. It is
// equal to those of the library: it takes tensors of any shape, float32 and float64, and can be
// differentiated to any order.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <gradweave/graph/check/gradcheck.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/ops/ops.hpp>

using namespace gradweave;

// Snake: x + sin(x)^2, for what repeats itself (L. Ziyin, T. Hartwig, M. Ueda, "Neural networks fail to learn
// periodic functions and how to fix it", 2020).
struct Snake {
  static constexpr std::string_view name = "snake";
  // Values: an Eigen array expression of a few hundred elements at a time.
  static auto forward(const auto& x) { return x + x.sin().square(); }
  // Derivative: from the cotangent g of the output to that of the input, written with ops.
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor& /*y*/) { return g * (1 + sin(2 * x)); }
  static Samples samples() { return {{uniform(-6, 6)}}; }
};
Tensor snake(const Operand& x) { return apply<Snake>(x); }

// The same with a slip in its derivative, to see that the checker notices.
struct Slip : Snake {
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor& /*y*/) { return g * (1 + 2 * sin(x)); }
};

int main() {
  const Tensor x = variable({-2, -1, 0, 1, 2}, DType::float64);
  const Tensor y = snake(x);
  const auto [slope] = gradients(sum(y), {x});
  const auto [curvature] = gradients(sum(slope), {x});
  fmt::print("x       {:8.5f}\n", fmt::join(x.to_vector<double>(), " "));
  fmt::print("snake   {:8.5f}\n", fmt::join(y.to_vector<double>(), " "));
  fmt::print("snake'  {:8.5f}\n", fmt::join(slope.to_vector<double>(), " "));
  fmt::print("snake'' {:8.5f}\n", fmt::join(curvature.to_vector<double>(), " "));

  // At points of one's own, then over the op's samples: derivatives of both orders, every dtype, strided
  // inputs.
  const GradcheckReport here = gradcheck([](auto inputs) { return snake(inputs[0]); }, {x});
  const GradcheckReport everywhere = check_operation(operation_of<Snake>());
  const GradcheckReport slip = check_operation(operation_of<Slip>());
  fmt::print("\nsnake, at these points:  {}\nsnake, over its samples: {}\nwith a slip:             {}\n",
             here.message, everywhere.message, slip.message);

  const bool is_right = here.ok && everywhere.ok && slip.verdict == Gradcheck::wrong;
  fmt::print("{}\n", is_right ? "ok: the derivative of snake is right to second order, and the slip is found"
                              : "wrong");
  return is_right ? 0 : 1;
}
