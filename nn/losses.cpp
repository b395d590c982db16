#include <gradweave/nn/losses.hpp>

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

}  // namespace

Tensor mse_loss(const Operand& prediction, const Operand& target) {
  require_same_shape("mse_loss", prediction, target);
  Tensor keep;
  return mean(square(prediction - as_dtype_of(prediction, target, keep)));
}

Tensor binary_cross_entropy_with_logits(const Operand& logits, const Operand& target) {
  require_same_shape("binary_cross_entropy_with_logits", logits, target);
  Tensor keep;
  return mean(softplus(logits) - logits * as_dtype_of(logits, target, keep));
}

Tensor cross_entropy(const Operand& logits, const Operand& target) {
  const Tensor &x = tensor_of(logits, "cross_entropy"), &t = tensor_of(target, "cross_entropy");
  if (x.rank() == 0)
    refuse<ShapeError>("cross_entropy", {logits, target}, "the logits are a scalar; expected (n, classes)");
  if (t.rank() == x.rank()) {
    require_same_shape("cross_entropy", logits, target);
    return mean(-sum(cast(target, x.dtype()) * log_softmax(logits), {-1}));
  }
  if (!is_integral(t.dtype()))
    refuse<DTypeError>("cross_entropy", {logits, target},
                       "class indices are int64; probabilities have as many axes as the logits");
  const Tensor chosen = at_label(logits, target);
  return mean(logsumexp(logits, {-1}) - chosen);
}

}  // namespace gradweave::nn
