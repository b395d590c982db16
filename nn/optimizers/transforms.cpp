// Transforms of gradients, written with ops: they are part of a step's program.
#include <cmath>

#include <fmt/format.h>

#include <gradweave/nn/optimizers/optimizer.hpp>
#include <gradweave/ops/ops.hpp>

namespace gradweave::nn {
namespace {

double checked_limit(const char* transform, double limit) {
  if (!(limit > 0) || !std::isfinite(limit))
    throw ValueError(fmt::format("{}: the limit is {}; it must be positive and finite", transform, limit));
  return limit;
}

}  // namespace

GradientTransform clip_by_global_norm(double max_norm) {
  checked_limit("clip_by_global_norm", max_norm);
  return [max_norm](std::span<Tensor> gradients) {
    std::vector<Tensor> squares;
    for (const Tensor& g : gradients) squares.push_back(cast(sum(square(g)), gradients[0].dtype()));
    constexpr double epsilon = 1e-6;  // PyTorch's
    const Tensor scale = minimum(max_norm / (sqrt(add(squares)) + epsilon), 1);
    for (Tensor& g : gradients) g = g * cast(scale, g.dtype());
  };
}

GradientTransform clip_by_value(double max_value) {
  checked_limit("clip_by_value", max_value);
  return [max_value](std::span<Tensor> gradients) {
    for (Tensor& g : gradients) g = clamp(g, -max_value, max_value);
  };
}

}  // namespace gradweave::nn
