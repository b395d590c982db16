// The attributes of an op are the plain members of its type: how they are listed, compared, hashed and
// printed without being named anywhere else. Types with more to them bring a `hash_member` and a
// `print_member`.
#pragma once
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <functional>
#include <string>
#include <tuple>
#include <type_traits>

#include <gradweave/graph/kernels/elementwise.hpp>
#include <gradweave/graph/types/shape.hpp>

namespace gradweave::detail {

// Attributes by reflection: how many members can be brace-initialised, then one structured binding.
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
constexpr auto members(const Op& op) {
  constexpr std::size_t n = member_count<Op>();
  static_assert(n <= 6, "an op has at most six attributes");
  static_assert(n > 0 || std::is_empty_v<Op>, "each attribute needs a default constructor");
  if constexpr (n == 0) {
    return std::tie();
  } else if constexpr (n == 1) {
    const auto& [a] = op;
    return std::tie(a);
  } else if constexpr (n == 2) {
    const auto& [a, b] = op;
    return std::tie(a, b);
  } else if constexpr (n == 3) {
    const auto& [a, b, c] = op;
    return std::tie(a, b, c);
  } else if constexpr (n == 4) {
    const auto& [a, b, c, d] = op;
    return std::tie(a, b, c, d);
  } else if constexpr (n == 5) {
    const auto& [a, b, c, d, e] = op;
    return std::tie(a, b, c, d, e);
  } else {
    const auto& [a, b, c, d, e, f] = op;
    return std::tie(a, b, c, d, e, f);
  }
}

std::size_t combine(std::size_t seed, std::size_t hash);
std::string print_number(double value);
inline std::string print_member(bool value) { return value ? "true" : "false"; }
inline std::string print_member(DType value) { return std::string(name_of(value)); }
inline std::string print_member(const Shape& value) { return to_string(value); }
inline std::string print_member(AxisSet value) { return to_string(value); }
template <class T>
  requires std::integral<T>
std::string print_member(T value) {
  return std::to_string(value);
}
template <std::floating_point T>
std::string print_member(T value) {
  return print_number(static_cast<double>(value));
}
// The same to the last bit: 0 and -0 are two attributes, and one that is not a number equals itself.
template <class T>
bool same_member(const T& a, const T& b) {
  if constexpr (std::same_as<T, float> || std::same_as<T, double>) {
    using Bits = std::array<std::byte, sizeof(T)>;
    return std::bit_cast<Bits>(a) == std::bit_cast<Bits>(b);
  } else {
    return a == b;
  }
}

inline std::size_t hash_member(AxisSet axes) { return axes.bits; }
inline std::size_t hash_member(const Shape& shape) {
  std::size_t seed = shape.rank();
  for (Index size : shape) seed = combine(seed, std::hash<Index>{}(size));
  return seed;
}
template <class T>
  requires std::is_arithmetic_v<T> || std::is_enum_v<T>
std::size_t hash_member(T value) {
  return std::hash<T>{}(value);
}

}  // namespace gradweave::detail
