// Choosing what is computed: ops that hold whole graphs (body.hpp) and run one of them.
#pragma once
#include <gradweave/graph/body.hpp>
#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// See below: the functions map lists of operands to lists of results.
std::vector<Tensor> cond(const Operand& predicate, const Body::Function& then,
                         const Body::Function& otherwise, std::span<const Tensor> operands);

/// `then(operands...)` where `predicate`, a tensor of one element, is true (not zero), else
/// `otherwise(operands...)`: one of the two is computed, when the result is evaluated, whatever the predicate
/// is then. Both give a tensor, or a std::vector or std::array of as many tensors of the same shapes and
/// dtypes. As `cond` of JAX; `where` chooses element by element and computes both.
///
///     Tensor y = cond(any(x > limit), [&](const Tensor& x) { return slow(x); },
///                     [&](const Tensor& x) { return fast(x); }, x);
///
/// Both functions are called once, at once, only to look at the graphs that they build, so they must not have
/// effects of their own: asking for values of the operands is an error, as is a step of an optimizer. What
/// they read beside the operands (parameters, other tensors) becomes a further operand: gradients flow to all
/// of them, and are zeros to those that only the other function reads. The derivative is a `cond` again,
/// which computes the branch that was taken anew; an op with effects in a branch runs once, and is an error
/// where the derivative needs its result. Throws ShapeError, DTypeError or GraphError where the branches
/// differ in what they give, and ShapeError for a predicate of none or several elements.
///
/// A common beginner's error: `cond(x.item() > 0, ...)`, which asks now. The predicate may be a node of the
/// graph, in a compiled function too.
template <class Then, class Otherwise, std::convertible_to<const Tensor&>... Operands>
auto cond(const Operand& predicate, const Then& then, const Otherwise& otherwise,
          const Operands&... operands) {
  using Result = std::invoke_result_t<const Then&, std::conditional_t<true, const Tensor&, Operands>...>;
  const std::array<Tensor, sizeof...(Operands)> all{static_cast<const Tensor&>(operands)...};
  const auto list = [](const auto& f) {
    return [&f](std::span<const Tensor> x) {
      return detail::listed(detail::call_with<sizeof...(Operands)>(f, x));
    };
  };
  return detail::given<std::remove_cvref_t<Result>>(
      cond(predicate, Body::Function(list(then)), Body::Function(list(otherwise)), std::span(all)));
}

std::vector<const Operation*> control_operations();

}  // namespace gradweave
