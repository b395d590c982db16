// Functions made of reductions: norms, deviations, extrema with their places, and reductions that pass over
// NaN. Axes and errors as in reduction.hpp.
#pragma once
#include <limits>
#include <utility>

#include <gradweave/ops/reduction.hpp>
#include <gradweave/ops/scan.hpp>

namespace gradweave {

/// The square root of `var`; its gradient is 0 where all are equal, as in PyTorch.
Tensor std(const Operand& x, const Axes& axes = {}, bool keepdims = false, double correction = 1);
/// Both of `var`, or of `std`, and of `mean`.
std::pair<Tensor, Tensor> var_mean(const Operand& x, const Axes& axes = {}, bool keepdims = false,
                                   double correction = 1);
std::pair<Tensor, Tensor> std_mean(const Operand& x, const Axes& axes = {}, bool keepdims = false,
                                   double correction = 1);
/// Covariances of the variables that are the rows of x (one variable, if it is a vector or has one row: then
/// a scalar), whose columns are observations; each counts `counts` times (whole) and with `weights`, as
/// NumPy's fweights and aweights. `corrcoef`: over the products of their standard deviations.
Tensor cov(const Operand& x, double correction = 1, const Tensor& counts = {}, const Tensor& weights = {});
Tensor corrcoef(const Operand& x);
/// (sum |x|^order)^(1/order); order infinity and -infinity: the largest and the smallest |x|; 0: how many are
/// not 0. The gradient at 0 is 0, as in PyTorch. Throws DTypeError unless floating.
Tensor norm(const Operand& x, double order = 2, const Axes& axes = {}, bool keepdims = false);
/// x with each slice along an axis whose norm is above `limit` scaled down to it.
Tensor renorm(const Operand& x, double order, Index axis, double limit);
/// How many are not zero, as int64.
Tensor count_nonzero(const Operand& x, const Axes& axes = {}, bool keepdims = false);
/// `max` and `min` by their names in PyTorch.
Tensor amax(const Operand& x, const Axes& axes = {}, bool keepdims = false);
Tensor amin(const Operand& x, const Axes& axes = {}, bool keepdims = false);
/// Smallest and largest.
std::pair<Tensor, Tensor> aminmax(const Operand& x, const Axes& axes = {}, bool keepdims = false);
/// The largest along one axis, and where: the first among equals, to which all of the cotangent goes.
ValuesAndIndices max_with_indices(const Operand& x, Index axis, bool keepdims = false);
ValuesAndIndices min_with_indices(const Operand& x, Index axis, bool keepdims = false);
/// As if NaN were not there: 0 in a sum, left out of a mean (NaN where nothing else is).
Tensor nansum(const Operand& x, const Axes& axes = {}, bool keepdims = false);
Tensor nanmean(const Operand& x, const Axes& axes = {}, bool keepdims = false);

}  // namespace gradweave
