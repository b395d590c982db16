// Along one axis, each element from those before it: cumulative sums, products and extrema, and the linear
// recurrence behind discounted sums and filters. Negative axes count from the end; all throw ShapeError for
// an axis that is not there.
#pragma once
#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// What is largest or smallest, and where: `values` and int64 `indices` of one shape.
struct ValuesAndIndices {
  Tensor values, indices;
};

/// y[i] = x[0] + ... + x[i]. float32 is summed as float64 and rounded once an element. Dtypes as `sum`'s.
Tensor cumsum(const Operand& x, Index axis);
/// y[i] = x[0] x[1] ... x[i]; its derivative is right where factors are zero. Dtypes as `sum`'s.
Tensor cumprod(const Operand& x, Index axis);
/// The largest so far, and where: the last among equals, as in PyTorch. A NaN stays.
ValuesAndIndices cummax(const Operand& x, Index axis);
/// The smallest so far, and where.
ValuesAndIndices cummin(const Operand& x, Index axis);
/// log(exp(x[0]) + ... + exp(x[i])), without overflow.
Tensor logcumsumexp(const Operand& x, Index axis);
/// y[i] = a[i] y[i - 1] + b[i] from y[-1] = 0 on, in order of the axis or, with `reverse`, from its end: with
/// a = gamma and b = rewards, discounted returns. a and b broadcast. Differentiable in both.
Tensor linear_scan(const Operand& a, const Operand& b, Index axis, bool reverse = false);

/// Differences of neighbours x[i + 1] - x[i], taken n times. Throws ValueError for a negative n.
Tensor diff(const Operand& x, Index n = 1, Index axis = -1);
/// The same with these, if they are there, before and behind x.
Tensor diff(const Operand& x, Index n, Index axis, const Tensor& prepend, const Tensor& append = {});
/// The integral of samples y at distance dx, by trapezoids.
Tensor trapezoid(const Operand& y, double dx = 1, Index axis = -1);
/// The same at places x, of y's shape or one-dimensional.
Tensor trapezoid(const Operand& y, const Tensor& x, Index axis = -1);
/// The integrals up to each place, from the second on.
Tensor cumulative_trapezoid(const Operand& y, double dx = 1, Index axis = -1);
Tensor cumulative_trapezoid(const Operand& y, const Tensor& x, Index axis = -1);

std::vector<const Operation*> scan_operations();

}  // namespace gradweave
