// Products with a sum, by their names in PyTorch; plain functions of the ops, which plans fuse.
#pragma once
#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// beta times what is added to, alpha times the product. With beta = 0 that is not read, so that NaN in it
/// does not count.
struct AddProductOptions {
  double beta = 1, alpha = 1;
};
/// beta x + alpha a b of matrices; of a matrix and a vector; of two vectors (their outer product); the sum of
/// a batch of products; and each product of a batch. x broadcasts. Throw ShapeError for other ranks.
Tensor addmm(const Operand& x, const Operand& a, const Operand& b, const AddProductOptions& options = {});
Tensor addmv(const Operand& x, const Operand& a, const Operand& b, const AddProductOptions& options = {});
Tensor addr(const Operand& x, const Operand& a, const Operand& b, const AddProductOptions& options = {});
Tensor addbmm(const Operand& x, const Operand& a, const Operand& b, const AddProductOptions& options = {});
Tensor baddbmm(const Operand& x, const Operand& a, const Operand& b, const AddProductOptions& options = {});
/// x + value a b and x + value a / b, element by element; they broadcast.
Tensor addcmul(const Operand& x, const Operand& a, const Operand& b, const Operand& value = 1);
Tensor addcdiv(const Operand& x, const Operand& a, const Operand& b, const Operand& value = 1);
/// The sums over the last axes of both, for all that is in front: (..., n) and (***, n) give (..., ***). A
/// number multiplies.
Tensor inner(const Operand& a, const Operand& b);
/// y[..., o] = sum of a[..., i] weight[o, i, j] b[..., j] (+ bias[o]), PyTorch's `bilinear`.
Tensor bilinear(const Operand& a, const Operand& b, const Operand& weight, const Tensor& bias = {});

}  // namespace gradweave
