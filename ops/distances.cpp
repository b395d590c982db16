#include <gradweave/ops/distances.hpp>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/index.hpp>
#include <gradweave/ops/shape.hpp>
#include <gradweave/ops/statistics.hpp>

namespace gradweave {
namespace {

void require_order(std::string_view op, std::initializer_list<Operand> operands, double p) {
  if (!(p >= 0)) refuse<ValueError>(op, operands, fmt::format("order {}", p));
}

}  // namespace

Tensor normalize(const Operand& x, double p, Index axis, double epsilon) {
  return x / maximum(norm(x, p, {axis}, true), epsilon);
}

Tensor cosine_similarity(const Operand& a, const Operand& b, Index axis, double epsilon) {
  constexpr std::string_view op = "cosine_similarity";
  const Shape shape = broadcast(tensor_of(a, op).shape(), tensor_of(b, op).shape());
  const Tensor left = broadcast_to(a, shape), right = broadcast_to(b, shape);
  const auto length = [&](const Tensor& x) { return maximum(norm(x, 2, {axis}), epsilon); };
  return sum(Operand(left, a.where()) * right, {axis}) / (length(left) * length(right));
}

Tensor pairwise_distance(const Operand& a, const Operand& b, double p, double epsilon, bool keepdims) {
  return norm(a - b + epsilon, p, {-1}, keepdims);
}

Tensor cdist(const Operand& a, const Operand& b, double p) {
  require_order("cdist", {a, b}, p);
  if (tensor_of(a, "cdist").rank() < 2 || tensor_of(b, "cdist").rank() < 2)
    refuse<ShapeError>("cdist", {a, b}, "expected rows (..., n, width)");
  if (a.tensor()->size(-1) != b.tensor()->size(-1))
    refuse<ShapeError>("cdist", {a, b}, "the rows differ in width");
  return norm(Operand(expand_dims(a, -2), a.where()) - expand_dims(b, -3), p, {-1});
}

Tensor pdist(const Operand& x, double p) {
  require_order("pdist", {x}, p);
  if (tensor_of(x, "pdist").rank() != 2) refuse<ShapeError>("pdist", {x}, "expected rows (n, width)");
  const Index n = x.tensor()->size(0);
  std::vector<Index> first, second;
  first.reserve(static_cast<std::size_t>(n * (n - 1) / 2));
  second.reserve(first.capacity());
  for (Index i = 0; i < n; ++i) {
    for (Index j = i + 1; j < n; ++j) first.push_back(i), second.push_back(j);
  }
  return norm(take(x, constant(first)) - take(x, constant(second)), p, {-1});
}

}  // namespace gradweave
