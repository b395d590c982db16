// Conversions of elements: every half, rounding and overflow as in IEEE 754 and PyTorch, wrapping of whole
// numbers.
#include <gradweave/graph/kernels/convert.hpp>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "catch.hpp"

namespace gradweave {
namespace {

template <class To, class From>
std::vector<To> converted(const std::vector<From>& x) {
  std::vector<To> y(x.size());
  convert_elements(dtype_of<From>, x.data(), dtype_of<To>, y.data(), static_cast<Index>(x.size()));
  return y;
}

// The number that bits stand for, by IEEE 754's definition of a format with so many bits of exponent and
// fraction.
double number(unsigned bits, int exponent_bits, int fraction_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1, top = (1 << exponent_bits) - 1;
  const int exponent = static_cast<int>(bits >> fraction_bits) & top;
  const int fraction = static_cast<int>(bits) & ((1 << fraction_bits) - 1);
  const double sign = (bits >> 15U) != 0 ? -1 : 1;
  if (exponent == top) return fraction != 0 ? std::nan("") : sign * INFINITY;
  const int whole = exponent == 0 ? fraction : fraction + (1 << fraction_bits);
  return sign * std::ldexp(whole, std::max(exponent, 1) - bias - fraction_bits);
}

template <class Half>
void check_every_half(int exponent_bits, int fraction_bits) {
  std::vector<Half> all(65536);
  for (unsigned bits = 0; bits < 65536; ++bits) all[bits].bits = static_cast<std::uint16_t>(bits);
  const std::vector<float> wide = converted<float>(all);
  const std::vector<Half> back = converted<Half>(wide);
  int wrong = 0, nans = 0;
  for (unsigned bits = 0; bits < 65536; ++bits) {
    const double expected = number(bits, exponent_bits, fraction_bits);
    if (std::isnan(expected)) {
      ++nans;
      wrong += std::isnan(wide[bits]) && std::isnan(static_cast<float>(back[bits])) ? 0 : 1;
    } else {
      const bool same = static_cast<double>(wide[bits]) == expected &&
                        std::signbit(wide[bits]) == std::signbit(expected) && back[bits].bits == bits;
      wrong += same ? 0 : 1;
    }
  }
  CHECK(wrong == 0);
  CHECK(nans == 2 * ((1 << fraction_bits) - 1));
}

// Between two neighbouring halves: the middle goes to the even one, what is next to the middle to the nearer.
template <class Half>
void check_rounding() {
  int wrong = 0;
  const auto bits_of = [](float x) { return Half(x).bits; };
  for (unsigned bits = 0;; ++bits) {
    Half low, high;
    low.bits = static_cast<std::uint16_t>(bits), high.bits = static_cast<std::uint16_t>(bits + 1);
    const auto a = static_cast<float>(low), b = static_cast<float>(high);
    if (std::isinf(b)) break;
    const float middle = a + (b - a) / 2;
    const auto even = static_cast<std::uint16_t>(bits + (bits & 1U));
    wrong += bits_of(middle) == even && bits_of(-middle) == (even | 0x8000U) ? 0 : 1;
    wrong += bits_of(std::nextafter(middle, 0.0F)) == low.bits ? 0 : 1;
    wrong += bits_of(std::nextafter(middle, b)) == high.bits ? 0 : 1;
  }
  CHECK(wrong == 0);
}

TEST_CASE("every half is the float that IEEE 754 says, and comes back", "[dtype]") {
  check_every_half<float16>(5, 10);
  check_every_half<bfloat16>(8, 7);
}

TEST_CASE("floats are rounded to the nearest half, ties to even", "[dtype]") {
  check_rounding<float16>();
  check_rounding<bfloat16>();
}

TEST_CASE("float64 becomes a half as in PyTorch", "[dtype]") {
  struct Row {
    double x;
    unsigned float16, bfloat16;
  };
  const Row rows[] = {
      // torch.tensor(x, dtype=torch.float64).to(torch.float16), .to(torch.bfloat16)
      {65504, 0x7bff, 0x4780},     {65519.99, 0x7bff, 0x4780},    {65520, 0x7c00, 0x4780},
      {1e-8, 0x0, 0x322c},         {0x1p-24, 0x1, 0x3380},        {0x1p-25, 0x0, 0x3300},
      {0x1.0002p-25, 0x1, 0x3300}, {0x1.8p-24, 0x2, 0x33c0},      {6.1e-05, 0x3ff, 0x3880},
      {1.0 / 3, 0x3555, 0x3eab},   {0.1, 0x2e66, 0x3dcd},         {2049, 0x6800, 0x4500},
      {2051, 0x6802, 0x4500},      {1 + 0x1p-11, 0x3c00, 0x3f80}, {1 + 3 * 0x1p-11, 0x3c02, 0x3f80},
      {-0.0, 0x8000, 0x8000},      {3.4e38, 0x7c00, 0x7f80},      {1e-45, 0x0, 0x0},
      {-INFINITY, 0xfc00, 0xff80}};
  for (const Row& row : rows) {
    INFO(row.x);
    CHECK(converted<float16>(std::vector<double>{row.x})[0].bits == row.float16);
    CHECK(converted<bfloat16>(std::vector<double>{row.x})[0].bits == row.bfloat16);
  }
}

TEST_CASE("whole numbers wrap where they are too wide", "[dtype]") {
  const std::vector<Index> x{300, -1, 128, -129, 65536 + 7, Index{1} << 40};
  CHECK(converted<std::uint8_t>(x) == std::vector<std::uint8_t>{44, 255, 128, 127, 7, 0});
  CHECK(converted<std::int8_t>(x) == std::vector<std::int8_t>{44, -1, -128, 127, 7, 0});
  CHECK(converted<std::int16_t>(x) == std::vector<std::int16_t>{300, -1, 128, -129, 7, 0});
  CHECK(converted<std::uint32_t>(x) ==
        std::vector<std::uint32_t>{300, 4294967295U, 128, 4294967167U, 65543, 0});
  CHECK(converted<Index>(std::vector<std::int8_t>{-128, 127}) == std::vector<Index>{-128, 127});
  CHECK(converted<std::uint16_t>(std::vector<std::int8_t>{-1}) == std::vector<std::uint16_t>{65535});
  CHECK(converted<std::uint64_t>(std::vector<std::int32_t>{-2}) ==
        std::vector<std::uint64_t>{18446744073709551614U});
}

// torch.tensor([300., -1., 255.9, -129.5], dtype=torch.float64).to(...)
TEST_CASE("floating to whole truncates, then wraps, as in PyTorch", "[dtype]") {
  const std::vector<double> x{300, -1, 255.9, -129.5};
  CHECK(converted<std::int8_t>(x) == std::vector<std::int8_t>{44, -1, -1, 127});
  CHECK(converted<std::uint8_t>(x) == std::vector<std::uint8_t>{44, 255, 255, 127});
  CHECK(converted<std::uint16_t>(x) == std::vector<std::uint16_t>{300, 65535, 255, 65407});
  CHECK(converted<std::uint32_t>(x) == std::vector<std::uint32_t>{300, 4294967295U, 255, 4294967167U});
  CHECK(converted<std::uint64_t>(x) ==
        std::vector<std::uint64_t>{300, 18446744073709551615U, 255, 18446744073709551487U});
  CHECK(converted<std::int8_t>(std::vector<float16>{float16(-7.5F)}) == std::vector<std::int8_t>{-7});
  CHECK(converted<std::uint8_t>(std::vector<float>{NAN}) == std::vector<std::uint8_t>{0});
}

TEST_CASE("what int32 and int64 cannot hold saturates", "[dtype]") {
  const std::vector<float> x{1e30F, -1e30F, NAN, 2.9F};
  CHECK(converted<std::int32_t>(x) == std::vector<std::int32_t>{2147483647, -2147483648, 0, 2});
  CHECK(converted<Index>(x) == std::vector<Index>{9223372036854775807, -9223372036854775807 - 1, 0, 2});
}

TEST_CASE("uint64 is exact over its whole range", "[dtype]") {
  constexpr std::uint64_t top = std::numeric_limits<std::uint64_t>::max(), upper = std::uint64_t{1} << 63U;
  CHECK(converted<double>(std::vector<std::uint64_t>{upper, 5}) == std::vector<double>{0x1p63, 5});
  CHECK(converted<std::uint64_t>(std::vector<double>{0x1p63, 1e19, 1e30, -1e30}) ==
        std::vector<std::uint64_t>{upper, 10000000000000000000U, top, upper});
  CHECK(converted<Index>(std::vector<std::uint64_t>{top}) == std::vector<Index>{-1});
  CHECK(static_cast<float>(converted<float16>(std::vector<std::uint64_t>{upper})[0]) == INFINITY);
  CHECK(static_cast<float>(converted<bfloat16>(std::vector<std::uint64_t>{upper})[0]) == 0x1p63F);
}

// A few elements and many, whatever the two dtypes: 3 is a number of each but bool.
TEST_CASE("every dtype converts to every other, in blocks too", "[dtype]") {
  for (std::size_t from = 0; from < dtype_count; ++from) {
    for (std::size_t to = 0; to < dtype_count; ++to) {
      INFO(dtype_table[from].name << " to " << dtype_table[to].name);
      for (const std::size_t count : {1U, 600U}) {
        const std::vector<double> threes(count, 3);
        std::vector<std::uint64_t> x(count), y(count);
        convert_elements(DType::float64, threes.data(), static_cast<DType>(from), x.data(),
                         static_cast<Index>(count));
        convert_elements(static_cast<DType>(from), x.data(), static_cast<DType>(to), y.data(),
                         static_cast<Index>(count));
        const bool through_bool = from == 0 || to == 0;
        int wrong = 0;
        for (std::size_t i = 0; i < count; ++i) {
          const auto* element = reinterpret_cast<const std::byte*>(y.data()) + i * dtype_table[to].size;
          wrong += number_at(static_cast<DType>(to), element) == (through_bool ? 1 : 3) ? 0 : 1;
        }
        CHECK(wrong == 0);
      }
    }
  }
}

}  // namespace
}  // namespace gradweave
