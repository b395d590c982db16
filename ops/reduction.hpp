// Reductions over any axes, and the functions made of them. An empty list of axes means all of them; negative
// axes count from the end; with `keepdims` the reduced axes stay with size 1. Throws ShapeError for an axis
// that is not there or is named twice.
#pragma once
#include <array>
#include <concepts>
#include <initializer_list>
#include <span>
#include <vector>

#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// Axes of one tensor, at most `max_rank`; none stand for all of them.
class Axes {
 public:
  Axes() = default;
  template <std::integral T>
    requires(!std::same_as<T, bool>)
  Axes(T axis) : Axes({static_cast<Index>(axis)}) {}
  Axes(std::initializer_list<Index> axes) : Axes(std::span(axes.begin(), axes.size())) {}
  /// Known at run time only. Throws ShapeError for too many.
  Axes(std::span<const Index> axes);
  Axes(const std::vector<Index>& axes) : Axes(std::span<const Index>(axes)) {}

  const Index* begin() const { return axes_.data(); }
  const Index* end() const { return axes_.data() + count_; }
  std::size_t size() const { return count_; }

 private:
  std::array<Index, max_rank> axes_{};
  std::size_t count_ = 0;
};

/// Summed pairwise, so that the error grows with the logarithm of the count. Bools and signed whole numbers
/// give int64, unsigned ones uint64, as in NumPy; halves are summed as float32 and rounded once. The sum of
/// nothing is 0.
Tensor sum(const Operand& x, const Axes& axes = {}, bool keepdims = false);
/// Whole numbers and bools give the default dtype. The mean of nothing is NaN.
Tensor mean(const Operand& x, const Axes& axes = {}, bool keepdims = false);
/// The largest; among equals the cotangent is shared evenly. Throws ShapeError over no elements. NaN
/// propagates.
Tensor max(const Operand& x, const Axes& axes = {}, bool keepdims = false);
/// Their product, summed up in pairs as `sum` does; the derivative is right where factors are zero. Dtypes as
/// `sum`'s; the product of nothing is 1.
Tensor prod(const Operand& x, const Axes& axes = {}, bool keepdims = false);
/// The smallest; among equals the cotangent is shared evenly. Throws ShapeError over no elements. NaN
/// propagates.
Tensor min(const Operand& x, const Axes& axes = {}, bool keepdims = false);
/// The mean squared distance from the mean, divided by count - correction (1: the estimate from a sample,
/// PyTorch's default; 0: of the population, NumPy's); NaN or infinity when that is not positive.
Tensor var(const Operand& x, const Axes& axes = {}, bool keepdims = false, double correction = 1);
/// Whether one of them is not zero, as a bool: false of none.
Tensor any(const Operand& x, const Axes& axes = {}, bool keepdims = false);
/// Whether none of them is zero, as a bool: true of none.
Tensor all(const Operand& x, const Axes& axes = {}, bool keepdims = false);
/// log(sum(exp(x))), without overflow.
Tensor logsumexp(const Operand& x, const Axes& axes = {}, bool keepdims = false);
/// log(sum(exp(x - center))) along the last axis, which stays with size 1, as center (..., 1) has it: exact
/// also where logsumexp(x) and center are large and near each other.
Tensor logsumexp_about(const Operand& x, const Operand& center);
/// The int64 index of the largest along one axis, the first among equals. Throws ShapeError over no elements.
Tensor argmax(const Operand& x, Index axis = -1, bool keepdims = false);
/// The same of the smallest.
Tensor argmin(const Operand& x, Index axis = -1, bool keepdims = false);

std::vector<const Operation*> reduction_operations();

}  // namespace gradweave
