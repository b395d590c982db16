#include <gradweave/graph/attributes.hpp>

#include <algorithm>

#include <fmt/format.h>

namespace gradweave::detail {

std::size_t combine(std::size_t seed, std::size_t hash) {
  return seed ^ (hash + 0x9e3779b97f4a7c15U + (seed << 6) + (seed >> 2));
}
std::size_t hash_member(const Shape& shape) {
  std::size_t seed = shape.rank();
  for (const Index size : shape) seed = combine(seed, std::hash<Index>{}(size));
  return seed;
}

void refuse_value(std::string_view expected, const AttributeValue& value) {
  throw ValueError(fmt::format("expected {}, got {}", expected, to_string(value)));
}
void rethrow_of_member(std::string_view name) {
  try {
    throw;
  } catch (const Error& error) {
    throw ValueError(fmt::format("attribute \"{}\": {}", name, error.what()));
  }
}

// A cast would make a signalling NaN a quiet one.
double widened(float value) {
  if (value == value) return static_cast<double>(value);
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return std::bit_cast<double>(std::uint64_t{bits & 0x8000'0000U} << 32U | std::uint64_t{0x7ff} << 52U |
                               std::uint64_t{bits & 0x007f'ffffU} << 29U);
}
float narrowed(double value) {
  if (value == value) return static_cast<float>(value);
  const auto bits = std::bit_cast<std::uint64_t>(value);
  const auto payload = static_cast<std::uint32_t>(bits >> 29U & 0x007f'ffffU);
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits >> 32U & 0x8000'0000U) | 0x7f80'0000U |
                              (payload != 0 ? payload : 0x0040'0000U));
}

DType dtype_named(const AttributeValue& value) {
  const std::string& name = word_or_string(value);
  for (std::size_t k = 0; k < dtype_count; ++k) {
    if (name_of(static_cast<DType>(k)) == name) return static_cast<DType>(k);
  }
  refuse_value("a dtype", value);
}
Index whole_number(const AttributeValue& value) {
  if (const auto* number = std::get_if<Index>(&value.value)) return *number;
  refuse_value("a whole number", value);
}
double real_number(const AttributeValue& value) {
  if (const auto* number = std::get_if<double>(&value.value)) return *number;
  if (const auto* number = std::get_if<Index>(&value.value)) return static_cast<double>(*number);
  if (const auto* number = std::get_if<std::uint64_t>(&value.value)) return static_cast<double>(*number);
  if (const auto* text = std::get_if<std::string>(&value.value)) {  // JSON has no NaN and no infinity
    const AttributeValue read = parse_attribute_value(*text);
    if (const auto* number = std::get_if<double>(&read.value)) return *number;
  }
  refuse_value("a number", value);
}
const std::string& word_or_string(const AttributeValue& value) {
  if (const auto* text = std::get_if<std::string>(&value.value)) return *text;
  if (const auto* word = std::get_if<AttributeValue::Word>(&value.value)) return word->text;
  refuse_value("a text", value);
}
const AttributeValue::List& list(const AttributeValue& value) {
  if (const auto* items = std::get_if<AttributeValue::List>(&value.value)) return *items;
  refuse_value("a list", value);
}
const AttributeValue::Record& record(const AttributeValue& value) {
  if (const auto* fields = std::get_if<AttributeValue::Record>(&value.value)) return *fields;
  refuse_value("a record", value);
}

void require_known(const AttributeValue::Record& given, std::span<const std::string_view> names) {
  for (auto at = given.begin(); at != given.end(); ++at) {
    const auto is_it = [&](const AttributeField& f) { return f.name == at->name; };
    if (std::ranges::find(names, at->name) == names.end())
      throw ValueError(fmt::format("there is no attribute \"{}\"", at->name));
    if (std::find_if(at + 1, given.end(), is_it) != given.end())
      throw ValueError(fmt::format("attribute \"{}\" is there twice", at->name));
  }
}
const AttributeValue& field(const AttributeValue::Record& given, std::string_view name) {
  const auto at = std::ranges::find(given, name, &AttributeField::name);
  if (at == given.end()) throw ValueError(fmt::format("attribute \"{}\" is missing", name));
  return at->value;
}

AttributeValue to_value(const Shape& shape) { return {AttributeValue::List(shape.begin(), shape.end())}; }
void from_value(const AttributeValue& value, Shape& shape) {
  shape = {};
  for (const AttributeValue& item : list(value)) shape.push_back(whole_number(item));
}
// Axes of a list, counted from the last, each there once.
template <class Add>
static void for_axes(const AttributeValue& value, const Add& add) {
  AxisSet seen;
  for (const AttributeValue& item : list(value)) {
    const Index axis = whole_number(item);
    if (axis >= 0 || axis < -static_cast<Index>(max_rank))
      refuse_value("an axis counted from the last", item);
    const unsigned bit = 1U << static_cast<unsigned>(-1 - axis);
    if ((seen.bits & bit) != 0) refuse_value("each axis once", value);
    seen.bits |= bit;
    add(axis, bit);
  }
}
AttributeValue to_value(AxisSet axes) {
  AttributeValue::List items;
  for (auto axis = -static_cast<Index>(max_rank); axis < 0; ++axis) {
    if (((axes.bits >> (-1 - axis)) & 1U) != 0) items.push_back({axis});
  }
  return {std::move(items)};
}
void from_value(const AttributeValue& value, AxisSet& axes) {
  axes = {};
  for_axes(value, [&](Index, unsigned bit) { axes.bits |= bit; });
}
AttributeValue to_value(const AxisOrder& order) {
  AttributeValue::List items;
  for (std::size_t i = 0; i < order.rank; ++i) items.push_back({Index{order.axes[i]}});
  return {std::move(items)};
}
void from_value(const AttributeValue& value, AxisOrder& order) {
  order = {};
  unsigned seen = 0;
  for_axes(value, [&](Index axis, unsigned bit) {
    order.axes[order.rank++] = static_cast<std::int8_t>(axis);
    seen |= bit;
  });
  if (seen + 1 != 1U << order.rank) refuse_value("an order of the last axes", value);
}
std::size_t hash_member(const AxisOrder& order) {
  std::size_t seed = order.rank;
  for (std::size_t i = 0; i < order.rank; ++i)
    seed = combine(seed, static_cast<std::size_t>(order.axes[i] + 8));
  return seed;
}

}  // namespace gradweave::detail
