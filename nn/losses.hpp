// Losses: scalars to minimise, each the mean over what it is given. Plain functions of ops, differentiable to
// any order.
//
// A common beginner's error: `cross_entropy(softmax(net(x)), y)`. The loss takes logits, and applies softmax
// (or sigmoid) itself: with probabilities a network learns badly, and nothing says why.
#pragma once
#include <vector>

#include <gradweave/graph/operation.hpp>
#include <gradweave/graph/tensor.hpp>

namespace gradweave::nn {

/// mean((prediction - target)^2) over all elements. Throws ShapeError unless the shapes are equal:
/// broadcasting here is a mistake.
Tensor mse_loss(const Operand& prediction, const Operand& target);

/// mean(-t log p - (1 - t) log(1 - p)) with p = sigmoid(logits), over all elements and without overflow. The
/// target holds 0 and 1, or probabilities. Throws ShapeError unless the shapes are equal.
Tensor binary_cross_entropy_with_logits(const Operand& logits, const Operand& target);

/// mean(-log softmax(logits)[label]) over the rows of logits (n, classes), without overflow. The target holds
/// class indices (int64, shape (n)) or a probability for each class (shape (n, classes), such as one-hot).
/// Throws ShapeError and DTypeError for other targets; a label outside [0, classes) throws ValueError when
/// evaluated, and names its row.
Tensor cross_entropy(const Operand& logits, const Operand& target);

}  // namespace gradweave::nn
