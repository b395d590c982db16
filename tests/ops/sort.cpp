// Sorting and what it is for.
#include <gradweave/ops/sort.hpp>

#include <cmath>
#include <limits>

#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave::sort_tests {
namespace {

using Doubles = std::vector<double>;
using Ints = std::vector<Index>;
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

TEST_CASE("sort is stable, along any axis, in both directions", "[ops][sort]") {
  const auto [values, indices] = sort(constant({{3, 1, 2}, {1, 1, 0}}));
  CHECK(values.to_vector<Index>() == Ints{1, 2, 3, 0, 1, 1});
  CHECK(indices.to_vector<Index>() == Ints{1, 2, 0, 2, 0, 1});
  CHECK(argsort(constant({1, 1, 2}), 0, true).to_vector<Index>() == Ints{2, 0, 1});
  CHECK(sort(constant({{3, 1}, {2, 5}}), 0).values.to_vector<Index>() == Ints{2, 1, 3, 5});
  CHECK(sort(constant(7)).indices.item<Index>() == 0);
  CHECK(sort(zeros({0})).values.shape() == Shape{0});
  CHECK(sort(constant({200, 3}, DType::uint8)).values.to_vector<Index>() == Ints{3, 200});
}

TEST_CASE("NaN is sorted as the largest", "[ops][sort]") {
  CHECK(argsort(constant({nan, 1, std::numeric_limits<double>::infinity()})).to_vector<Index>() ==
        Ints{1, 2, 0});
  CHECK(topk(constant({1, nan, 2}), 2).indices.to_vector<Index>() == Ints{1, 2});
}

TEST_CASE("cotangents go back to where the values were", "[ops][sort]") {
  const Tensor x = variable({3, 1, 2});
  const auto [g] = gradients(sum(sort(x).values * constant({1, 10, 100})), {x});
  CHECK(g.to_vector<Index>() == Ints{100, 1, 10});
}

TEST_CASE("topk and kthvalue", "[ops][sort]") {
  const Tensor x = constant({{5, 1, 4}, {2, 3, 6}});
  CHECK(topk(x, 2).values.to_vector<Index>() == Ints{5, 4, 6, 3});
  CHECK(topk(x, 1, 0, false).values.to_vector<Index>() == Ints{2, 1, 4});
  CHECK(kthvalue(x, 2).values.to_vector<Index>() == Ints{4, 3});
  CHECK(kthvalue(x, 1, 1, true).indices.to_vector<Index>() == Ints{1, 0});
  CHECK(topk(x, 0).values.shape() == Shape{2, 0});
  CHECK_THROWS_AS(topk(x, 4), ValueError);
  CHECK_THROWS_AS(kthvalue(x, 0), ValueError);
}

TEST_CASE("medians and quantiles", "[ops][sort]") {
  const Tensor x = constant({4, 1, 3, 2});
  CHECK(median(x).item<double>() == 2);  // the lower one
  CHECK(std::isnan(median(constant({1, nan, 0})).item<double>()));
  CHECK(median(constant({{1, 5}, {9, 7}, {2, 6}}), 0).values.to_vector<Index>() == Ints{2, 6});
  CHECK(quantile(x, 0.5).item<double>() == 2.5);
  CHECK(quantile(x, 0.4, Interpolation::lower).item<double>() == 2);
  CHECK(quantile(x, 0.4, Interpolation::higher).item<double>() == 3);
  CHECK(quantile(x, 0.4, Interpolation::midpoint).item<double>() == 2.5);
  CHECK(quantile(x, 0.4, Interpolation::nearest).item<double>() == 2);
  CHECK(quantile(constant({{0, 10}, {1, 30}}, DType::float64), {0, 0.25}, 1).to_vector<double>() ==
        Doubles{0, 1, 2.5, 8.25});
  CHECK_THROWS_AS(quantile(x, 1.5), ValueError);
  CHECK_THROWS_AS(median(zeros({0})), ShapeError);
}

TEST_CASE("searchsorted and bucketize", "[ops][sort]") {
  const Tensor sorted = constant({1, 3, 5, 7, 9});
  CHECK(searchsorted(sorted, constant({3, 6, 9})).to_vector<Index>() == Ints{1, 3, 4});
  CHECK(searchsorted(sorted, constant({3, 6, 9}), true).to_vector<Index>() == Ints{2, 3, 5});
  CHECK(searchsorted(constant({{1, 3}, {2, 4}}), constant({{3}, {3}})).to_vector<Index>() == Ints{1, 1});
  CHECK(bucketize(4, sorted).item<Index>() == 2);
  CHECK(searchsorted(zeros({0}), constant({1})).to_vector<Index>() == Ints{0});
}

}  // namespace
}  // namespace gradweave::sort_tests
