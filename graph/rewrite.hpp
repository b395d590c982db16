// Rewrites: shorter ways to compute a value, which ops say beside their kernels, written with ops as a
// derivative is. The planner tries them on every value that it adds to a program (plan/simplify.cpp).
//
//   // -(-x) = x
//   static Term undone(const Term& y) { return y.input(0).is<Negative>() ? y.input(0).input(0) : Term(); }
//   static constexpr std::array rewrites{Rewrite{"negated twice", Rewrite::of_op, undone}};
#pragma once
#include <cstdint>
#include <initializer_list>
#include <span>

#include <gradweave/graph/operation.hpp>

namespace gradweave {

class Building;  // plan/building.hpp

/// A value of a program in the making, as a rewrite sees it; empty: none.
class Term {
 public:
  Term() = default;
  Term(Building& program, std::uint32_t id) : program_(&program), id_(id) {}
  explicit operator bool() const { return program_ != nullptr; }

  /// Null where the value is not computed, but read. A copy of an op's table is another op.
  const Operation* operation() const;
  const void* attributes() const;
  template <class Op>
  bool is() const {
    return operation() == &operation_of<Op>();
  }
  /// The op with its attributes; null if it is another one.
  template <class Op>
  const Op* as() const {
    return is<Op>() ? static_cast<const Op*>(attributes()) : nullptr;
  }
  std::size_t input_count() const;
  Term input(std::size_t i) const;
  Shape shape() const;
  DType dtype() const;  ///< as kernels see it

  static Term of(const Operation& op, const void* attributes, std::span<const Term> inputs);
  std::uint32_t id() const { return id_; }

 private:
  Building* program_ = nullptr;
  std::uint32_t id_ = 0;
};

/// The value that `op` makes of at least one other one, which is rewritten in its turn. Nothing is promoted.
template <class Op>
Term term_of(const Op& op, std::span<const Term> inputs) {
  return Term::of(operation_of<Op>(), &op, inputs);
}
template <class Op>
Term term_of(const Op& op, std::initializer_list<Term> inputs) {
  return term_of(op, std::span(inputs.begin(), inputs.size()));
}

}  // namespace gradweave
