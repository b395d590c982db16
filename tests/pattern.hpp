// Small whole numbers that look irregular: the same in another framework without a file.
#pragma once
#include <vector>

#include <gradweave/graph/tensor.hpp>

namespace gradweave {

/// Element i is (i step) mod modulus - modulus / 2, times `scale`, in float64.
inline std::vector<double> pattern_values(Index count, Index step, Index modulus, double scale = 1) {
  std::vector<double> values;
  for (Index i = 0; i < count; ++i)
    values.push_back(static_cast<double>(i * step % modulus - modulus / 2) * scale);
  return values;
}
inline Tensor pattern(const Shape& shape, Index step, Index modulus, double scale = 1) {
  return constant(pattern_values(numel(shape), step, modulus, scale), shape);
}

}  // namespace gradweave
