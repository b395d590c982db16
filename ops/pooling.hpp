// Pooling: the largest, the mean or the norm of windows that slide over the last one, two or three axes.
// Whatever stands in front (images, channels) is carried along. As PyTorch's functions of the same names;
// throws ShapeError for too few axes or an image smaller than the window, ValueError for a window or stride
// that is not positive and for padding of more than half of the window.
#pragma once
#include <optional>

#include <gradweave/graph/operation.hpp>
#include <gradweave/ops/kernels/window.hpp>
#include <gradweave/ops/scan.hpp>

namespace gradweave {

/// `Extent` is an Index, a Pair or a Triple, as there are axes.
template <class Extent>
struct PoolOptionsOf {
  std::optional<Extent> stride = {};  ///< by default that of the window, so that windows do not overlap
  Extent padding = 0;                 ///< at most half of the window
  Extent dilation = 1;                ///< of max-pooling: from one element of a window to the next
  bool ceil_mode = false;             ///< also a last window that reaches beyond the padding
  /// Of average-pooling: padding counts as zeros; without it, only what is there is averaged.
  bool count_include_pad = true;
  std::optional<double> divisor_override = {};  ///< of average-pooling: divides the sums instead
};
using PoolOptions1d = PoolOptionsOf<Index>;
using PoolOptions = PoolOptionsOf<Pair>;
using PoolOptions3d = PoolOptionsOf<Triple>;

/// The largest element of each window, of size floor((size + 2 padding - dilation (window - 1) - 1) / stride)
/// + 1; the first one among equals gets the cotangent. Padding is never the largest; NaN propagates.
Tensor max_pool1d(const Operand& x, Index window, const PoolOptions1d& options = {});
Tensor max_pool2d(const Operand& x, Pair window, const PoolOptions& options = {});
Tensor max_pool3d(const Operand& x, Triple window, const PoolOptions3d& options = {});
/// The same, and where they are: int64 positions in the row-major image (PyTorch's `return_indices`).
ValuesAndIndices max_pool1d_with_indices(const Operand& x, Index window, const PoolOptions1d& options = {});
ValuesAndIndices max_pool2d_with_indices(const Operand& x, Pair window, const PoolOptions& options = {});
ValuesAndIndices max_pool3d_with_indices(const Operand& x, Triple window, const PoolOptions3d& options = {});

/// The way back: zeros, with x at `indices`, as max-pooling gave them. The size is that which such pooling
/// begins with, (size - 1) stride - 2 padding + window, or the given one. Throws ValueError, when evaluated,
/// for an index outside.
template <class Extent>
struct MaxUnpoolOptions {
  std::optional<Extent> stride = {};
  Extent padding = 0;
  std::optional<Extent> output_size = {};
};
Tensor max_unpool1d(const Operand& x, const Operand& indices, Index window,
                    const MaxUnpoolOptions<Index>& options = {});
Tensor max_unpool2d(const Operand& x, const Operand& indices, Pair window,
                    const MaxUnpoolOptions<Pair>& options = {});
Tensor max_unpool3d(const Operand& x, const Operand& indices, Triple window,
                    const MaxUnpoolOptions<Triple>& options = {});

/// The mean of each window. Throws ValueError for a dilation or a divisor of 0, too.
Tensor avg_pool1d(const Operand& x, Index window, const PoolOptions1d& options = {});
Tensor avg_pool2d(const Operand& x, Pair window, const PoolOptions& options = {});
Tensor avg_pool3d(const Operand& x, Triple window, const PoolOptions3d& options = {});

/// (sum of x^norm over each window)^(1 / norm). The derivative where that sum is 0 is 0. Of the options,
/// stride and ceil_mode count.
Tensor lp_pool1d(const Operand& x, double norm, Index window, const PoolOptions1d& options = {});
Tensor lp_pool2d(const Operand& x, double norm, Pair window, const PoolOptions& options = {});
Tensor lp_pool3d(const Operand& x, double norm, Triple window, const PoolOptions3d& options = {});

/// Pooling to `size` windows that share out each axis: from floor(i n / size) to ceil((i + 1) n / size). Size
/// 1 pools over all (global pooling). Throws ShapeError for an empty axis, ValueError for a size below 1.
Tensor adaptive_avg_pool1d(const Operand& x, Index size);
Tensor adaptive_avg_pool2d(const Operand& x, Pair size);
Tensor adaptive_avg_pool3d(const Operand& x, Triple size);
Tensor adaptive_max_pool1d(const Operand& x, Index size);
Tensor adaptive_max_pool2d(const Operand& x, Pair size);
Tensor adaptive_max_pool3d(const Operand& x, Triple size);
ValuesAndIndices adaptive_max_pool1d_with_indices(const Operand& x, Index size);
ValuesAndIndices adaptive_max_pool2d_with_indices(const Operand& x, Pair size);
ValuesAndIndices adaptive_max_pool3d_with_indices(const Operand& x, Triple size);

std::vector<const Operation*> pooling_operations();

}  // namespace gradweave
