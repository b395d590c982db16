// Attention, which never holds the whole matrix of scores.
#pragma once
#include <optional>

#include <gradweave/graph/operation.hpp>

namespace gradweave {

class Generator;  // random.hpp

struct AttentionOptions {
  Tensor mask = {};  ///< broadcasts to (..., n, m): bool, true where a row may look; or added to the scores
  bool causal = false;               ///< row i sees rows 0 to i of k and v
  std::optional<double> scale = {};  ///< of the scores; 1 / sqrt(width)
  double dropout = 0;                ///< the probability that a weight is dropped, with
  Generator* generator = nullptr;    ///< where the draws come from; the matrix of weights is then held
  bool grouped_heads = false;  ///< axis -3 of k and v may be a divisor of q's: each serves several heads
};

/// Scaled dot-product attention: softmax(scale q k' + mask) v, for q of shape (..., n, width), k (..., m,
/// width) and v (..., m, e), whose leading axes broadcast: (..., n, e) (A. Vaswani et al., NeurIPS 2017). A
/// row that may look at nothing gives 0, as in PyTorch. Sequences longer than 128 are computed block by
/// block, with running maxima and sums (M. Milakov, N. Gimelshein, arXiv:1805.02867), and so is the
/// derivative, from the result and the logarithms of the sums (T. Dao et al., NeurIPS 2022); the second
/// derivative holds the matrix of scores. Throws ShapeError for less than two axes or sizes that differ,
/// ValueError for a dropout outside [0, 1] or without a generator.
Tensor scaled_dot_product_attention(const Operand& q, const Operand& k, const Operand& v,
                                    const AttentionOptions& options);
Tensor scaled_dot_product_attention(const Operand& q, const Operand& k, const Operand& v,
                                    bool causal = false);

std::vector<const Operation*> attention_operations();

}  // namespace gradweave
