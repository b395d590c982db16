// Functions made of reductions.
#include <gradweave/ops/statistics.hpp>

#include <cmath>
#include <limits>

#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave::statistics_tests {
namespace {

using Doubles = std::vector<double>;
using Ints = std::vector<Index>;
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

TEST_CASE("axes may be known at run time only", "[ops][reduction]") {
  const Tensor x = ones({2, 3, 4});
  const Ints axes{0, -1};
  CHECK(sum(x, axes).to_vector<Index>() == Ints{8, 8, 8});
  CHECK(sum(x, std::span(axes)).to_vector<Index>() == Ints{8, 8, 8});
  CHECK(sum(x, 1).shape() == Shape{2, 4});
  CHECK(mean(x, {0, 1}).to_vector<Index>() == Ints{1, 1, 1, 1});
  CHECK_THROWS_AS(sum(x, Ints(9)), ShapeError);
}

TEST_CASE("prod and its derivative where factors are zero", "[ops][reduction]") {
  CHECK(prod(constant({{1, 2}, {3, 4}})).item<Index>() == 24);
  CHECK(prod(constant({{1, 2}, {3, 4}}), {0}).to_vector<Index>() == Ints{3, 8});
  CHECK(prod(zeros({0})).item<Index>() == 1);
  CHECK(prod(constant({true, true}, DType::bool_)).dtype() == DType::int64);
  const Tensor x = variable({2, 0, 3}), two = variable({0, 5, 0});
  CHECK(gradients(prod(x), {x})[0].to_vector<Index>() == Ints{0, 6, 0});
  CHECK(gradients(prod(two), {two})[0].to_vector<Index>() == Ints{0, 0, 0});
}

TEST_CASE("norms of any order; their gradient at 0 is 0", "[ops][reduction]") {
  const Tensor x = constant({3, -4, 0}, DType::float64);
  CHECK(norm(x).item<double>() == 5);
  CHECK(norm(x, 1).item<double>() == 7);
  CHECK(norm(x, 0).item<double>() == 2);
  CHECK(norm(x, infinity).item<double>() == 4);
  CHECK(norm(x, -infinity).item<double>() == 0);
  CHECK(norm(x, 3).item<double>() == Approx(std::cbrt(91)));
  CHECK(norm(constant({{3, 4}, {6, 8}}), 2, {1}).to_vector<double>() == Doubles{5, 10});
  const Tensor zero = variable({0, 0});
  CHECK(gradients(norm(zero), {zero})[0].to_vector<double>() == Doubles{0, 0});
  CHECK(gradients(norm(zero, 3), {zero})[0].to_vector<double>() == Doubles{0, 0});
}

TEST_CASE("deviations", "[ops][reduction]") {
  CHECK(std(constant({1, 3}), {}, false, 0).item<double>() == 1);
  CHECK(std(constant({1, 3}, DType::float64), {}, false, 1).item<double>() == Approx(std::sqrt(2)));
  const Tensor same = variable({2, 2});
  CHECK(gradients(std(same), {same})[0].to_vector<double>() == Doubles{0, 0});
}

TEST_CASE("extrema with their places", "[ops][reduction]") {
  const Tensor x = variable({{1, 7, 7}, {2, 0, -1}});
  const auto [largest, at] = max_with_indices(x, 1);
  CHECK(largest.to_vector<Index>() == Ints{7, 2});
  CHECK(at.to_vector<Index>() == Ints{1, 0});
  CHECK(gradients(sum(largest), {x})[0].to_vector<Index>() == Ints{0, 1, 0, 1, 0, 0});
  CHECK(min_with_indices(x, 0, true).indices.to_vector<Index>() == Ints{0, 1, 1});
  CHECK(argmin(constant({3, nan, 1})).item<Index>() == 1);
  CHECK(argmin(constant({{3, 1}, {2, 5}}), 0).to_vector<Index>() == Ints{1, 0});
  CHECK(aminmax(x).first.item<Index>() == -1);
  CHECK(aminmax(x, {0}).second.to_vector<Index>() == Ints{2, 7, 7});
}

TEST_CASE("what passes over NaN, and counts", "[ops][reduction]") {
  const Tensor x = variable({1, nan, 3});
  CHECK(nansum(x).item<double>() == 4);
  CHECK(nanmean(x).item<double>() == 2);
  CHECK(gradients(nanmean(x), {x})[0].to_vector<double>() == Doubles{0.5, 0, 0.5});
  CHECK(std::isnan(nanmean(constant({nan})).item<double>()));
  CHECK(count_nonzero(constant({{0, 2}, {nan, 0}})).item<Index>() == 2);
}

}  // namespace
}  // namespace gradweave::statistics_tests
