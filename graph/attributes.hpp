// The attributes of an op are the plain members of its type: how they are listed, named, compared, hashed,
// printed and read without being written down anywhere else.
//
// A member may be a number, a bool, a dtype, an enumerator, a string, a shape, a std::vector or std::array of
// such, or a plain struct of such. Another type needs ==, and brings, where they are found by its namespace,
// `std::size_t hash_member(const T&)` and either `AttributeValue to_value(const T&)` with
// `void from_value(const AttributeValue&, T&)` or, if it cannot be read back, `std::string print_member(const
// T&)`.
#pragma once
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <functional>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include <gradweave/graph/attribute_value.hpp>
#include <gradweave/graph/types/shape.hpp>

namespace gradweave::detail {

// ---- Members, by reflection: how many can be brace-initialised, then one structured binding.

struct Anything {
  template <class T>
  operator T() const;
};
template <class Op, class... Members>
constexpr std::size_t member_count() {
  if constexpr (std::is_empty_v<Op>) {
    return 0;
  } else if constexpr (requires { Op{Members{}..., Anything{}}; }) {
    return member_count<Op, Members..., Anything>();
  } else {
    return sizeof...(Members);
  }
}

template <class Op>
constexpr auto members(Op& op) {
  constexpr std::size_t n = member_count<std::remove_const_t<Op>>();
  static_assert(n <= 8, "an op has at most eight attributes: put some of them into a struct");
  static_assert(n > 0 || std::is_empty_v<Op>, "each attribute needs a default constructor");
  if constexpr (n == 0) {
    return std::tie();
  } else if constexpr (n == 1) {
    auto& [a] = op;
    return std::tie(a);
  } else if constexpr (n == 2) {
    auto& [a, b] = op;
    return std::tie(a, b);
  } else if constexpr (n == 3) {
    auto& [a, b, c] = op;
    return std::tie(a, b, c);
  } else if constexpr (n == 4) {
    auto& [a, b, c, d] = op;
    return std::tie(a, b, c, d);
  } else if constexpr (n == 5) {
    auto& [a, b, c, d, e] = op;
    return std::tie(a, b, c, d, e);
  } else if constexpr (n == 6) {
    auto& [a, b, c, d, e, f] = op;
    return std::tie(a, b, c, d, e, f);
  } else if constexpr (n == 7) {
    auto& [a, b, c, d, e, f, g] = op;
    return std::tie(a, b, c, d, e, f, g);
  } else {
    auto& [a, b, c, d, e, f, g, h] = op;
    return std::tie(a, b, c, d, e, f, g, h);
  }
}

// A plain struct that is an attribute itself.
template <class T>
concept Record = std::is_aggregate_v<T> && std::is_class_v<T> && !requires(const T& x) { x.size(); };
template <class T>
concept Sequence = requires(const T& x) {
  typename T::value_type;
  x.begin();
  x.size();
} && !std::same_as<T, std::string> && !std::same_as<T, Shape>;

// ---- Names: the compiler spells out template arguments in the name of a function, among them the address of
// a member of an object that is declared only, and enumerators.

#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wundefined-var-template"
#pragma clang diagnostic ignored "-Wundefined-internal"
#endif
template <class T>
struct Declared {
  const T value;
  static const Declared object;
};
template <class T>
struct Address {
  const T* at;
};
template <auto argument>
constexpr const char* spelled() {
  return __PRETTY_FUNCTION__;
}
// The identifier that the text of an argument ends with; empty where it ends otherwise, as `(Color)7` does.
constexpr std::string_view last_identifier(std::string_view text) {
  const auto is_part = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  std::size_t end = text.size();
  while (end > 0 && (text[end - 1] == ']' || text[end - 1] == '}' || text[end - 1] == ')')) --end;
  std::size_t begin = end;
  while (begin > 0 && is_part(text[begin - 1])) --begin;
  const bool is_number = begin < end && text[begin] >= '0' && text[begin] <= '9';
  return is_number ? std::string_view() : text.substr(begin, end - begin);
}
template <class Op, std::size_t I>
constexpr std::string_view member_name() {
  using Members = decltype(members(Declared<Op>::object.value));
  using Member = std::remove_cvref_t<std::tuple_element_t<I, Members>>;
  return last_identifier(
      spelled<Address<Member>{std::addressof(std::get<I>(members(Declared<Op>::object.value)))}>());
}
#if defined(__clang__)
#pragma clang diagnostic pop
#endif

// Of the first enumerators of a scoped enumeration; empty for a number that has none.
template <class E>
constexpr std::string_view enumerator_name(E value) {
  std::string_view name;
  if constexpr (!std::convertible_to<E, std::underlying_type_t<E>>) {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      ((value == static_cast<E>(I) ? void(name = last_identifier(spelled<static_cast<E>(I)>())) : void()),
       ...);
    }(std::make_index_sequence<32>());
  }
  return name;
}

// ---- Equality to the last bit: 0 and -0 are two attributes, and one that is not a number equals itself.

template <class T>
bool same_member(const T& a, const T& b) {
  if constexpr (std::same_as<T, float> || std::same_as<T, double>) {
    using Bits = std::array<std::byte, sizeof(T)>;
    return std::bit_cast<Bits>(a) == std::bit_cast<Bits>(b);
  } else if constexpr (Sequence<T>) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](const auto& x, const auto& y) { return same_member(x, y); });
  } else if constexpr (Record<T>) {
    return [&]<std::size_t... I>(std::index_sequence<I...>, const auto& x, const auto& y) {
      return (same_member(std::get<I>(x), std::get<I>(y)) && ...);
    }(std::make_index_sequence<member_count<T>()>(), members(a), members(b));
  } else {
    return a == b;
  }
}

// ---- Hashes.

std::size_t combine(std::size_t seed, std::size_t hash);
inline std::size_t hash_member(AxisSet axes) { return axes.bits; }
std::size_t hash_member(const AxisOrder& order);
std::size_t hash_member(const Shape& shape);
template <class T>
  requires std::is_arithmetic_v<T> || std::is_enum_v<T> || std::same_as<T, std::string>
std::size_t hash_member(const T& value) {
  return std::hash<T>{}(value);
}
template <class T>
  requires Sequence<T> || Record<T>
std::size_t hash_member(const T& value) {
  std::size_t seed = 0;
  const auto add = [&](const auto& part) { seed = combine(seed, hash_member(part)); };
  if constexpr (Sequence<T>) {
    for (const auto& item : value) add(static_cast<const typename T::value_type&>(item));
  } else {
    std::apply([&](const auto&... m) { (add(m), ...); }, members(value));
  }
  return seed;
}

// ---- Values, and back. What is read throws ValueError if it does not fit.

[[noreturn]] void refuse_value(std::string_view expected, const AttributeValue& value);
double widened(float value);  // bit for bit, of a NaN, too
float narrowed(double value);
DType dtype_named(const AttributeValue& value);
Index whole_number(const AttributeValue& value);
double real_number(const AttributeValue& value);
const std::string& word_or_string(const AttributeValue& value);
const AttributeValue::List& list(const AttributeValue& value);
const AttributeValue::Record& record(const AttributeValue& value);
void require_known(const AttributeValue::Record& given, std::span<const std::string_view> names);
const AttributeValue& field(const AttributeValue::Record& given, std::string_view name);
[[noreturn]] void rethrow_of_member(std::string_view name);

AttributeValue to_value(const Shape& shape);
AttributeValue to_value(AxisSet axes);
AttributeValue to_value(const AxisOrder& order);
void from_value(const AttributeValue& value, Shape& shape);
void from_value(const AttributeValue& value, AxisSet& axes);
void from_value(const AttributeValue& value, AxisOrder& order);

template <class T>
AttributeValue value_of(const T& x);
template <class T>
void read_value(const AttributeValue& value, T& x);

template <class T>
AttributeValue::Record record_of(const T& x) {
  AttributeValue::Record result;
  [&]<std::size_t... I>(std::index_sequence<I...>, const auto& all) {
    (result.push_back({std::string(member_name<T, I>()), value_of(std::get<I>(all))}), ...);
  }(std::make_index_sequence<member_count<T>()>(), members(x));
  return result;
}
// Each member is there once, and there are no others.
template <class T>
void read_record(const AttributeValue::Record& given, T& x) {
  [&]<std::size_t... I>(std::index_sequence<I...>, const auto& all) {
    constexpr std::array<std::string_view, sizeof...(I)> names{member_name<T, I>()...};
    require_known(given, names);
    const auto read = [&](std::string_view name, auto& member) {
      const AttributeValue& value = field(given, name);
      try {
        read_value(value, member);
      } catch (const Error&) {
        rethrow_of_member(name);
      }
    };
    (read(names[I], std::get<I>(all)), ...);
  }(std::make_index_sequence<member_count<T>()>(), members(x));
}

template <class T>
AttributeValue value_of(const T& x) {
  if constexpr (requires { to_value(x); }) {
    return to_value(x);
  } else if constexpr (std::same_as<T, bool> || std::same_as<T, std::string>) {
    return {x};
  } else if constexpr (std::same_as<T, DType>) {
    return {AttributeValue::Word{std::string(name_of(x))}};
  } else if constexpr (std::is_enum_v<T>) {
    const std::string_view name = enumerator_name(x);
    return name.empty() ? value_of(static_cast<std::underlying_type_t<T>>(x))
                        : AttributeValue{AttributeValue::Word{std::string(name)}};
  } else if constexpr (std::integral<T>) {
    return std::in_range<Index>(x) ? AttributeValue{static_cast<Index>(x)}
                                   : AttributeValue{static_cast<std::uint64_t>(x)};
  } else if constexpr (std::same_as<T, float>) {
    return {widened(x)};
  } else if constexpr (std::floating_point<T>) {
    return {static_cast<double>(x)};
  } else if constexpr (Sequence<T>) {
    AttributeValue::List items;
    items.reserve(x.size());
    for (const auto& item : x) items.push_back(value_of(static_cast<const typename T::value_type&>(item)));
    return {std::move(items)};
  } else if constexpr (requires { print_member(x); }) {
    return {AttributeValue::Word{print_member(x)}};
  } else {
    return {record_of(x)};
  }
}

template <class T>
void read_value(const AttributeValue& value, T& x) {
  if constexpr (requires { from_value(value, x); }) {
    from_value(value, x);
  } else if constexpr (std::same_as<T, bool>) {
    const bool* is = std::get_if<bool>(&value.value);
    if (is == nullptr) refuse_value("true or false", value);
    x = *is;
  } else if constexpr (std::same_as<T, std::string>) {
    x = word_or_string(value);
  } else if constexpr (std::same_as<T, DType>) {
    x = dtype_named(value);
  } else if constexpr (std::is_enum_v<T>) {
    using Number = std::underlying_type_t<T>;
    for (Number k = 0; k < 32; ++k) {
      const std::string_view name = enumerator_name(static_cast<T>(k));
      if (!name.empty() && !std::holds_alternative<Index>(value.value) && name == word_or_string(value)) {
        x = static_cast<T>(k);
        return;
      }
    }
    Number number{};
    read_value(value, number);
    x = static_cast<T>(number);
  } else if constexpr (std::integral<T>) {
    const auto* large = std::get_if<std::uint64_t>(&value.value);
    if (large != nullptr && std::in_range<T>(*large)) {
      x = static_cast<T>(*large);
    } else {
      const Index number = whole_number(value);
      if (!std::in_range<T>(number)) refuse_value("a smaller number", value);
      x = static_cast<T>(number);
    }
  } else if constexpr (std::same_as<T, float>) {
    x = narrowed(real_number(value));
  } else if constexpr (std::floating_point<T>) {
    x = static_cast<T>(real_number(value));
  } else if constexpr (Sequence<T>) {
    const AttributeValue::List& items = list(value);
    if constexpr (requires { x.resize(items.size()); }) {
      x.resize(items.size());
    } else {
      if (items.size() != x.size()) refuse_value("as many items as there are", value);
    }
    for (std::size_t k = 0; k < items.size(); ++k) {
      typename T::value_type item{};
      read_value(items[k], item);
      x[k] = std::move(item);
    }
  } else if constexpr (requires { print_member(x); }) {
    refuse_value("something that can be read back", value);
  } else {
    read_record(record(value), x);
  }
}

}  // namespace gradweave::detail
