// Matrices of a batch, as they lie in memory.
#pragma once
#include <algorithm>
#include <array>

#include <gradweave/graph/kernels/array.hpp>
#include <gradweave/graph/kernels/fused_loop.hpp>
#include <gradweave/graph/memory/storage.hpp>
#include <gradweave/ops/kernels/gemm.hpp>

namespace gradweave {

/// One matrix of a batch.
template <class T>
struct MatrixAt {
  Strided<T> at;
  Index rows, cols;

  bool readable() const { return at.col == 1 || at.row == 1; }
  MatrixAt transposed() const { return {{at.data, at.col, at.row}, cols, rows}; }
};

/// Where each matrix of a batch lies, repeating along axes of size 1. Rows or columns are contiguous, as
/// `gemm` wants them: what lies in another way is copied, unless the caller reads `any_strides`.
template <class T>
class Batch {
 public:
  Batch(const ArrayView& x, Dims batch, bool transposed, bool any_strides = false) : batch_(batch) {
    const Shape packed = row_major(x.shape);
    Dims strides = x.row_major() ? Dims(packed) : x.strides;
    const std::size_t r = x.shape.size();
    first_ = {{x.as<const T>(), strides[r - 2], strides[r - 1]}, x.shape[r - 2], x.shape[r - 1]};
    // The stride along an axis of size 1 is anything.
    if (first_.rows == 1) first_.at.row = std::max<Index>(first_.cols, 1);
    if (first_.cols == 1 && first_.at.row != 1) first_.at.col = 1;
    if (!first_.readable() && !any_strides) {  // such as a broadcast: laid out plainly
      copy_.resize(static_cast<std::size_t>(x.size()));
      gather({x.data, x.dtype, x.shape, strides}, 0, x.size(), copy_.data());
      first_.at = {copy_.data(), first_.cols, 1};
      strides = packed;
    }
    if (transposed) first_ = first_.transposed();
    const std::size_t lead = batch.size() - (r - 2);
    for (std::size_t axis = 0; axis + 2 < r; ++axis) {
      strides_[lead + axis] = x.shape[axis] == 1 ? 0 : strides[axis];
    }
  }
  MatrixAt<T> operator[](Index number) const {
    MatrixAt<T> matrix = first_;
    for (std::size_t axis = batch_.size(); axis-- > 0;) {
      matrix.at.data += number % batch_[axis] * strides_[axis];
      number /= batch_[axis];
    }
    return matrix;
  }

 private:
  Dims batch_;
  MatrixAt<T> first_{};
  std::array<Index, max_rank> strides_{};
  RecycledVector<T> copy_;
};

}  // namespace gradweave
