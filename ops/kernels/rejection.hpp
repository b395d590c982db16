// Numbers drawn by rejection: each element draws from words of its own (`words_at`), turn after turn, until
// one is taken.
#pragma once
#include <cstdint>

namespace gradweave {

/// Of the gamma distribution, for a finite concentration > 0.
double draw_gamma(std::uint64_t seed, std::uint64_t position, double concentration);
/// Of Poisson's distribution, for a finite rate >= 0.
double draw_poisson(std::uint64_t seed, std::uint64_t position, double rate);

}  // namespace gradweave
