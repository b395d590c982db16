// Normalising over the last axis.
#pragma once
#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// (x - mean) / sqrt(variance + epsilon) along the last axis, of the population (J. Ba et al.,
/// arXiv:1607.06450). Throws ShapeError for a scalar, ValueError for a negative epsilon.
Tensor layer_norm(const Operand& x, double epsilon = 1e-5);
/// The same, times `weight` plus `bias`, each of the size of the last axis.
Tensor layer_norm(const Operand& x, const Operand& weight, const Operand& bias, double epsilon = 1e-5);
/// x / sqrt(mean(x^2) + epsilon) along the last axis (B. Zhang, R. Sennrich, NeurIPS 2019). Throws as
/// `layer_norm`.
Tensor rms_norm(const Operand& x, double epsilon = 1e-5);

std::vector<const Operation*> normalization_operations();

}  // namespace gradweave
