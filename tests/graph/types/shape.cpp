#include <gradweave/graph/types/shape.hpp>

#include <limits>

#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave {
namespace {

using Catch::Matchers::ContainsSubstring;

TEST_CASE("a shape prints as in NumPy", "[shape]") {
  CHECK(to_string(Shape{}) == "()");
  CHECK(to_string(Shape{5}) == "(5,)");
  CHECK(to_string(Shape{2, 3}) == "(2, 3)");
}

TEST_CASE("shapes count their elements", "[shape]") {
  CHECK(numel(Shape{}) == 1);
  CHECK(numel(Shape{2, 3, 4}) == 24);
  CHECK(numel(Shape{2, 0, 4}) == 0);
}

TEST_CASE("shapes that cannot be are refused", "[shape]") {
  constexpr Index huge = std::numeric_limits<Index>::max();
  CHECK_THROWS_AS((Shape{-1}), ShapeError);
  CHECK_THROWS_AS((Shape{2, -3}), ShapeError);
  CHECK_THROWS_AS((Shape{huge}), ShapeError);
  CHECK_THROWS_AS((Shape{1LL << 31, 1LL << 31}), ShapeError);
  CHECK_THROWS_AS((Shape{1LL << 40, 0, 1LL << 40}), ShapeError);  // strides would overflow
  CHECK_THROWS_AS((Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}), ShapeError);
  CHECK_NOTHROW(Shape{1, 1, 1, 1, 1, 1, 1, 1});
  CHECK_THROWS_WITH((Shape{2, -3}), ContainsSubstring("-3"));
}

TEST_CASE("tensors of shapes that cannot be are refused before any memory is asked for", "[shape]") {
  const Tensor x = zeros({3});
  CHECK_THROWS_AS(zeros({1LL << 62}), ShapeError);
  CHECK_THROWS_AS(broadcast_to(x, {1LL << 61, 3}), ShapeError);
  CHECK_THROWS_AS(reshape(x, {1LL << 62, 1LL << 62}), ShapeError);
  CHECK_THROWS_AS(zeros({1LL << 33, 1}) + zeros({1, 1LL << 33}), ShapeError);
  CHECK(x.to_vector() == std::vector<float>{0, 0, 0});
}

TEST_CASE("memory that the machine does not have is an Error, not a crash", "[shape]") {
  const Tensor big = zeros({1LL << 45}, DType::float64);  // 256 TiB, lazily
  CHECK(big.numel() == 1LL << 45);
  CHECK_THROWS_AS(eval(exp(big)), Error);
}

TEST_CASE("broadcasting follows NumPy's rules", "[shape]") {
  struct Row {
    Shape a, b, result;
  };
  const std::vector<Row> rows = {// from the NumPy user guide, "Broadcasting"
                                 {{256, 256, 3}, {3}, {256, 256, 3}},
                                 {{8, 1, 6, 1}, {7, 1, 5}, {8, 7, 6, 5}},
                                 {{5, 4}, {1}, {5, 4}},
                                 {{5, 4}, {4}, {5, 4}},
                                 {{15, 3, 5}, {15, 1, 5}, {15, 3, 5}},
                                 {{15, 3, 5}, {3, 5}, {15, 3, 5}},
                                 {{15, 3, 5}, {3, 1}, {15, 3, 5}},
                                 {{}, {2, 3}, {2, 3}},
                                 {{0}, {1}, {0}},
                                 {{2, 1}, {0}, {2, 0}}};
  for (const auto& [a, b, result] : rows) {
    INFO(to_string(a) << " with " << to_string(b));
    CHECK(broadcast(a, b) == result);
    CHECK(broadcast(b, a) == result);
    CHECK((zeros(a) + zeros(b)).shape() == result);
  }
  CHECK_THROWS_AS(broadcast(Shape{3}, Shape{4}), ShapeError);
  CHECK_THROWS_AS(broadcast(Shape{2, 1}, Shape{8, 4, 3}), ShapeError);
  CHECK_THROWS_AS(broadcast(Shape{0}, Shape{2}), ShapeError);
}

TEST_CASE("values broadcast", "[shape]") {
  const Tensor column = constant({{10}, {20}}), row = constant({1, 2, 3});
  CHECK((column + row).to_vector() == std::vector<float>{11, 12, 13, 21, 22, 23});
}

TEST_CASE("axes count from either end", "[shape]") {
  CHECK(normalize_axis(0, 3) == 0);
  CHECK(normalize_axis(-1, 3) == 2);
  CHECK_THROWS_AS(normalize_axis(3, 3), ShapeError);
  CHECK_THROWS_AS(normalize_axis(-4, 3), ShapeError);
  CHECK_THROWS_AS(normalize_axis(0, 0), ShapeError);
}

}  // namespace
}  // namespace gradweave
