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
  const Tensor chosen = multinomial(weights, many, true, generator);
  const Tensor counts = bincount(select(chosen, 0, 0), 3);
  CHECK(counts.to_vector<double>()[0] == Approx(many / 4).epsilon(0.03));
  CHECK(counts.to_vector<Index>()[2] == 0);
  CHECK(min(select(chosen, 0, 1)).item<Index>() == 2);
  Ints few = multinomial(constant({1, 1, 1, 1}), 4, false, generator).to_vector<Index>();
  std::ranges::sort(few);
  CHECK(few == Ints{0, 1, 2, 3});
  CHECK_THROWS_AS(multinomial(weights, 4, false, generator), ValueError);
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

// Kolmogorov's and Smirnov's distance times the root of the count: above 1.95 once in a thousand.
double distance_from_uniform(const Tensor& p) {
  const Tensor sorted = sort(cast(p, DType::float64)).values;
  const auto n = static_cast<double>(p.numel());
  const Tensor steps = arange(0.0, n, 1.0, DType::float64) / n;
  return std::max(max(abs(sorted - steps)).item<double>(), max(abs(sorted - steps - 1 / n)).item<double>()) *
         std::sqrt(n);
}

TEST_CASE("gamma numbers and what is made of them", "[ops][random]") {
  Generator generator(7);
  for (const double a : {0.1, 0.7, 1.0, 3.5, 40.0, 2000.0}) {
    INFO("concentration " << a);
    const Tensor concentration = full({many}, a, DType::float64);
    const Tensor x = random_gamma(concentration, generator);
    check_moments(x, a, a);
    CHECK(distance_from_uniform(gammainc(concentration, x)) < 1.95);
  }
  const Tensor two = full({many}, 2, DType::float64), half = full({many}, 0.5, DType::float64);
  check_moments(random_beta(two, half, generator), 0.8, 0.8 * 0.2 / 3.5);
  CHECK(distance_from_uniform(betainc(two, half, random_beta(two, half, generator))) < 1.95);
  check_moments(random_chi_square(two + 1, generator), 3, 6);
  check_moments(random_student_t(two + 8, generator), 0, 10.0 / 8);
  const Tensor parts = random_dirichlet(broadcast_to(constant({1, 2, 5}), {many, 3}), generator);
  CHECK(max(abs(sum(parts, 1) - 1)).item<double>() < 1e-6);
  check_moments(select(parts, 1, 2), 0.625, 0.625 * 0.375 / 9);
  CHECK(min(random_gamma(full({1000}, 1e-4), generator)).item() > 0);
  CHECK(random_gamma(full({3}, 2, DType::float16), generator).dtype() == DType::float16);
  CHECK_THROWS_WITH(eval(random_gamma(constant({1, -1}), generator)),
                    Catch::Matchers::ContainsSubstring("random_gamma") &&
                        Catch::Matchers::ContainsSubstring("-1 is not positive"));
}

// Of concentration 1, x = -log(1 - p), and by the definition: p stays while x and a move.
TEST_CASE("gamma numbers move with their concentration", "[ops][random]") {
  for (const double a : {1e-3, 0.05, 0.8, 1.0, 4.0, 30.0, 150.0, 1e4}) {
    Generator generator(9);
    const Tensor concentration = variable(full({200}, a, DType::float64));
    const Tensor x = random_gamma(concentration, generator);
    const Tensor found = gradients(sum(x), {concentration})[0];
    const double h = 1e-4 * a / std::sqrt(1 + a);
    const Tensor at = detach(x);
    const auto inside = [&](const Tensor& c) { return gammainc(c, at); };
    const Tensor moved = inside(detach(concentration) + h) - inside(detach(concentration) - h);
    const Tensor in_x = exp(xlogy(detach(concentration) - 1, at) - at - lgamma(detach(concentration)));
    const Tensor middle =
        logical_and(inside(detach(concentration)) > 1e-3, inside(detach(concentration)) < 0.999);
    const Tensor error = where(middle, abs(found + moved / (2 * h) / in_x) / abs(found), 0);
    INFO("concentration " << a);
    CHECK(max(error).item<double>() < 1e-5);
    CHECK(min(found).item<double>() >= 0);
  }
  // E[x] = a and E[log x] = digamma(a), whose derivatives are 1 and trigamma(a).
  Generator generator(10);
  const Tensor a = variable({0.5, 3, 20}, DType::float64);
  const Tensor x = random_gamma(broadcast_to(a, {many, 3}), generator);
  for (const double slope : gradients(sum(mean(x, 0)), {a})[0].to_vector<double>())
    CHECK(slope == Approx(1).epsilon(0.02));
  const auto logs = gradients(sum(mean(log(x), 0)), {a})[0].to_vector<double>();
  CHECK(logs[0] == Approx(4.934802).epsilon(0.02));
  CHECK(logs[1] == Approx(0.394934).epsilon(0.02));
  CHECK(logs[2] == Approx(0.0512709).epsilon(0.02));
  const auto [first] = gradients(sum(x), {a});
  CHECK_THROWS_AS(gradients(sum(first), {a}), GraphError);
}

// Chi square over the first counts against their probabilities.
void check_counts(const Tensor& x, const std::vector<double>& probabilities) {
  const auto n = static_cast<double>(x.numel());
  double chi = 0;
  for (std::size_t k = 0; k < probabilities.size(); ++k) {
    const double expected = probabilities[k] * n;
    if (expected < 5) continue;
    const double found = sum(cast(x == static_cast<double>(k), DType::float64)).item<double>();
    chi += (found - expected) * (found - expected) / expected;
  }
  const auto freedom = static_cast<double>(probabilities.size());
  CHECK(chi < freedom + 4 * std::sqrt(2 * freedom));
}

TEST_CASE("counts of events and of trials", "[ops][random]") {
  Generator generator(11);
  for (const double rate : {0.3, 4.0, 9.9, 10.0, 25.0, 1000.0}) {
    INFO("rate " << rate);
    const Tensor x = random_poisson(full({many}, rate), generator);
    CHECK(x.dtype() == DType::float32);
    check_moments(x, rate, rate);
    std::vector<double> probabilities(31);
    for (std::size_t k = 0; k < probabilities.size(); ++k)
      probabilities[k] =
          std::exp(static_cast<double>(k) * std::log(rate) - rate - std::lgamma(static_cast<double>(k) + 1));
    check_counts(x, probabilities);
  }
  CHECK(max(random_poisson(zeros({100}), generator)).item() == 0);
  CHECK_THROWS_AS(eval(random_poisson(constant({-1}), generator)), ValueError);
  CHECK_THROWS_AS(eval(random_poisson(constant({INFINITY}), generator)), ValueError);
  const Tensor trials = random_geometric(full({many}, 0.25), generator);
  check_moments(trials, 4, 12);
  CHECK(min(trials).item() == 1);
  check_counts(trials - 1, {0.25, 0.1875, 0.140625, 0.10546875});
  CHECK(max(random_geometric(ones({100}), generator)).item() == 1);
}

TEST_CASE("distributions with tensors for parameters, and without a generator", "[ops][random]") {
  seed(12);
  const Tensor mean_of = variable({{1}, {2}}), std_of = variable({1, 10, 100});
  const Tensor x = normal(mean_of, std_of);
  CHECK(x.shape() == Shape{2, 3});
  const auto [to_mean, to_std] = gradients(sum(x), {mean_of, std_of});
  CHECK(to_mean.to_vector() == std::vector<float>{3, 3});
  const Tensor noise = (x - mean_of) / std_of;
  CHECK(max(abs(to_std - sum(noise, 0))).item() < 1e-4F);
  const auto all = [] {
    std::vector<float> values;
    for (const Tensor& t :
         {bernoulli(full({4}, 0.5)), cast(randint(0, 9, {4}), DType::float32),
          cast(permutation(4), DType::float32), random_exponential({4}), random_gumbel({4}),
          random_cauchy({4}), random_laplace({4}), random_log_normal({4}), truncated_normal({4}),
          random_gamma(ones({4})), random_poisson(ones({4})), random_geometric(full({4}, 0.5))}) {
      const auto part = t.to_vector();
      values.insert(values.end(), part.begin(), part.end());
    }
    return values;
  };
  seed(3);
  const auto first = all();
  seed(3);
  CHECK(all() == first);
  CHECK(all() != first);
  seed(0);
}

}  // namespace
}  // namespace gradweave::distributions_tests
