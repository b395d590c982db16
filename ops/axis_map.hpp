// Linear maps along one axis, each of whose places is a weighted sum of a few others: what averages over
// windows and resizes (pooling.hpp, resample.hpp).
#pragma once
#include <span>
#include <vector>

#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// A sparse matrix, built row by row, that maps an axis.
class AxisMap {
 public:
  /// Another row: `weights[k]` at column first + k.
  void add_row(Index first, std::span<const double> weights);
  void add_row(Index first, Index count, double weight);

  /// y[..., i, ...] = sum over j of matrix(i, j) x[..., j, ...], of what the matrix has only: infinities
  /// elsewhere do not matter. A column that x has not stands for the nearest one; whole numbers give the
  /// default dtype. Throws ShapeError for an empty axis.
  Tensor apply(const Operand& x, Index axis) const;

 private:
  Index rows_ = 0;
  std::vector<Index> places_;  // row and column of each element that is not 0
  std::vector<double> weights_;
};

std::vector<const Operation*> axis_map_operations();

}  // namespace gradweave
