// A function of tensors with a derivative of one's own.
#pragma once
#include <utility>

#include <gradweave/graph/body.hpp>
#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// See `custom_vjp`: `f` of `inputs`, and a `rule` of the cotangents of what f gives, the inputs, and what f
/// gives.
std::vector<Tensor> apply_with_rule(const Body::Function& f, const Body::Function& rule,
                                    std::span<const Tensor> inputs);

/// What `custom_vjp` returns.
template <class F, class Rule>
class CustomVjp {
 public:
  CustomVjp(F f, Rule rule) : f_(std::move(f)), rule_(std::move(rule)) {}

  template <std::convertible_to<const Tensor&>... Inputs>
  auto operator()(const Inputs&... inputs) const {
    constexpr std::size_t n = sizeof...(Inputs);
    using Result = std::remove_cvref_t<
        std::invoke_result_t<const F&, std::conditional_t<true, const Tensor&, Inputs>...>>;
    const std::array<Tensor, n> all{static_cast<const Tensor&>(inputs)...};
    const auto f = [&](std::span<const Tensor> x) { return detail::listed(detail::call_with<n>(f_, x)); };
    const auto rule = [&](std::span<const Tensor> x) {
      using List = std::span<const Tensor>;
      if constexpr (std::invocable<const Rule&, List, List, List>) {
        const std::size_t m = (x.size() - n) / 2;
        return detail::listed(rule_(x.first(m), x.subspan(m, n), x.last(m)));
      } else {
        return detail::listed(detail::call_with<2 * detail::count_of_results<Result> + n>(rule_, x));
      }
    };
    return detail::given<Result>(apply_with_rule(f, rule, all));
  }

 private:
  F f_;
  Rule rule_;
};

/// The function `f`, of tensors, with `rule` for its derivative: as `custom_vjp` of JAX. f gives a tensor, or
/// a std::array of tensors; the rule is called with the cotangent of each, then with the inputs, then with
/// what f gave, and gives the cotangent of each input, of its shape: a tensor, or a std::array or std::vector
/// of them; an empty Tensor is zero. (Of three lists as std::spans, where it takes these, as it must where f
/// gives a std::vector.)
///
///     const auto log1pexp = custom_vjp(
///         [](const Tensor& x) { return log(1 + exp(x)); },
///         [](const Tensor& g, const Tensor& x, const Tensor&) { return g * sigmoid(x); });
///     const auto straight_through =
///         custom_vjp([](const Tensor& x) { return sign(x); },
///                    [](const Tensor& g, const Tensor&, const Tensor&) { return g; });
///
/// Planned and fused as what f builds is by itself. The rule is written with ops and differentiated in turn
/// for second derivatives; `gradcheck` tells whether it is the derivative. Both functions are called at each
/// application, only to look at the graphs that they build (see `cond`); what the rule reads beside its
/// arguments gets gradients, too. Throws GraphError where f reads a tracked tensor that is none of its
/// inputs, for which there is no rule; ShapeError where the rule gives a cotangent of another shape than its
/// input's, or not one for each input.
///
/// A common beginner's error: a parameter that f captures. Make it an input: `f(x, layer.weight)`.
template <class F, class Rule>
CustomVjp<F, Rule> custom_vjp(F f, Rule rule) {
  return {std::move(f), std::move(rule)};
}

std::vector<const Operation*> custom_vjp_operations();

}  // namespace gradweave
