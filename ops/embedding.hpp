// Embeddings: rows of a weight (count, width) that whole numbers name, and sums of bags of them. All throw
// ValueError, when evaluated, for an index outside [0, count).
#pragma once
#include <optional>

#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// Row weight[i] for each index, of any shape: (..., width). Row `padding_idx`, which may count from the end,
/// gets no gradient. With `scale_grad_by_freq` the gradient of a row is divided by how often it is named.
Tensor embedding(const Operand& indices, const Operand& weight, std::optional<Index> padding_idx = {},
                 bool scale_grad_by_freq = false);

enum class BagMode { sum, mean, max };
struct EmbeddingBagOptions {
  Tensor offsets = {};  ///< where each bag begins, in ascending order from 0
  BagMode mode = BagMode::mean;
  Tensor per_sample_weights = {};    ///< of each index: what its row is multiplied by; mode `sum` only
  bool include_last_offset = false;  ///< `offsets` ends with where the last bag ends
  std::optional<Index> padding_idx = {};
  bool scale_grad_by_freq = false;  ///< as of `embedding`; of sums and means
};
/// Sum, mean or largest of the rows that a bag names: (bags, width). Bags are the rows of two-dimensional
/// indices, or stretches of one-dimensional ones that begin at `offsets`. Row `padding_idx` counts for
/// nothing; a bag of nothing gives 0. Of equal largest ones the first gets the gradient. Throws ShapeError
/// for other shapes, and ValueError for weights or scales in another mode or, when evaluated, for offsets
/// that do not ascend.
Tensor embedding_bag(const Operand& indices, const Operand& weight, const EmbeddingBagOptions& options = {});

std::vector<const Operation*> embedding_operations();

}  // namespace gradweave
