#include <gradweave/nn/layers/attention.hpp>

#include <fmt/format.h>

#include <gradweave/ops/ops.hpp>

namespace gradweave::nn {

Embedding::Embedding(Index count, Index width, const EmbeddingOptions& options) {
  if (count <= 0 || width <= 0)
    throw ValueError(fmt::format("Embedding({}, {}): both sizes must be positive", count, width));
  Generator& generator = options.generator != nullptr ? *options.generator : default_generator();
  weight = parameter("weight", options.weight_init({count, width}, options.dtype, generator));
}

Tensor Embedding::operator()(const Operand& indices) const {
  const Scope scope = this->scope();
  return take(Operand(weight, indices.where()), indices);
}

namespace {

Dense projection(Index in, Index out, const AttentionOptions& options) {
  return Dense(in, out,
               {.bias = options.bias,
                .weight_init = options.weight_init,
                .dtype = options.dtype,
                .generator = options.generator});
}

Index checked_width(Index width, Index heads) {
  if (width > 0 && heads > 0 && width % heads == 0) return width;
  throw ValueError(fmt::format(
      "MultiHeadAttention({}, {}): the heads must divide the width, and both be positive", width, heads));
}

}  // namespace

MultiHeadAttention::MultiHeadAttention(Index width, Index heads, const AttentionOptions& options)
    : qkv(child("qkv", projection(checked_width(width, heads), 3 * width, options))),
      output(child("output", projection(width, width, options))),
      width_(width),
      heads_(heads),
      causal_(options.causal) {}

Tensor MultiHeadAttention::operator()(const Tensor& x) const {
  const Scope scope = this->scope();
  const Shape shape = x.shape();
  if (shape.rank() != 3 || shape[2] != width_) {
    throw ShapeError(fmt::format("MultiHeadAttention: the input has shape {}, expected (batch, rows, {})",
                                 to_string(shape), width_));
  }
  const Index batch = shape[0], rows = shape[1];
  // (batch, heads of queries, keys and values, rows, share of the width)
  const Tensor heads = transpose(reshape(qkv(x), {batch, rows, 3 * heads_, width_ / heads_}), 1, 2);
  const auto part = [&](Index k) { return slice(heads, 1, k * heads_, (k + 1) * heads_); };
  const Tensor y = scaled_dot_product_attention(part(0), part(1), part(2), causal_);
  return output(reshape(transpose(y, 1, 2), {batch, rows, width_}));
}

}  // namespace gradweave::nn
