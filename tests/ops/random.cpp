#include <gradweave/ops/random.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <thread>
#include <utility>

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

TEST_CASE("the numbers of a tensor are those words", "[random]") {
  Generator generator(0x123456789ABCDEFU);
  generator.advance(0xFFFFFFFEU);  // the third counter's upper word is 1
  const auto words = [](std::uint32_t low, std::uint32_t high) {
    return philox({low, high, 0, 0}, {0x89ABCDEF, 0x1234567});
  };
  const Generator::State state = generator.state();
  const auto u = random_uniform({64}, generator).to_vector();
  const Words first = words(0xFFFFFFFE, 0), third = words(0, 1);
  CHECK(u[0] == static_cast<float>(first[0] >> 8) * 0x1p-24F);
  CHECK(u[1] == static_cast<float>(first[1] >> 8) * 0x1p-24F);
  CHECK(u[4] == static_cast<float>(third[0] >> 8) * 0x1p-24F);
  CHECK(u[32] == static_cast<float>(first[2] >> 8) * 0x1p-24F);
  generator.set_state(state);
  const auto v = random_uniform({32}, generator, 0, 1, DType::float64).to_vector<double>();
  CHECK(v[0] == static_cast<double>((std::uint64_t{first[1]} << 32 | first[0]) >> 11) * 0x1p-53);
  CHECK(v[18] == static_cast<double>((std::uint64_t{third[3]} << 32 | third[2]) >> 11) * 0x1p-53);
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

// Kolmogorov's and Smirnov's test: the largest distance between the distributions, times the root of the
// count, is above 1.95 once in a thousand.
template <class Distribution>
double distance_from(std::vector<double> x, Distribution distribution) {
  std::sort(x.begin(), x.end());
  const auto n = static_cast<double>(x.size());
  double largest = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double p = distribution(x[i]), below = static_cast<double>(i) / n;
    largest = std::max({largest, std::abs(p - below), std::abs(p - below - 1 / n)});
  }
  return largest * std::sqrt(n);
}
double normal_distribution(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

TEST_CASE("the distributions are those that they should be", "[random]") {
  Generator generator(17);
  for (const DType dtype : {DType::float32, DType::float64}) {
    CHECK(distance_from(random_uniform({200'000}, generator, 0, 1, dtype).to_vector<double>(),
                        [](double x) { return x; }) < 1.95);
    CHECK(distance_from(random_normal({200'000}, generator, 0, 1, dtype).to_vector<double>(),
                        normal_distribution) < 1.95);
  }
}

// Chi square over pairs of neighbours, and of numbers as far apart as lie in one group of counters: mean 255
// and standard deviation 22.6 where they are independent.
TEST_CASE("numbers do not depend on each other", "[random]") {
  Generator generator(23);
  for (const DType dtype : {DType::float32, DType::float64}) {
    const auto u = random_uniform({400'000}, generator, 0, 1, dtype).to_vector<double>();
    const auto z = random_normal({400'000}, generator, 0, 1, dtype).to_vector<double>();
    for (const std::size_t apart : {1U, 2U, 8U, 16U, 32U, 64U}) {
      INFO("apart by " << apart);
      std::vector<double> counts(256), signs(4);
      double product = 0, squares = 0;
      const std::size_t pairs = u.size() - apart;
      for (std::size_t i = 0; i < pairs; ++i) {
        const double a = u[i], b = u[i + apart];
        counts[static_cast<std::size_t>(a * 16) * 16 + static_cast<std::size_t>(b * 16)] += 1;
        product += z[i] * z[i + apart];
        squares += (z[i] * z[i] - 1) * (z[i + apart] * z[i + apart] - 1);
      }
      const double expected = static_cast<double>(pairs) / 256;
      double chi = 0;
      for (const double count : counts) chi += (count - expected) * (count - expected) / expected;
      CHECK(std::abs(chi - 255) < 4 * 22.6);
      CHECK(std::abs(product) < 4 * std::sqrt(static_cast<double>(pairs)));
      CHECK(std::abs(squares) < 4 * 2 * std::sqrt(static_cast<double>(pairs)));
    }
  }
}

TEST_CASE("tails of normal numbers", "[random]") {
  Generator generator(29);
  constexpr double count = 4'000'000;
  for (const DType dtype : {DType::float32, DType::float64}) {
    const Tensor x = random_normal({static_cast<Index>(count)}, generator, 0, 1, dtype);
    for (const double at : {3.0, 4.0, 4.7}) {
      const double expected = count * normal_distribution(-at);
      CHECK(std::abs(sum(cast(x > at, DType::float64)).item<double>() - expected) < 4 * std::sqrt(expected));
      CHECK(std::abs(sum(cast(x < -at, DType::float64)).item<double>() - expected) < 4 * std::sqrt(expected));
    }
  }
}

TEST_CASE("random numbers are the same at any thread count, and in the middle of a tensor", "[random]") {
  const int before = get_num_threads();
  const auto draw = [](int threads) {
    set_num_threads(threads);
    Generator generator(3);
    const Tensor a = random_normal({100'003}, generator),
                 b = random_uniform({50'001}, generator, 0, 1, DType::float64);
    return std::pair(a.to_vector(), b.to_vector<double>());
  };
  const auto one = draw(1);
  CHECK(draw(4) == one);
  set_num_threads(before);
  Generator generator(3);
  const auto fewer = random_normal({77}, generator).to_vector();
  CHECK(std::equal(fewer.begin(), fewer.end(), one.first.begin()));
}

TEST_CASE("no two draws share numbers", "[random]") {
  Generator generator(4);
  std::set<float> seen;
  for (int k = 0; k < 100; ++k) seen.insert(random_normal({1}, generator).item());
  for (const float x : random_normal({100}, generator).to_vector()) seen.insert(x);
  CHECK(seen.size() == 200);
}

TEST_CASE("without a generator the thread's own is drawn from", "[random]") {
  seed(5);
  const auto first = random_normal({10}).to_vector();
  const auto second = random_uniform({10}, 2, 3).to_vector();
  CHECK(second.front() >= 2);
  seed(5);
  CHECK(random_normal({10}).to_vector() == first);
  Generator other(5);
  CHECK(random_normal({10}, other).to_vector() == first);
  std::vector<float> elsewhere;
  std::thread([&] {
    seed(5);
    elsewhere = random_normal({10}).to_vector();
  }).join();
  CHECK(elsewhere == first);
  CHECK(random_uniform({10}, 2, 3).to_vector() == second);  // this thread's went on from there
  seed(0);
}

TEST_CASE("a generator's state is all that it is", "[random]") {
  Generator generator(8);
  eval(random_normal({10}, generator));
  const Generator::State state = generator.state();
  const auto next = random_normal({10}, generator).to_vector();
  CHECK(generator.state() != state);
  Generator restored;
  restored.set_state(state);
  CHECK(random_normal({10}, restored).to_vector() == next);
  CHECK(restored.state() == generator.state());
}

TEST_CASE("a compiled function draws anew from the running thread's generator", "[random]") {
  seed(6);
  auto noisy = compile([](const Tensor& x) { return x + random_normal({4}); });
  const Tensor x = zeros({4});
  const auto first = noisy(x).to_vector(), second = noisy(x).to_vector();
  seed(6);
  CHECK(random_normal({4}).to_vector() == first);
  CHECK(random_normal({4}).to_vector() == second);
  seed(6);
  CHECK(noisy(x).to_vector() == first);
  seed(0);
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

TEST_CASE("uniform numbers between far bounds", "[random]") {
  Generator generator(1);
  const auto u = random_uniform({1000}, generator, -3e38, 3e38).to_vector();
  CHECK(std::all_of(u.begin(), u.end(), [](float x) { return std::isfinite(x); }));
  const auto close = random_uniform({1000}, generator, 1e6, 1e6 + 1).to_vector();
  CHECK(std::all_of(close.begin(), close.end(), [](float x) { return x >= 1e6F && x < 1000001.0F; }));
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
