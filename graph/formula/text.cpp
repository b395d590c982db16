// Formulas as text: C and LaTeX.
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include <gradweave/graph/formula/formula.hpp>

namespace gradweave {
namespace {

struct Text {
  std::string text;
  int level = 16;  // how its outermost operator binds, 16: there is none
};
// Of C's operators.
constexpr int level_of_sum = 12, level_of_product = 13, level_of_unary = 14;

// A notation, perhaps made up.
struct Pattern {
  std::string text;
  int level;
};
Pattern pattern_of(const Notation& notation) { return {notation.text, notation.level}; }

// What the two languages differ in.
struct Language {
  Text (*number)(const Formula::Term&);
  Text (*input)(const Formula&, const Formula::Term&);
  Pattern (*pattern)(const Formula&, const Formula::Term&);
  const char *open, *close;
};

// Whether what stands around `#1` keeps an operand together by itself.
bool encloses(std::string_view text, std::size_t hole) {
  const char before = hole == 0 ? ' ' : text[hole - 1], after = hole + 2 < text.size() ? text[hole + 2] : ' ';
  const bool begins = before == '(' || before == '{' || (hole > 1 && text.substr(hole - 2, 2) == ", ");
  return begins && (after == ')' || after == '}' || after == ',' || after == '\\');
}

Text written(const Pattern& pattern, std::span<const Text> operands, const Language& language) {
  const std::string_view text = pattern.text;
  std::string all;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '#') {
      all += text[i];
      continue;
    }
    const auto number = static_cast<std::size_t>(text[i + 1] - '1');
    const Text& operand = operands[number];
    const bool joins_left =
        number == 0 && (pattern.level == level_of_sum || pattern.level == level_of_product);
    const bool binds = operand.level > pattern.level || (joins_left && operand.level == pattern.level);
    all += binds || encloses(text, i) ? operand.text : language.open + operand.text + language.close;
    ++i;
  }
  return {all, pattern.level};
}

// How often `#1` (or another one) occurs.
int occurrences(std::string_view text, std::size_t operand) {
  const std::string hole = "#" + std::to_string(operand + 1);
  int count = 0;
  for (std::size_t at = text.find(hole); at != std::string_view::npos; at = text.find(hole, at + 1)) ++count;
  return count;
}

Text term_text(const Formula& formula, const Formula::Term& term, std::span<const Text> texts,
               const Language& language) {
  if (term.function == ElementFunction::input) return language.input(formula, term);
  if (term.function == ElementFunction::number) return language.number(term);
  std::array<Text, 3> operands;
  for (std::size_t i = 0; i < term.operand_count; ++i) operands[i] = texts[term.operands[i]];
  return written(language.pattern(formula, term), operands, language);
}

// ---- C.

std::string_view c_type(DType dtype) {
  switch (dtype) {
    case DType::bool_:
      return "bool";
    case DType::int64:
      return "int64_t";
    case DType::float32:
      return "float";
    case DType::float64:
      return "double";
    case DType::uint8:
      return "uint8_t";
    case DType::int8:
      return "int8_t";
    case DType::uint16:
      return "uint16_t";
    case DType::int16:
      return "int16_t";
    case DType::uint32:
      return "uint32_t";
    case DType::int32:
      return "int32_t";
    case DType::uint64:
      return "uint64_t";
    case DType::float16:
    case DType::bfloat16:
      break;
  }
  throw DTypeError(fmt::format("C has no {}", name_of(dtype)));
}

Text c_number(const Formula::Term& term) {
  if (term.dtype == DType::bool_) return {term.whole != 0 ? "true" : "false"};
  if (!is_floating(term.dtype)) {
    if (term.whole == std::numeric_limits<Index>::min()) return {"INT64_MIN"};
    return {fmt::format("INT64_C({})", term.whole)};
  }
  if (std::isnan(term.real)) return {"NAN"};
  const int level = std::signbit(term.real) ? level_of_unary : 16;
  if (std::isinf(term.real)) return {term.real < 0 ? "-INFINITY" : "INFINITY", level};
  std::string digits = term.dtype == DType::float32 ? fmt::format("{}", static_cast<float>(term.real))
                                                    : fmt::format("{}", term.real);
  if (digits.find_first_of(".e") == std::string::npos) digits += ".0";
  return {digits + (term.dtype == DType::float32 ? "f" : ""), level};
}

Text c_input(const Formula& formula, const Formula::Term& term) {
  return {formula.inputs.size() == 1 ? "x" : fmt::format("x{}", term.whole)};
}

// Floating to whole saturates and makes 0 of NaN; to narrow ones it goes by way of int64.
std::string c_cast(DType from, DType to) {
  if (to == DType::bool_) return "#1 != 0";
  if (!is_floating(from) || is_floating(to)) return fmt::format("({})#1", c_type(to));
  const bool is_direct = to == DType::int32;
  const std::string limit = is_direct ? "2147483648.0" : "9223372036854775808.0";
  const std::string bits = is_direct ? "32" : "64";
  std::string text = fmt::format(
      "#1 != #1 ? 0 : #1 >= {0} ? INT{1}_MAX : #1 < -{0} ? INT{1}_MIN : (int{1}_t)#1", limit, bits);
  if (to == DType::uint64)
    return fmt::format(
        "#1 >= 18446744073709551616.0 ? UINT64_MAX : #1 >= {0} ? (uint64_t)#1 : (uint64_t)({1})", limit,
        text);
  return is_direct || to == DType::int64 ? text : fmt::format("({})({})", c_type(to), text);
}

Pattern c_pattern(const Formula& formula, const Formula::Term& term) {
  const DType operand = formula.terms[term.operands[static_cast<std::size_t>(term.operand_count) - 1]].dtype;
  if (term.function == ElementFunction::cast) {
    const bool is_condition = term.dtype == DType::bool_;
    const bool saturates = is_floating(operand) && !is_floating(term.dtype);
    return {c_cast(operand, term.dtype), is_condition ? 9 : saturates ? 3 : level_of_unary};
  }
  const FunctionInfo& info = about(term.function);
  if (term.dtype == DType::bool_ && operand == DType::bool_) {  // arithmetic of bools
    if (term.function == ElementFunction::add) return {"#1 || #2", 4};
    if (term.function == ElementFunction::multiply) return {"#1 && #2", 5};
  }
  return !is_floating(operand) && info.c_whole.text != nullptr ? pattern_of(info.c_whole)
                                                               : pattern_of(info.c);
}

constexpr Language c_language{c_number, c_input, c_pattern, "(", ")"};

// ---- LaTeX.

Text latex_number(const Formula::Term& term) {
  if (!is_floating(term.dtype)) return {std::to_string(term.whole), term.whole < 0 ? level_of_sum : 16};
  if (std::isnan(term.real)) return {"\\mathrm{NaN}"};
  const int level = std::signbit(term.real) ? level_of_sum : 16;
  if (std::isinf(term.real)) return {term.real < 0 ? "-\\infty" : "\\infty", level};
  std::string digits = term.dtype == DType::float32 ? fmt::format("{}", static_cast<float>(term.real))
                                                    : fmt::format("{}", term.real);
  const std::size_t e = digits.find('e');
  if (e == std::string::npos) return {digits, level};
  const int exponent = std::stoi(digits.substr(e + 1));
  return {fmt::format("{} \\cdot 10^{{{}}}", digits.substr(0, e), exponent), level_of_product};
}

Text latex_input(const Formula& formula, const Formula::Term& term) {
  return {formula.inputs.size() == 1 ? "x" : fmt::format("x_{{{}}}", term.whole)};
}

// A condition as a number is Iverson's bracket.
Pattern latex_pattern(const Formula& formula, const Formula::Term& term) {
  if (term.function == ElementFunction::cast) {
    const bool is_condition = formula.terms[term.operands[0]].dtype == DType::bool_;
    if (is_condition) return {"\\left[{#1}\\right]", 16};
    std::string name(name_of(term.dtype));
    return {"\\operatorname{" + name + "}\\left(#1\\right)", 16};
  }
  if (term.function == ElementFunction::hidden) {
    std::string operands;
    for (std::size_t i = 0; i < term.operand_count; ++i)
      operands += fmt::format("{}#{}", i == 0 ? "" : ", ", i + 1);
    return {operands.empty() ? "?" : "?\\left(" + operands + "\\right)", 16};
  }
  return pattern_of(about(term.function).latex);
}

constexpr Language latex_language{latex_number, latex_input, latex_pattern, "\\left(", "\\right)"};

}  // namespace

std::string to_c(const Formula& formula, std::string_view name) {
  if (const std::string who = formula.hidden_by(); !who.empty())
    throw ValueError(fmt::format("to_c: the formula of {} is hidden by {}", formula.name, who));
  for (const Formula::Term& term : formula.terms) {
    if (term.operand_count > 0 && c_pattern(formula, term).text.empty())
      throw ValueError(fmt::format("to_c: C has no {}, of {}", about(term.function).name, formula.name));
  }
  // What is read several times has a name of its own.
  std::vector<int> reads(formula.terms.size(), 0);
  for (const Formula::Term& term : formula.terms) {
    for (std::size_t i = 0; i < term.operand_count; ++i)
      reads[term.operands[i]] += occurrences(c_pattern(formula, term).text, i);
  }
  std::string body;
  std::vector<Text> texts(formula.terms.size());
  for (std::size_t t = 0; t < texts.size(); ++t) {
    const Formula::Term& term = formula.terms[t];
    texts[t] = term_text(formula, term, texts, c_language);
    if (reads[t] < 2 || term.operand_count == 0) continue;
    body += fmt::format("  const {} t{} = {};\n", c_type(term.dtype), t, texts[t].text);
    texts[t] = {fmt::format("t{}", t)};
  }
  std::string parameters;
  for (std::size_t i = 0; i < formula.inputs.size(); ++i) {
    parameters += fmt::format("{}{} {}", i == 0 ? "" : ", ", c_type(formula.inputs[i]),
                              formula.inputs.size() == 1 ? "x" : fmt::format("x{}", i));
  }
  return fmt::format("{} {}({}) {{\n{}  return {};\n}}\n", c_type(formula.result().dtype), name, parameters,
                     body, texts.back().text);
}

std::string to_latex(const Formula& formula) {
  std::vector<Text> texts;
  texts.reserve(formula.terms.size());
  for (const Formula::Term& term : formula.terms)
    texts.push_back(term_text(formula, term, texts, latex_language));
  return texts.back().text;
}

}  // namespace gradweave
