// Connectionist temporal classification: how likely a sequence of labels is when nobody says where each is.
#pragma once
#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// -log p(targets) of each sample, over all ways to spread its labels, with blanks between and repeats, over
/// its time (A. Graves et al., ICML 2006), in logarithms throughout. `log_probs` (time, batch, classes) are
/// logarithms of probabilities, targets whole numbers (batch, longest), or those of all samples one behind
/// the other; the lengths (batch) say how much of each sample is there. Infinite where no way exists, with
/// gradient 0. The derivative is that with respect to `log_probs` themselves (PyTorch's takes for granted
/// that `log_softmax` made them, and agrees behind that). A second derivative builds a graph of all time
/// steps. `nn::ctc_loss` reduces. Throws ShapeError and DTypeError for other inputs, ValueError for a blank
/// outside the classes or, when evaluated, for labels outside them and lengths beyond what is there.
Tensor ctc_losses(const Operand& log_probs, const Operand& targets, const Operand& input_lengths,
                  const Operand& target_lengths, Index blank = 0);

std::vector<const Operation*> ctc_operations();

}  // namespace gradweave
