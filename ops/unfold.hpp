// Windows that slide along axes, as axes of their own; and the sums that bring them back.
#pragma once
#include <initializer_list>

#include <gradweave/graph/operation.hpp>
#include <gradweave/ops/kernels/window.hpp>

namespace gradweave {

/// PyTorch's `Tensor.unfold`: windows of `size` elements of an axis, `step` apart, with their elements
/// (`dilation` apart) along a new last axis. A view: nothing is copied. Throws ShapeError for a window that
/// is larger than the axis, ValueError for numbers that are not positive.
Tensor unfold(const Operand& x, Index axis, Index size, Index step, Index dilation = 1);
/// Its adjoint: y with axis `axis` of `length` elements, each of which is the sum of the places where windows
/// have it. Throws as `unfold`, and ShapeError unless x has these windows.
Tensor fold_axis(const Operand& x, Index axis, Index length, Index step, Index dilation = 1);
/// NumPy's: all windows of these sizes along these axes (by default the first ones), as new last axes.
Tensor sliding_window_view(const Operand& x, std::initializer_list<Index> sizes,
                           std::initializer_list<Index> axes = {});

struct UnfoldOptions {
  Pair stride = 1, padding = 0, dilation = 1;
};
/// PyTorch's `unfold` of images (..., channels, height, width), also called im2col: a column for each place
/// of a window, (..., channels rows columns, places). Throws as `conv2d`.
Tensor unfold(const Operand& x, Pair window, const UnfoldOptions& options = {});
/// Its adjoint, PyTorch's `fold`: columns to images of `size`, where what overlaps is summed.
Tensor fold(const Operand& x, Pair size, Pair window, const UnfoldOptions& options = {});

std::vector<const Operation*> unfold_operations();

}  // namespace gradweave
