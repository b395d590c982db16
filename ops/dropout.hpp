// Dropout: elements, or whole channels, are 0 with probability p, and what is left is scaled so that its mean
// stays (N. Srivastava et al., JMLR 15, 2014). Without `training`, or with p = 0, x is left as it is. All
// throw ValueError for a p outside [0, 1]; a compiled function draws anew at each run.
#pragma once
#include <gradweave/ops/random.hpp>

namespace gradweave {

Tensor dropout(const Operand& x, Generator& generator, double p = 0.5, bool training = true);
/// Channels of x (batch, channels, length) or (channels, length).
Tensor dropout1d(const Operand& x, Generator& generator, double p = 0.5, bool training = true);
/// Channels of x (batch, channels, height, width) or, as in PyTorch, (batch, channels, length).
Tensor dropout2d(const Operand& x, Generator& generator, double p = 0.5, bool training = true);
/// Channels of x (batch, channels, depth, height, width) or without the batch.
Tensor dropout3d(const Operand& x, Generator& generator, double p = 0.5, bool training = true);
/// For networks of `selu`: what is dropped becomes its value at minus infinity, and mean and variance stay
/// (G. Klambauer et al., arXiv:1706.02515).
Tensor alpha_dropout(const Operand& x, Generator& generator, double p = 0.5, bool training = true);
/// The same of whole channels, axis 1 of x.
Tensor feature_alpha_dropout(const Operand& x, Generator& generator, double p = 0.5, bool training = true);

}  // namespace gradweave
