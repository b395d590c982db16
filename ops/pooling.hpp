// Pooling over windows of images of shape (..., height, width).
#pragma once
#include <optional>

#include <gradweave/graph/operation.hpp>
#include <gradweave/ops/kernels/window.hpp>

namespace gradweave {

struct PoolOptions {
  std::optional<Pair> stride = {};  ///< by default that of the window, so that windows do not overlap
  Pair padding = 0;                 ///< at most half of the window
};

/// The largest element of each window, of PyTorch's size floor((size + 2 padding - window) / stride) + 1; the
/// first one among equals gets the cotangent. Padding is never the largest; NaN propagates. Throws ShapeError
/// for less than two axes or an image smaller than the window, ValueError for a window or stride that is not
/// positive and for padding of more than half of the window.
Tensor max_pool2d(const Operand& x, Pair window, const PoolOptions& options = {});
/// The mean of each window, in which padding counts as zeros (PyTorch's `count_include_pad`). Throws as
/// `max_pool2d`.
Tensor avg_pool2d(const Operand& x, Pair window, const PoolOptions& options = {});

std::vector<const Operation*> pooling_operations();

}  // namespace gradweave
