#include <gradweave/nn/losses.hpp>

#include <fmt/format.h>

#include <gradweave/graph/define.hpp>
#include <gradweave/graph/refuse.hpp>
#include <gradweave/ops/ops.hpp>

namespace gradweave::nn {
namespace {

// x[row, label of row], the term of the cross-entropy that is not the same for all labels.
struct AtLabel {
  static constexpr std::string_view name = "at_label";
  static constexpr DTypes dtypes = floating;
  static constexpr std::array<std::optional<DType>, 2> fixed{std::nullopt, DType::int64};
  static Spec infer(const Spec& x, const Spec& labels) {
    if (x.shape.rank() == 0 || !same(Dims(x.shape).first(x.shape.rank() - 1), labels.shape)) {
      throw ShapeError("expected logits (n, classes) and n labels");
    }
    return {labels.shape, x.dtype};
  }
  static void forward(const Array& y, const Array& x, const Array& labels) {
    const Index classes = x.shape.back();
    const std::span<const Index> label = labels.span<const Index>();
    for (std::size_t row = 0; row < label.size(); ++row) {
      if (label[row] < 0 || label[row] >= classes) {
        throw ValueError(
            fmt::format("cross_entropy: label {} in row {} is outside [0, {}), the classes of the logits",
                        label[row], row, classes));
      }
    }
    dispatch<floating>(y.dtype, [&]<class T>() {
      const T* at = x.as<T>();
      for (Index row = 0; row < y.size(); ++row, at += classes)
        y.as<T>()[row] = at[label[static_cast<std::size_t>(row)]];
    });
  }
  static Tensor vjp(std::size_t, const Tensor& g, const Tensor& x, const Tensor& labels, const Tensor&) {
    return expand_dims(g, -1) * one_hot(labels, x.size(-1), x.dtype());
  }
  static Samples samples() { return {{gradweave::uniform(-2, 2), integers(0, 3, {2})}}; }
};

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
  if (t.dtype() != DType::int64)
    refuse<DTypeError>("cross_entropy", {logits, target},
                       "class indices are int64; probabilities have as many axes as the logits");
  const Tensor chosen = apply<AtLabel>(logits, target);
  return mean(logsumexp(logits, {-1}) - chosen);
}

std::vector<const Operation*> loss_operations() { return {&operation_of<AtLabel>()}; }

}  // namespace gradweave::nn
