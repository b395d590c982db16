#include <gradweave/nn/layers/recurrent.hpp>

#include <cmath>

#include <fmt/format.h>

#include <gradweave/ops/ops.hpp>

namespace gradweave::nn {
namespace {

Tensor initial(const Tensor& given, const Shape& shape, DType dtype) {
  if (given.is_empty()) return gradweave::zeros(shape, dtype);
  if (given.shape() == shape) return given;
  throw ShapeError(
      fmt::format("LSTM: the state has shape {}, expected {}", to_string(given.shape()), to_string(shape)));
}

}  // namespace

LSTM::LSTM(Index in, Index hidden, const LSTMOptions& options)
    : in_(in), hidden_(hidden), batch_first_(options.batch_first) {
  if (in <= 0 || hidden <= 0)
    throw ValueError(fmt::format("LSTM({}, {}): both sizes must be positive", in, hidden));
  const double bound = 1 / std::sqrt(static_cast<double>(hidden));
  const Initializer init = options.init.value_or(uniform(-bound, bound));
  Generator& generator = options.generator != nullptr ? *options.generator : default_generator();
  const auto made = [&](const char* name, const Shape& shape) {
    return parameter(name, init(shape, options.dtype, generator));
  };
  weight_ih = made("weight_ih", {4 * hidden, in});
  weight_hh = made("weight_hh", {4 * hidden, hidden});
  if (!options.bias) return;
  bias_ih = made("bias_ih", {4 * hidden});
  bias_hh = made("bias_hh", {4 * hidden});
}

LSTMOutput LSTM::operator()(const Tensor& x, const LSTMState& state) const {
  const Scope scope = this->scope();
  const Shape shape = x.shape();
  const std::size_t time = batch_first_ ? 1 : 0;
  if (shape.rank() != 3 || shape[2] != in_ || shape[time] == 0) {
    throw ShapeError(fmt::format("LSTM: the input has shape {}, expected ({}, {}) of at least one step",
                                 to_string(shape), batch_first_ ? "batch, time" : "time, batch", in_));
  }
  const Index batch = shape[1 - time];
  Tensor h = initial(state.hidden, {batch, hidden_}, weight_hh.dtype());
  Tensor c = initial(state.cell, {batch, hidden_}, weight_hh.dtype());

  // What comes from the input does not depend on the steps before: one product for all of them.
  const Tensor steps = batch_first_ ? transpose(x, 0, 1) : x;
  Tensor from_input = matmul(steps, transpose(weight_ih));
  if (bias_ih) from_input = from_input + (bias_ih.value() + bias_hh.value());
  const Tensor to_hidden = transpose(weight_hh);
  std::vector<Tensor> outputs;
  for (Index t = 0; t < shape[time]; ++t) {
    const Tensor gates = select(from_input, 0, t) + matmul(h, to_hidden);
    const auto gate = [&](Index k) { return slice(gates, 1, k * hidden_, (k + 1) * hidden_); };
    c = sigmoid(gate(1)) * c + sigmoid(gate(0)) * tanh(gate(2));
    h = sigmoid(gate(3)) * tanh(c);
    outputs.push_back(h);
  }
  return {stack(outputs, static_cast<Index>(time)), {h, c}};
}

}  // namespace gradweave::nn
