// The random numbers under ops/random.hpp: functions of a seed and a position, so that they are the same
// however they are shared out among threads. On their own so that they can be tested against published
// vectors.
#pragma once
#include <array>
#include <cstdint>

#include <gradweave/graph/types/dtype.hpp>

namespace gradweave {

/// Philox4x32-10: four random words for a counter and a key (Salmon et al., SC 2011).
inline std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                           std::array<std::uint32_t, 2> key) {
  constexpr std::uint64_t multiplier[] = {0xD2511F53U, 0xCD9E8D57U};
  constexpr std::uint32_t weyl[] = {0x9E3779B9U, 0xBB67AE85U};
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = multiplier[0] * counter[0], b = multiplier[1] * counter[2];
    counter = {static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
               static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key[0] += weyl[0];
    key[1] += weyl[1];
  }
  return counter;
}

/// The words of a position: those of one element, `turn` after `turn`, for draws that take an unknown number.
std::array<std::uint32_t, 4> words_at(std::uint64_t seed, std::uint64_t position, std::uint32_t turn = 0);
/// In [0, 1), in steps of 2^-53.
inline double unit(std::uint32_t high, std::uint32_t low) {
  return (static_cast<double>(high) * 0x1p21 + static_cast<double>(low >> 11)) * 0x1p-53;
}

/// Elements [first, first + count) of a tensor whose numbers begin at `position`: uniform in [0, 1) in steps
/// of 2^-24 (float) or 2^-53 (double), or normal. `first` is a multiple of `draw_grain`.
inline constexpr Index draw_grain = 64;
template <class T>
void draw_uniform(std::uint64_t seed, std::uint64_t position, Index first, Index count, T* y);
template <class T>
void draw_normal(std::uint64_t seed, std::uint64_t position, Index first, Index count, T* y);

}  // namespace gradweave
