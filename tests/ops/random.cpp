#include <gradweave/ops/random.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include <gradweave/ops/kernels/philox.hpp>
#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave {
namespace {

using Words = std::array<std::uint32_t, 4>;

// The known-answer vectors that come with Random123 (D. E. Shaw Research), philox4x32 with 10 rounds.
TEST_CASE("philox4x32-10 gives the published numbers", "[random]") {
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
        Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("the same seed gives the same tensors in the same order", "[random]") {
  Generator a(7), b(7), other(8);
  const Tensor first = random_uniform({100}, a), second = random_uniform({100}, a);
  CHECK(first.to_vector() == random_uniform({100}, b).to_vector());
  CHECK(second.to_vector() == random_uniform({100}, b).to_vector());
  CHECK(first.to_vector() != second.to_vector());
  CHECK(first.to_vector() != random_uniform({100}, other).to_vector());
}

TEST_CASE("the order of evaluation does not change the numbers", "[random]") {
  Generator a(7), b(7);
  const Tensor a1 = random_normal({50}, a), a2 = random_normal({50}, a);
  const Tensor b1 = random_normal({50}, b), b2 = random_normal({50}, b);
  eval(b2);
  eval(b1);
  CHECK(a1.to_vector() == b1.to_vector());
  CHECK(a2.to_vector() == b2.to_vector());
}

TEST_CASE("scratch random numbers are the same when they are computed again", "[random]") {
  Generator generator(3);
  const Tensor w = variable({1, 1, 1});
  const Tensor y = sum(w * random_uniform({3}, generator));  // the random node itself is not held
  const float value = y.item();
  const auto [g] = gradients(y, {w});
  CHECK(sum(g).item() == Approx(value));
}

void check_moments(const std::vector<double>& x, double mean, double variance, double fourth) {
  const auto n = static_cast<double>(x.size());
  const auto moment = [&](int power) {
    return std::accumulate(x.begin(), x.end(), 0.0,
                           [&](double s, double v) { return s + std::pow(v - mean, power); }) /
           n;
  };
  const double sigma = std::sqrt(variance);
  CHECK(std::abs(moment(1)) < 5 * sigma / std::sqrt(n));
  CHECK(moment(2) == Approx(variance).epsilon(0.02));
  CHECK(std::abs(moment(3)) < 0.05 * std::pow(sigma, 3));
  CHECK(moment(4) == Approx(fourth).epsilon(0.05));
}

TEST_CASE("moments of the distributions", "[random]") {
  Generator generator(11);
  const auto u = random_uniform({100'000}, generator, -1, 3, DType::float64).to_vector<double>();
  check_moments(u, 1, 16.0 / 12, 256.0 / 80);
  CHECK(std::all_of(u.begin(), u.end(), [](double v) { return v >= -1 && v < 3; }));
  check_moments(random_normal({100'000}, generator, 2, 0.5, DType::float64).to_vector<double>(), 2, 0.25,
                3 * 0.0625);
  check_moments(random_normal({100'000}, generator).to_vector<double>(), 0, 1, 3);
}

TEST_CASE("a uniform float never is the upper bound", "[random]") {
  Generator generator(5);
  const auto u = random_uniform({1'000'000}, generator).to_vector();
  CHECK(*std::max_element(u.begin(), u.end()) < 1.0F);
  CHECK(*std::min_element(u.begin(), u.end()) >= 0.0F);
}

TEST_CASE("whole numbers below a bound", "[random]") {
  Generator generator(1);
  std::set<std::uint64_t> seen;
  for (int k = 0; k < 200; ++k) seen.insert(generator.below(6));
  CHECK(seen == std::set<std::uint64_t>{0, 1, 2, 3, 4, 5});
  CHECK(generator.below(1) == 0);
  CHECK_THROWS_AS(generator.below(0), ValueError);
}

TEST_CASE("wrong arguments", "[random]") {
  Generator generator;
  CHECK_THROWS_AS(random_uniform({2}, generator, 1, 1), ValueError);
  CHECK_THROWS_AS(random_uniform({2}, generator, 1, std::nan("")), ValueError);
  CHECK_THROWS_AS(random_normal({2}, generator, 0, -1), ValueError);
  CHECK_THROWS_AS(random_normal({2}, generator, 0, 1, DType::int64), DTypeError);
}

TEST_CASE("bounds that make no numbers are refused", "[random]") {
  Generator generator;
  constexpr double inf = std::numeric_limits<double>::infinity();
  CHECK_THROWS_AS(random_uniform({3}, generator, 1, 0), ValueError);
  CHECK_THROWS_AS(random_uniform({3}, generator, -inf, inf), ValueError);
  CHECK_THROWS_AS(random_uniform({3}, generator, -1e308, 1e308, DType::float64), ValueError);
  CHECK_THROWS_AS(random_uniform({3}, generator, std::nan(""), 1), ValueError);
  CHECK_THROWS_AS(random_normal({3}, generator, 0, -1), ValueError);
  CHECK_THROWS_AS(random_normal({3}, generator, 0, inf), ValueError);
  CHECK_THROWS_AS(random_normal({3}, generator, std::nan(""), 1), ValueError);
}

}  // namespace
}  // namespace gradweave
