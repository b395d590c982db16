// Rearranging, against what NumPy's manual says comes out.
#include <gradweave/ops/shape.hpp>

#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave {
namespace {

using Ints = std::vector<int>;

Tensor counted(std::initializer_list<Index> sizes) {
  return reshape(arange(numel(Shape(sizes)), DType::float32), sizes);
}

TEST_CASE("where the elements go", "[ops][shape]") {
  const Tensor x = counted({2, 3});  // {{0, 1, 2}, {3, 4, 5}}
  const Tensor cube = counted({2, 2, 3});
  struct Row {
    const char* text;
    Tensor y;
    Shape shape;
    Ints values;
  };
  const Row rows[] = {
      {"reshape", reshape(x, {3, 2}), {3, 2}, {0, 1, 2, 3, 4, 5}},
      {"reshape, one size worked out", reshape(x, {-1, 2}), {3, 2}, {0, 1, 2, 3, 4, 5}},
      {"reshape to a scalar", reshape(constant({{7}}), Dims()), {}, {7}},
      {"transpose", transpose(x), {3, 2}, {0, 3, 1, 4, 2, 5}},
      {"transpose twice", transpose(transpose(x)), {2, 3}, {0, 1, 2, 3, 4, 5}},
      {"transpose of outer axes", transpose(cube, 0, 1), {2, 2, 3}, {0, 1, 2, 6, 7, 8, 3, 4, 5, 9, 10, 11}},
      {"permute", permute(cube, {2, 0, 1}), {3, 2, 2}, {0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11}},
      {"permute, from the end", permute(cube, {-1, 0, 1}), {3, 2, 2}, {0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11}},
      {"reshape of a transpose", reshape(transpose(x), {6}), {6}, {0, 3, 1, 4, 2, 5}},
      {"select", select(x, 1, -1), {2}, {2, 5}},
      {"expand_dims", expand_dims(x, 1), {2, 1, 3}, {0, 1, 2, 3, 4, 5}},
      {"expand_dims at the end", expand_dims(x, -1), {2, 3, 1}, {0, 1, 2, 3, 4, 5}},
      {"squeeze", squeeze(reshape(x, {1, 2, 1, 3})), {2, 3}, {0, 1, 2, 3, 4, 5}},
      {"squeeze one axis", squeeze(reshape(x, {1, 2, 1, 3}), 2), {1, 2, 3}, {0, 1, 2, 3, 4, 5}},
      {"broadcast_to", broadcast_to(constant({1, 2}), {2, 2}), {2, 2}, {1, 2, 1, 2}},
      {"broadcast_to of a column", broadcast_to(constant({{1}, {2}}), {2, 2}), {2, 2}, {1, 1, 2, 2}},
      {"broadcast_to of a number", broadcast_to(3, {2, 2}), {2, 2}, {3, 3, 3, 3}},
      {"concat of rows", concat({x, constant({{6, 7, 8}})}), {3, 3}, {0, 1, 2, 3, 4, 5, 6, 7, 8}},
      {"concat of columns", concat({x, constant({{8}, {9}})}, 1), {2, 4}, {0, 1, 2, 8, 3, 4, 5, 9}},
      {"concat of views",
       concat({transpose(x), slice(transpose(x), 0, 0, 1)}),
       {4, 2},
       {0, 3, 1, 4, 2, 5, 0, 3}},
      {"stack", stack({constant({1, 2}), constant({3, 4})}), {2, 2}, {1, 2, 3, 4}},
      {"stack as columns", stack({constant({1, 2}), constant({3, 4})}, 1), {2, 2}, {1, 3, 2, 4}},
      {"stack of numbers", stack({constant(1), constant(2)}), {2}, {1, 2}},
  };
  for (const Row& row : rows) {
    INFO(row.text);
    CHECK(row.y.shape() == row.shape);
    CHECK(row.y.to_vector<int>() == row.values);
  }
}

TEST_CASE("slices as Python's", "[ops][shape]") {
  const Tensor x = arange(5);
  struct Row {
    Index start, stop, step;
    Ints values;
  };
  const Row rows[] = {{0, 5, 1, {0, 1, 2, 3, 4}},
                      {1, 3, 1, {1, 2}},
                      {0, 5, 2, {0, 2, 4}},
                      {1, 5, 3, {1, 4}},
                      {-2, 5, 1, {3, 4}},
                      {0, -1, 1, {0, 1, 2, 3}},
                      {-100, 100, 1, {0, 1, 2, 3, 4}},
                      {3, 1, 1, {}},
                      {5, 5, 1, {}},
                      {0, 5, 100, {0}}};
  for (const Row& row : rows) {
    INFO(row.start << ":" << row.stop << ":" << row.step);
    CHECK(slice(x, 0, row.start, row.stop, row.step).to_vector<int>() == row.values);
  }
}

TEST_CASE("gradients go back to where the elements came from", "[ops][shape]") {
  const Tensor x = variable({{1, 2, 3}, {4, 5, 6}});
  const Tensor weights = constant({{10, 20}, {30, 40}, {50, 60}});
  const auto slope = [&](const Tensor& y, const Tensor& cotangent) {
    return gradients(y, {x}, cotangent)[0].to_vector<int>();
  };
  CHECK(slope(transpose(x), weights) == Ints{10, 30, 50, 20, 40, 60});
  CHECK(slope(reshape(x, {3, 2}), weights) == Ints{10, 20, 30, 40, 50, 60});
  CHECK(slope(slice(x, 1, 0, 3, 2), constant({{1, 2}, {3, 4}})) == Ints{1, 0, 2, 3, 0, 4});
  CHECK(slope(broadcast_to(x, {4, 2, 3}), ones({4, 2, 3})) == Ints(6, 4));
  CHECK(slope(concat({x, x}, 1), ones({2, 6})) == Ints(6, 2));
  CHECK(slope(select(x, 0, 1), constant({7, 8, 9})) == Ints{0, 0, 0, 7, 8, 9});
}

// The product of the strides of this one is far beyond 2^63.
TEST_CASE("concat passes over empty one-dimensional parts beside others", "[ops][shape]") {
  const Tensor x = constant({{1, 2}, {3, 4}}), none = zeros({0});
  CHECK(concat({none, x, none}, 1).to_vector() == x.to_vector());
  CHECK(concat({x, zeros({0}, DType::float64)}).dtype() == DType::float64);  // its dtype counts
  CHECK(concat({none, constant({5})}).to_vector() == std::vector<float>{5});
  CHECK(concat({none, none}).shape() == Shape{0});
  CHECK_THROWS_AS(concat({x, constant({5})}), ShapeError);
}

TEST_CASE("eight axes of eight", "[ops][shape]") {
  const Tensor x = reshape(arange(1 << 24, DType::float32), {8, 8, 8, 8, 8, 8, 8, 8});
  CHECK(mean(slice(x, 0, 7, 8)).item<double>() == Approx(7.5 * (1 << 21)).epsilon(1e-6));
  const Tensor t = transpose(x, 0, 7);
  CHECK(t.to_vector<int>()[1] == 1 << 21);
  CHECK(select(select(t, 7, 1), 0, 0).size(0) == 8);
}

}  // namespace
}  // namespace gradweave
