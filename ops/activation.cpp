#include <gradweave/ops/activation.hpp>

#include <cmath>
#include <numbers>

#include <unsupported/Eigen/SpecialFunctions>

#include <gradweave/graph/define.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/kernels/elementary.hpp>

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
  return x * 0.5 * (1 + tanh((x + pow(x, 3) * 0.044715) * slope));
}
Tensor silu(const Operand& x) { return x * sigmoid(x); }

std::vector<const Operation*> activation_operations() {
  return {&operation_of<GeluOfErf>(), &operation_of<GeluVjp>()};
}

}  // namespace gradweave
