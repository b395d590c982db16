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
#include <limits>
#include <span>
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
inline constexpr auto enumerator_names = []<std::size_t... I>(std::index_sequence<I...>) {
  if constexpr (std::convertible_to<E, std::underlying_type_t<E>>)
    return std::array<std::string_view, 0>();
  else
    return std::array<std::string_view, sizeof...(I)>{last_identifier(spelled<static_cast<E>(I)>())...};
}(std::make_index_sequence<32>());

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

// ---- Values, and back, of members whose C++ type is not known: one table for each type, whichever ops hold
// it. What is read throws ValueError if it does not fit.

struct MemberType {
  AttributeValue (*to_value)(const void* member);
  void (*from_value)(const AttributeValue& value, void* member);
};
struct Member {
  std::string_view name;
  const MemberType* type;
};
struct RecordType {
  std::span<const Member> members;
  void (*locate)(const void* record, const void** members);
};

AttributeValue::Record record_of(const RecordType& type, const void* record);
// Each member is there once, and there are no others.
void read_record(const RecordType& type, const AttributeValue::Record& given, void* record);

[[noreturn]] void refuse_value(std::string_view expected, const AttributeValue& value);
const AttributeValue::List& list(const AttributeValue& value);
const AttributeValue::Record& record(const AttributeValue& value);
// A whole number from `least` to `most`.
Index whole_number(const AttributeValue& value, Index least, std::uint64_t most);
AttributeValue value_of_enumerator(std::span<const std::string_view> names, Index number);
Index read_enumerator(std::span<const std::string_view> names, const AttributeValue& value);
AttributeValue basic_value(bool is);
AttributeValue basic_value(const std::string& text);
AttributeValue basic_value(Index number);
AttributeValue basic_value(std::uint64_t number);
AttributeValue basic_value(float number);
AttributeValue basic_value(double number);
AttributeValue basic_value(DType dtype);
void read_basic(const AttributeValue& value, bool& is);
void read_basic(const AttributeValue& value, std::string& text);
void read_basic(const AttributeValue& value, float& number);
void read_basic(const AttributeValue& value, double& number);
void read_basic(const AttributeValue& value, DType& dtype);

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
inline constexpr MemberType member_type{
    [](const void* member) { return value_of(*static_cast<const T*>(member)); },
    [](const AttributeValue& value, void* member) { read_value(value, *static_cast<T*>(member)); }};

template <class T, std::size_t... I>
constexpr auto members_of(std::index_sequence<I...>) {
  using Members = decltype(members(std::declval<const T&>()));
  return std::array<Member, sizeof...(I)>{
      Member{member_name<T, I>(), &member_type<std::remove_cvref_t<std::tuple_element_t<I, Members>>>}...};
}
template <class T>
inline constexpr auto member_table = members_of<T>(std::make_index_sequence<member_count<T>()>());
template <class T>
inline constexpr RecordType record_type{member_table<T>, [](const void* record, const void** at) {
                                          std::apply(
                                              [&](const auto&... m) { ((*at++ = std::addressof(m)), ...); },
                                              members(*static_cast<const T*>(record)));
                                        }};

template <class T>
AttributeValue value_of(const T& x) {
  if constexpr (requires { to_value(x); }) {
    return to_value(x);
  } else if constexpr (std::same_as<T, bool> || std::same_as<T, float> || std::same_as<T, std::string> ||
                       std::same_as<T, DType>) {
    return basic_value(x);
  } else if constexpr (std::is_enum_v<T>) {
    return value_of_enumerator(enumerator_names<T>, static_cast<Index>(x));
  } else if constexpr (std::integral<T>) {
    return basic_value(static_cast<std::conditional_t<std::is_signed_v<T>, Index, std::uint64_t>>(x));
  } else if constexpr (std::floating_point<T>) {
    return basic_value(static_cast<double>(x));
  } else if constexpr (Sequence<T>) {
    AttributeValue::List items;
    items.reserve(x.size());
    for (const auto& item : x) items.push_back(value_of(static_cast<const typename T::value_type&>(item)));
    return {std::move(items)};
  } else if constexpr (requires { print_member(x); }) {
    return {AttributeValue::Word{print_member(x)}};
  } else {
    return {record_of(record_type<T>, &x)};
  }
}

template <class T>
void read_value(const AttributeValue& value, T& x) {
  if constexpr (requires { from_value(value, x); }) {
    from_value(value, x);
  } else if constexpr (requires { read_basic(value, x); }) {
    read_basic(value, x);
  } else if constexpr (std::is_enum_v<T>) {
    using Limits = std::numeric_limits<std::underlying_type_t<T>>;
    const Index number = read_enumerator(enumerator_names<T>, value);
    x = static_cast<T>(whole_number({number}, Limits::min(), Limits::max()));
  } else if constexpr (std::integral<T>) {
    using Limits = std::numeric_limits<T>;
    x = static_cast<T>(whole_number(value, Limits::min(), Limits::max()));
  } else if constexpr (std::floating_point<T>) {
    double number = 0;
    read_basic(value, number);
    x = static_cast<T>(number);
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
    read_record(record_type<T>, record(value), &x);
  }
}

}  // namespace gradweave::detail
