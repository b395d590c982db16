// Rearranging: views that move no data (transpose, permute, slice, expand_dims, squeeze), and concat.
// `reshape` and `broadcast_to` come from graph/algebra.hpp.
#pragma once
#include <initializer_list>

#include <gradweave/graph/algebra.hpp>

namespace gradweave {

/// Swaps two axes, by default the last two.
Tensor transpose(const Operand& x, Index axis0 = -2, Index axis1 = -1);
/// In a rewrite (rewrite.hpp): what `x` is the transpose of, when it swaps the last two axes and nothing
/// else; empty otherwise.
Term untransposed(const Term& x);
/// Axis i of the result is axis `axes[i]` of x. Throws ShapeError unless `axes` is a permutation.
Tensor permute(const Operand& x, std::span<const Index> axes);
inline Tensor permute(const Operand& x, std::initializer_list<Index> axes) {
  return permute(x, std::span(axes.begin(), axes.size()));
}
/// Elements start, start + step, ... before stop along one axis; negative positions count from the end and
/// positions outside are limited to the axis, as in Python. The step must be positive (ValueError).
Tensor slice(const Operand& x, Index axis, Index start, Index stop, Index step = 1);
/// Element `index` along `axis`, which is dropped. Negative counts from the end. Throws ValueError outside.
Tensor select(const Operand& x, Index axis, Index index);
/// A new axis of size 1 before `axis`.
Tensor expand_dims(const Operand& x, Index axis);
/// Drops one axis of size 1. Throws ShapeError when its size is another.
Tensor squeeze(const Operand& x, Index axis);
/// Drops all axes of size 1.
Tensor squeeze(const Operand& x);
/// Joins tensors along an axis; their other sizes must agree. Beside parts of other ranks, those of shape
/// (0,) are passed over, as PyTorch's `cat` does.
Tensor concat(std::span<const Tensor> parts, Index axis = 0,
              std::source_location where = std::source_location::current());
Term concat(std::span<const Term> parts, Index axis);  ///< in a rewrite
Tensor concat(std::initializer_list<Tensor> parts, Index axis = 0,
              std::source_location where = std::source_location::current());
/// Joins tensors of one shape along a new axis.
Tensor stack(std::span<const Tensor> parts, Index axis = 0,
             std::source_location where = std::source_location::current());
Tensor stack(std::initializer_list<Tensor> parts, Index axis = 0,
             std::source_location where = std::source_location::current());

std::vector<const Operation*> shape_operations();

}  // namespace gradweave
