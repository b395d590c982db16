#include <gradweave/nn/losses.hpp>

#include <cmath>
#include <limits>
#include <numbers>

#include <fmt/format.h>

#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/ops.hpp>

namespace gradweave::nn {
namespace {

void require_same_shape(std::string_view loss, const Operand& a, const Operand& target) {
  if (tensor_of(a, loss).shape() == tensor_of(target, loss).shape()) return;
  refuse<ShapeError>(loss, {a, target},
                     a.tensor()->numel() == target.tensor()->numel()
                         ? "the shapes must be equal: reshape one of them"
                         : "the shapes must be equal");
}

// The target as the prediction's dtype, on the prediction's line.
Operand as_dtype_of(const Operand& a, const Operand& target, Tensor& keep) {
  keep = cast(target, a.tensor()->dtype());
  return {keep, a.where()};
}

Tensor reduced(const Tensor& losses, const Operand& of, Reduction reduction) {
  const Operand operand(losses, of.where());
  switch (reduction) {
    case Reduction::none:
      return losses;
    case Reduction::sum:
      return sum(operand);
    case Reduction::batch_mean:
      return sum(operand) / (losses.rank() == 0 ? Index{1} : losses.size(0));
    case Reduction::mean:
      break;
  }
  return mean(operand);
}
Tensor difference(std::string_view loss, const Operand& prediction, const Operand& target) {
  require_same_shape(loss, prediction, target);
  Tensor keep;
  return prediction - as_dtype_of(prediction, target, keep);
}

// The losses of rows whose terms -log p of the classes are given by functions: of the label, and their
// weighted sum.
template <class OfLabel, class OfAll>
Tensor of_labels(std::string_view loss, const Operand& x, const Operand& target,
                 const CrossEntropyOptions& options, const OfLabel& of_label, const OfAll& of_all) {
  const bool is_share = options.label_smoothing >= 0 && options.label_smoothing <= 1;
  if (!is_share) refuse<ValueError>(loss, {x, target}, "label_smoothing is from 0 to 1");
  const DType dtype = x.tensor()->dtype();
  const Index classes = x.tensor()->size(-1);
  if (!options.weight.is_empty() && options.weight.shape() != Shape{classes})
    refuse<ShapeError>(loss, {x, target}, "expected a weight for each class");
  Tensor labels = *target.tensor(), kept;
  if (options.ignore_index) {
    const Tensor ignored = equal(target, *options.ignore_index);
    kept = cast(logical_not(ignored), dtype);
    labels = where(ignored, 0, labels);
  }
  Tensor losses = of_label(Operand(labels, target.where()));
  Tensor weight;
  if (!options.weight.is_empty()) {
    weight = take(cast(options.weight, dtype), labels);
    losses = losses * weight;
  }
  if (options.label_smoothing > 0) {
    const double share = options.label_smoothing / static_cast<double>(classes);
    losses = losses * (1 - options.label_smoothing) + of_all() * share;
  }
  if (!kept.is_empty()) {
    losses = losses * kept;
    weight = weight.is_empty() ? kept : weight * kept;
  }
  if (options.reduction != Reduction::mean || weight.is_empty()) return reduced(losses, x, options.reduction);
  return sum(Operand(losses, x.where())) / sum(weight);
}

void require_labels(std::string_view loss, const Operand& x, const Operand& target) {
  if (tensor_of(x, loss).rank() == 0)
    refuse<ShapeError>(loss, {x, target}, "the logits are a scalar; expected (n, classes)");
  if (tensor_of(target, loss).rank() == x.tensor()->rank()) return;
  if (!is_integral(target.tensor()->dtype()))
    refuse<DTypeError>(loss, {x, target},
                       "class indices are int64; probabilities have as many axes as the logits");
}

}  // namespace

Tensor mse_loss(const Operand& prediction, const Operand& target, Reduction reduction) {
  return reduced(square(difference("mse_loss", prediction, target)), prediction, reduction);
}
Tensor l1_loss(const Operand& prediction, const Operand& target, Reduction reduction) {
  return reduced(abs(difference("l1_loss", prediction, target)), prediction, reduction);
}
Tensor huber_loss(const Operand& prediction, const Operand& target, double delta, Reduction reduction) {
  if (!(delta > 0)) refuse<ValueError>("huber_loss", {prediction, target}, "delta is positive");
  const Tensor d = abs(difference("huber_loss", prediction, target));
  return reduced(where(d <= delta, square(d) * 0.5, (d - delta / 2) * delta), prediction, reduction);
}
Tensor smooth_l1_loss(const Operand& prediction, const Operand& target, double beta, Reduction reduction) {
  if (beta == 0) return l1_loss(prediction, target, reduction);
  return huber_loss(prediction, target, beta, reduction) / beta;
}

Tensor binary_cross_entropy_with_logits(const Operand& logits, const Operand& target,
                                        const BinaryCrossEntropyOptions& options) {
  require_same_shape("binary_cross_entropy_with_logits", logits, target);
  Tensor keep;
  const Operand t = as_dtype_of(logits, target, keep);
  // (1 - t) x + (1 + (w - 1) t) softplus(-x), where x is not negative; softplus(-x) is softplus(x) - x, so
  // that in each half nothing large is taken from what is as large.
  const Tensor is_positive = greater_equal(logits, 0), positive = cast(is_positive, logits.tensor()->dtype());
  const bool is_weighted = !options.pos_weight.is_empty();
  const Tensor factor = is_weighted ? where(is_positive, 1 - t, -(options.pos_weight * t)) : positive - t;
  const Tensor finite = where(logical_and(isinf(logits), equal(factor, 0)), 0, logits);  // infinity times 0
  const Tensor rest = softplus(logits * (1 - 2 * positive));
  Tensor losses = finite * factor + (is_weighted ? (1 + (options.pos_weight - 1) * t) * rest : rest);
  if (!options.weight.is_empty()) losses = losses * options.weight;
  return reduced(losses, logits, options.reduction);
}
Tensor binary_cross_entropy(const Operand& p, const Operand& target, Reduction reduction,
                            const Tensor& weight) {
  require_same_shape("binary_cross_entropy", p, target);
  Tensor keep;
  const Operand t = as_dtype_of(p, target, keep);
  const Tensor yes = maximum(log(p), -100), no = maximum(log1p(-p), -100);
  const Tensor losses = -(t * yes + (1 - t) * no);
  return reduced(weight.is_empty() ? losses : losses * weight, p, reduction);
}

Tensor cross_entropy(const Operand& logits, const Operand& target, const CrossEntropyOptions& options) {
  require_labels("cross_entropy", logits, target);
  const Tensor& x = *logits.tensor();
  if (target.tensor()->rank() == x.rank()) {
    require_same_shape("cross_entropy", logits, target);
    const double smoothing = options.label_smoothing;
    Tensor t = cast(target, x.dtype());
    if (smoothing > 0) t = t * (1 - smoothing) + smoothing / static_cast<double>(x.size(-1));
    if (!options.weight.is_empty()) t = t * cast(options.weight, x.dtype());
    const Tensor logs = log_softmax(logits);
    const Tensor counted = where(logical_and(t == 0, isinf(logs)), 0, logs);  // infinity times 0
    return reduced(-sum(t * counted, {-1}), logits, options.reduction);
  }
  const auto of_label = [&](const Operand& labels) {
    const Tensor chosen = at_label(logits, labels);
    return squeeze(logsumexp_about(logits, expand_dims(Operand(chosen, logits.where()), -1)), -1);
  };
  const auto of_all = [&] {
    const Tensor all = -log_softmax(logits);
    return sum(options.weight.is_empty() ? all : all * cast(options.weight, x.dtype()), {-1});
  };
  return of_labels("cross_entropy", logits, target, options, of_label, of_all);
}

Tensor nll_loss(const Operand& log_probabilities, const Operand& target, const CrossEntropyOptions& options) {
  require_labels("nll_loss", log_probabilities, target);
  const Tensor& x = *log_probabilities.tensor();
  const auto of_label = [&](const Operand& labels) { return -at_label(log_probabilities, labels); };
  const auto of_all = [&] {
    return sum(options.weight.is_empty() ? -x : -x * cast(options.weight, x.dtype()), {-1});
  };
  return of_labels("nll_loss", log_probabilities, target, options, of_label, of_all);
}

Tensor kl_div(const Operand& input, const Operand& target, Reduction reduction, bool log_target) {
  tensor_of(input, "kl_div");
  return reduced(log_target ? exp(target) * (target - input) : xlogy(target, target) - target * input, input,
                 reduction);
}
Tensor poisson_nll_loss(const Operand& input, const Operand& target, const PoissonOptions& options) {
  require_same_shape("poisson_nll_loss", input, target);
  Tensor losses =
      options.log_input ? exp(input) - target * input : input - target * log(input + options.epsilon);
  if (options.full) {
    const Tensor counted = where(greater(target, 1), target, 1);
    const Tensor stirling = counted * log(counted) - counted + 0.5 * log(2 * std::numbers::pi * counted);
    losses = losses + where(greater(target, 1), stirling, 0);
  }
  return reduced(losses, input, options.reduction);
}
Tensor gaussian_nll_loss(const Operand& input, const Operand& target, const Operand& variance, double epsilon,
                         Reduction reduction, bool full) {
  const Tensor& x = tensor_of(input, "gaussian_nll_loss");
  const bool is_number = variance.tensor() == nullptr;
  const bool is_of_rows = !is_number && variance.tensor()->rank() > 0 && variance.tensor()->rank() < x.rank();
  const Tensor limited = maximum(is_of_rows  ? expand_dims(variance, -1)
                                 : is_number ? gradweave::full({}, variance.number(), x.dtype())
                                             : *variance.tensor(),
                                 epsilon);
  Tensor losses = (log(limited) + square(difference("gaussian_nll_loss", input, target)) / limited) * 0.5;
  if (full) losses = losses + 0.5 * std::log(2 * std::numbers::pi);
  return reduced(losses, input, reduction);
}
Tensor hinge_loss(const Operand& input, const Operand& target, double margin, Reduction reduction) {
  require_same_shape("hinge_loss", input, target);
  return reduced(relu(margin - target * input), input, reduction);
}
Tensor soft_margin_loss(const Operand& input, const Operand& target, Reduction reduction) {
  require_same_shape("soft_margin_loss", input, target);
  return reduced(softplus(-(target * input)), input, reduction);
}
Tensor margin_ranking_loss(const Operand& a, const Operand& b, const Operand& target, double margin,
                           Reduction reduction) {
  return reduced(relu(margin - target * difference("margin_ranking_loss", a, b)), a, reduction);
}
Tensor cosine_embedding_loss(const Operand& a, const Operand& b, const Operand& target, double margin,
                             Reduction reduction) {
  require_same_shape("cosine_embedding_loss", a, b);
  const Tensor cosine = cosine_similarity(a, b);
  return reduced(where(equal(target, 1), 1 - cosine, relu(cosine - margin)), a, reduction);
}
Tensor triplet_margin_loss(const Operand& anchor, const Operand& positive, const Operand& negative,
                           double margin, Reduction reduction) {
  const Tensor near = norm(difference("triplet_margin_loss", anchor, positive), 2, -1);
  const Tensor far = norm(difference("triplet_margin_loss", anchor, negative), 2, -1);
  return reduced(relu(near - far + margin), anchor, reduction);
}
Tensor triplet_margin_loss(const Operand& anchor, const Operand& positive, const Operand& negative,
                           const TripletOptions& options) {
  const auto distance = [&](const Operand& a, const Operand& b) {
    const Tensor apart = subtract(a, b) + options.epsilon;
    return norm(Operand(apart, anchor.where()), options.p, -1);
  };
  Tensor far = distance(anchor, negative);
  if (options.swap) far = minimum(far, distance(positive, negative));
  return reduced(relu(distance(anchor, positive) - far + options.margin), anchor, options.reduction);
}
Tensor hinge_embedding_loss(const Operand& input, const Operand& target, double margin, Reduction reduction) {
  tensor_of(input, "hinge_embedding_loss");
  const Tensor near = where(equal(target, -1), 0, input),
               far = where(equal(target, 1), 0, relu(margin - input));
  return reduced(near + far, input, reduction);
}
Tensor multi_margin_loss(const Operand& x, const Operand& labels, const MultiMarginOptions& options) {
  require_labels("multi_margin_loss", x, labels);
  const Index classes = x.tensor()->size(-1);
  const Tensor margins = relu(options.margin - expand_dims(at_label(x, labels), -1) + x);
  Tensor powers = options.p == 1 ? margins : pow(margins, options.p);
  if (!options.weight.is_empty()) powers = powers * expand_dims(take(options.weight, labels), -1);
  const Tensor others = where(cast(one_hot(labels, classes), DType::bool_), 0, powers);
  return reduced(sum(others, {-1}) / classes, x, options.reduction);
}
Tensor multilabel_margin_loss(const Operand& x, const Operand& labels, Reduction reduction) {
  require_same_shape("multilabel_margin_loss", x, labels);
  const Index classes = x.tensor()->size(-1);
  // Which of the labels stand in front of the first -1, and which classes they name.
  const Tensor counts = equal(cumsum(cast(less(labels, 0), DType::int64), -1), 0);
  const Tensor places = where(counts, labels, 0);
  const Tensor named =
      max(cast(logical_and(expand_dims(counts, -1), equal(expand_dims(places, -1), arange(classes))),
               DType::int64),
          {-2});
  const Tensor chosen = take_along_axis(x, places, -1);
  const Tensor margins = relu(1 - expand_dims(chosen, -1) + expand_dims(x, -2));
  const Tensor is_pair = logical_and(expand_dims(counts, -1), expand_dims(equal(named, 0), -2));
  return reduced(sum(where(is_pair, margins, 0), {-2, -1}) / classes, x, reduction);
}
Tensor multilabel_soft_margin_loss(const Operand& x, const Operand& target, Reduction reduction,
                                   const Tensor& weight) {
  const Tensor losses =
      binary_cross_entropy_with_logits(x, target, {.weight = weight, .reduction = Reduction::none});
  return reduced(mean(losses, {-1}), x, reduction);
}

Tensor ctc_loss(const Operand& log_probabilities, const Operand& targets, const Operand& input_lengths,
                const Operand& target_lengths, const CtcOptions& options) {
  Tensor losses = ctc_losses(log_probabilities, targets, input_lengths, target_lengths, options.blank);
  if (options.zero_infinity) losses = where(losses == std::numeric_limits<double>::infinity(), 0, losses);
  if (options.reduction == Reduction::mean)
    losses = losses / cast(maximum(target_lengths, 1), losses.dtype());
  return reduced(losses, log_probabilities, options.reduction);
}

}  // namespace gradweave::nn
