#include <gradweave/ops/activation.hpp>

#include <cmath>
#include <numbers>

#include <unsupported/Eigen/SpecialFunctions>

#include <gradweave/graph/define.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/kernels/elementary.hpp>
#include <gradweave/ops/shape.hpp>
#include <gradweave/ops/softmax.hpp>

namespace gradweave {
namespace {

Tensor gelu_vjp(const Operand& g, const Operand& x);

// Of the normal distribution.
template <class X, class T = typename X::Scalar>
auto cumulative(const X& x) {
  return T(0.5) + T(0.5) * (x * static_cast<T>(1 / std::numbers::sqrt2)).erf();
}
template <class X, class T = typename X::Scalar>
auto density(const X& x) {
  return exp_of(x.square() * T(-0.5)) * static_cast<T>(std::numbers::inv_sqrtpi / std::numbers::sqrt2);
}

// One op and not three: a transformer spends more time here than in anything else but its products.
struct GeluOfErf {
  static constexpr std::string_view name = "gelu";
  static auto forward(const auto& x) noexcept { return x * cumulative(x); }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return gelu_vjp(g, x); }
  static Samples samples() { return {{uniform(-3, 3)}}; }
};

struct GeluVjp {
  static constexpr std::string_view name = "gelu_vjp";
  static auto forward(const auto& g, const auto& x) noexcept { return g * (cumulative(x) + x * density(x)); }
  static Tensor vjp(std::size_t i, const Tensor& h, const Tensor& g, const Tensor& x, const Tensor&) {
    if (i == 0) return gelu_vjp(h, x);
    const double norm = std::numbers::inv_sqrtpi / std::numbers::sqrt2;
    return h * g * (2 - square(x)) * exp(square(x) * -0.5) * norm;
  }
  static Samples samples() { return {{uniform(-2, 2), uniform(-3, 3)}}; }
};

Tensor gelu_vjp(const Operand& g, const Operand& x) { return apply<GeluVjp>(g, x); }

}  // namespace

Tensor gelu(const Operand& x, GeluForm form) {
  if (form == GeluForm::erf) return apply<GeluOfErf>(x);
  const double slope = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;
  const Tensor near = clamp(x, -10, 10);  // beyond, tanh is 1, and a cube might overflow
  return x * 0.5 * (1 + tanh((near + pow(near, 3) * 0.044715) * slope));
}
Tensor silu(const Operand& x) {
  const Tensor share = sigmoid(x);  // of whole numbers in the default dtype, and so is the result
  return is_floating(x.tensor()->dtype()) ? x * share : cast(x, share.dtype()) * share;
}

Tensor leaky_relu(const Operand& x, double slope) { return where(x > 0, x, x * slope); }
Tensor prelu(const Operand& x, const Tensor& slope) {
  if (tensor_of(slope, "prelu").numel() == 1) return where(x > 0, x, x * reshape(slope, Dims{}));
  const std::size_t rank = tensor_of(x, "prelu").rank(), axis = rank > 1 ? 1 : 0;
  if (slope.rank() != 1 || rank == 0 || x.tensor()->shape()[axis] != slope.numel())
    refuse<ShapeError>("prelu", {x, slope}, "expected one slope, or one for each channel");
  std::vector<Index> sizes(rank, 1);
  sizes[axis] = slope.numel();
  return where(x > 0, x, x * reshape(slope, sizes));
}
// The exponential is asked of what is not positive only: it may overflow elsewhere, and NaN come back.
Tensor elu(const Operand& x, double alpha) { return where(x > 0, x, alpha * expm1(minimum(x, 0))); }
Tensor celu(const Operand& x, double alpha) { return where(x > 0, x, alpha * expm1(minimum(x, 0) / alpha)); }
Tensor softplus(const Operand& x, double beta, double threshold) {
  return where(multiply(x, beta) > threshold, x, softplus(multiply(x, beta)) / beta);
}
Tensor selu(const Operand& x) {
  constexpr double alpha = 1.6732632423543772, scale = 1.0507009873554805;
  return scale * elu(x, alpha);
}
Tensor mish(const Operand& x) { return x * tanh(softplus(x)); }
Tensor softsign(const Operand& x) { return x / (1 + abs(x)); }
Tensor tanhshrink(const Operand& x) { return x - Operand(tanh(x), x.where()); }
Tensor logsigmoid(const Operand& x) { return -softplus(-x); }
Tensor hardtanh(const Operand& x, double low, double high) { return clamp(x, low, high); }
Tensor relu6(const Operand& x) { return clamp(x, 0, 6); }
Tensor hardsigmoid(const Operand& x) { return relu6(x + 3) / 6; }
Tensor hardswish(const Operand& x) { return x * hardsigmoid(x); }
Tensor hardshrink(const Operand& x, double lambda) { return where(abs(x) > lambda, x, 0); }
Tensor softshrink(const Operand& x, double lambda) {
  return where(x > lambda, x - lambda, where(x < -lambda, x + lambda, 0));
}
Tensor threshold(const Operand& x, double threshold, double value) { return where(x > threshold, x, value); }
Tensor glu(const Operand& x, Index axis) {
  const Index at = axis_from_end(x, axis, "glu"), size = x.tensor()->size(at);
  if (size % 2 != 0) refuse<ShapeError>("glu", {x}, "the axis cannot be halved");
  return slice(x, at, 0, size / 2) * sigmoid(slice(x, at, size / 2, size));
}
Tensor softmin(const Operand& x, Index axis) { return softmax(-x, axis); }

std::vector<const Operation*> activation_operations() {
  return {&operation_of<GeluOfErf>(), &operation_of<GeluVjp>()};
}

}  // namespace gradweave
