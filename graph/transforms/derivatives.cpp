// Everything that is built from `gradients` alone.
#include <gradweave/graph/gradients.hpp>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/evaluate.hpp>
#include <gradweave/graph/located_error.hpp>

namespace gradweave {
namespace {

void require_shape(const char* what, const Tensor& v, const Tensor& like, std::source_location where) {
  if (!same(v.shape(), like.shape())) {
    throw ShapeError(at_line(fmt::format("{}: the direction has shape {}, expected {}", what,
                                         to_string(v.shape()), to_string(like.shape())),
                             where));
  }
}

// The derivative of row(unit vector) for each element of `space`, stacked: shape space.shape + x.shape.
template <class Row>
Tensor stack_rows(const Shape& space, const Tensor& x, Row row) {
  const Index rows = numel(space);
  std::vector<double> unit(static_cast<std::size_t>(rows)), all;
  for (Index i = 0; i < rows; ++i) {
    unit[static_cast<std::size_t>(i)] = 1;
    const std::vector<double> values = row(constant(unit, space)).template to_vector<double>();
    all.insert(all.end(), values.begin(), values.end());
    unit[static_cast<std::size_t>(i)] = 0;
  }
  std::vector<Index> sizes(space.begin(), space.end());
  const Shape row_shape = x.shape();
  sizes.insert(sizes.end(), row_shape.begin(), row_shape.end());
  return cast(constant(all, Shape(Dims(sizes))), x.dtype());
}

}  // namespace

Tensor hessian_vector_product(const Tensor& y, const Tensor& x, const Tensor& v, std::source_location where) {
  require_shape("hessian_vector_product", v, x, where);
  const auto [g] = gradients(y, {x}, {}, Unconnected::error, where);
  return gradients(g, {x}, cast(v, x.dtype()), Unconnected::zeros, where)[0];
}

Tensor jacobian(const Tensor& y, const Tensor& x, std::source_location where) {
  return stack_rows(y.shape(), x, [&](const Tensor& unit) {
    return gradients(y, {x}, unit, Unconnected::error, where)[0];
  });
}

Tensor hessian(const Tensor& y, const Tensor& x, std::source_location where) {
  return stack_rows(x.shape(), x,
                    [&](const Tensor& unit) { return hessian_vector_product(y, x, unit, where); });
}

}  // namespace gradweave
