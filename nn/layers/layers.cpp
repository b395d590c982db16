#include <gradweave/nn/layers/layers.hpp>

#include <fmt/format.h>

#include <gradweave/ops/ops.hpp>

namespace gradweave::nn {

Dense::Dense(Index in, Index out, const DenseOptions& options) {
  if (in <= 0 || out <= 0)
    throw ValueError(fmt::format("Dense({}, {}): both sizes must be positive", in, out));
  Generator own(options.seed.value_or(0));
  Generator& generator = options.generator != nullptr ? *options.generator
                         : options.seed               ? own
                                                      : default_generator();
  weight = parameter("weight", options.weight_init({out, in}, options.dtype, generator));
  if (options.bias) bias = parameter("bias", options.bias_init({out}, options.dtype, generator));
}

Tensor Dense::operator()(const Operand& x) const {
  const Scope scope = this->scope();
  const Tensor y = linear(x, weight);
  return bias ? Operand(y, x.where()) + bias : y;
}

Tensor Sigmoid::operator()(const Tensor& x) const {
  const Scope scope = this->scope();
  return sigmoid(x);
}
Tensor Tanh::operator()(const Tensor& x) const {
  const Scope scope = this->scope();
  return tanh(x);
}
Tensor ReLU::operator()(const Tensor& x) const {
  const Scope scope = this->scope();
  return relu(x);
}
Tensor GELU::operator()(const Tensor& x) const {
  const Scope scope = this->scope();
  return gelu(x, form);
}
Tensor SiLU::operator()(const Tensor& x) const {
  const Scope scope = this->scope();
  return silu(x);
}

Tensor Sequential::operator()(const Tensor& x) const {
  Tensor y = x;
  for (const Step& step : steps_) y = step(y);
  return y;
}

}  // namespace gradweave::nn
