#include <gradweave/graph/kernels/convert.hpp>

#include <algorithm>
#include <cstring>
#include <limits>

namespace gradweave {
namespace {

using Convert = void (*)(const void* x, void* y, Index count);

template <class From, class To>
To converted(From value) {
  if constexpr (std::is_same_v<From, float16> || std::is_same_v<From, bfloat16>) {
    return static_cast<float>(value);
  } else if constexpr (std::is_same_v<To, std::uint64_t> && std::is_floating_point_v<From>) {
    constexpr From half = From(0x1p63);  // what int64 holds is converted as int64 is, and wraps
    if (!(value >= half)) return static_cast<To>(convert<Index>(value));
    return value >= 2 * half ? std::numeric_limits<To>::max() : static_cast<To>(value);
  } else {
    return convert<To>(value);
  }
}

template <class From, class To>
void convert_all(const void* x, void* y, Index count) {
  const auto* from = static_cast<const From*>(x);
  std::transform(from, from + count, static_cast<To*>(y), converted<From, To>);
}

template <std::size_t bytes>
void copy_all(const void* x, void* y, Index count) {
  if (count != 0) std::memmove(y, x, bytes * static_cast<std::size_t>(count));  // of nothing there is no data
}

// To and from the dtype that elements are computed as, and from each of these to the others: the others of
// all conversions go this way, step by step.
Convert direct(DType from, DType to);

template <class From>
Convert direct_from(DType to) {
  switch (to) {
    case DType::bool_:
      return convert_all<From, bool>;
    case DType::uint64:
      return convert_all<From, std::uint64_t>;
    case DType::int64:
      return convert_all<From, Index>;
    case DType::float32:
      return convert_all<From, float>;
    case DType::float64:
      return convert_all<From, double>;
    case DType::int32:
      return std::is_floating_point_v<From> ? convert_all<From, std::int32_t> : nullptr;
    case DType::uint8:
    case DType::int8:
    case DType::uint16:
    case DType::int16:
    case DType::uint32:
    case DType::float16:
    case DType::bfloat16:
      break;
  }
  return nullptr;
}

// Of whole numbers only the bits that there is room for are kept, whatever their sign.
Convert from_int64(DType to) {
  switch (to) {
    case DType::uint8:
    case DType::int8:
      return convert_all<Index, std::uint8_t>;
    case DType::uint16:
    case DType::int16:
      return convert_all<Index, std::uint16_t>;
    case DType::uint32:
    case DType::int32:
      return convert_all<Index, std::uint32_t>;
    case DType::uint64:
    case DType::int64:
      return copy_all<8>;
    case DType::bool_:
    case DType::float16:
    case DType::bfloat16:
    case DType::float32:
    case DType::float64:
      break;
  }
  return direct_from<Index>(to);
}

Convert from_float(DType to) {
  if (to == DType::float16) return convert_all<float, float16>;
  if (to == DType::bfloat16) return convert_all<float, bfloat16>;
  return direct_from<float>(to);
}

Convert from_uint64(DType to) {
  if (to == DType::float32) return convert_all<std::uint64_t, float>;
  if (to == DType::float64) return convert_all<std::uint64_t, double>;
  return nullptr;
}

Convert direct(DType from, DType to) {
  if (from == to) {
    switch (size_of(from)) {
      case 1:
        return copy_all<1>;
      case 2:
        return copy_all<2>;
      case 4:
        return copy_all<4>;
      case 8:
        return copy_all<8>;
    }
  }
  const bool is_loaded = to == computed_as(from);
  switch (from) {
    case DType::bool_:
      return direct_from<bool>(to);
    case DType::uint8:
      return is_loaded ? convert_all<std::uint8_t, Index> : nullptr;
    case DType::int8:
      return is_loaded ? convert_all<std::int8_t, Index> : nullptr;
    case DType::uint16:
      return is_loaded ? convert_all<std::uint16_t, Index> : nullptr;
    case DType::int16:
      return is_loaded ? convert_all<std::int16_t, Index> : nullptr;
    case DType::uint32:
      return is_loaded ? convert_all<std::uint32_t, Index> : nullptr;
    case DType::int32:
      return is_loaded ? convert_all<std::int32_t, Index> : nullptr;
    case DType::uint64:
      return is_loaded ? copy_all<8> : from_uint64(to);
    case DType::int64:
      return from_int64(to);
    case DType::float16:
      return is_loaded ? convert_all<float16, float> : nullptr;
    case DType::bfloat16:
      return is_loaded ? convert_all<bfloat16, float> : nullptr;
    case DType::float32:
      return from_float(to);
    case DType::float64:
      return direct_from<double>(to);
  }
  return nullptr;
}

// The dtype to go to first, on the way to `to`.
DType first_step(DType from, DType to) {
  if (from == DType::uint64 && is_floating(to)) return DType::float32;
  if (computed_as(from) != from) return computed_as(from);
  return computed_as(to);
}

}  // namespace

void convert_elements(DType from, const void* x, DType to, void* y, Index count) {
  if (const Convert convert_at_once = direct(from, to)) return convert_at_once(x, y, count);
  constexpr Index block = 256;
  alignas(64) std::byte between[block * 8];
  const DType next = first_step(from, to);
  const Convert first = direct(from, next);
  for (Index done = 0; done < count; done += block) {
    const Index some = std::min(block, count - done);
    first(static_cast<const std::byte*>(x) + done * static_cast<Index>(size_of(from)), between, some);
    convert_elements(next, between, to, static_cast<std::byte*>(y) + done * static_cast<Index>(size_of(to)),
                     some);
  }
}

double number_at(DType dtype, const void* x) {
  double number = 0;
  convert_elements(dtype, x, DType::float64, &number, 1);
  return number;
}

}  // namespace gradweave
