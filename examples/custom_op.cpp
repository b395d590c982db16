// An op of your own, in a file of your own: its values, its derivative, and what the checker feeds it. It is
// equal to those of the library: it takes tensors of any shape, float32 and float64, and can be
// differentiated to any order.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <gradweave/graph/check/gradcheck.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/ops/ops.hpp>

using namespace gradweave;

// Mish: x tanh(softplus(x)) (D. Misra, "Mish: a self regularized non-monotonic activation function", 2019).
struct Mish {
  static constexpr std::string_view name = "mish";
  // Values: an Eigen array expression of a few hundred elements at a time.
  static auto forward(const auto& x) { return x * (x.max(0) + (-x.abs()).exp().log1p()).tanh(); }
  // Derivative: from the cotangent g of the output to that of the input, written with ops.
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor& /*y*/) {
    const Tensor t = tanh(softplus(x));
    return g * (t + x * sigmoid(x) * (1 - square(t)));
  }
  static Samples samples() { return {{uniform(-6, 6)}}; }
};
Tensor mish(const Operand& x) { return apply<Mish>(x); }

// The same with a slip in its derivative, to see that the checker notices.
struct Slip : Mish {
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor& /*y*/) {
    const Tensor t = tanh(softplus(x));
    return g * (t + x * sigmoid(x) * (1 - t));
  }
};

int main() {
  const Tensor x = variable({-2, -1, 0, 1, 2}, DType::float64);
  const Tensor y = mish(x);
  const auto [slope] = gradients(sum(y), {x});
  const auto [curvature] = gradients(sum(slope), {x});
  fmt::print("x      {:8.5f}\n", fmt::join(x.to_vector<double>(), " "));
  fmt::print("mish   {:8.5f}\n", fmt::join(y.to_vector<double>(), " "));
  fmt::print("mish'  {:8.5f}\n", fmt::join(slope.to_vector<double>(), " "));
  fmt::print("mish'' {:8.5f}\n", fmt::join(curvature.to_vector<double>(), " "));

  // At points of one's own, then over the op's samples: derivatives of both orders, every dtype, strided
  // inputs.
  const GradcheckReport here = gradcheck([](auto inputs) { return mish(inputs[0]); }, {x});
  const GradcheckReport everywhere = check_operation(operation_of<Mish>());
  const GradcheckReport slip = check_operation(operation_of<Slip>());
  fmt::print("\nmish, at these points:  {}\nmish, over its samples: {}\nwith a slip:            {}\n",
             here.message, everywhere.message, slip.message);

  const bool is_right = here.ok && everywhere.ok && slip.verdict == Gradcheck::wrong;
  fmt::print("{}\n", is_right ? "ok: the derivative of mish is right to second order, and the slip is found"
                              : "wrong");
  return is_right ? 0 : 1;
}
