#include <gradweave/ops/axis_map.hpp>

#include <array>
#include <limits>

#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave::axis_map_tests {
namespace {

TEST_CASE("a sparse matrix maps any axis, and its transpose the cotangents", "[ops][axis_map]") {
  AxisMap map;  // (1 2 0), (0 0 0), (0 0 -1)
  map.add_row(0, std::array{1.0, 2.0});
  map.add_row(0, {});
  map.add_row(1, std::array{0.0, -1.0});
  const Tensor x = variable({{1, 2, 3}, {4, 5, 6}});
  const Tensor y = map.apply(x, -1);
  CHECK(y.to_vector() == std::vector<float>{5, 0, -3, 14, 0, -6});
  CHECK(gradients(sum(y), {x})[0].to_vector() == std::vector<float>{1, 2, -1, 1, 2, -1});
  CHECK(map.apply(transpose(x), 0).to_vector() == std::vector<float>{5, 14, 0, 0, -3, -6});
  CHECK(map.apply(constant({1, 2, 3}, DType::int64), 0).dtype() == default_dtype());
  // A zero of the matrix is not there: infinity times it is not NaN.
  const double inf = std::numeric_limits<double>::infinity();
  CHECK(map.apply(constant({1, inf, 3}), 0).to_vector() ==
        std::vector<float>{std::numeric_limits<float>::infinity(), 0, -3});
}

TEST_CASE("what does not fit an axis map", "[ops][axis_map]") {
  AxisMap map;
  map.add_row(0, std::array{1.0});
  CHECK_THROWS_AS(map.apply(zeros({0}), 0), ShapeError);
  CHECK_THROWS_AS(map.apply(zeros({2}), 1), ShapeError);
  CHECK(AxisMap().apply(zeros({0}), 0).shape() == Shape{0});
}

}  // namespace
}  // namespace gradweave::axis_map_tests
