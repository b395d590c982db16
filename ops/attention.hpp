// Attention, made of products and a softmax.
#pragma once
#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// Scaled dot-product attention: softmax(q k' / sqrt(d)) v, for q of shape (..., n, d), k (..., m, d) and v
/// (..., m, e), whose leading axes broadcast: (..., n, e). With `causal`, row i of q sees rows 0 to i of k
/// and v (A. Vaswani et al., NeurIPS 2017). Throws ShapeError for less than two axes or sizes that differ.
Tensor scaled_dot_product_attention(const Operand& q, const Operand& k, const Operand& v,
                                    bool causal = false);

}  // namespace gradweave
