// Losses: scalars to minimise, by default the mean over what they are given. Plain functions of ops,
// differentiable to any order.
//
// A common beginner's error: `cross_entropy(softmax(net(x)), y)`. The loss takes logits, and applies softmax
// (or sigmoid) itself: with probabilities a network learns badly, and nothing says why.
#pragma once
#include <optional>
#include <vector>

#include <gradweave/graph/operation.hpp>
#include <gradweave/graph/tensor.hpp>
#include <gradweave/ops/distances.hpp>

namespace gradweave::nn {

/// What becomes of the losses of the elements or rows; `batch_mean` is the sum over the size of the first
/// axis.
enum class Reduction { mean, sum, none, batch_mean };

/// (prediction - target)^2 of all elements. Throws ShapeError unless the shapes are equal: broadcasting here
/// is a mistake. So do the other losses.
Tensor mse_loss(const Operand& prediction, const Operand& target, Reduction reduction = Reduction::mean);
/// |prediction - target|.
Tensor l1_loss(const Operand& prediction, const Operand& target, Reduction reduction = Reduction::mean);
/// d^2 / 2 of differences up to delta, delta (d - delta / 2) of larger ones (P. J. Huber, 1964);
/// `smooth_l1_loss` is the same over beta.
Tensor huber_loss(const Operand& prediction, const Operand& target, double delta = 1,
                  Reduction reduction = Reduction::mean);
Tensor smooth_l1_loss(const Operand& prediction, const Operand& target, double beta = 1,
                      Reduction reduction = Reduction::mean);

struct BinaryCrossEntropyOptions {
  Tensor weight = {};      ///< of each element; broadcasts
  Tensor pos_weight = {};  ///< of the part of t = 1; broadcasts
  Reduction reduction = Reduction::mean;
};
/// -t log p - (1 - t) log(1 - p) with p = sigmoid(logits), over all elements and without overflow. The target
/// holds 0 and 1, or probabilities.
Tensor binary_cross_entropy_with_logits(const Operand& logits, const Operand& target,
                                        const BinaryCrossEntropyOptions& options = {});
/// The same of probabilities p; logarithms are at least -100, as in PyTorch. `weight` of each element
/// broadcasts.
Tensor binary_cross_entropy(const Operand& p, const Operand& target, Reduction reduction = Reduction::mean,
                            const Tensor& weight = {});

struct CrossEntropyOptions {
  Tensor weight = {};                      ///< of each class; the mean is over the weights
  std::optional<Index> ignore_index = {};  ///< rows with this label count for nothing
  double label_smoothing = 0;              ///< how much of each target is spread over all classes
  Reduction reduction = Reduction::mean;
};
/// -log softmax(logits)[label] of the rows of logits (n, classes), or of (..., classes), without overflow.
/// The target holds class indices (whole, of the shape without the last axis) or a probability for each class
/// (of the logits' shape, such as one-hot). Throws ShapeError and DTypeError for other targets, and
/// ValueError for a label_smoothing outside [0, 1]; a label outside [0, classes) throws ValueError when
/// evaluated, and names its row.
Tensor cross_entropy(const Operand& logits, const Operand& target, const CrossEntropyOptions& options = {});
/// -x[label] of rows of logarithms of probabilities.
Tensor nll_loss(const Operand& log_probabilities, const Operand& target,
                const CrossEntropyOptions& options = {});

/// target (log target - input), for logarithms of probabilities `input`, as in PyTorch; 0 where the target is
/// 0. With `log_target` the target is a logarithm, too. Broadcasts.
Tensor kl_div(const Operand& input, const Operand& target, Reduction reduction = Reduction::mean,
              bool log_target = false);
struct PoissonOptions {
  bool log_input = true;  ///< the input is the logarithm of the rate
  bool full = false;      ///< with Stirling's approximation of log(target!), where the target is above 1
  double epsilon = 1e-8;  ///< is added to a rate whose logarithm is taken
  Reduction reduction = Reduction::mean;
};
/// exp(input) - target input, for the logarithm of a rate.
Tensor poisson_nll_loss(const Operand& input, const Operand& target, const PoissonOptions& options = {});
inline Tensor poisson_nll_loss(const Operand& input, const Operand& target, Reduction reduction) {
  return poisson_nll_loss(input, target, PoissonOptions{.reduction = reduction});
}
/// (log variance + (input - target)^2 / variance) / 2, of variances of at least `epsilon`; `full`: with
/// log(2 pi) / 2. The variance has the input's shape, or a last axis of 1, or no last axis.
Tensor gaussian_nll_loss(const Operand& input, const Operand& target, const Operand& variance,
                         double epsilon = 1e-6, Reduction reduction = Reduction::mean, bool full = false);
/// max(0, margin - target input), for targets 1 and -1; and log(1 + exp(-target input)).
Tensor hinge_loss(const Operand& input, const Operand& target, double margin = 1,
                  Reduction reduction = Reduction::mean);
Tensor soft_margin_loss(const Operand& input, const Operand& target, Reduction reduction = Reduction::mean);
/// max(0, margin - target (a - b)): which of two is to be ranked higher.
Tensor margin_ranking_loss(const Operand& a, const Operand& b, const Operand& target, double margin = 0,
                           Reduction reduction = Reduction::mean);
using gradweave::cosine_similarity;
/// 1 - cosine of pairs with target 1, max(0, cosine - margin) of those with -1.
Tensor cosine_embedding_loss(const Operand& a, const Operand& b, const Operand& target, double margin = 0,
                             Reduction reduction = Reduction::mean);
/// max(0, |anchor - positive| - |anchor - negative| + margin), along the last axis.
Tensor triplet_margin_loss(const Operand& anchor, const Operand& positive, const Operand& negative,
                           double margin = 1, Reduction reduction = Reduction::mean);
struct TripletOptions {
  double margin = 1, p = 2, epsilon = 1e-6;  ///< the distance is the p-norm of a difference plus epsilon
  bool swap = false;  ///< the negative's distance is the smaller of those from anchor and positive (V.
                      ///< Balntas et al., BMVC 2016)
  Reduction reduction = Reduction::mean;
};
Tensor triplet_margin_loss(const Operand& anchor, const Operand& positive, const Operand& negative,
                           const TripletOptions& options);
/// The input where the target is 1, max(0, margin - input) where it is -1.
Tensor hinge_embedding_loss(const Operand& input, const Operand& target, double margin = 1,
                            Reduction reduction = Reduction::mean);
struct MultiMarginOptions {
  double p = 1, margin = 1;
  Tensor weight = {};  ///< of each class
  Reduction reduction = Reduction::mean;
};
/// The mean over classes j of max(0, margin - x[label] + x[j])^p without the label's own, of rows x of (n,
/// classes), or of one row.
Tensor multi_margin_loss(const Operand& x, const Operand& labels, const MultiMarginOptions& options = {});
/// The sum of max(0, 1 - x[t] + x[j]) over labels t and what is no label j, over the count of classes; the
/// labels of a row stand in front of its first -1.
Tensor multilabel_margin_loss(const Operand& x, const Operand& labels, Reduction reduction = Reduction::mean);
/// The mean over classes of binary cross entropies of the logits x.
Tensor multilabel_soft_margin_loss(const Operand& x, const Operand& target,
                                   Reduction reduction = Reduction::mean, const Tensor& weight = {});

struct CtcOptions {
  Index blank = 0;
  bool zero_infinity = false;  ///< where no way exists: 0, not infinity
  Reduction reduction = Reduction::mean;
};
/// `ctc_losses` (ops/ctc.hpp) of `log_probabilities` (time, batch, classes), or (time, classes) of one
/// sample. The mean is that of losses over target lengths, as in PyTorch. Throws as `ctc_losses`.
Tensor ctc_loss(const Operand& log_probabilities, const Operand& targets, const Operand& input_lengths,
                const Operand& target_lengths, const CtcOptions& options = {});

}  // namespace gradweave::nn
