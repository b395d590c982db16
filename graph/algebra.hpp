// The algebra that the chain rule itself needs: fill, cast, add what meets at a node, and undo a broadcast.
// Every other op lives in ops/ and is unknown here.
#pragma once
#include <source_location>
#include <span>

#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// A tensor whose every element is `value`; it takes the memory of one.
Tensor full(const Shape& shape, double value, DType dtype = DType::float32);
inline Tensor zeros(const Shape& shape, DType dtype = DType::float32) { return full(shape, 0, dtype); }
inline Tensor ones(const Shape& shape, DType dtype = DType::float32) { return full(shape, 1, dtype); }

/// The same values as another type, converted as in C++ (floating to int64 truncates and saturates, NaN gives
/// 0; to bool: != 0).
Tensor cast(const Operand& x, DType dtype);
/// Elementwise sum of two, or of any number of tensors, which broadcast.
Tensor add(const Operand& a, const Operand& b);
Tensor add(std::span<const Tensor> terms);

/// The elementwise op that gives its input as it is: a copy in row-major order.
const Operation& copy_operation();

/// The sum over some axes, which are left out or kept with size 1.
Tensor sum_axes(const Operand& x, AxisSet axes, bool keepdims = false);
/// `x` repeated to `shape`, as NumPy's `broadcast_to`: a view. Throws ShapeError.
Tensor broadcast_to(const Operand& x, const Shape& shape);
/// The sum over everything that broadcasting from `shape` to x's shape repeats: the vjp of `broadcast_to`.
Tensor sum_to(const Operand& x, const Shape& shape);
/// The same elements in row-major order as another shape of equal size. One size may be -1: it is worked out.
/// A view wherever the layout allows. Throws ShapeError.
Tensor reshape(const Operand& x, std::initializer_list<Index> sizes);
Tensor reshape(const Operand& x, Dims sizes);

/// Every operation defined here, for tests and files that go through all of them.
std::vector<const Operation*> algebra_operations();

}  // namespace gradweave
