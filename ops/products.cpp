#include <gradweave/ops/products.hpp>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/einsum.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/matmul.hpp>
#include <gradweave/ops/reduction.hpp>

namespace gradweave {
namespace {

void require_ranks(std::string_view op, const Operand& a, std::size_t rank_a, const Operand& b,
                   std::size_t rank_b) {
  if (tensor_of(a, op).rank() != rank_a || tensor_of(b, op).rank() != rank_b)
    refuse<ShapeError>(op, {a, b}, fmt::format("expected {} and {} axes", rank_a, rank_b));
}
Tensor scaled(const Operand& x, double factor) {
  const Tensor& tensor = *x.tensor();
  if (factor == 1) return tensor;
  // The factor of whole numbers is one, too.
  return is_floating(tensor.dtype()) ? factor * x : multiply(x, full({}, factor, tensor.dtype()));
}
Tensor sum_with(const Operand& x, const Tensor& product, const AddProductOptions& options,
                std::string_view op) {
  const Tensor part = scaled(Operand(product, x.where()), options.alpha);
  if (options.beta == 0) return broadcast_to(part, broadcast(part.shape(), tensor_of(x, op).shape()));
  tensor_of(x, op);
  return add(Operand(scaled(x, options.beta), x.where()), part);
}

}  // namespace

Tensor addmm(const Operand& x, const Operand& a, const Operand& b, const AddProductOptions& options) {
  require_ranks("addmm", a, 2, b, 2);
  return sum_with(x, matmul(a, b), options, "addmm");
}
Tensor addmv(const Operand& x, const Operand& a, const Operand& b, const AddProductOptions& options) {
  require_ranks("addmv", a, 2, b, 1);
  return sum_with(x, matmul(a, b), options, "addmv");
}
Tensor addr(const Operand& x, const Operand& a, const Operand& b, const AddProductOptions& options) {
  return sum_with(x, outer(a, b), options, "addr");
}
Tensor addbmm(const Operand& x, const Operand& a, const Operand& b, const AddProductOptions& options) {
  require_ranks("addbmm", a, 3, b, 3);
  return sum_with(x, sum(matmul(a, b), 0), options, "addbmm");
}
Tensor baddbmm(const Operand& x, const Operand& a, const Operand& b, const AddProductOptions& options) {
  require_ranks("baddbmm", a, 3, b, 3);
  return sum_with(x, matmul(a, b), options, "baddbmm");
}
Tensor addcmul(const Operand& x, const Operand& a, const Operand& b, const Operand& value) {
  return x + multiply(value, a) * b;
}
Tensor addcdiv(const Operand& x, const Operand& a, const Operand& b, const Operand& value) {
  return x + multiply(value, a) / b;
}
Tensor inner(const Operand& a, const Operand& b) {
  if (tensor_of(a, "inner").rank() == 0 || tensor_of(b, "inner").rank() == 0) return a * b;
  const Index last[] = {-1};
  return tensordot(a, b, last, last);
}
Tensor bilinear(const Operand& a, const Operand& b, const Operand& weight, const Tensor& bias) {
  if (tensor_of(weight, "bilinear").rank() != 3)
    refuse<ShapeError>("bilinear", {a, b, weight}, "expected a weight of three axes");
  const Tensor y = einsum("...i,oij,...j->...o",
                          {tensor_of(a, "bilinear"), *weight.tensor(), tensor_of(b, "bilinear")}, a.where());
  return bias.is_empty() ? y : y + bias;
}

}  // namespace gradweave
