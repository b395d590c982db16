// The random function under ops/random.hpp, on its own so that it can be tested against published vectors.
#pragma once
#include <array>
#include <cstdint>

namespace gradweave {

/// Philox4x32-10: four random words for a counter and a key (Salmon et al., SC 2011).
std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key);

}  // namespace gradweave
