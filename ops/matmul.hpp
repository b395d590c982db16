// Matrix products.
#pragma once
#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// The product of vectors, matrices or batches of matrices, as NumPy's `matmul`: (n,k) x (k,m) gives (n,m); a
/// vector counts as a row on the left and a column on the right, and that axis is dropped; leading axes are
/// batches and broadcast. Transposed and strided operands are read where they lie. Throws ShapeError when the
/// inner sizes differ or an operand is a scalar.
Tensor matmul(const Operand& left, const Operand& right);

/// x W^T, the product of a dense layer: x (..., in), weight (out, in), result (..., out). As PyTorch's
/// `linear` without bias. Throws ShapeError when the sizes `in` differ or the weight is no matrix.
Tensor linear(const Operand& x, const Operand& weight);

std::vector<const Operation*> matmul_operations();

}  // namespace gradweave
