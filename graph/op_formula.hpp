// An elementwise op's formula, derived from its `forward`. Part of define.hpp.
#pragma once
#include <span>
#include <utility>

#include <gradweave/graph/formula/derive.hpp>
#include <gradweave/graph/op_traits.hpp>

namespace gradweave::detail {

template <class Op, class T, std::size_t... I>
[[gnu::cold]] TermId term_of_forward(const Op& op, FormulaBuilder& b, std::span<const TermId> inputs,
                                     std::index_sequence<I...>) {
  return term_of_expression(
      b,
      op.forward(PieceMap<Input<Op, T, I>>(static_cast<const Input<Op, T, I>*>(b.stand_in(inputs[I])))...));
}

template <class Op, class T>
[[gnu::cold]] TermId term_of_op(const void* attributes, FormulaBuilder& b, std::span<const TermId> inputs) {
  const Op& op = as<Op>(attributes);
  if constexpr (folds<Op>()) {
    TermId y = inputs[0];
    for (const TermId x : inputs.subspan(1))
      y = term_of_forward<Op, T>(op, b, std::array{y, x}, Inputs<Op>());
    return y;
  } else {
    return term_of_forward<Op, T>(op, b, inputs, Inputs<Op>());
  }
}

}  // namespace gradweave::detail
