#include <gradweave/graph/formula/formula.hpp>

#include <cmath>

#include <gradweave/graph/kernels/convert.hpp>

namespace gradweave {
namespace {

// A value of a term: `real` where its dtype is floating, else `whole`.
struct Number {
  double real = 0;
  Index whole = 0;

  double as_real(DType dtype) const { return is_floating(dtype) ? real : static_cast<double>(whole); }
};

Number load(DType dtype, const void* element) {
  Number x;
  if (is_floating(dtype)) {
    convert_elements(dtype, element, DType::float64, &x.real, 1);
  } else {
    convert_elements(dtype, element, DType::int64, &x.whole, 1);
  }
  return x;
}
void store(const Number& x, DType dtype, void* element) {
  if (is_floating(dtype)) {
    convert_elements(DType::float64, &x.real, dtype, element, 1);
  } else {
    convert_elements(DType::int64, &x.whole, dtype, element, 1);
  }
}

Number converted_number(const Number& x, DType from, DType to) {
  alignas(8) std::array<std::byte, 8> before{}, after{};
  store(x, from, before.data());
  convert_elements(from, before.data(), to, after.data(), 1);
  return load(to, after.data());
}
// The number of this dtype that is nearest.
Number nearest_in(const Number& x, DType dtype) {
  if (dtype == DType::float64 || dtype == DType::int64) return x;
  if (dtype == DType::float32) return {double{static_cast<float>(x.real)}, 0};
  return converted_number(x, is_floating(dtype) ? DType::float64 : DType::int64, dtype);
}

// Arithmetic and roots of float32 may be computed in float64 and rounded again, which gives the same bits
// (Figueroa, "When is double rounding innocuous?", 1995); not so a product and a sum at once.
double real_value(const Formula::Term& term, double a, double b, double c) {
  if (term.function == ElementFunction::multiply_add && term.dtype == DType::float32)
    return std::fma(static_cast<float>(a), static_cast<float>(b), static_cast<float>(c));
  return about(term.function).real(a, b, c);
}

Number value_of(const Formula& formula, const Formula::Term& term, std::span<const Number> values) {
  std::array<Number, 3> x{};
  std::array<DType, 3> dtypes{};
  for (std::size_t i = 0; i < term.operand_count; ++i) {
    x[i] = values[term.operands[i]];
    dtypes[i] = formula.terms[term.operands[i]].dtype;
  }
  if (term.function == ElementFunction::cast) return converted_number(x[0], dtypes[0], term.dtype);
  Number y;
  // A condition, which comes first, may be of another dtype than what is chosen from.
  if (is_floating(dtypes[static_cast<std::size_t>(term.operand_count) - 1])) {
    const double value =
        real_value(term, x[0].as_real(dtypes[0]), x[1].as_real(dtypes[1]), x[2].as_real(dtypes[2]));
    if (is_floating(term.dtype)) {
      y.real = value;
    } else {
      y.whole = static_cast<Index>(value);
    }
  } else {
    y.whole = about(term.function).whole(x[0].whole, x[1].whole, x[2].whole);
  }
  return nearest_in(y, term.dtype);
}

}  // namespace

std::string Formula::hidden_by() const {
  for (const Term& term : terms) {
    if (term.function == ElementFunction::hidden) return term.hidden_by;
  }
  return {};
}

void evaluate(const Formula& formula, std::span<const void* const> inputs, void* output, Index count) {
  if (const std::string who = formula.hidden_by(); !who.empty())
    throw ValueError("evaluate: the formula of " + formula.name + " is hidden by " + who);
  if (inputs.size() != formula.inputs.size())
    throw ValueError("evaluate: the formula of " + formula.name + " has " +
                     std::to_string(formula.inputs.size()) + " inputs, not " + std::to_string(inputs.size()));
  const auto at = [](const void* data, DType dtype, Index i) {
    return static_cast<const std::byte*>(data) + i * static_cast<Index>(size_of(dtype));
  };
  std::vector<Number> values(formula.terms.size());
  for (Index i = 0; i < count; ++i) {
    for (std::size_t t = 0; t < values.size(); ++t) {
      const Formula::Term& term = formula.terms[t];
      if (term.function == ElementFunction::input) {
        values[t] = load(term.dtype, at(inputs[static_cast<std::size_t>(term.whole)], term.dtype, i));
      } else if (term.function == ElementFunction::number) {
        values[t] = {term.real, term.whole};
      } else {
        values[t] = value_of(formula, term, values);
      }
    }
    const DType dtype = formula.result().dtype;
    store(values.back(), dtype, const_cast<std::byte*>(at(output, dtype, i)));
  }
}

std::map<ElementFunction, int> count_functions(const Formula& formula) {
  std::map<ElementFunction, int> all;
  for (const Formula::Term& term : formula.terms) {
    if (term.operand_count > 0) ++all[term.function];
  }
  return all;
}

double cost_of(const Formula& formula) {
  double all = 0;
  for (const Formula::Term& term : formula.terms) all += double{about(term.function).cost};
  return all;
}

}  // namespace gradweave
