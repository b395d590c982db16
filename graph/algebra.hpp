// The algebra that the chain rule itself needs: fill, cast, add what meets at a node, and undo a broadcast.
// Every other op lives in ops/ and is unknown here.
#pragma once
#include <source_location>
#include <span>

#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// A tensor whose every element is `value`; it takes the memory of one.
Tensor full(const Shape& shape, double value, DType dtype = default_dtype());
inline Tensor zeros(const Shape& shape, DType dtype = default_dtype()) { return full(shape, 0, dtype); }
inline Tensor ones(const Shape& shape, DType dtype = default_dtype()) { return full(shape, 1, dtype); }

/// The same values as another dtype, as in PyTorch. Floating to whole truncates, NaN gives 0, and int32 and
/// int64 saturate; whole numbers that are too wide for a dtype wrap, and so do floating ones for narrower
/// dtypes than int32; halves are rounded to nearest even and overflow to infinity. To bool: != 0. It fuses
/// with what is around it.
Tensor cast(const Operand& x, DType dtype);
/// Elementwise sum of two, or of any number of tensors, which broadcast.
Tensor add(const Operand& a, const Operand& b);
Tensor add(std::span<const Tensor> terms);

/// The op of `add`.
const Operation& add_operation();
/// The op of `cast`, and its attributes, which live as long as the program. A cast to the same dtype is a
/// copy in row-major order.
const Operation& cast_operation();
const void* cast_to(DType dtype);
/// The op that makes of the bits of uint64 an int64 in the same order, and back.
const Operation& flip_sign_operation();

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
/// The same in a rewrite (rewrite.hpp).
Term reshape(const Term& x, const Shape& shape);

/// Every operation defined here, for tests and files that go through all of them.
std::vector<const Operation*> algebra_operations();

}  // namespace gradweave
