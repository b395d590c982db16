// What many tests use: short names, and values compared.
#pragma once
#include <limits>
#include <vector>

#include <gradweave/graph/tensor.hpp>

#include "catch.hpp"

namespace gradweave {

inline constexpr DType f32 = DType::float32, f64 = DType::float64, i64 = DType::int64;
inline constexpr double inf = std::numeric_limits<double>::infinity();
inline constexpr double nan = std::numeric_limits<double>::quiet_NaN();
using Doubles = std::vector<double>;

inline std::vector<float> values(const Tensor& t) { return t.to_vector<float>(); }

/// Each to within `tolerance` of what is expected, or 1e-12 next to zero.
inline void check_values(const Tensor& found, const Doubles& expected, double tolerance = 1e-8) {
  const Doubles values = found.to_vector<double>();
  REQUIRE(values.size() == expected.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    CHECK(values[i] == Approx(expected[i]).epsilon(tolerance).margin(1e-12));
}

}  // namespace gradweave
