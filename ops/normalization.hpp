// Normalisation: over the last axes, over groups of channels, and over batches. Variances are those of the
// population, in two passes; halves are computed as float32. Channels are axis 1.
#pragma once
#include <initializer_list>

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

/// What the result is multiplied by, and what is added to that, where there is any.
struct AffineOptions {
  Tensor weight = {}, bias = {};
  double epsilon = 1e-5;
};
/// `layer_norm` and `rms_norm` over all of the last axes, whose sizes are `normalized_shape`; weight and bias
/// have that shape. Throws ShapeError where x ends in other sizes.
Tensor layer_norm(const Operand& x, Dims normalized_shape, const AffineOptions& options = {});
Tensor rms_norm(const Operand& x, Dims normalized_shape, const AffineOptions& options = {});
inline Tensor layer_norm(const Operand& x, std::initializer_list<Index> normalized_shape,
                         const AffineOptions& options = {}) {
  return layer_norm(x, Dims(normalized_shape.begin(), normalized_shape.size()), options);
}
inline Tensor rms_norm(const Operand& x, std::initializer_list<Index> normalized_shape,
                       const AffineOptions& options = {}) {
  return rms_norm(x, Dims(normalized_shape.begin(), normalized_shape.size()), options);
}

/// Of x (batch, channels, ...): each of so many groups of channels of a sample is normalised by itself (Y.
/// Wu, K. He, arXiv:1803.08494). Weight and bias have a number for each channel. Throws ShapeError for less
/// than two axes, ValueError where the channels do not divide into the groups.
Tensor group_norm(const Operand& x, Index groups, const AffineOptions& options = {});
/// Each channel of a sample by itself (D. Ulyanov et al., arXiv:1607.08022). Throws ValueError where a
/// channel is one element.
Tensor instance_norm(const Operand& x, const AffineOptions& options = {});

struct BatchNormOptions {
  Tensor running_mean = {}, running_var = {};  ///< of each channel
  Tensor weight = {}, bias = {};               ///< of each channel
  bool training = false;
  double momentum = 0.1;  ///< how much of the batch's statistics becomes part of the running ones
  double epsilon = 1e-5;
};
/// A result, and the running statistics from here on: to be kept for the next call.
struct BatchNorm {
  Tensor output;
  Tensor mean, var;  ///< empty where there were none
};
/// Each channel of x (batch, channels, ...) over batch and space (S. Ioffe, C. Szegedy, arXiv:1502.03167): by
/// the batch's own mean and variance with `training`, and the running statistics, if there are any, move
/// towards these (the variance's with correction 1, as in PyTorch); else by the running ones, which stay.
/// Gradients do not flow into statistics that are kept. Throws ShapeError for statistics that are not one for
/// each channel; ValueError where a channel has one element in training, or there are no statistics without.
BatchNorm batch_norm(const Operand& x, const BatchNormOptions& options);

/// x / (k + alpha m)^beta, where m is the mean of x^2 over `size` channels around each, with zeros beyond the
/// ends (A. Krizhevsky et al., NeurIPS 2012). Throws ValueError unless size > 0.
Tensor local_response_norm(const Operand& x, Index size, double alpha = 1e-4, double beta = 0.75,
                           double k = 1);

std::vector<const Operation*> normalization_operations();

}  // namespace gradweave
