// Rearranging by the names of NumPy and PyTorch.
#include <gradweave/ops/rearrange.hpp>

#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave::rearrange_tests {
namespace {

using Doubles = std::vector<double>;
using Ints = std::vector<Index>;

Tensor counted(const Shape& shape) { return reshape(arange(numel(shape)), Dims(shape)); }

TEST_CASE("split, chunk and unbind take apart, concat and stack put together", "[ops][rearrange]") {
  const Tensor x = counted({5, 2});
  const std::vector<Tensor> pieces = split(x, 2);
  REQUIRE(pieces.size() == 3);
  CHECK(pieces[2].to_vector<Index>() == Ints{8, 9});
  CHECK(concat(pieces).to_vector<Index>() == x.to_vector<Index>());
  const Ints sizes{1, 4};
  CHECK(split(x, std::span<const Index>(sizes))[1].shape() == Shape{4, 2});
  CHECK(chunk(x, 3).size() == 3);
  CHECK(chunk(x, 4).size() == 3);  // of 2, 2 and 1
  CHECK(stack(unbind(x, 1), 1).to_vector<Index>() == x.to_vector<Index>());
  CHECK(split(zeros({0, 2}), 3).size() == 1);
  CHECK_THROWS_AS(split(x, 0), ValueError);
  CHECK_THROWS_AS(chunk(x, 0), ValueError);
}

TEST_CASE("flip, roll and rot90 turn", "[ops][rearrange]") {
  const Tensor x = counted({2, 3});
  CHECK(flip(x, {1}).to_vector<Index>() == Ints{2, 1, 0, 5, 4, 3});
  CHECK(flip(x, {0, -1}).to_vector<Index>() == Ints{5, 4, 3, 2, 1, 0});
  CHECK(roll(x, 1, 1).to_vector<Index>() == Ints{2, 0, 1, 5, 3, 4});
  CHECK(roll(x, -7, 1).to_vector<Index>() == Ints{1, 2, 0, 4, 5, 3});
  CHECK(roll(x, 2).to_vector<Index>() == Ints{4, 5, 0, 1, 2, 3});
  CHECK(rot90(x).to_vector<Index>() == Ints{2, 5, 1, 4, 0, 3});
  CHECK(rot90(x, -1).to_vector<Index>() == Ints{3, 0, 4, 1, 5, 2});
  CHECK(rot90(x, 2).to_vector<Index>() == Ints{5, 4, 3, 2, 1, 0});
}

TEST_CASE("tile repeats all, repeat_interleave each", "[ops][rearrange]") {
  const Tensor x = counted({2, 2});
  CHECK(tile(x, {2}).to_vector<Index>() == Ints{0, 1, 0, 1, 2, 3, 2, 3});
  CHECK(tile(x, {2, 1, 1}).shape() == Shape{2, 2, 2});
  CHECK(repeat(x, {2, 1}).to_vector<Index>() == Ints{0, 1, 2, 3, 0, 1, 2, 3});
  CHECK(repeat_interleave(x, 2, 0).to_vector<Index>() == Ints{0, 1, 0, 1, 2, 3, 2, 3});
  CHECK(repeat_interleave(x, 2, 1).to_vector<Index>() == Ints{0, 0, 1, 1, 2, 2, 3, 3});
  CHECK(tile(x, {0, 1}).shape() == Shape{0, 2});
  CHECK_THROWS_AS(repeat(x, {2}), ShapeError);
}

TEST_CASE("axes moved, joined and taken apart", "[ops][rearrange]") {
  const Tensor x = counted({2, 3, 4});
  CHECK(movedim(x, 0, 2).shape() == Shape{3, 4, 2});
  CHECK(movedim(x, -1, 0).shape() == Shape{4, 2, 3});
  CHECK(flatten(x).shape() == Shape{24});
  CHECK(flatten(x, 1).shape() == Shape{2, 12});
  CHECK(flatten(constant(1)).shape() == Shape{1});
  CHECK(unflatten(x, -1, {2, -1}).shape() == Shape{2, 3, 2, 2});
  CHECK_THROWS_AS(unflatten(x, 1, {2, -1}), ShapeError);
}

TEST_CASE("triangles", "[ops][rearrange]") {
  const Tensor x = counted({3, 3}) + 1;
  CHECK(tril(x).to_vector<Index>() == Ints{1, 0, 0, 4, 5, 0, 7, 8, 9});
  CHECK(tril(x, -1).to_vector<Index>() == Ints{0, 0, 0, 4, 0, 0, 7, 8, 0});
  CHECK(triu(x, 1).to_vector<Index>() == Ints{0, 2, 3, 0, 0, 6, 0, 0, 0});
}

TEST_CASE("diagonals are read without a copy and written back", "[ops][rearrange]") {
  const Tensor x = counted({2, 3});
  CHECK(diagonal(x).to_vector<Index>() == Ints{0, 4});
  CHECK(diagonal(x, 2).to_vector<Index>() == Ints{2});
  CHECK(diagonal(x, -1).to_vector<Index>() == Ints{3});
  CHECK(diagonal(x, 3).shape() == Shape{0});
  CHECK(diagonal(counted({2, 2, 2}), 0, 0, 2).to_vector<Index>() == Ints{0, 5, 2, 7});
  CHECK(diag(constant({1, 2}), 1).to_vector<Index>() == Ints{0, 1, 0, 0, 0, 2, 0, 0, 0});
  CHECK(diag(constant({1, 2}), -1).to_vector<Index>() == Ints{0, 0, 0, 1, 0, 0, 0, 2, 0});
  CHECK(diag_embed(constant({{1, 2}, {3, 4}})).to_vector<Index>() == Ints{1, 0, 0, 2, 3, 0, 0, 4});
  CHECK(trace(counted({3, 3})).item<Index>() == 12);
  const Tensor v = variable({{1, 2}, {3, 4}});
  const auto [g] = gradients(trace(v), {v});
  CHECK(g.to_vector<Index>() == eye(2).to_vector<Index>());
}

TEST_CASE("sequences and grids", "[ops][rearrange]") {
  CHECK(arange(2, 7, 2).to_vector<Index>() == Ints{2, 4, 6});
  CHECK(arange(3, 0, -1).to_vector<Index>() == Ints{3, 2, 1});
  CHECK(arange(1, 1).shape() == Shape{0});
  CHECK(arange(0.0, 1.0, 0.25, DType::float64).to_vector<double>() == Doubles{0, 0.25, 0.5, 0.75});
  CHECK(linspace(0, 1, 5).to_vector<double>() == Doubles{0, 0.25, 0.5, 0.75, 1});
  CHECK(select(linspace(0, 0.7, 8, DType::float64), 0, 7).item<double>() == 0.7);
  CHECK(logspace(0, 2, 3, 10, DType::float64).to_vector<double>() == Doubles{1, 10, 100});
  const std::vector<Tensor> grid = meshgrid(std::vector{arange(2), arange(3)});
  CHECK(grid[0].to_vector<Index>() == Ints{0, 0, 0, 1, 1, 1});
  CHECK(grid[1].to_vector<Index>() == Ints{0, 1, 2, 0, 1, 2});
  CHECK(eye(2, 3).to_vector<Index>() == Ints{1, 0, 0, 0, 1, 0});
  CHECK_THROWS_AS(arange(0, 1, 0), ValueError);
  CHECK_THROWS_AS(linspace(0, 1, -1), ValueError);
}

}  // namespace
}  // namespace gradweave::rearrange_tests
