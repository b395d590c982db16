// Products over named axes, and those that have names of their own.
#pragma once
#include <initializer_list>
#include <string_view>

#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// Einstein's sum: `einsum("bij,bjk->bik", {a, b})`. A letter names an axis; what the result does not name is
/// summed; a letter twice in one operand takes the diagonal; "..." stands for any axes, which broadcast.
/// Without
/// "->" the result has the letters that occur once, in alphabetical order. Axes of size 1 broadcast. Operands
/// are joined from left to right, each time as one matmul. Throws ValueError for a text that is none,
/// ShapeError for operands that do not fit it.
Tensor einsum(std::string_view equation, std::span<const Tensor> operands,
              std::source_location where = std::source_location::current());
Tensor einsum(std::string_view equation, std::initializer_list<Tensor> operands,
              std::source_location where = std::source_location::current());

/// The sum over the last `count` axes of a and the first of b,
Tensor tensordot(const Operand& a, const Operand& b, Index count = 2);
/// or over these axes of each, in order.
Tensor tensordot(const Operand& a, const Operand& b, std::span<const Index> axes_a,
                 std::span<const Index> axes_b);
/// a[i] b[j] of two vectors.
Tensor outer(const Operand& a, const Operand& b);
/// The sum of a[i] b[i] of two vectors,
Tensor dot(const Operand& a, const Operand& b);
/// and of all vectors along an axis; the others broadcast.
Tensor vecdot(const Operand& a, const Operand& b, Index axis = -1);
/// Kronecker's product: each element of a times all of b.
Tensor kron(const Operand& a, const Operand& b);
/// The vector product along an axis of size 3; the others broadcast.
Tensor cross(const Operand& a, const Operand& b, Index axis = -1);
/// The product of matrices, in the order of the fewest multiplications (Cormen, Leiserson, Rivest, Stein,
/// "Introduction to Algorithms", section 15.2). The first and the last may be vectors.
Tensor multi_dot(std::span<const Tensor> matrices);

}  // namespace gradweave
