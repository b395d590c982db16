// How an op's derivative rule is found and checked when the op is compiled. Part of define.hpp.
#pragma once
#include <span>
#include <type_traits>

#include <gradweave/graph/op_traits.hpp>

namespace gradweave::detail {

template <class Op>
Tensor call_vjp(const void* attributes, std::size_t i, const Tensor& g, std::span<const Tensor> inputs,
                const Tensor& y) {
  const Op& op = as<Op>(attributes);
  if constexpr (requires { op.vjp(g, inputs[0], y); }) {
    return op.vjp(g, inputs[0], y);
  } else if constexpr (requires { op.vjp(i, g, inputs, y); }) {
    return op.vjp(i, g, inputs, y);
  } else if constexpr (requires { op.vjp(i, g, inputs[0], inputs[1], y); }) {
    return op.vjp(i, g, inputs[0], inputs[1], y);
  } else {
    return op.vjp(i, g, inputs[0], inputs[1], inputs[2], y);
  }
}

template <class Op>
Tensor call_jvp(const void* attributes, std::span<const Tensor> tangents, std::span<const Tensor> inputs,
                const Tensor& y) {
  const Op& op = as<Op>(attributes);
  if constexpr (requires { op.jvp(tangents[0], inputs[0], y); }) {
    return op.jvp(tangents[0], inputs[0], y);
  } else {
    return op.jvp(tangents, inputs, y);
  }
}
template <class Op>
concept CallableJvp = requires(const Op& op, const Tensor& t) {
  { op.jvp(t, t, t) } -> std::same_as<Tensor>;
} || requires(const Op& op, std::span<const Tensor> all, const Tensor& t) {
  { op.jvp(all, all, t) } -> std::same_as<Tensor>;
};

// Whether Op has a member `vjp` of any kind: another one of that name then makes the name ambiguous.
struct NamedVjp {
  int vjp;
};
template <class Op>
struct WithNamedVjp : Op, NamedVjp {};
template <class Op>
constexpr bool has_some_vjp() {
  if constexpr (std::is_final_v<Op>) {
    return requires { &Op::vjp; };
  } else {
    return !requires { &WithNamedVjp<Op>::vjp; };
  }
}
template <class Op>
concept CallableVjp =
    requires(const Op& op, Pullback& p) { op.vjp(p); } || requires(const Op& op, const Tensor& t) {
      { op.vjp(t, t, t) } -> std::same_as<Tensor>;
    } || requires(const Op& op, std::size_t i, const Tensor& t, std::span<const Tensor> all) {
      { op.vjp(i, t, all, t) } -> std::same_as<Tensor>;
    } || requires(const Op& op, std::size_t i, const Tensor& t) {
      { op.vjp(i, t, t, t, t) } -> std::same_as<Tensor>;
    } || requires(const Op& op, std::size_t i, const Tensor& t) {
      { op.vjp(i, t, t, t, t, t) } -> std::same_as<Tensor>;
    };
template <class Op>
concept SaysNoDerivative = (requires { Op::stops_gradient; }) || (requires { Op::not_differentiable; });
// Results of these kinds have no derivative, whatever the op does.
template <class Op>
constexpr bool has_floating_result() {
  if constexpr (ElementwiseOp<Op>) {
    if constexpr (!contains(dtypes_of<Op>(), DType::float64)) {
      return false;
    } else {
      return is_floating(block_result<Op, double>());
    }
  } else {
    // Of nothing, or of whole numbers alone, there is nothing to differentiate.
    return !requires(const Op& op) { op.infer(); } && (dtypes_of<Op>() & floating) != 0;
  }
}

template <class Op>
constexpr void check_rule() {
  if constexpr (requires { &Op::jvp; }) {
    static_assert(
        CallableJvp<Op>,
        "jvp has another signature than expected: Tensor jvp(const Tensor& dx, const Tensor& x, const "
        "Tensor& y) for one input; Tensor jvp(std::span<const Tensor> tangents, std::span<const "
        "Tensor> inputs, const Tensor& y) for any number; const where the op has attributes");
    if constexpr (!ElementwiseOp<Op>)
      static_assert(!OutputsOp<Op>, "an op with several outputs has its jvp derived from its vjp");
  }
  if constexpr (has_some_vjp<Op>()) {
    static_assert(
        requires { &Op::vjp; },
        "vjp is a template or overloaded. Expected one plain function: Tensor vjp(const Tensor& g, const "
        "Tensor& x, const Tensor& y), or with the number of the input in front: Tensor vjp(std::size_t i, "
        "const Tensor& g, const Tensor& a, const Tensor& b, const Tensor& y)");
    static_assert(
        CallableVjp<Op>,
        "vjp has another signature than expected: Tensor vjp(const Tensor& g, const Tensor& x, const "
        "Tensor& y) for one input; Tensor vjp(std::size_t i, const Tensor& g, const Tensor& a, const "
        "Tensor& b, const Tensor& y) for two, with a third tensor for three; Tensor vjp(std::size_t i, "
        "const Tensor& g, std::span<const Tensor> inputs, const Tensor& y) for any number; void "
        "vjp(Pullback& p) for all inputs and several outputs; const where the op has attributes");
  } else {
    static_assert(
        SaysNoDerivative<Op> || !has_floating_result<Op>(),
        "the op has a floating result and no derivative: write `static Tensor vjp(const Tensor& g, const "
        "Tensor& x, const Tensor& y)`, or say `static constexpr bool not_differentiable = true` (asking "
        "for it is an error) or `static constexpr bool stops_gradient = true` (its result is data)");
  }
}

}  // namespace gradweave::detail
