#include <gradweave/ops/statistics.hpp>

#include <cmath>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/matmul.hpp>
#include <gradweave/ops/rearrange.hpp>
#include <gradweave/ops/scatter.hpp>
#include <gradweave/ops/shape.hpp>

namespace gradweave {
namespace {

// A root whose derivative at 0 is taken to be 0.
Tensor safe_power(const Tensor& x, double exponent) {
  const Tensor is_zero = x == 0;
  return where(is_zero, 0, pow(where(is_zero, 1, x), exponent));
}

ValuesAndIndices values_at(const Operand& x, const Tensor& indices, Index axis, bool keepdims) {
  const Tensor values = take_along_axis(x, indices, axis);
  return keepdims ? ValuesAndIndices{values, indices}
                  : ValuesAndIndices{squeeze(values, axis), squeeze(indices, axis)};
}

}  // namespace

Tensor std(const Operand& x, const Axes& axes, bool keepdims, double correction) {
  return safe_power(var(x, axes, keepdims, correction), 0.5);
}

std::pair<Tensor, Tensor> var_mean(const Operand& x, const Axes& axes, bool keepdims, double correction) {
  return {var(x, axes, keepdims, correction), mean(x, axes, keepdims)};
}
std::pair<Tensor, Tensor> std_mean(const Operand& x, const Axes& axes, bool keepdims, double correction) {
  return {std(x, axes, keepdims, correction), mean(x, axes, keepdims)};
}
Tensor cov(const Operand& x, double correction, const Tensor& counts, const Tensor& weights) {
  if (tensor_of(x, "cov").rank() > 2) refuse<ShapeError>("cov", {x}, "expected at most two axes");
  const bool is_vector = x.tensor()->rank() < 2 || x.tensor()->size(0) == 1;
  const Tensor rows = is_vector ? reshape(x, {1, x.tensor()->numel()}) : *x.tensor();
  const DType dtype = is_floating(rows.dtype()) ? rows.dtype() : default_dtype();
  Tensor weight = ones({rows.size(1)}, dtype);  // of each observation
  if (!counts.is_empty()) weight = weight * cast(counts, dtype);
  const Tensor seen = weight;
  if (!weights.is_empty()) weight = weight * weights;
  const Tensor total = sum(weight);
  const Tensor centered = rows - sum(rows * weight, {1}, true) / total;
  const Tensor spent =
      weights.is_empty() ? full({}, correction, dtype) : correction * sum(weight * weights) / total;
  const Tensor divisor = relu(total - spent);  // as PyTorch's: infinite where too little is left
  const Tensor result = matmul(centered * weight, transpose(centered)) / divisor;
  return is_vector ? reshape(Operand(result, x.where()), Dims{}) : result;
}
Tensor corrcoef(const Operand& x) {
  const Tensor covariances = cov(x);
  if (covariances.rank() == 0) return covariances / covariances;
  const Tensor deviations = sqrt(diagonal(covariances));
  return clamp(covariances / expand_dims(deviations, 1) / deviations, -1, 1);
}

Tensor norm(const Operand& x, double order, const Axes& axes, bool keepdims) {
  if (!is_floating(tensor_of(x, "norm").dtype()))
    refuse<DTypeError>("norm", {x}, "expected a floating dtype");
  if (order == 2) return safe_power(sum(square(x), axes, keepdims), 0.5);
  if (order == 0) return cast(count_nonzero(x, axes, keepdims), x.tensor()->dtype());
  const Tensor sizes = abs(x);
  const Operand operand(sizes, x.where());
  if (order == 1) return sum(operand, axes, keepdims);
  if (std::isinf(order)) return order > 0 ? max(operand, axes, keepdims) : min(operand, axes, keepdims);
  const Tensor powers = order > 0 ? safe_power(sizes, order) : pow(sizes, order);
  return safe_power(sum(Operand(powers, x.where()), axes, keepdims), 1 / order);
}

Tensor renorm(const Operand& x, double order, Index axis, double limit) {
  const std::size_t kept = axis_of(x, axis, "renorm");
  std::vector<Index> others;
  for (std::size_t k = 0; k < x.tensor()->rank(); ++k) {
    if (k != kept) others.push_back(static_cast<Index>(k));
  }
  const Tensor sizes = others.empty() ? abs(x) : norm(x, order, others, true);
  return x * Operand(where(sizes > limit, limit / (sizes + 1e-7), 1), x.where());
}

Tensor count_nonzero(const Operand& x, const Axes& axes, bool keepdims) {
  const Tensor counted = cast(not_equal(x, Operand(0, x.where())), DType::int64);
  return sum(Operand(counted, x.where()), axes, keepdims);
}

Tensor amax(const Operand& x, const Axes& axes, bool keepdims) { return max(x, axes, keepdims); }
Tensor amin(const Operand& x, const Axes& axes, bool keepdims) { return min(x, axes, keepdims); }
std::pair<Tensor, Tensor> aminmax(const Operand& x, const Axes& axes, bool keepdims) {
  return {min(x, axes, keepdims), max(x, axes, keepdims)};
}
ValuesAndIndices max_with_indices(const Operand& x, Index axis, bool keepdims) {
  return values_at(x, argmax(x, axis, true), axis, keepdims);
}
ValuesAndIndices min_with_indices(const Operand& x, Index axis, bool keepdims) {
  return values_at(x, argmin(x, axis, true), axis, keepdims);
}

Tensor nansum(const Operand& x, const Axes& axes, bool keepdims) {
  const Tensor& from = tensor_of(x, "nansum");
  if (!is_floating(from.dtype())) return sum(x, axes, keepdims);
  return sum(Operand(where(equal(x, x), x, 0), x.where()), axes, keepdims);
}
Tensor nanmean(const Operand& x, const Axes& axes, bool keepdims) {
  const Tensor& from = tensor_of(x, "nanmean");
  if (!is_floating(from.dtype())) return mean(x, axes, keepdims);
  const Tensor count = sum(Operand(cast(equal(x, x), from.dtype()), x.where()), axes, keepdims);
  return nansum(x, axes, keepdims) / count;
}

}  // namespace gradweave
