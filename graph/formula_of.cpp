#include <gradweave/graph/formula_of.hpp>

#include <algorithm>
#include <bit>
#include <deque>
#include <limits>

#include <fmt/format.h>

#include <gradweave/graph/formula/symbol.hpp>
#include <gradweave/graph/kernels/convert.hpp>
#include <gradweave/graph/node.hpp>

namespace gradweave {
namespace {

class Deriving final : public FormulaBuilder {
 public:
  explicit Deriving(std::string name) { formula_.name = std::move(name); }

  TermId input(DType dtype) {
    formula_.inputs.push_back(dtype);
    Formula::Term term = blank(ElementFunction::input, dtype);
    term.whole = static_cast<Index>(formula_.inputs.size()) - 1;
    return add(std::move(term));
  }

  const void* stand_in(TermId term) override {
    std::array<double, piece>& elements = stand_ins_.emplace_back().elements;
    stand_ins_.back().term = term;
    const DType dtype = formula_.terms[term].dtype;
    const double one = 1;
    for (std::size_t i = 0; i < piece; ++i)
      convert_elements(DType::float64, &one, dtype,
                       reinterpret_cast<std::byte*>(elements.data()) + i * size_of(dtype), 1);
    return elements.data();
  }
  TermId term_of(const void* data, DType dtype) override {
    for (const StandIn& known : stand_ins_) {
      if (known.elements.data() == data) return known.term;
    }
    return hide("an array that is computed before the expression", dtype, {});
  }

  TermId real_number(double value, DType dtype) override {
    Formula::Term term = blank(ElementFunction::number, dtype);
    term.real = value;
    return add(std::move(term));
  }
  TermId whole_number(Index value, DType dtype) override {
    Formula::Term term = blank(ElementFunction::number, dtype);
    term.whole = value;
    return add(std::move(term));
  }
  TermId apply(ElementFunction function, DType dtype, TermId a, TermId b, TermId c) override {
    Formula::Term term = blank(function, dtype);
    term.operand_count = static_cast<std::uint8_t>(about(function).operands);
    const std::array operands{a, b, c};
    std::copy_n(operands.begin(), term.operand_count, term.operands.begin());
    return add(std::move(term));
  }
  TermId hide(std::string_view who, DType dtype, std::initializer_list<TermId> operands) override {
    Formula::Term term = blank(ElementFunction::hidden, dtype);
    term.hidden_by = who;
    term.operand_count = static_cast<std::uint8_t>(operands.size());
    std::ranges::copy(operands, term.operands.begin());
    return add(std::move(term));
  }
  TermId combine(ElementFunction function, std::span<const detail::Symbol> operands) override {
    DType dtype = DType::bool_;  // of the last one that says it, since a condition comes first
    for (const detail::Symbol& x : operands) {
      if (!x.is_number()) dtype = dtype_of_term(x.term());
    }
    Formula::Term term = blank(function, is_condition(function) ? DType::bool_ : dtype);
    for (const detail::Symbol& x : operands) {
      TermId id = x.term();
      if (x.is_number())
        id = is_floating(dtype) ? real_number(x.number(), dtype)
                                : whole_number(static_cast<Index>(x.number()), dtype);
      term.operands[term.operand_count++] = id;
    }
    return add(std::move(term));
  }
  DType dtype_of_term(TermId term) const { return formula_.terms[term].dtype; }

  // As another dtype. Of uint64, `ordered`, the order stays and not the bits.
  TermId converted(TermId term, DType to, bool ordered) {
    const DType from = dtype_of_term(term);
    if (from == to) return term;
    if (ordered && to == DType::uint64) term = with_sign_flipped(term);
    term = apply(ElementFunction::cast, to, term, 0, 0);
    return ordered && from == DType::uint64 ? with_sign_flipped(term) : term;
  }

  // The terms that `result` depends on, and the inputs.
  Formula finish(TermId result) {
    std::vector<bool> needed(formula_.terms.size(), false);
    needed[result] = true;
    for (std::size_t t = formula_.terms.size(); t-- > 0;) {
      if (!needed[t]) continue;
      for (const TermId x : formula_.terms[t].operand_span()) needed[x] = true;
    }
    std::vector<TermId> place(formula_.terms.size(), 0);
    std::vector<Formula::Term> kept;
    for (std::size_t t = 0; t < formula_.terms.size(); ++t) {
      if (!needed[t]) continue;
      place[t] = static_cast<TermId>(kept.size());
      Formula::Term& term = kept.emplace_back(std::move(formula_.terms[t]));
      for (std::size_t i = 0; i < term.operand_count; ++i) term.operands[i] = place[term.operands[i]];
    }
    formula_.terms = std::move(kept);
    return std::move(formula_);
  }

 private:
  static constexpr std::size_t piece = 16;  // elements that a forward is made for (kernels/elementwise.hpp)
  struct StandIn {
    std::array<double, piece> elements{};
    TermId term = 0;
  };

  static bool is_condition(ElementFunction function) {
    return function >= ElementFunction::equal && function <= ElementFunction::logical_not;
  }
  static Formula::Term blank(ElementFunction function, DType dtype) {
    Formula::Term term;
    term.function = function;
    term.dtype = dtype;
    return term;
  }
  TermId with_sign_flipped(TermId term) {
    const TermId sign = whole_number(std::numeric_limits<Index>::min(), DType::int64);
    return apply(ElementFunction::bitwise_xor, DType::int64, term, sign, 0);
  }
  TermId add(Formula::Term term) {
    const auto same = std::ranges::find_if(formula_.terms, [&](const Formula::Term& other) {
      Formula::Term numbers_apart = other;  // NaN is not equal to itself, and 0 is to -0
      numbers_apart.real = term.real;
      return numbers_apart == term &&
             std::bit_cast<std::uint64_t>(other.real) == std::bit_cast<std::uint64_t>(term.real);
    });
    if (same != formula_.terms.end() && term.function != ElementFunction::hidden)
      return static_cast<TermId>(same - formula_.terms.begin());
    if (formula_.terms.size() == std::numeric_limits<TermId>::max())
      throw ValueError(fmt::format("the formula of {} has too many terms", formula_.name));
    formula_.terms.push_back(std::move(term));
    return static_cast<TermId>(formula_.terms.size() - 1);
  }

  Formula formula_;
  std::deque<StandIn> stand_ins_;  // whose addresses stay
};

}  // namespace

Formula formula_of(const Operation& operation, const void* attributes, std::span<const DType> inputs) {
  if (!operation.elementwise || operation.formulas == nullptr)
    throw ValueError(fmt::format("formula_of: {} is not an elementwise op", operation.name));
  Deriving deriving{std::string(operation.name)};
  std::vector<TermId> terms;
  std::optional<DType> promoted;  // of the inputs whose dtype is not fixed
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    terms.push_back(deriving.input(inputs[i]));
    DType wanted = promoted.value_or(inputs[i]);
    const bool is_scalar = i + operation.scalar_inputs >= inputs.size();
    if (is_scalar && inputs[i] == computed_as(wanted)) wanted = inputs[i];  // as which it may come at once
    if (i < operation.fixed.size() && operation.fixed[i]) {
      wanted = *operation.fixed[i];
    } else if (!promoted) {
      promoted = inputs[i];
    }
    if (inputs[i] != wanted)
      throw DTypeError(fmt::format("formula_of: input {} of {} has dtype {}, not {}", i, operation.name,
                                   name_of(inputs[i]), name_of(wanted)));
  }
  if (!promoted || !contains(operation.dtypes, *promoted))
    throw DTypeError(fmt::format("formula_of: {} does not take {}", operation.name,
                                 promoted ? name_of(*promoted) : "no inputs"));
  if (operation.as_stored)
    return deriving.finish(operation.formulas[number_of(*promoted)](attributes, deriving, terms));

  for (TermId& term : terms) {
    const DType dtype = deriving.dtype_of_term(term);
    term = deriving.converted(term, computed_as(dtype), operation.ordered);
  }
  const TermId y = operation.formulas[kernel_of(*promoted)](attributes, deriving, terms);
  const DType dtype = deriving.dtype_of_term(y);
  const bool is_stored_as_promoted = dtype == computed_as(*promoted);
  return deriving.finish(deriving.converted(y, is_stored_as_promoted ? *promoted : dtype, operation.ordered));
}

Formula formula_of(const Tensor& x) {
  if (x.is_empty()) throw GraphError("formula_of: an empty tensor");
  const Node& node = *x.node();
  const Operation& operation = *node.operation;
  if (node.capacity == 0)
    throw GraphError(fmt::format("formula_of: {} is a leaf, which no op computes", operation.name));
  if (node.input_count == 0)
    throw GraphError(
        fmt::format("formula_of: the tensor, a result of {}, has let go of its inputs", operation.name));
  std::vector<DType> inputs;
  for (const Tensor& input : node.inputs()) inputs.push_back(input.dtype());
  return formula_of(operation, const_cast<Node&>(node).attributes(), inputs);
}

}  // namespace gradweave
