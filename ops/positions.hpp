// Where in a sequence: what attention is told of positions. Angles and slopes are worked out in float64.
#pragma once
#include <gradweave/graph/operation.hpp>

namespace gradweave {

struct RotaryOptions {
  bool interleaved = false;  ///< pairs are elements 2i and 2i + 1, else i and i + width / 2
  Tensor positions = {};     ///< of the rows: whole numbers that broadcast to x's axes but the last
  Index offset = 0;          ///< without these, rows have positions offset, offset + 1, ...
  double base = 10000;
};
/// Rotary positions of queries or keys x (..., length, width): pair i of a row at position t is turned by
/// t base^(-2i / width), so that products of rows depend on the distance of their positions (J. Su et al.,
/// arXiv:2104.09864). Throws ShapeError unless the width is even.
Tensor rotary_embedding(const Operand& x, const RotaryOptions& options = {});

/// (length, width): sin(t base^(-2i / width)) at 2i and its cosine at 2i + 1, to be added to embeddings (A.
/// Vaswani et al., NeurIPS 2017). Throws ShapeError unless the width is even.
Tensor sinusoidal_positions(Index length, Index width, double base = 10000, DType dtype = default_dtype());

/// (heads, 1, keys): a mask for causal attention that makes what is farther back count for less, by a slope
/// of each head (O. Press et al., ICLR 2022). All rows share it: their softmax knows only differences. Throws
/// ValueError unless heads > 0.
Tensor alibi_mask(Index heads, Index keys, DType dtype = default_dtype());

}  // namespace gradweave
