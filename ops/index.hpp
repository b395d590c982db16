// Looking up by index.
#pragma once
#include <optional>

#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// Slices of x along `axis` in the order of `indices` (whole, any shape): the axis is replaced by the shape
/// of the indices. What is taken several times gets the sum of the cotangents. Throws ValueError, when
/// evaluated, for an index outside [0, size).
Tensor take(const Operand& x, const Operand& indices, Index axis = 0);
/// The vjp of `take` for one x: zeros with `size` places along the axis, counted from the last, plus g at
/// those that it was taken from. Throws as `take`.
Tensor take_vjp(const Tensor& g, const Tensor& indices, Index axis, Index size);

// An embedding's gradient is zero but for few rows. An update that leaves alone what has gradient 0 is one of
// these rows, in place, and costs what they cost; the others are not read.

/// A gradient that `take` along the first axis made: checked indices, and for each of them the sum of all
/// that came to its row. Empty for any other tensor.
struct GradientRows {
  Tensor rows, indices;
};
std::optional<GradientRows> gradient_rows(const Tensor& g);
/// Rows of x, and x with these rows in place of its own, by indices that `gradient_rows` gave: they are not
/// looked at again, and rows of one index are equal. No gradient flows through `put_rows`.
Tensor take_rows(const Tensor& x, const Tensor& indices);
Tensor put_rows(const Tensor& x, const Tensor& rows, const Tensor& indices);
/// As a rewrite (rewrite.hpp) of an elementwise op whose inputs are a value, its gradient, and others: of the
/// rows that have one, where that is all. The op gives the value itself for gradient 0.
Term updated_rows(const Term& y);

/// A new last axis of `classes` (-1: one more than the largest label, which is evaluated) with 1 at the label
/// and 0 elsewhere. Throws ValueError, when evaluated, for a label outside [0, classes).
Tensor one_hot(const Operand& labels, Index classes, DType dtype = default_dtype());
/// The element at the label of each row: y[...] = x[..., label[...]], for labels (whole) of x's shape without
/// its last axis. Throws ValueError, when evaluated, for a label outside [0, classes).
Tensor at_label(const Operand& x, const Operand& labels);
/// 0, 1, ..., count - 1 as int64 (or another dtype).
Tensor arange(Index count, DType dtype = DType::int64);

std::vector<const Operation*> index_operations();

}  // namespace gradweave
