// Random tensors of further distributions: their moments, within a few standard errors.
#include <gradweave/ops/distributions.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave::distributions_tests {
namespace {

using Ints = std::vector<Index>;
constexpr Index many = 100000;

struct Moments {
  double mean, variance;
  explicit Moments(const Tensor& x)
      : mean(gradweave::mean(cast(x, DType::float64)).item<double>()),
        variance(var(cast(x, DType::float64)).item<double>()) {}
};
void check_moments(const Tensor& x, double mean, double variance) {
  const Moments found(x);
  const double error = 5 * std::sqrt(variance / static_cast<double>(x.numel()));
  CHECK(found.mean == Approx(mean).margin(error));
  CHECK(found.variance == Approx(variance).epsilon(0.05));
}

TEST_CASE("counts and choices", "[ops][random]") {
  Generator generator(1);
  check_moments(bernoulli(full({many}, 0.3), generator), 0.3, 0.21);
  const Tensor dice = randint(1, 7, {many}, generator);
  CHECK(dice.dtype() == DType::int64);
  CHECK(min(dice).item<Index>() == 1);
  CHECK(max(dice).item<Index>() == 6);
  check_moments(dice, 3.5, 35.0 / 12);
  Ints order = permutation(100, generator).to_vector<Index>();
  std::ranges::sort(order);
  Ints all(100);
  std::iota(all.begin(), all.end(), Index{0});
  CHECK(order == all);
  CHECK_THROWS_AS(randint(3, 3, {1}, generator), ValueError);
}

TEST_CASE("multinomial chooses by weight", "[ops][random]") {
  Generator generator(2);
  const Tensor weights = constant({{1, 3, 0}, {0, 0, 5}});
  const Tensor chosen = multinomial(weights, many, generator, true);
  const Tensor counts = bincount(select(chosen, 0, 0), 3);
  CHECK(counts.to_vector<double>()[0] == Approx(many / 4).epsilon(0.03));
  CHECK(counts.to_vector<Index>()[2] == 0);
  CHECK(min(select(chosen, 0, 1)).item<Index>() == 2);
  Ints few = multinomial(constant({1, 1, 1, 1}), 4, generator).to_vector<Index>();
  std::ranges::sort(few);
  CHECK(few == Ints{0, 1, 2, 3});
  CHECK_THROWS_AS(multinomial(weights, 4, generator), ValueError);
}

TEST_CASE("continuous distributions", "[ops][random]") {
  Generator generator(3);
  constexpr double pi = 3.14159265358979;
  check_moments(random_exponential({many}, generator), 1, 1);
  check_moments(random_gumbel({many}, generator), 0.5772156649, pi * pi / 6);
  check_moments(random_laplace({many}, generator), 0, 2);
  check_moments(log(random_log_normal({many}, generator, 1, 0.5)), 1, 0.25);
  CHECK(median(random_cauchy({many}, generator)).item<double>() == Approx(0).margin(0.03));
  const Tensor truncated = truncated_normal({many}, generator);
  CHECK(min(truncated).item<double>() >= -2);
  CHECK(max(truncated).item<double>() <= 2);
  check_moments(truncated, 0, 0.7737);  // 1 - 4 phi(2) / (Phi(2) - Phi(-2))
  const Tensor tail = truncated_normal({1000}, generator, 0, 1, 8, 9, DType::float64);
  CHECK(min(tail).item<double>() >= 8);
  CHECK(mean(tail).item<double>() == Approx(8.121).epsilon(0.01));
  CHECK_THROWS_AS(truncated_normal({1}, generator, 0, 1, 2, 1), ValueError);
}

}  // namespace
}  // namespace gradweave::distributions_tests
