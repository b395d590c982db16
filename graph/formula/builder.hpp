// How an op's `forward` becomes a formula: its array expression is made of arrays that stand for terms, and
// read term by term. Part of define.hpp.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>

#include <gradweave/graph/formula/function.hpp>

namespace gradweave {

namespace detail {
class Symbol;  // symbol.hpp
}

/// The number of a term in its formula.
using TermId = std::uint16_t;

/// Builds formulas. An interface, so that a program which asks for no formula links nothing of them.
class FormulaBuilder {
 public:
  FormulaBuilder(const FormulaBuilder&) = delete;
  FormulaBuilder& operator=(const FormulaBuilder&) = delete;

  /// A piece of elements that stands for a term: all ones.
  virtual const void* stand_in(TermId term) = 0;
  /// The term that the piece at this address stands for; hidden if there is none.
  virtual TermId term_of(const void* data, DType dtype) = 0;
  virtual TermId real_number(double value, DType dtype) = 0;
  virtual TermId whole_number(Index value, DType dtype) = 0;
  /// A function of terms, of as many as it has. Equal terms are one.
  virtual TermId apply(ElementFunction function, DType dtype, TermId a, TermId b = 0, TermId c = 0) = 0;
  /// A function that `who` keeps to itself, named as the compiler spells its type.
  virtual TermId hide(std::string_view who, DType dtype, std::initializer_list<TermId> operands) = 0;
  /// A function of symbols, of which some are numbers: of the dtype of those that are not, or a condition.
  virtual TermId combine(ElementFunction function, std::span<const detail::Symbol> operands) = 0;

 protected:
  FormulaBuilder() = default;
  ~FormulaBuilder() = default;
};

namespace detail {

template <class T>
TermId number_term(FormulaBuilder& builder, T value) {
  if constexpr (std::is_floating_point_v<T>) {
    return builder.real_number(value, dtype_of<T>);
  } else {
    return builder.whole_number(static_cast<Index>(value), dtype_of<T>);
  }
}

}  // namespace detail
}  // namespace gradweave
