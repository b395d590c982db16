// What transformers are made of, beside `Dense` and `LayerNorm`.
#pragma once
#include <gradweave/nn/layers/layers.hpp>

namespace gradweave::nn {

struct EmbeddingOptions {
  Initializer weight_init = normal(0, 1);
  DType dtype = default_dtype();
  Generator* generator = nullptr;  ///< where the numbers come from; by default `default_generator()`
};

/// A vector for each of `count` indices: int64 of any shape (...) give (..., width). An index outside
/// [0, count) throws ValueError when evaluated.
class Embedding : public Module {
 public:
  /// Throws ValueError unless both sizes are positive.
  Embedding(Index count, Index width, const EmbeddingOptions& options = {});
  Tensor operator()(const Operand& indices) const;

  Parameter weight;  ///< (count, width)
};

struct AttentionOptions {
  bool causal = false;  ///< a row attends to itself and those before it
  bool bias = true;
  Initializer weight_init = lecun_normal;
  DType dtype = default_dtype();
  Generator* generator = nullptr;  ///< where the numbers come from; by default `default_generator()`
};

/// Self-attention by several heads, for x of shape (batch, rows, width): each head attends with its share of
/// the width (`scaled_dot_product_attention`), and `output` mixes what they find.
class MultiHeadAttention : public Module {
 public:
  /// Throws ValueError unless both are positive and the heads divide the width.
  MultiHeadAttention(Index width, Index heads, const AttentionOptions& options = {});
  Tensor operator()(const Tensor& x) const;

  Dense qkv;  ///< its rows give queries, keys and values: PyTorch's in_proj
  Dense output;

 private:
  Index width_, heads_;
  bool causal_;
};

}  // namespace gradweave::nn
