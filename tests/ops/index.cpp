// Looking up by index.
#include <gradweave/ops/index.hpp>

#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave {
namespace {

using Ints = std::vector<int>;
using Catch::Matchers::ContainsSubstring;

Tensor indices(std::initializer_list<Literal> values) { return constant(Literal(values), DType::int64); }

TEST_CASE("take replaces an axis by the shape of the indices, as numpy.take", "[ops][index]") {
  const Tensor x = constant({{1, 2, 3}, {4, 5, 6}});
  CHECK(take(x, indices({1, 0, 1})).to_vector<int>() == Ints{4, 5, 6, 1, 2, 3, 4, 5, 6});
  CHECK(take(x, indices({2, 0}), 1).to_vector<int>() == Ints{3, 1, 6, 4});
  CHECK(take(x, indices({2, 0}), -1).to_vector<int>() == Ints{3, 1, 6, 4});
  CHECK(take(x, indices({{0, 1}, {2, 2}}), 1).shape() == Shape{2, 2, 2});
  CHECK(take(x, constant(1, DType::int64)).to_vector<int>() == Ints{4, 5, 6});
  CHECK(take(x, 1).shape() == Shape{3});
  CHECK(take(transpose(x), indices({2})).to_vector<int>() == Ints{3, 6});
  CHECK(take(x, indices({})).shape() == Shape{0, 3});
  CHECK(take(constant({1, 0}, DType::bool_), indices({1, 1, 0})).to_vector<int>() == Ints{0, 0, 1});
}

TEST_CASE("what is taken several times gets the sum of the cotangents", "[ops][index]") {
  const Tensor x = variable({10, 20, 30});
  const auto [g] = gradients(take(x, indices({2, 0, 2, 2})), {x}, constant({1, 2, 3, 4}));
  CHECK(g.to_vector<int>() == Ints{2, 0, 8});
}

TEST_CASE("one_hot", "[ops][index]") {
  CHECK(one_hot(indices({2, 0}), 3).to_vector<int>() == Ints{0, 0, 1, 1, 0, 0});
  CHECK(one_hot(indices({{0}, {1}}), 2).shape() == Shape{2, 1, 2});
  CHECK(one_hot(indices({1}), 2, DType::bool_).dtype() == DType::bool_);
  CHECK(one_hot(1, 2).to_vector<int>() == Ints{0, 1});
}

TEST_CASE("arange", "[ops][index]") {
  CHECK(arange(4).to_vector<int>() == Ints{0, 1, 2, 3});
  CHECK(arange(4).dtype() == DType::int64);
  CHECK(arange(3, DType::float64).to_vector<double>() == std::vector<double>{0, 1, 2});
  CHECK_THROWS_AS(arange(-1), ShapeError);
}

TEST_CASE("indices outside are errors that name the op, its operands, the place in them and the line",
          "[ops][index]") {
  const Tensor x = zeros({5, 3});
  for (Index wrong : {Index{-1}, Index{5}, Index{1} << 40}) {
    const unsigned line = __LINE__ + 1;
    const Tensor y = take(x, constant(std::vector<Index>{0, wrong}));
    CHECK_THROWS_AS(y.to_vector(), ValueError);
    CHECK_THROWS_WITH(y.to_vector(),
                      ContainsSubstring("take of float32 (5, 3) with int64 (2,): index " +
                                        std::to_string(wrong) + " at position 1 is outside [0, 5)") &&
                          ContainsSubstring("index.cpp:" + std::to_string(line)));
  }
  CHECK_THROWS_AS(one_hot(indices({3}), 3).to_vector(), ValueError);
  CHECK_THROWS_AS(one_hot(2.5, 3), DTypeError);  // and not index 2
  CHECK_THROWS_AS(take(x, 0.5), DTypeError);
  CHECK_THROWS_AS(take(1, indices({0})), GraphError);
}

}  // namespace
}  // namespace gradweave
