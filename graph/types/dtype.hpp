// Element types, their promotion (NumPy's rules) and the one place where a runtime dtype becomes a C++ type.
#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>

#include <gradweave/graph/types/error.hpp>

namespace gradweave {

using Index = std::int64_t;

/// Ordered from narrow to wide.
enum class DType : std::uint8_t { bool_, int64, float32, float64 };
inline constexpr std::size_t dtype_count = 4;

/// A set of dtypes, one bit each.
using DTypes = std::uint8_t;
constexpr DTypes only(DType t) { return static_cast<DTypes>(1U << static_cast<unsigned>(t)); }
inline constexpr DTypes floating = only(DType::float32) | only(DType::float64);
inline constexpr DTypes numeric = floating | only(DType::int64);
inline constexpr DTypes any_dtype = numeric | only(DType::bool_);
constexpr bool contains(DTypes set, DType t) { return (set & only(t)) != 0; }

constexpr bool is_floating(DType t) { return contains(floating, t); }
constexpr std::size_t size_of(DType t) { return t == DType::bool_ ? 1 : t == DType::float32 ? 4 : 8; }

constexpr std::string_view name_of(DType t) {
  switch (t) {
    case DType::bool_:
      return "bool";
    case DType::int64:
      return "int64";
    case DType::float32:
      return "float32";
    case DType::float64:
      break;
  }
  return "float64";
}

/// The dtype of a result of two operands: the wider one, except that int64 with float32 gives float64, for
/// float32 cannot hold every int64 (as NumPy's `result_type`).
constexpr DType promote(DType a, DType b) {
  if (a > b) return promote(b, a);
  return a == DType::int64 && b == DType::float32 ? DType::float64 : b;
}

template <class T>
inline constexpr DType dtype_of = [] {
  static_assert(std::is_same_v<T, bool> || std::is_same_v<T, Index> || std::is_same_v<T, float> ||
                    std::is_same_v<T, double>,
                "element types are bool, std::int64_t, float and double");
  return std::is_same_v<T, bool>    ? DType::bool_
         : std::is_same_v<T, Index> ? DType::int64
         : std::is_same_v<T, float> ? DType::float32
                                    : DType::float64;
}();

/// A number as another element type: floating to whole truncates, saturates and makes 0 of NaN, where a plain
/// cast would be undefined; to bool: != 0.
template <class To, class From>
constexpr To convert(From value) {
  if constexpr (std::is_same_v<To, bool>) {
    return value != From(0);
  } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
    constexpr From limit = -static_cast<From>(std::numeric_limits<To>::min());  // a power of two, so exact
    if (value != value) return 0;
    if (value >= limit) return std::numeric_limits<To>::max();
    return value < -limit ? std::numeric_limits<To>::min() : static_cast<To>(value);
  } else {
    return static_cast<To>(value);
  }
}

/// Calls `f.template operator()<T>()` with the C++ type of `dtype`, which must be in `Set`: only those are
/// instantiated. Throws DTypeError otherwise.
template <DTypes Set = any_dtype, class F>
decltype(auto) dispatch(DType dtype, F&& f) {
  if constexpr (contains(Set, DType::float32)) {
    if (dtype == DType::float32) return f.template operator()<float>();
  }
  if constexpr (contains(Set, DType::float64)) {
    if (dtype == DType::float64) return f.template operator()<double>();
  }
  if constexpr (contains(Set, DType::int64)) {
    if (dtype == DType::int64) return f.template operator()<Index>();
  }
  if constexpr (contains(Set, DType::bool_)) {
    if (dtype == DType::bool_) return f.template operator()<bool>();
  }
  throw DTypeError("no kernel for elements of type " + std::string(name_of(dtype)));
}

}  // namespace gradweave
