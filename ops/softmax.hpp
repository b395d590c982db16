// Softmax and its logarithm: one pass over each row.
#pragma once
#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// exp(x) / sum(exp(x)) along one axis, without overflow. A row that is all -inf gives NaN.
Tensor softmax(const Operand& x, Index axis = -1);
/// log(softmax(x)), without overflow.
Tensor log_softmax(const Operand& x, Index axis = -1);
/// softmax(scale * x) along the last axis, where row i of the last two axes sees its elements 0 to i and the
/// others get 0: the weights of causal attention. Throws ShapeError for less than two axes.
Tensor causal_softmax(const Operand& x, double scale = 1);

std::vector<const Operation*> softmax_operations();

}  // namespace gradweave
