// What kind of op a struct defines, read off its members. Part of define.hpp.
#pragma once
#include <span>
#include <vector>

#include <gradweave/graph/kernels/elementwise.hpp>
#include <gradweave/graph/operation.hpp>
#include <gradweave/graph/outputs.hpp>

namespace gradweave {

/// The specs of an op's several outputs, as its `infer` returns them.
using Specs = std::vector<Spec>;
/// The several outputs, as its `forward` takes them: `data` is null for one that nobody reads.
using Outputs = std::span<const ArrayView>;

namespace detail {

// The kind of an op shows in what it defines.
template <class Op>
concept ViewOp = requires { &Op::view; };
template <class Op>
concept RowKernelOp =
    requires(const Op& op, const RowRange& rows, const ArrayView& x) { op.forward(rows, x, x); } ||
    requires(const Op& op, const RowRange& rows, const ArrayView& x) { op.forward(rows, x, x, x); } ||
    requires(const Op& op, const RowRange& rows, const ArrayView& x) { op.forward(rows, x, x, x, x); } ||
    requires(const Op& op, const RowRange& rows, const ArrayView& x, std::span<const ArrayView> all) {
      op.forward(rows, x, all);
    };
template <class Op>
concept ElementwiseOp = !requires { &Op::infer; };

// Calls f(items...) with as many items as `f` takes (at most three), or with the span if it takes that.
template <class F, class Item>
decltype(auto) spread(const F& f, std::span<const Item> items) {
  if constexpr (requires { f(items); }) {
    return f(items);
  } else if constexpr (requires { f(); }) {
    return f();
  } else if constexpr (requires { f(items[0]); }) {
    return f(items[0]);
  } else if constexpr (requires { f(items[0], items[1]); }) {
    return f(items[0], items[1]);
  } else {
    return f(items[0], items[1], items[2]);
  }
}

// What `infer` says: one Spec, or those of several outputs.
template <class Op>
auto inferred(const Op& op, std::span<const Spec> inputs) {
  return spread([&](const auto&... x) -> decltype(op.infer(x...)) { return op.infer(x...); }, inputs);
}
template <class Op>
concept OutputsOp = requires(const Op& op, std::span<const Spec> inputs) {
  { inferred(op, inputs) } -> std::same_as<Specs>;
};

template <class Op>
constexpr DTypes dtypes_of() {
  if constexpr (requires { Op::dtypes; }) {
    return Op::dtypes;
  } else {
    return ElementwiseOp<Op> ? floating : ViewOp<Op> ? any_dtype : numeric;
  }
}

// Whether the op's kernels take all values as they come.
template <class Op, class T, std::size_t... I>
constexpr bool is_noexcept(std::index_sequence<I...>) {
  return noexcept(std::declval<const Op&>().forward(std::declval<const PieceMap<Input<Op, T, I>>&>()...));
}
// The narrowest type that it has a kernel for.
template <class Op>
constexpr bool has_noexcept_forward() {
  constexpr DTypes kernels = computed_as(dtypes_of<Op>());
  if constexpr (contains(kernels, DType::bool_)) {
    return is_noexcept<Op, bool>(Inputs<Op>());
  } else if constexpr (contains(kernels, DType::int64)) {
    return is_noexcept<Op, Index>(Inputs<Op>());
  } else if constexpr (contains(kernels, DType::float32)) {
    return is_noexcept<Op, float>(Inputs<Op>());
  } else {
    return is_noexcept<Op, double>(Inputs<Op>());
  }
}
template <class Op>
constexpr bool throws_of() {
  if constexpr (requires { Op::throws; }) {
    return Op::throws;
  } else if constexpr (ViewOp<Op>) {
    return false;  // it has no kernel
  } else if constexpr (ElementwiseOp<Op>) {
    return !has_noexcept_forward<Op>();
  } else {
    return true;
  }
}

}  // namespace detail
}  // namespace gradweave
