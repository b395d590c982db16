// Sixteen counters at a time, in registers of four. The words of a counter are the low halves of 64 bits, as
// products of them need.
#include <gradweave/ops/kernels/philox.hpp>

#include <algorithm>
#include <bit>
#include <cstring>
#include <numbers>
#include <type_traits>

#ifdef __AVX2__
#include <immintrin.h>
#endif

#include <Eigen/Core>

namespace gradweave {
namespace {

using Word = std::uint32_t;
using Register = std::uint64_t __attribute__((vector_size(32)));
constexpr Index in_register = 4, counters = 16;

// Of the low halves.
Register product(Register a, Word b) {
#ifdef __AVX2__  // GCC does not find it
  return reinterpret_cast<Register>(
      _mm256_mul_epu32(reinterpret_cast<__m256i>(a), _mm256_set1_epi64x(std::int64_t{b})));
#else
  return (a & 0xFFFFFFFFU) * std::uint64_t{b};
#endif
}

// Two numbers of 64 bits, or four of 32, from each of sixteen counters from `position` on.
using Words = std::array<std::uint64_t, 2 * counters>;
Words philox_words(std::uint64_t seed, std::uint64_t position) {
  Words words;
  for (Index first = 0; first < counters; first += in_register) {
    Register a = Register{0, 1, 2, 3} + (position + static_cast<std::uint64_t>(first)), b = a >> 32, c{}, d{};
    auto key0 = static_cast<Word>(seed), key1 = static_cast<Word>(seed >> 32);
    for (int round = 0; round < 10; ++round) {
      const Register p = product(a, 0xD2511F53U), q = product(c, 0xCD9E8D57U);
      a = (q >> 32) ^ b ^ std::uint64_t{key0};
      b = q;
      c = (p >> 32) ^ d ^ std::uint64_t{key1};
      d = p;
      key0 += 0x9E3779B9U;
      key1 += 0xBB67AE85U;
    }
    const Register low = (a & 0xFFFFFFFFU) | (b << 32), high = (c & 0xFFFFFFFFU) | (d << 32);
    std::memcpy(words.data() + first, &low, sizeof(low));
    std::memcpy(words.data() + counters + first, &high, sizeof(high));
  }
  return words;
}

template <class T>
constexpr Index numbers = sizeof(Words) / sizeof(T);  // that they make

// In [0, 1), in steps of 2^-24 (with `all_bits` of 2^-31, as far as a float has digits) or 2^-53.
void to_units(const Words& words, bool all_bits, float* u) {
  std::array<Word, numbers<float>> halves;
  std::memcpy(halves.data(), words.data(), sizeof(words));
  const int unused = all_bits ? 1 : 8;  // at least the sign: signed numbers convert faster
  const float step = all_bits ? 0x1p-31F : 0x1p-24F;
  for (std::size_t i = 0; i < halves.size(); ++i)
    u[i] = static_cast<float>(static_cast<std::int32_t>(halves[i] >> unused)) * step;
}
void to_units(const Words& words, bool, double* u) {
  constexpr std::uint64_t exponent = 0x4330000000000000U;  // of 2^52, whose last digit is 1
  for (std::size_t i = 0; i < words.size(); ++i) {
    const double high = std::bit_cast<double>(words[i] >> 32 | exponent) - 0x1p52,
                 low = std::bit_cast<double>((words[i] & 0xFFFFFFFFU) >> 11 | exponent) - 0x1p52;
    u[i] = high * 0x1p-32 + low * 0x1p-53;
  }
}

// The series of sine and cosine: 1 / n!, with the sign of x^n.
constexpr auto series = [] {
  std::array<double, 18> all{1, 1};
  for (std::size_t n = 2; n < all.size(); ++n) all[n] = -all[n - 2] / static_cast<double>(n * (n - 1));
  return all;
}();

// Box and Muller's transform of units: the radius from those of the first half, which half a step keeps from
// 0, the angle from those of the second.
template <class T>
void to_normals(T* u) {
  constexpr bool is_float = std::is_same_v<T, float>;
  using Half = Eigen::Array<T, numbers<T> / 2, 1>;
  Eigen::Map<Half> first(u), second(u + numbers<T> / 2);
  const Half radius = ((first + (is_float ? T(0x1p-32) : T(0x1p-54))).log() * T(-2)).max(T(0)).sqrt();
  // Sine and cosine of a quarter of the angle by their series, then of the double twice.
  const Half x = (second - T(0.5)) * static_cast<T>(std::numbers::pi / 2), square = x * x;
  Half sine = Half::Zero(), cosine = Half::Zero();
  for (std::size_t n = is_float ? 12 : 18; n > 0; n -= 2) {
    sine = sine * square + static_cast<T>(series[n - 1]);
    cosine = cosine * square + static_cast<T>(series[n - 2]);
  }
  sine *= x;
  const Half sine2 = T(2) * sine * cosine, cosine2 = T(1) - T(2) * sine.square();
  first = radius * (T(1) - T(2) * sine2.square());
  second = radius * (T(2) * sine2 * cosine2);
}

// Calls f(words, y) for the words of each sixteen counters, and keeps of the numbers those that are asked
// for.
template <class T, class F>
void draw(std::uint64_t seed, std::uint64_t position, Index first, Index count, T* y, F f) {
  constexpr Index together = numbers<T>;
  static_assert(draw_grain % together == 0);
  std::array<T, numbers<T>> all;
  for (Index at = 0; at < count; at += together) {
    f(philox_words(seed, position + static_cast<std::uint64_t>((first + at) / together * counters)),
      all.data());
    std::copy_n(all.data(), std::min(count - at, together), y + at);
  }
}

}  // namespace

std::array<std::uint32_t, 4> words_at(std::uint64_t seed, std::uint64_t position, std::uint32_t turn) {
  return philox({static_cast<Word>(position), static_cast<Word>(position >> 32), turn, 0},
                {static_cast<Word>(seed), static_cast<Word>(seed >> 32)});
}

template <class T>
void draw_uniform(std::uint64_t seed, std::uint64_t position, Index first, Index count, T* y) {
  draw(seed, position, first, count, y, [](const Words& words, T* all) { to_units(words, false, all); });
}
template <class T>
void draw_normal(std::uint64_t seed, std::uint64_t position, Index first, Index count, T* y) {
  draw(seed, position, first, count, y, [](const Words& words, T* all) {
    to_units(words, true, all);
    to_normals(all);
  });
}

template void draw_uniform(std::uint64_t, std::uint64_t, Index, Index, float*);
template void draw_uniform(std::uint64_t, std::uint64_t, Index, Index, double*);
template void draw_normal(std::uint64_t, std::uint64_t, Index, Index, float*);
template void draw_normal(std::uint64_t, std::uint64_t, Index, Index, double*);

}  // namespace gradweave
