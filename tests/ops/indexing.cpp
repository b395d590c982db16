// NumPy's indexing, reading and writing.
#include <gradweave/ops/indexing.hpp>

#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave::indexing_tests {
namespace {

using Ints = std::vector<Index>;
using Catch::Matchers::ContainsSubstring;
Tensor ints(const Literal& values) { return constant(values, DType::int64); }
Tensor numbered(const Shape& shape) { return reshape(arange(numel(shape)), Dims(shape)); }

TEST_CASE("integers, ranges, new axes and ellipses are views", "[ops][indexing]") {
  const Tensor x = numbered({2, 3, 4});
  CHECK(index(x, {1, 2, 3}).item<Index>() == 23);
  CHECK(index(x, {-1, 0}).to_vector<Index>() == Ints{12, 13, 14, 15});
  CHECK(index(x, {0, Range{1, 3}, Range{.step = 2}}).to_vector<Index>() == Ints{4, 6, 8, 10});
  CHECK(index(x, {ellipsis, -1}).to_vector<Index>() == Ints{3, 7, 11, 15, 19, 23});
  CHECK(index(x, {0, ellipsis, 0}).to_vector<Index>() == Ints{0, 4, 8});
  CHECK(index(x, {all_of_it, new_axis}).shape() == Shape{2, 1, 3, 4});
  CHECK(index(x, {ellipsis, new_axis}).shape() == Shape{2, 3, 4, 1});
  CHECK(index(x, {1, 1, Range{.step = -1}}).to_vector<Index>() == Ints{19, 18, 17, 16});
  CHECK(index(x, {1, 1, Range{-2, 0, -1}}).to_vector<Index>() == Ints{18, 17});
  CHECK(index(x, {0, Range{2, 1}}).shape() == Shape{0, 4});
  CHECK(index(x, {}).shape() == x.shape());
  CHECK_THROWS_AS(index(x, {0, 0, 0, 0}), ShapeError);
  CHECK_THROWS_AS(index(x, {ellipsis, ellipsis}), ShapeError);
  CHECK_THROWS_AS(index(x, {2}), ValueError);
  CHECK_THROWS_AS(index(x, {Range{.step = 0}}), ValueError);
}

TEST_CASE("index tensors broadcast; apart, their axes stand in front", "[ops][indexing]") {
  const Tensor x = numbered({3, 4});
  CHECK(index(x, {ints({2, 0})}).to_vector<Index>() == Ints{8, 9, 10, 11, 0, 1, 2, 3});
  CHECK(index(x, {ints({0, 1}), ints({-1, 2})}).to_vector<Index>() == Ints{3, 6});
  CHECK(index(x, {ints({{0}, {2}}), ints({1, 3})}).to_vector<Index>() == Ints{1, 3, 9, 11});
  CHECK(index(x, {all_of_it, ints({{0, 1}, {2, 3}})}).shape() == Shape{3, 2, 2});
  const Tensor deep = numbered({2, 3, 4});
  CHECK(index(deep, {ints({0, 1}), all_of_it, ints({0, 3})}).shape() == Shape{2, 3});  // numpy: (2, 3)
  CHECK(index(deep, {ints({0, 1}), all_of_it, ints({0, 3})}).to_vector<Index>() == Ints{0, 4, 8, 15, 19, 23});
  CHECK(index(deep, {all_of_it, ints({0, 1, 2}), ints({3, 2, 1})}).to_vector<Index>() ==
        Ints{3, 6, 9, 15, 18, 21});
  CHECK_THROWS_AS(eval(index(x, {ints({3})})), ValueError);
  // Unknown yet, and of two whose sum would be inside.
  CHECK_THROWS_AS(eval(index(x, {ints({0}), ints({3}) + 1})), ValueError);
  CHECK_THROWS_AS(index(x, {constant({0.5})}), DTypeError);
  const Tensor v = variable({1, 2, 3});
  CHECK(gradients(sum(index(v, {ints({0, 0, 2})})), {v})[0].to_vector<Index>() == Ints{2, 0, 1});
}

TEST_CASE("masks", "[ops][indexing]") {
  const Tensor x = variable({{1, -2}, {-3, 4}});
  const Tensor positive = index(x, {x > 0});
  CHECK(positive.to_vector<Index>() == Ints{1, 4});
  CHECK(gradients(sum(square(positive)), {x})[0].to_vector<Index>() == Ints{2, 0, 0, 8});
  CHECK(index(x, {constant({0, 1}, DType::bool_)}).to_vector<Index>() == Ints{-3, 4});
  CHECK(index(x, {constant({0, 1}, DType::bool_), 0}).to_vector<Index>() == Ints{-3});
  CHECK(index(x, {x > 10}).shape() == Shape{0});
  CHECK(nonzero(x > 0).to_vector<Index>() == Ints{0, 0, 1, 1});
  CHECK(nonzero(constant(0)).shape() == Shape{0, 0});
  CHECK(masked_select(constant({1, 2}), constant({{1}, {0}}, DType::bool_)).to_vector<Index>() == Ints{1, 2});
  CHECK_THROWS_AS(index(x, {ones({3}, DType::bool_)}), ShapeError);
  const auto compiled = compile([](const Tensor& t) { return index(t, {t > 0}); });
  CHECK_THROWS_WITH(compiled(constant({1, 2})), ContainsSubstring("where"));
}

TEST_CASE("writing makes a new tensor", "[ops][indexing]") {
  const Tensor x = numbered({2, 3});
  CHECK(index_put(x, {0}, 9).to_vector<Index>() == Ints{9, 9, 9, 3, 4, 5});
  CHECK(index_put(x, {all_of_it, Range{.step = 2}}, ints({7, 8})).to_vector<Index>() ==
        Ints{7, 1, 8, 7, 4, 8});
  CHECK(index_put(x, {x > 2}, 0).to_vector<Index>() == Ints{0, 1, 2, 0, 0, 0});
  CHECK(index_put(x, {ints({1, 0}), ints({2, 2})}, ints({50, 20})).to_vector<Index>() ==
        Ints{0, 1, 20, 3, 4, 50});
  CHECK(index_put_add(x, {ints({0, 0, 1})}, 1).to_vector<Index>() == Ints{2, 3, 4, 4, 5, 6});
  const Tensor v = variable({1, 2, 3}), w = variable({5});
  const auto [gv, gw] = gradients(sum(index_put(v, {Range{1, 2}}, w) * constant({1, 10, 100})), {v, w});
  CHECK(gv.to_vector<Index>() == Ints{1, 0, 100});
  CHECK(gw.to_vector<Index>() == Ints{10});
}

TEST_CASE("unique", "[ops][indexing]") {
  const auto [values, inverse, counts] = unique(constant({{3, 1}, {3, 2}}));
  CHECK(values.to_vector<Index>() == Ints{1, 2, 3});
  CHECK(inverse.to_vector<Index>() == Ints{2, 0, 2, 1});
  CHECK(counts.to_vector<Index>() == Ints{1, 1, 2});
  CHECK(unique(zeros({0})).values.shape() == Shape{0});
}

}  // namespace
}  // namespace gradweave::indexing_tests
