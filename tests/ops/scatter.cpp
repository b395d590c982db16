// Reading and writing where indices say.
#include <gradweave/ops/scatter.hpp>

#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave::scatter_tests {
namespace {

using Ints = std::vector<Index>;
using Catch::Matchers::ContainsSubstring;

Tensor ints(const Literal& values) { return constant(values, DType::int64); }

TEST_CASE("take_along_axis, as NumPy's", "[ops][scatter]") {
  const Tensor x = constant({{10, 30, 20}, {60, 40, 50}});
  CHECK(take_along_axis(x, ints({{0, 2, 1}, {1, 2, 0}}), 1).to_vector<Index>() ==
        Ints{10, 20, 30, 40, 50, 60});
  CHECK(take_along_axis(x, ints({{1}}), 1).to_vector<Index>() == Ints{30, 40});
  CHECK(take_along_axis(x, ints({{-1, 0, -2}}), 0).to_vector<Index>() == Ints{60, 30, 20});
  CHECK_THROWS_AS(take_along_axis(x, ints({0}), 1), ShapeError);
  CHECK_THROWS_AS(take_along_axis(x, constant({{0.5}}), 1), DTypeError);
}

TEST_CASE("gather and scatter_add are each other's derivatives", "[ops][scatter]") {
  const Tensor x = variable({{1, 2}, {3, 4}});
  const Tensor index = ints({{0, 0}, {1, 0}});
  CHECK(gather(x, 1, index).to_vector<Index>() == Ints{1, 1, 4, 3});  // PyTorch's example
  const auto [g] = gradients(sum(gather(x, 1, index) * constant({{1, 10}, {100, 1000}})), {x});
  CHECK(g.to_vector<Index>() == Ints{11, 0, 1000, 100});
  CHECK(gather(x, 0, ints({{1}})).to_vector<Index>() == Ints{3});  // the rest is not read
}

TEST_CASE("scatter writes and scatter_add adds, as PyTorch's", "[ops][scatter]") {
  const Tensor src = constant({{1, 2, 3, 4, 5}, {6, 7, 8, 9, 10}});
  CHECK(scatter(zeros({3, 5}), 0, ints({{0, 1, 2, 0}}), src).to_vector<Index>() ==
        Ints{1, 0, 0, 4, 0, 0, 2, 0, 0, 0, 0, 0, 3, 0, 0});
  CHECK(scatter_add(zeros({2}), 0, ints({1, 1, 0}), constant({1, 2, 4})).to_vector<Index>() == Ints{4, 3});
  CHECK(scatter(ones({2, 2}), 1, ints({{0}, {-1}}), 7).to_vector<Index>() == Ints{7, 1, 1, 7});
  const Tensor x = variable({1, 2, 3}), v = variable({10});
  const auto [gx, gv] = gradients(sum(scatter(x, 0, ints({1}), v) * constant({1, 2, 4})), {x, v});
  CHECK(gx.to_vector<Index>() == Ints{1, 0, 4});
  CHECK(gv.to_vector<Index>() == Ints{2});
}

TEST_CASE("functions of a one-dimensional index", "[ops][scatter]") {
  const Tensor x = constant({{1, 2}, {3, 4}, {5, 6}}), rows = constant({{10, 20}, {30, 40}});
  CHECK(index_select(x, 0, ints({2, -3})).to_vector<Index>() == Ints{5, 6, 1, 2});
  CHECK(index_add(x, 0, ints({0, 0}), rows).to_vector<Index>() == Ints{41, 62, 3, 4, 5, 6});
  CHECK(index_add(x, 0, ints({0, 2}), rows, -1).to_vector<Index>() == Ints{-9, -18, 3, 4, -25, -34});
  CHECK(index_copy(x, 0, ints({2, 1}), rows).to_vector<Index>() == Ints{1, 2, 30, 40, 10, 20});
  CHECK(index_fill(x, 1, ints({0}), 0).to_vector<Index>() == Ints{0, 2, 0, 4, 0, 6});
  CHECK(masked_fill(x, x > 3, -1).to_vector<Index>() == Ints{1, 2, 3, -1, -1, -1});
  CHECK(bincount(ints({1, 1, 3})).to_vector<Index>() == Ints{0, 2, 0, 1});
  CHECK(bincount(ints({0}), 3).to_vector<Index>() == Ints{1, 0, 0});
  CHECK(bincount(zeros({0}, DType::int64)).shape() == Shape{0});
  CHECK_THROWS_AS(bincount(ints({-1})), ValueError);
}

TEST_CASE("an index outside is refused before anything is written", "[ops][scatter]") {
  const Tensor x = zeros({3});
  CHECK_THROWS_WITH(eval(gather(x, 0, ints({0, 3}))),
                    ContainsSubstring("index 3 at position 1 is outside [-3, 3)"));
  CHECK_THROWS_AS(eval(scatter(x, 0, ints({-4}), 1)), ValueError);
  CHECK_THROWS_AS(scatter(x, 0, ints({{0}}), 1), ShapeError);
  CHECK_THROWS_AS(scatter_add(x, 0, ints({0, 1}), constant({1})), ShapeError);
  CHECK(gather(x, 0, zeros({0}, DType::int64)).shape() == Shape{0});
}

}  // namespace
}  // namespace gradweave::scatter_tests
