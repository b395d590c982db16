#include <gradweave/nn/layers/normalization.hpp>

#include <fmt/format.h>

#include <gradweave/ops/ops.hpp>

namespace gradweave::nn {
namespace {

Index checked_size(const char* layer, Index size) {
  if (size <= 0) throw ValueError(fmt::format("{}({}): the size must be positive", layer, size));
  return size;
}

void require_size(const char* layer, const Tensor& x, Index size) {
  if (x.rank() > 0 && x.size(-1) == size) return;
  throw ShapeError(fmt::format("{}: the input has shape {}; its last axis must have size {}", layer,
                               to_string(x.shape()), size));
}

}  // namespace

LayerNorm::LayerNorm(Index size, const NormOptions& options)
    : size_(checked_size("LayerNorm", size)), epsilon_(options.epsilon) {
  if (!options.affine) return;
  weight = parameter("weight", gradweave::ones({size}, options.dtype));
  bias = parameter("bias", gradweave::zeros({size}, options.dtype));
}

Tensor LayerNorm::operator()(const Tensor& x) const {
  const Scope scope = this->scope();
  require_size("LayerNorm", x, size_);
  return weight ? layer_norm(x, weight, bias, epsilon_) : layer_norm(x, epsilon_);
}

RMSNorm::RMSNorm(Index size, const NormOptions& options)
    : size_(checked_size("RMSNorm", size)), epsilon_(options.epsilon) {
  if (options.affine) weight = parameter("weight", gradweave::ones({size}, options.dtype));
}

Tensor RMSNorm::operator()(const Tensor& x) const {
  const Scope scope = this->scope();
  require_size("RMSNorm", x, size_);
  const Tensor y = rms_norm(x, epsilon_);
  return weight ? y * weight : y;
}

}  // namespace gradweave::nn
