// Reading and writing along an axis where index tensors say: gather and scatter, with PyTorch's meaning.
// Indices are whole numbers; negative ones count from the end. Throws ShapeError for shapes that do not fit,
// and ValueError, when evaluated, for an index outside.
#pragma once
#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// NumPy's: y[..., i, ...] = x[..., indices[..., i, ...], ...] along `axis`; the other axes of x and
/// `indices` broadcast.
Tensor take_along_axis(const Operand& x, const Operand& indices, Index axis);
/// PyTorch's: the same where `index` is no larger than x along any other axis; the rest of x is not read.
Tensor gather(const Operand& x, Index axis, const Operand& index);
/// Slices of x along an axis in the order of a one-dimensional index.
Tensor index_select(const Operand& x, Index axis, const Operand& index);

/// x with src[..., i, ...] in place of x[..., index[..., i, ...], ...]. Of several that go to one place the
/// last stays; their cotangents are then those of the place, as in PyTorch. `index` and `src` have one shape,
/// no larger than x's along other axes; src may be a number.
Tensor scatter(const Operand& x, Index axis, const Operand& index, const Operand& src);
/// x with src added there; what goes to one place is summed in the order of the axis.
Tensor scatter_add(const Operand& x, Index axis, const Operand& index, const Operand& src);
/// x[..., index[i], ...] += alpha src[..., i, ...], for a one-dimensional index.
Tensor index_add(const Operand& x, Index axis, const Operand& index, const Operand& src, double alpha = 1);
/// x[..., index[i], ...] = src[..., i, ...].
Tensor index_copy(const Operand& x, Index axis, const Operand& index, const Operand& src);
/// x[..., index[i], ...] = value, a number or a tensor of one element.
Tensor index_fill(const Operand& x, Index axis, const Operand& index, const Operand& value);

/// x with `value` (a number, or a tensor of one element) where the mask is true; they broadcast.
Tensor masked_fill(const Operand& x, const Operand& mask, const Operand& value);
/// How often each of 0, 1, ... occurs among whole numbers that are not negative: int64 of size
/// max(minlength, size), where `size` is one more than the largest; evaluates x to know that.
Tensor bincount(const Tensor& x, Index minlength = 0);
/// The sums of the weights of these, in their dtype.
Tensor bincount(const Tensor& x, const Operand& weights, Index minlength);

/// Whole numbers as positions along an axis of this size, counted from the front; throws ValueError, when
/// evaluated, for one outside [-size, size). For those who write ops: what is read by it need not be looked
/// at again.
Tensor checked_index(const Operand& indices, Index size);

std::vector<const Operation*> scatter_operations();

}  // namespace gradweave
