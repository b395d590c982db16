// Derivatives: a reverse traversal that adds nodes to the same graph. The result is ordinary graph:
// differentiate it again.
//
// A common beginner's error: `const Tensor w = layer.weight.value();` before a training loop, and
// `gradients(loss, {w})` in it. A step gives the parameter a new value and leaves `w` the old one, on which
// the next loss does not depend: GraphError. Ask for `layer.weight.value()` at each step. Nor has a loss that
// `minimize` took a history any more: take gradients before the step.
#pragma once
#include <algorithm>
#include <array>
#include <source_location>
#include <span>
#include <vector>

#include <gradweave/graph/tensor.hpp>

namespace gradweave {

/// What to do about a tensor that the result does not depend on.
enum class Unconnected {
  error,  ///< GraphError, which names it
  zeros,  ///< zeros of its shape
  empty,  ///< an empty Tensor
};

/// The cotangents of `wrt`, given `cotangent`, that of `y` (same shape; default 1 for a y of one element):
/// for a scalar y its gradients. Builds nodes and computes nothing. Throws GraphError when y has
/// several elements and no cotangent is given, and, unless asked for zeros, when y is not a variable's
/// descendant and for a `wrt` that it does not depend on.
std::vector<Tensor> gradients(const Tensor& y, std::span<const Tensor> wrt, const Tensor& cotangent = {},
                              Unconnected unconnected = Unconnected::error,
                              std::source_location where = std::source_location::current());

/// `auto [dw, db] = gradients(loss, {w, b});`
template <std::size_t N>
std::array<Tensor, N> gradients(const Tensor& y, const Tensor (&wrt)[N], const Tensor& cotangent = {},
                                Unconnected unconnected = Unconnected::error,
                                std::source_location where = std::source_location::current()) {
  std::array<Tensor, N> result;
  std::ranges::move(gradients(y, std::span<const Tensor>(wrt), cotangent, unconnected, where),
                    result.begin());
  return result;
}

/// Forward mode: how y changes when `x` moves along `tangent` (of x's shape). Tangents walk from x to y, node
/// by node, through the op's `jvp` or, without one, through its derivative rule: the derivative of the vjp
/// with respect to its cotangent (J. Townsend, "A new trick for calculating Jacobian vector products", 2017).
/// Builds nodes and computes nothing. Throws ShapeError for a tangent of another shape, and GraphError when y
/// does not depend on x.
Tensor jvp(const Tensor& y, const Tensor& x, const Tensor& tangent,
           std::source_location where = std::source_location::current());
/// The same for several results while several tensors move at once, in one walk: the tangents of `ys`. Throws
/// GraphError for a result that depends on none of `xs`, unless asked for zeros or an empty tensor.
std::vector<Tensor> jvp(std::span<const Tensor> ys, std::span<const Tensor> xs,
                        std::span<const Tensor> tangents, Unconnected unconnected = Unconnected::error,
                        std::source_location where = std::source_location::current());
/// The Hessian of a scalar `y` times `v` (of x's shape): the gradient of the gradient along v.
Tensor hessian_vector_product(const Tensor& y, const Tensor& x, const Tensor& v,
                              std::source_location where = std::source_location::current());
/// All of dy/dx, of shape y.shape + x.shape, evaluated row by row into data.
Tensor jacobian(const Tensor& y, const Tensor& x,
                std::source_location where = std::source_location::current());
/// All second derivatives of a scalar y, of shape x.shape + x.shape, as data.
Tensor hessian(const Tensor& y, const Tensor& x,
               std::source_location where = std::source_location::current());

}  // namespace gradweave
