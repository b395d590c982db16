// Element types: one table of them, their promotion (NumPy's rules), and the one place where a runtime dtype
// becomes a C++ type.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gradweave/graph/types/error.hpp>
#include <gradweave/graph/types/half.hpp>

namespace gradweave {

using Index = std::int64_t;

/// Those first that elements are computed as.
enum class DType : std::uint8_t {
  bool_,
  int64,
  float32,
  float64,
  uint8,
  int8,
  uint16,
  int16,
  uint32,
  int32,
  uint64,
  float16,
  bfloat16
};

/// Ordered: a result has the highest kind of its operands.
enum class DTypeKind : std::uint8_t { boolean, integer, floating };

struct DTypeInfo {
  char name[9];
  DTypeKind kind;
  bool is_signed;
  std::uint8_t size;  ///< bytes
  /// What kernels compute: elements are converted from their dtype when they are read, and back when they are
  /// stored. Whole numbers then wrap; uint64 and int64 have the same bits.
  DType computed_as;
};
inline constexpr std::array dtype_table{
    DTypeInfo{"bool", DTypeKind::boolean, false, 1, DType::bool_},
    DTypeInfo{"int64", DTypeKind::integer, true, 8, DType::int64},
    DTypeInfo{"float32", DTypeKind::floating, true, 4, DType::float32},
    DTypeInfo{"float64", DTypeKind::floating, true, 8, DType::float64},
    DTypeInfo{"uint8", DTypeKind::integer, false, 1, DType::int64},
    DTypeInfo{"int8", DTypeKind::integer, true, 1, DType::int64},
    DTypeInfo{"uint16", DTypeKind::integer, false, 2, DType::int64},
    DTypeInfo{"int16", DTypeKind::integer, true, 2, DType::int64},
    DTypeInfo{"uint32", DTypeKind::integer, false, 4, DType::int64},
    DTypeInfo{"int32", DTypeKind::integer, true, 4, DType::int64},
    DTypeInfo{"uint64", DTypeKind::integer, false, 8, DType::int64},
    DTypeInfo{"float16", DTypeKind::floating, true, 2, DType::float32},
    DTypeInfo{"bfloat16", DTypeKind::floating, true, 2, DType::float32},
};
/// The C++ types of the elements, in the order of the table.
using ElementTypes = std::tuple<bool, std::int64_t, float, double, std::uint8_t, std::int8_t, std::uint16_t,
                                std::int16_t, std::uint32_t, std::int32_t, std::uint64_t, float16, bfloat16>;
inline constexpr std::size_t dtype_count = dtype_table.size();
static_assert(std::tuple_size_v<ElementTypes> == dtype_count);
static_assert(static_cast<std::size_t>(DType::bfloat16) + 1 == dtype_count);

constexpr std::size_t number_of(DType t) { return static_cast<std::size_t>(t); }
constexpr const DTypeInfo& about(DType t) { return dtype_table[number_of(t)]; }
constexpr std::string_view name_of(DType t) { return about(t).name; }
constexpr std::size_t size_of(DType t) { return about(t).size; }
constexpr DTypeKind kind_of(DType t) { return about(t).kind; }
constexpr DType computed_as(DType t) { return about(t).computed_as; }

/// A set of dtypes, one bit each.
using DTypes = std::uint16_t;
constexpr DTypes only(DType t) { return static_cast<DTypes>(1U << number_of(t)); }
constexpr bool contains(DTypes set, DType t) { return (set & only(t)) != 0; }
constexpr DTypes all_of_kind(DTypeKind kind) {
  unsigned set = 0;
  for (std::size_t t = 0; t < dtype_count; ++t) set |= dtype_table[t].kind == kind ? 1U << t : 0U;
  return static_cast<DTypes>(set);
}
inline constexpr DTypes floating = all_of_kind(DTypeKind::floating);
inline constexpr DTypes integral = all_of_kind(DTypeKind::integer);
inline constexpr DTypes numeric = floating | integral;
inline constexpr DTypes any_dtype = numeric | only(DType::bool_);
/// What those of a set are computed as: the dtypes that kernels are made for.
constexpr DTypes computed_as(DTypes set) {
  unsigned result = 0;
  for (std::size_t t = 0; t < dtype_count; ++t)
    result |= (set >> t & 1U) != 0 ? 1U << number_of(dtype_table[t].computed_as) : 0U;
  return static_cast<DTypes>(result);
}

constexpr bool is_floating(DType t) { return contains(floating, t); }
constexpr bool is_integral(DType t) { return contains(integral, t); }

/// Tables of kernels have an entry for each dtype that elements are computed as.
inline constexpr std::size_t computed_count = number_of(DType::float64) + 1;
constexpr bool has_kernels(DType t) { return number_of(t) < computed_count; }
constexpr std::size_t kernel_of(DType t) { return number_of(has_kernels(t) ? t : computed_as(t)); }
static_assert([] {
  for (std::size_t t = 0; t < dtype_count; ++t) {
    if (has_kernels(static_cast<DType>(t)) != (number_of(dtype_table[t].computed_as) == t)) return false;
  }
  return true;
}());

constexpr DType signed_of_size(std::size_t size) {
  for (std::size_t t = 0; t < dtype_count; ++t) {
    const DTypeInfo& info = dtype_table[t];
    if (info.kind == DTypeKind::integer && info.is_signed && info.size == size) return static_cast<DType>(t);
  }
  return DType::float64;  // there is none that wide
}

/// The dtype of a result of two operands: the narrowest that holds all values of both, as NumPy's
/// `result_type`. int64 with uint64 gives float64, as there; bfloat16 counts as float16 does, and float16
/// with bfloat16 gives float32.
constexpr DType promote(DType a, DType b) {
  if (a == b) return a;
  const DTypeInfo &x = about(a), &y = about(b);
  if (x.kind > y.kind || (x.kind == y.kind && x.size > y.size)) return promote(b, a);
  switch (x.kind) {
    case DTypeKind::boolean:
      return b;
    case DTypeKind::integer:
      if (y.kind == DTypeKind::floating) {  // which holds whole numbers of half its size
        return 2 * x.size <= y.size ? b : x.size <= 2 ? DType::float32 : DType::float64;
      }
      if (x.is_signed == y.is_signed || (y.is_signed && x.size < y.size)) return b;
      return signed_of_size(std::size_t{2} * y.size);
    case DTypeKind::floating:
      return x.size == y.size ? DType::float32 : b;
  }
  return b;
}

/// The dtype of numbers written without one, and of functions of the reals of whole numbers and bools:
/// float32 but within a `WithDefaultDType`.
DType default_dtype() noexcept;
/// While it lives, `dtype` is this thread's default. Throws DTypeError unless floating.
///
///     const WithDefaultDType doubles(DType::float64);
///     const Tensor g = constant(9.81);  // float64
class WithDefaultDType {
 public:
  explicit WithDefaultDType(DType dtype);
  ~WithDefaultDType();
  WithDefaultDType(const WithDefaultDType&) = delete;
  WithDefaultDType& operator=(const WithDefaultDType&) = delete;

 private:
  DType outer_;
};

/// What elements may be.
template <class T>
concept Element = []<class... E>(std::type_identity<std::tuple<E...>>) {
  return (std::same_as<T, E> || ...);
}(std::type_identity<ElementTypes>());

template <class T>
inline constexpr DType dtype_of = []<std::size_t... I>(std::index_sequence<I...>) {
  static_assert(
      (std::is_same_v<T, std::tuple_element_t<I, ElementTypes>> || ...),
      "element types are bool, std::int8_t to std::int64_t, std::uint8_t to std::uint64_t, float16, "
      "bfloat16, float and double");
  return static_cast<DType>(((std::is_same_v<T, std::tuple_element_t<I, ElementTypes>> ? I : 0) + ...));
}(std::make_index_sequence<dtype_count>());

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

/// Calls `f.template operator()<T>()` with the C++ type of `dtype`, which is one that elements are computed
/// as (bool, std::int64_t, float or double) and must be in `Set`: only those are instantiated. Throws
/// DTypeError otherwise.
template <DTypes Set = any_dtype, class F>
decltype(auto) dispatch(DType dtype, F&& f) {
  if constexpr (contains(computed_as(Set), DType::float32)) {
    if (dtype == DType::float32) return f.template operator()<float>();
  }
  if constexpr (contains(computed_as(Set), DType::float64)) {
    if (dtype == DType::float64) return f.template operator()<double>();
  }
  if constexpr (contains(computed_as(Set), DType::int64)) {
    if (dtype == DType::int64) return f.template operator()<Index>();
  }
  if constexpr (contains(computed_as(Set), DType::bool_)) {
    if (dtype == DType::bool_) return f.template operator()<bool>();
  }
  throw DTypeError("no kernel for elements of type " + std::string(name_of(dtype)));
}

}  // namespace gradweave
