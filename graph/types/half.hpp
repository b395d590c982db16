// The two floating types of sixteen bits. They are only stored: numbers are computed as float and rounded to
// the nearest half, of two equally near to the one whose last bit is 0.
#pragma once
#include <bit>
#include <cstdint>

namespace gradweave {

/// IEEE 754's binary16: 5 bits of exponent, 10 of fraction. From 65520 on numbers become infinite; between
/// 2^-24 and 2^-14 they lose digits.
struct float16 {  // NOLINT(readability-identifier-naming): a type of numbers, as float is
  std::uint16_t bits = 0;

  float16() = default;
  constexpr explicit float16(float value) : bits(rounded(std::bit_cast<std::uint32_t>(value))) {}
  constexpr explicit operator float() const {
    constexpr std::uint32_t infinite = 0x7C00U << 13U, bias = 112U << 23U;
    const std::uint32_t sign = (bits & 0x8000U) << 16U, rest = (bits & 0x7FFFU) << 13U;
    const float subnormal =
        std::bit_cast<float>(rest + bias + (1U << 23U)) - std::bit_cast<float>(113U << 23U);
    const std::uint32_t wide = rest + (rest >= infinite ? 2 * bias : bias);
    return std::bit_cast<float>(sign | (rest < (1U << 23U) ? std::bit_cast<std::uint32_t>(subnormal) : wide));
  }

 private:
  static constexpr std::uint16_t rounded(std::uint32_t value) {
    constexpr std::uint32_t too_large = 143U << 23U, smallest_normal = 113U << 23U, nan = 0x7F800001U;
    const std::uint32_t sign = value >> 16U & 0x8000U, rest = value & 0x7FFFFFFFU;
    const std::uint32_t special = rest >= nan ? 0x7E00U : 0x7C00U;
    // Beside 1/2 the last bit of a float stands for 2^-24, the smallest half: the sum is rounded where it
    // must be.
    constexpr std::uint32_t one_half = 126U << 23U;
    const std::uint32_t tiny = rest < smallest_normal ? rest : 0;
    const std::uint32_t subnormal =
        std::bit_cast<std::uint32_t>(std::bit_cast<float>(tiny) + std::bit_cast<float>(one_half)) - one_half;
    const std::uint32_t normal = (rest - (112U << 23U) + 0xFFFU + (rest >> 13U & 1U)) >> 13U;
    const std::uint32_t finite = rest < smallest_normal ? subnormal : normal;
    return static_cast<std::uint16_t>(sign | (rest >= too_large ? special : finite));
  }
};

/// The upper half of a float: its 8 bits of exponent, 7 of fraction.
struct bfloat16 {  // NOLINT(readability-identifier-naming)
  std::uint16_t bits = 0;

  bfloat16() = default;
  constexpr explicit bfloat16(float value) : bits(rounded(std::bit_cast<std::uint32_t>(value))) {}
  constexpr explicit operator float() const {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U);
  }

 private:
  static constexpr std::uint16_t rounded(std::uint32_t value) {
    const bool is_nan = (value & 0x7FFFFFFFU) > 0x7F800000U;
    const std::uint32_t nan = (value >> 16U & 0x8000U) | 0x7FC0U;
    return static_cast<std::uint16_t>(is_nan ? nan : (value + 0x7FFFU + (value >> 16U & 1U)) >> 16U);
  }
};

}  // namespace gradweave
