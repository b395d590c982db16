// Rearranging by names that NumPy and PyTorch share: splitting, repeating, turning, triangles and diagonals,
// sequences and grids. Plain functions of the ops; what can be a view is one.
#pragma once
#include <initializer_list>
#include <optional>

#include <gradweave/graph/operation.hpp>
#include <gradweave/ops/index.hpp>
#include <gradweave/ops/reduction.hpp>

namespace gradweave {

/// Pieces of `size` along an axis; the last may be smaller. Throws ValueError unless size > 0.
std::vector<Tensor> split(const Operand& x, Index size, Index axis = 0);
/// Pieces of these sizes. Throws ValueError unless they add up to the axis.
std::vector<Tensor> split(const Operand& x, std::span<const Index> sizes, Index axis = 0);
/// At most `count` pieces of equal size; the last may be smaller.
std::vector<Tensor> chunk(const Operand& x, Index count, Index axis = 0);
/// What lies at each place of an axis, without the axis.
std::vector<Tensor> unbind(const Operand& x, Index axis = 0);

/// In reverse order along these axes.
Tensor flip(const Operand& x, const Axes& axes);
/// Along axis 1, and along axis 0: matrices from right to left, and upside down.
Tensor fliplr(const Operand& x);
Tensor flipud(const Operand& x);
/// By `shift` places along an axis; what leaves at one end comes in at the other.
Tensor roll(const Operand& x, Index shift, Index axis);
/// By one shift for each of these axes. Throws ValueError for another count.
Tensor roll(const Operand& x, Dims shifts, const Axes& axes);
/// Of all elements in row-major order.
Tensor roll(const Operand& x, Index shift);
/// By quarters of a turn in the plane of two axes, from the first to the second.
Tensor rot90(const Operand& x, Index quarters = 1, Index axis0 = 0, Index axis1 = 1);
/// All of x so many times along each axis; counts for the last axes, or for new ones in front.
Tensor tile(const Operand& x, Dims counts);
inline Tensor tile(const Operand& x, std::initializer_list<Index> counts) {
  return tile(x, Dims(counts.begin(), counts.size()));
}
/// PyTorch's name for it; there have to be as many counts as axes.
Tensor repeat(const Operand& x, Dims counts);
inline Tensor repeat(const Operand& x, std::initializer_list<Index> counts) {
  return repeat(x, Dims(counts.begin(), counts.size()));
}
/// Each element `count` times along an axis.
Tensor repeat_interleave(const Operand& x, Index count, Index axis);
/// Each slice as often as `counts` says (whole numbers, which are evaluated): throws ShapeError unless there
/// is one for each, ValueError for a negative one.
Tensor repeat_interleave(const Operand& x, const Tensor& counts, Index axis);
/// `broadcast_to` where -1 stands for a size that stays. Throws ShapeError.
Tensor expand(const Operand& x, Dims sizes);
inline Tensor expand(const Operand& x, std::initializer_list<Index> sizes) {
  return expand(x, Dims(sizes.begin(), sizes.size()));
}
/// An axis moved to another place; or several, in order, the others keeping theirs.
Tensor movedim(const Operand& x, Index from, Index to);
Tensor movedim(const Operand& x, Dims from, Dims to);
/// Axes `first` to `last` joined into one.
Tensor flatten(const Operand& x, Index first = 0, Index last = -1);
/// One axis taken apart into several; one size may be -1.
Tensor unflatten(const Operand& x, Index axis, Dims parts);
inline Tensor unflatten(const Operand& x, Index axis, std::initializer_list<Index> parts) {
  return unflatten(x, axis, Dims(parts.begin(), parts.size()));
}

/// Zeros above, or below, diagonal number `diagonal` of the last two axes.
Tensor tril(const Operand& x, Index diagonal = 0);
Tensor triu(const Operand& x, Index diagonal = 0);
/// The elements x[..., i, i + offset] of two axes, as a new last axis.
Tensor diagonal(const Operand& x, Index offset = 0, Index axis0 = 0, Index axis1 = 1);
/// Zeros but for diagonal `offset` of two new axes, which the last axis of x makes.
Tensor diag_embed(const Operand& x, Index offset = 0, Index axis0 = -2, Index axis1 = -1);
/// The diagonal of a matrix, or the matrix with this diagonal.
Tensor diag(const Operand& x, Index offset = 0);
/// The sum of the diagonal of a matrix.
Tensor trace(const Operand& x);
Tensor eye(Index rows, DType dtype = default_dtype());
Tensor eye(Index rows, Index columns, DType dtype = default_dtype());

/// start, start + step, ... before stop, in either direction, each rounded once. Throws ValueError for step
/// 0.
Tensor arange(double start, double stop, double step = 1, DType dtype = default_dtype());
/// The same of whole numbers.
Tensor arange(Index start, Index stop, Index step, DType dtype);
template <std::integral T>
Tensor arange(T start, T stop, T step = 1, DType dtype = DType::int64) {
  return arange(static_cast<Index>(start), static_cast<Index>(stop), static_cast<Index>(step), dtype);
}
/// Numbers, or one number everywhere, of the shape of a tensor and, by default, its dtype.
Tensor full_like(const Tensor& x, double value, std::optional<DType> dtype = {});
inline Tensor zeros_like(const Tensor& x, std::optional<DType> dtype = {}) { return full_like(x, 0, dtype); }
inline Tensor ones_like(const Tensor& x, std::optional<DType> dtype = {}) { return full_like(x, 1, dtype); }
/// `count` numbers from start to stop, both included.
Tensor linspace(double start, double stop, Index count, DType dtype = default_dtype());
/// `base` to the power of each of them.
Tensor logspace(double start, double stop, Index count, double base = 10, DType dtype = default_dtype());
/// `ij`: the first axis goes down the rows; `xy`: along them.
enum class GridIndexing { ij, xy };
/// The coordinates of a grid, one tensor for each axis.
std::vector<Tensor> meshgrid(std::span<const Tensor> axes, GridIndexing indexing = GridIndexing::ij);

}  // namespace gradweave
