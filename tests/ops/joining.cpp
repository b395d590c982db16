// Joining, taking apart, and products with a sum: by examples. (Values and derivatives of them all:
// pytorch/replay.cpp.)
#include <gradweave/ops/joining.hpp>

#include <gradweave/graph/gradients.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/index.hpp>
#include <gradweave/ops/products.hpp>
#include <gradweave/ops/reduction.hpp>

#include "../catch.hpp"
#include "../support.hpp"

namespace gradweave::joining_tests {
namespace {

using Ints = std::vector<Index>;

TEST_CASE("stacks", "[ops][joining]") {
  const std::vector<Tensor> vectors{constant({1, 2}), constant({3, 4})};
  CHECK(hstack(vectors).to_vector<Index>() == Ints{1, 2, 3, 4});
  CHECK(vstack(vectors).shape() == Shape{2, 2});
  CHECK(column_stack(vectors).to_vector<Index>() == Ints{1, 3, 2, 4});
  CHECK(dstack(vectors).shape() == Shape{1, 2, 2});
  CHECK(block_diag(vectors).to_vector<Index>() == Ints{1, 2, 0, 0, 0, 0, 3, 4});
  CHECK(block_diag({}).shape() == Shape{1, 0});
  CHECK_THROWS_AS(block_diag(std::vector<Tensor>{zeros({1, 1, 1})}), ShapeError);
  CHECK_THROWS_AS(hstack({}), ShapeError);
}

TEST_CASE("an axis is taken apart into pieces that need not be equal", "[ops][joining]") {
  const Tensor x = arange(7);
  const auto pieces = tensor_split(x, 3);
  CHECK(pieces[0].numel() == 3);
  CHECK(pieces[2].to_vector<Index>() == Ints{5, 6});
  CHECK(tensor_split(x, Ints{2, 100}).at(2).numel() == 0);
  CHECK(narrow(x, 0, -2, 2).to_vector<Index>() == Ints{5, 6});
  CHECK_THROWS_WITH(narrow(x, 0, 5, 3), Catch::Contains("3 elements from 5 on, of 7"));
  CHECK_THROWS_AS(narrow(x, 0, 5, std::numeric_limits<Index>::max()), ValueError);
  CHECK_THROWS_WITH(hsplit(x, 2), Catch::Contains("2 pieces of an axis of 7"));
  CHECK_THROWS_AS(tensor_split(x, 0), ValueError);
}

TEST_CASE("a part is replaced, and its gradient goes where it came from", "[ops][joining]") {
  const Tensor x = variable(zeros({2, 3})), row = variable({1, 2, 3});
  const Tensor y = select_scatter(x, row, 0, 1);
  CHECK(y.to_vector<Index>() == Ints{0, 0, 0, 1, 2, 3});
  const auto [dx, drow] = gradients(sum(y * 2), {x, row});
  CHECK(dx.to_vector<Index>() == Ints{2, 2, 2, 0, 0, 0});
  CHECK(drow.to_vector<Index>() == Ints{2, 2, 2});
  CHECK(slice_scatter(x, ones({2, 2}), 1, 0, 3, 2).to_vector<Index>() == Ints{1, 0, 1, 1, 0, 1});
  CHECK(diagonal_scatter(x, ones({2}), 1).to_vector<Index>() == Ints{0, 1, 0, 0, 0, 1});
  CHECK_THROWS_WITH(select_scatter(x, ones({2}), 0, 1), Catch::Contains("expected the shape (3,)"));
}

TEST_CASE("choices", "[ops][joining]") {
  CHECK(combinations(constant({1, 2, 3})).to_vector<Index>() == Ints{1, 2, 1, 3, 2, 3});
  CHECK(combinations(constant({1, 2}), 2, true).to_vector<Index>() == Ints{1, 1, 1, 2, 2, 2});
  CHECK(combinations(constant({1, 2}), 3).shape() == Shape{0, 3});
  CHECK(cartesian_prod(std::vector<Tensor>{constant({1, 2}), constant({3, 4})}).to_vector<Index>() ==
        Ints{1, 3, 1, 4, 2, 3, 2, 4});
  CHECK(tril_indices(2, 3).to_vector<Index>() == Ints{0, 1, 1, 0, 0, 1});
  CHECK(unravel_index(constant(Ints{5}), {2, 3})[1].item<Index>() == 2);
  CHECK(vander(constant({2, 3}), 3).to_vector<Index>() == Ints{1, 2, 4, 1, 3, 9});
}

TEST_CASE("a product with a sum reads what it adds to only where that counts", "[ops][products]") {
  const Tensor a = constant({{1, 2}, {3, 4}});
  CHECK(addmm(ones({2}), a, a, {.beta = 2, .alpha = 10}).to_vector<Index>() == Ints{72, 102, 152, 222});
  CHECK(addmm(full({2}, nan), a, a, {.beta = 0}).to_vector<Index>() == Ints{7, 10, 15, 22});
  CHECK(addr(zeros({2, 2}), constant({1, 2}), constant({3, 4})).to_vector<Index>() == Ints{3, 4, 6, 8});
  CHECK(addcdiv(ones({2}), constant({1, 2}), constant({2, 2}), 4).to_vector<Index>() == Ints{3, 5});
  CHECK_THROWS_AS(addmm(ones({2}), a, ones({2})), ShapeError);
}

}  // namespace
}  // namespace gradweave::joining_tests
