#include <gradweave/nn/losses.hpp>

#include <fmt/format.h>

#include <gradweave/graph/define.hpp>
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

void require_same_shape(const char* loss, const char* what, const Tensor& a, const Tensor& target) {
  if (a.shape() == target.shape()) return;
  throw ShapeError(fmt::format("{}: the {} have shape {}, the target {}; they must be equal{}", loss, what,
                               to_string(a.shape()), to_string(target.shape()),
                               a.numel() == target.numel() ? ": reshape one of them" : ""));
}

}  // namespace

Tensor mse_loss(const Tensor& prediction, const Tensor& target) {
  require_same_shape("mse_loss", "predictions", prediction, target);
  return mean(square(prediction - cast(target, prediction.dtype())));
}

Tensor binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& target) {
  require_same_shape("binary_cross_entropy_with_logits", "logits", logits, target);
  return mean(softplus(logits) - logits * cast(target, logits.dtype()));
}

Tensor cross_entropy(const Tensor& logits, const Tensor& target) {
  if (logits.rank() == 0) throw ShapeError("cross_entropy: the logits are a scalar; expected (n, classes)");
  if (target.rank() == logits.rank()) {
    require_same_shape("cross_entropy", "logits", logits, target);
    return mean(-sum(cast(target, logits.dtype()) * log_softmax(logits), {-1}));
  }
  if (target.dtype() != DType::int64) {
    throw DTypeError(
        fmt::format("cross_entropy: a target of shape {} holds class indices, which are int64, not {}",
                    to_string(target.shape()), name_of(target.dtype())));
  }
  const Tensor chosen = apply<AtLabel>(Operand(logits), Operand(target));
  return mean(logsumexp(logits, {-1}) - chosen);
}

std::vector<const Operation*> loss_operations() { return {&operation_of<AtLabel>()}; }

}  // namespace gradweave::nn
