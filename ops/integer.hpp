// Bits, shifts, and division with a remainder, element by element. Inputs broadcast and are promoted as those
// of ops/elementwise.hpp.
#pragma once
#include <gradweave/graph/algebra.hpp>

namespace gradweave {

/// Of whole numbers bit by bit; of bools, as truths. Throws DTypeError for floating operands.
Tensor bitwise_and(const Operand& a, const Operand& b);
Tensor bitwise_or(const Operand& a, const Operand& b);
Tensor bitwise_xor(const Operand& a, const Operand& b);
Tensor bitwise_not(const Operand& x);
inline Tensor operator&(const Operand& a, const Operand& b) { return bitwise_and(a, b); }
inline Tensor operator|(const Operand& a, const Operand& b) { return bitwise_or(a, b); }
inline Tensor operator^(const Operand& a, const Operand& b) { return bitwise_xor(a, b); }
inline Tensor operator~(const Operand& x) { return bitwise_not(x); }

/// x times 2 to the power of `count`; bits that leave the dtype are lost. By as many bits as there are, or by
/// a negative count, it is 0. Whole numbers only.
Tensor left_shift(const Operand& x, const Operand& count);
/// x divided by 2 to the power of `count`, rounded down; by a negative count, or one too large, it is 0, or
/// -1 where x is negative. Whole numbers only.
Tensor right_shift(const Operand& x, const Operand& count);
// The caller's line comes with the count.
inline Tensor operator<<(const Tensor& x, const Operand& count) {
  return left_shift(Operand(x, count.where()), count);
}
inline Tensor operator>>(const Tensor& x, const Operand& count) {
  return right_shift(Operand(x, count.where()), count);
}

/// a / b, rounded down, in the dtype of the operands (bools count as int64). A whole number divided by 0
/// gives 0. The derivative is 0.
Tensor floor_divide(const Operand& a, const Operand& b);
/// a - floor_divide(a, b) * b, with the sign of b; of a whole number by 0, 0. Python's `%`, NumPy's and
/// PyTorch's `remainder`.
Tensor remainder(const Operand& a, const Operand& b);
inline Tensor operator%(const Operand& a, const Operand& b) { return remainder(a, b); }

std::vector<const Operation*> integer_operations();

}  // namespace gradweave
