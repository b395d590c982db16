#include <gradweave/graph/attributes.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <gradweave/graph/operation.hpp>

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
// A cast would make a signalling NaN a quiet one.
static double widened(float value) {
  if (value == value) return static_cast<double>(value);
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return std::bit_cast<double>(std::uint64_t{bits & 0x8000'0000U} << 32U | std::uint64_t{0x7ff} << 52U |
                               std::uint64_t{bits & 0x007f'ffffU} << 29U);
}
static float narrowed(double value) {
  if (value == value) return static_cast<float>(value);
  const auto bits = std::bit_cast<std::uint64_t>(value);
  const auto payload = static_cast<std::uint32_t>(bits >> 29U & 0x007f'ffffU);
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits >> 32U & 0x8000'0000U) | 0x7f80'0000U |
                              (payload != 0 ? payload : 0x0040'0000U));
}

static Index any_number(const AttributeValue& value) {
  return whole_number(value, std::numeric_limits<Index>::min(), std::numeric_limits<Index>::max());
}
static const std::string* text_in(const AttributeValue& value) {
  if (const auto* text = std::get_if<std::string>(&value.value)) return text;
  const auto* word = std::get_if<AttributeValue::Word>(&value.value);
  return word == nullptr ? nullptr : &word->text;
}

AttributeValue basic_value(bool is) { return {is}; }
AttributeValue basic_value(const std::string& text) { return {text}; }
AttributeValue basic_value(Index number) { return {number}; }
AttributeValue basic_value(std::uint64_t number) {
  return std::in_range<Index>(number) ? AttributeValue{static_cast<Index>(number)} : AttributeValue{number};
}
AttributeValue basic_value(float number) { return {widened(number)}; }
AttributeValue basic_value(double number) { return {number}; }
AttributeValue basic_value(DType dtype) { return {AttributeValue::Word{std::string(name_of(dtype))}}; }

void read_basic(const AttributeValue& value, bool& is) {
  const bool* given = std::get_if<bool>(&value.value);
  if (given == nullptr) refuse_value("true or false", value);
  is = *given;
}
void read_basic(const AttributeValue& value, std::string& text) {
  const std::string* given = text_in(value);
  if (given == nullptr) refuse_value("a text", value);
  text = *given;
}
void read_basic(const AttributeValue& value, double& number) {
  if (const auto* real = std::get_if<double>(&value.value)) {
    number = *real;
  } else if (const auto* whole = std::get_if<Index>(&value.value)) {
    number = static_cast<double>(*whole);
  } else if (const auto* large = std::get_if<std::uint64_t>(&value.value)) {
    number = static_cast<double>(*large);
  } else if (const auto* text = std::get_if<std::string>(&value.value)) {  // JSON has no NaN and no infinity
    const AttributeValue read = parse_attribute_value(*text);
    if (!std::holds_alternative<double>(read.value)) refuse_value("a number", value);
    number = std::get<double>(read.value);
  } else {
    refuse_value("a number", value);
  }
}
void read_basic(const AttributeValue& value, float& number) {
  double wide = 0;
  read_basic(value, wide);
  number = narrowed(wide);
}
void read_basic(const AttributeValue& value, DType& dtype) {
  const std::string* name = text_in(value);
  if (name == nullptr) refuse_value("a text", value);
  for (std::size_t k = 0; k < dtype_count; ++k) {
    if (name_of(static_cast<DType>(k)) == *name) {
      dtype = static_cast<DType>(k);
      return;
    }
  }
  refuse_value("a dtype", value);
}

Index whole_number(const AttributeValue& value, Index least, std::uint64_t most) {
  const auto* large = std::get_if<std::uint64_t>(&value.value);
  if (large != nullptr && *large <= most) return static_cast<Index>(*large);
  const auto* number = std::get_if<Index>(&value.value);
  if (number == nullptr) refuse_value("a whole number", value);
  if (*number < least || (*number > 0 && static_cast<std::uint64_t>(*number) > most))
    refuse_value("a smaller number", value);
  return *number;
}
AttributeValue value_of_enumerator(std::span<const std::string_view> names, Index number) {
  const bool named =
      number >= 0 && number < std::ssize(names) && !names[static_cast<std::size_t>(number)].empty();
  if (!named) return {number};
  return {AttributeValue::Word{std::string(names[static_cast<std::size_t>(number)])}};
}
Index read_enumerator(std::span<const std::string_view> names, const AttributeValue& value) {
  const std::string* name = text_in(value);
  if (name == nullptr) return any_number(value);
  const auto at = std::ranges::find(names, *name);
  if (name->empty() || at == names.end()) refuse_value("an enumerator", value);
  return at - names.begin();
}

const AttributeValue::List& list(const AttributeValue& value) {
  if (const auto* items = std::get_if<AttributeValue::List>(&value.value)) return *items;
  refuse_value("a list", value);
}
const AttributeValue::Record& record(const AttributeValue& value) {
  if (const auto* fields = std::get_if<AttributeValue::Record>(&value.value)) return *fields;
  refuse_value("a record", value);
}

AttributeValue::Record record_of(const RecordType& type, const void* record) {
  std::array<const void*, 8> at{};
  if (!type.members.empty()) type.locate(record, at.data());
  AttributeValue::Record result;
  result.reserve(type.members.size());
  for (std::size_t k = 0; k < type.members.size(); ++k)
    result.push_back({std::string(type.members[k].name), type.members[k].type->to_value(at[k])});
  return result;
}

static const AttributeValue& given_member(const AttributeValue::Record& given, std::string_view name) {
  const AttributeValue* value = nullptr;
  for (const AttributeField& field : given) {
    if (field.name != name) continue;
    if (value != nullptr) throw ValueError(fmt::format("attribute \"{}\" is there twice", name));
    value = &field.value;
  }
  if (value == nullptr) throw ValueError(fmt::format("attribute \"{}\" is missing", name));
  return *value;
}
void read_record(const RecordType& type, const AttributeValue::Record& given, void* record) {
  std::array<const void*, 8> at{};
  if (!type.members.empty()) type.locate(record, at.data());
  for (const AttributeField& field : given) {
    if (std::ranges::find(type.members, field.name, &Member::name) == type.members.end())
      throw ValueError(fmt::format("there is no attribute \"{}\"", field.name));
  }
  for (std::size_t k = 0; k < type.members.size(); ++k) {
    const auto& [name, member] = type.members[k];
    const AttributeValue& value = given_member(given, name);
    try {
      member->from_value(value, const_cast<void*>(at[k]));
    } catch (const Error& error) {
      throw ValueError(fmt::format("attribute \"{}\": {}", name, error.what()));
    }
  }
}

AttributeValue to_value(const Shape& shape) { return {AttributeValue::List(shape.begin(), shape.end())}; }
void from_value(const AttributeValue& value, Shape& shape) {
  shape = {};
  for (const AttributeValue& item : list(value)) shape.push_back(any_number(item));
}
// Axes of a list, counted from the last, each there once.
template <class Add>
static void for_axes(const AttributeValue& value, const Add& add) {
  AxisSet seen;
  for (const AttributeValue& item : list(value)) {
    const Index axis = any_number(item);
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

std::shared_ptr<void> gradweave::new_attributes(const Operation& operation, const void* from) {
  if (operation.attribute_size == 0) return nullptr;
  std::unique_ptr<void, void (*)(void*)> memory(::operator new(operation.attribute_size),
                                                [](void* at) { ::operator delete(at); });
  if (from == nullptr) {
    operation.construct(memory.get());
  } else {
    operation.copy(from, memory.get());
  }
  return {memory.release(), [destroy = operation.destroy](void* at) {
            if (destroy != nullptr) destroy(at);
            ::operator delete(at);
          }};
}
