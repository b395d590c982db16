// Joining and taking apart by names that NumPy and PyTorch share: stacks, blocks, grids of choices, and x
// with a part of it replaced. Plain functions of the ops.
#pragma once
#include <span>
#include <vector>

#include <gradweave/graph/operation.hpp>
#include <gradweave/ops/shape.hpp>

namespace gradweave {

/// x with at least so many axes: new ones in front; of three, one of them behind, as (1, n, 1) and (m, n, 1).
Tensor atleast_1d(const Operand& x);
Tensor atleast_2d(const Operand& x);
Tensor atleast_3d(const Operand& x);

/// Side by side (along axis 1, of vectors axis 0), one below the other (axis 0, vectors as rows), one behind
/// the other (axis 2), and vectors as columns of a matrix.
Tensor hstack(std::span<const Tensor> parts, std::source_location where = std::source_location::current());
Tensor vstack(std::span<const Tensor> parts, std::source_location where = std::source_location::current());
Tensor dstack(std::span<const Tensor> parts, std::source_location where = std::source_location::current());
Tensor column_stack(std::span<const Tensor> parts,
                    std::source_location where = std::source_location::current());
/// A matrix with these (at most two axes; vectors are rows) along its diagonal, and zeros elsewhere.
Tensor block_diag(std::span<const Tensor> blocks,
                  std::source_location where = std::source_location::current());

/// So many pieces, the first ones larger by one where the size is no multiple; or pieces that end before
/// these positions, and what is left.
std::vector<Tensor> tensor_split(const Operand& x, Index count, Index axis = 0);
std::vector<Tensor> tensor_split(const Operand& x, Dims positions, Index axis = 0);
/// The same along axis 1 (of vectors 0), 0 and 2. Throws ValueError where `count` does not divide the size.
std::vector<Tensor> hsplit(const Operand& x, Index count);
std::vector<Tensor> hsplit(const Operand& x, Dims positions);
std::vector<Tensor> vsplit(const Operand& x, Index count);
std::vector<Tensor> vsplit(const Operand& x, Dims positions);
std::vector<Tensor> dsplit(const Operand& x, Index count);
std::vector<Tensor> dsplit(const Operand& x, Dims positions);
/// Elements start to start + length - 1 along an axis. Throws ValueError where x has not as many.
Tensor narrow(const Operand& x, Index axis, Index start, Index length);

/// x with `src` in place of what `select`, `slice` and `diagonal` would give; it has the shape of that.
Tensor select_scatter(const Operand& x, const Operand& src, Index axis, Index index);
Tensor slice_scatter(const Operand& x, const Operand& src, Index axis, Index start, Index stop,
                     Index step = 1);
Tensor diagonal_scatter(const Operand& x, const Operand& src, Index offset = 0, Index axis0 = 0,
                        Index axis1 = 1);

/// The matrix with all elements of x on diagonal `offset`.
Tensor diagflat(const Operand& x, Index offset = 0);
/// Rows and columns, int64 (2, count), of what `tril` and `triu` leave of a matrix.
Tensor tril_indices(Index rows, Index columns, Index offset = 0);
Tensor triu_indices(Index rows, Index columns, Index offset = 0);
/// Positions in an array of this shape, of its elements' numbers in row-major order: one tensor for each
/// axis.
std::vector<Tensor> unravel_index(const Operand& indices, const Shape& shape);
/// 1, x, x^2, ... to x^(columns - 1) for each element, along a new last axis.
Tensor vander(const Operand& x, Index columns);
/// All choices of one element of each vector, as rows: the last changes first. Of one vector, itself.
Tensor cartesian_prod(std::span<const Tensor> vectors,
                      std::source_location where = std::source_location::current());
/// All choices of `count` elements of a vector, as rows in order of place, also of the same ones
/// `with_replacement`.
Tensor combinations(const Operand& x, Index count = 2, bool with_replacement = false);

}  // namespace gradweave
