#include <gradweave/ops/attention.hpp>

#include <cmath>

#include <fmt/format.h>

#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/matmul.hpp>
#include <gradweave/ops/shape.hpp>
#include <gradweave/ops/softmax.hpp>

namespace gradweave {

Tensor scaled_dot_product_attention(const Operand& q, const Operand& k, const Operand& v, bool causal) {
  for (const Operand& x : {q, k, v}) {
    if (x.tensor() == nullptr || x.tensor()->is_empty() || x.tensor()->rank() < 2) {
      throw ShapeError("scaled_dot_product_attention takes tensors of at least two axes (..., rows, width)");
    }
  }
  const Index width = q.tensor()->size(-1);
  if (width == 0) throw ShapeError("scaled_dot_product_attention: queries of width 0");
  const double scale = 1 / std::sqrt(static_cast<double>(width));
  const Tensor scores = matmul(q, Operand(transpose(k), k.where()));
  return matmul(causal ? causal_softmax(scores, scale) : softmax(scores * scale), v);
}

}  // namespace gradweave
