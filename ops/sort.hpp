// Sorting and what it is for: order, the k largest, medians and quantiles. NaN counts as larger than every
// number, as in PyTorch and NumPy. Sorting is stable. Values are differentiable: each goes back to where it
// was.
#pragma once
#include <gradweave/ops/reduction.hpp>
#include <gradweave/ops/scan.hpp>

namespace gradweave {

/// Where the elements along `axis` are in ascending (or descending) order: int64, of x's shape.
Tensor argsort(const Operand& x, Index axis = -1, bool descending = false);
ValuesAndIndices sort(const Operand& x, Index axis = -1, bool descending = false);
/// The k largest (or smallest), in order. Throws ValueError unless 0 <= k <= size.
ValuesAndIndices topk(const Operand& x, Index k, Index axis = -1, bool largest = true);
/// The k-th smallest, counted from 1. Throws ValueError unless 1 <= k <= size.
ValuesAndIndices kthvalue(const Operand& x, Index k, Index axis = -1, bool keepdims = false);

/// The lower of the two middle values of all elements, as PyTorch's; NaN if there is one. Throws ShapeError
/// for none.
Tensor median(const Operand& x);
/// The same along one axis, and where.
ValuesAndIndices median(const Operand& x, Index axis, bool keepdims = false);

/// As if NaN were not there; NaN of nothing else.
Tensor nanmedian(const Operand& x);
ValuesAndIndices nanmedian(const Operand& x, Index axis, bool keepdims = false);
/// What occurs most often along an axis, the smallest among equals, and where it does last.
ValuesAndIndices mode(const Operand& x, Index axis = -1, bool keepdims = false);

/// Between which two values a quantile lies, and where between them.
enum class Interpolation { linear, lower, higher, midpoint, nearest };
/// The q-quantiles, q in [0, 1], of all elements or along an axis: the quantiles stand in front, one axis for
/// q's (none for a number). NaN where there is one. Throws ValueError for a q outside, DTypeError unless
/// floating.
Tensor quantile(const Operand& x, double q, Interpolation interpolation = Interpolation::linear);
Tensor quantile(const Operand& x, double q, Index axis, bool keepdims = false,
                Interpolation interpolation = Interpolation::linear);
Tensor quantile(const Operand& x, const std::vector<double>& q, Index axis, bool keepdims = false,
                Interpolation interpolation = Interpolation::linear);

/// How many of the ascending `sorted` (one-dimensional, or one row for each row of values) are below each
/// value, or, with `right`, not above it: where it would have to be inserted, in this dtype. With a `sorter`,
/// `sorted` is not; they are the indices that sort it.
Tensor searchsorted(const Operand& sorted, const Operand& values, bool right = false,
                    DType dtype = DType::int64, const Tensor& sorter = {});
/// The same with the arguments in PyTorch's order.
Tensor bucketize(const Operand& values, const Operand& boundaries, bool right = false,
                 DType dtype = DType::int64);

/// Whether each element of x is among those of `among`: a bool of x's shape.
Tensor isin(const Operand& x, const Operand& among);

std::vector<const Operation*> sort_operations();

}  // namespace gradweave
