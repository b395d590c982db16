// Reductions whose answer is known, over any axes, at ties, with NaN and infinity, and without overflow.
#include <gradweave/ops/reduction.hpp>

#include <cmath>
#include <limits>

#include <gradweave/ops/ops.hpp>

#include "catch.hpp"
#include "support.hpp"

namespace gradweave {
namespace {

TEST_CASE("sums over any axes", "[ops][reduction]") {
  const Tensor x = reshape(arange(24, f32), {2, 3, 4});
  struct Row {
    Tensor y;
    Shape shape;
    Doubles values;
  };
  const Row rows[] = {
      {sum(x), {}, {276}},
      {sum(x, {0}), {3, 4}, {12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34}},
      {sum(x, {1}), {2, 4}, {12, 15, 18, 21, 48, 51, 54, 57}},
      {sum(x, {2}), {2, 3}, {6, 22, 38, 54, 70, 86}},
      {sum(x, {-1}), {2, 3}, {6, 22, 38, 54, 70, 86}},
      {sum(x, {0, 2}), {3}, {60, 92, 124}},
      {sum(x, {2, 0}), {3}, {60, 92, 124}},
      {sum(x, {0, 1}), {4}, {60, 66, 72, 78}},
      {sum(x, {1, 2}), {2}, {66, 210}},
      {sum(x, {0, 2}, true), {1, 3, 1}, {60, 92, 124}},
      {sum(x, {}, true), {1, 1, 1}, {276}},
      {sum(transpose(x, 0, 2), {0, 1}), {2}, {66, 210}},
      {mean(x, {2}), {2, 3}, {1.5, 5.5, 9.5, 13.5, 17.5, 21.5}},
      {max(x, {0, 1}), {4}, {20, 21, 22, 23}},
      {min(x, {1}, true), {2, 1, 4}, {0, 1, 2, 3, 12, 13, 14, 15}},
      {var(x, {2}, false, 0), {2, 3}, Doubles(6, 1.25)},  // of four neighbours: (2.25 + 0.25) / 2
  };
  for (const Row& row : rows) {
    CHECK(row.y.shape() == row.shape);
    CHECK(row.y.to_vector<double>() == row.values);
  }
}

TEST_CASE("sums of many are accurate", "[ops][reduction]") {
  // 0.1 a million times: added one by one, float32 gives 100958.34.
  CHECK(sum(full({1'000'000}, 0.1) + zeros({1'000'000})).item<double>() == Approx(100000).epsilon(1e-6));
  for (Index n : {1, 15, 16, 17, 255, 256, 257, 1000, 4099}) {
    CHECK(sum(arange(n, f64)).item<double>() == static_cast<double>(n * (n - 1) / 2));
    CHECK(sum(reshape(arange(3 * n, f64), {n, 3}), {0}).to_vector<double>() ==
          Doubles{3.0 * static_cast<double>(n * (n - 1) / 2),
                  3.0 * static_cast<double>(n * (n - 1) / 2) + static_cast<double>(n),
                  3.0 * static_cast<double>(n * (n - 1) / 2) + 2.0 * static_cast<double>(n)});
  }
}

TEST_CASE("the mean of equal numbers is that number", "[ops][reduction]") {
  for (Index n = 1; n < 200; ++n) {  // 49 * (1 / 49.0) is not 1
    CHECK(mean(ones({n}, f64)).item<double>() == 1);
    CHECK(mean(ones({n})).item() == 1);
  }
}

TEST_CASE("means and variances", "[ops][reduction]") {
  const Tensor x = constant({2, 4, 4, 4, 5, 5, 7, 9}, f64);  // the textbook's: mean 5, standard deviation 2
  CHECK(mean(x).item<double>() == 5);
  CHECK(var(x, {}, false, 0).item<double>() == 4);
  CHECK(var(x).item<double>() == Approx(32.0 / 7).epsilon(1e-15));
  CHECK(var(x + 1e9, {}, false, 0).item<double>() == 4);  // the mean is taken off first
  CHECK(mean(constant({1, 2}, i64)).item() == 1.5F);
  CHECK(mean(constant({1, 0, 1, 1}, DType::bool_)).item() == 0.75F);
  CHECK(std::isnan(var(ones({1}), {}, false, 1).item()));
  CHECK_FALSE(std::isfinite(var(constant({1, 2}), {}, false, 3).item()));
}

TEST_CASE("dtypes of reductions", "[ops][reduction]") {
  const Tensor flags = constant({1, 0, 1}, DType::bool_);
  CHECK(sum(flags).dtype() == i64);
  CHECK(sum(flags).item<Index>() == 2);
  CHECK(sum(constant({1, 2}, i64)).dtype() == i64);
  CHECK(mean(constant({1, 2}, i64)).dtype() == f32);
  CHECK(argmax(ones({2, 3})).dtype() == i64);
  CHECK(max(constant({3, 5}, i64)).item<Index>() == 5);
  CHECK(max(constant({-3, -5}, i64)).item<Index>() == -3);
}

TEST_CASE("NaN wins in max, min and argmax; infinities are numbers", "[ops][reduction]") {
  for (Index place : {0, 1, 16, 18}) {
    Doubles values(19, 1);
    values[static_cast<std::size_t>(place)] = nan;
    const Tensor x = constant(values);
    CHECK(std::isnan(max(x).item()));
    CHECK(std::isnan(min(x).item()));
    CHECK(std::isnan(sum(x).item()));
    CHECK(argmax(x).item<Index>() == place);
  }
  CHECK(max(constant({-inf, -inf})).item<double>() == -inf);
  CHECK(min(constant({inf, inf})).item<double>() == inf);
  CHECK(max(constant({1, inf, -inf})).item<double>() == inf);
  CHECK(argmax(constant({-inf, -inf})).item<Index>() == 0);
  CHECK(std::isnan(sum(constant({inf, -inf})).item()));
}

TEST_CASE("argmax takes the first among equals", "[ops][reduction]") {
  const Tensor x = constant({{1, 3, 3}, {3, 3, 0}});
  CHECK(argmax(x).to_vector<Index>() == std::vector<Index>{1, 0});
  CHECK(argmax(x, 0).to_vector<Index>() == std::vector<Index>{1, 0, 0});
  CHECK(argmax(x, 0, true).shape() == Shape{1, 3});
  CHECK(argmax(constant({nan, inf, nan})).item<Index>() == 0);
}

TEST_CASE("max and min share the cotangent among equals", "[ops][reduction]") {
  const Tensor x = variable({{1, 3, 3}, {3, 3, 3}}, f64);
  CHECK(gradients(sum(max(x, {1})), {x})[0].to_vector<double>() ==
        Doubles{0, 0.5, 0.5, 1.0 / 3, 1.0 / 3, 1.0 / 3});
  CHECK(gradients(min(x), {x})[0].to_vector<double>() == Doubles{1, 0, 0, 0, 0, 0});
}

TEST_CASE("gradients of mean and variance", "[ops][reduction]") {
  const Tensor x = variable({1, 2, 6}, f64);  // mean 3
  CHECK(gradients(mean(x), {x})[0].to_vector<double>() == Doubles{1.0 / 3, 1.0 / 3, 1.0 / 3});
  const auto slope = gradients(var(x, {}, false, 0), {x})[0].to_vector<double>();  // 2 (x - mean) / n
  for (std::size_t i = 0; i < 3; ++i)
    CHECK(slope[i] == Approx(Doubles{-4.0 / 3, -2.0 / 3, 2}[i]).epsilon(1e-15));
}

TEST_CASE("logsumexp and softmax do not overflow", "[ops][reduction]") {
  const double log2 = std::log(2.0);
  for (double x : {-1e30, -1000.0, 0.0, 1000.0, 1e30}) {
    INFO("x = " << x);
    const Tensor pair = constant({x, x}, f64);
    CHECK(logsumexp(pair).item<double>() == Approx(x + log2).epsilon(1e-15));
    CHECK(softmax(pair).to_vector<double>() == Doubles{0.5, 0.5});
    CHECK(log_softmax(constant({x, x + 1e32}, f64)).to_vector<double>()[1] == 0);
  }
  // exp(0) + exp(1) + exp(2) = 11.107337927389695
  const Tensor three = constant({0, 1, 2}, f64);
  CHECK(logsumexp(three).item<double>() == Approx(2.407605964444380).epsilon(1e-15));
  const Doubles shares = softmax(three).to_vector<double>();
  CHECK(shares[0] == Approx(0.09003057317038046).epsilon(1e-15));
  CHECK(shares[1] == Approx(0.24472847105479764).epsilon(1e-15));
  CHECK(shares[2] == Approx(0.6652409557748218).epsilon(1e-15));
}

TEST_CASE("logsumexp and softmax with infinities", "[ops][reduction]") {
  CHECK(logsumexp(constant({-inf, -inf})).item<double>() == -inf);
  CHECK(logsumexp(constant({-inf, 3})).item<double>() == 3);
  CHECK(logsumexp(constant({inf, 3})).item<double>() == inf);
  CHECK(logsumexp(zeros({0})).item<double>() == -inf);
  CHECK(std::isnan(logsumexp(constant({nan, 3})).item()));
  // A mask of -infinity leaves exactly nothing, in vectors of any length.
  for (Index masked : {1, 7, 16, 33}) {
    const Tensor x = concat({constant({1, 1}), full({masked}, -inf)});
    std::vector<float> expected(static_cast<std::size_t>(masked) + 2, 0);
    expected[0] = expected[1] = 0.5;
    CHECK(softmax(x).to_vector() == expected);
  }
}

TEST_CASE("softmax along any axis, its rows adding up to one", "[ops][reduction]") {
  Generator generator(3);
  const Tensor x = random_normal({3, 4, 5}, generator, 0, 10, f64);
  for (Index axis : {0, 1, 2, -1}) {
    for (double total : sum(softmax(x, axis), {axis}).to_vector<double>())
      CHECK(total == Approx(1).epsilon(1e-14));
    const Tensor difference = log(softmax(x, axis)) - log_softmax(x, axis);
    CHECK(max(abs(difference)).item<double>() < 1e-12);
  }
  CHECK(logsumexp(x, {0, 2}).shape() == Shape{4});
  CHECK(logsumexp(x, {0, 2}, true).shape() == Shape{1, 4, 1});
  CHECK(logsumexp(x).item<double>() == Approx(logsumexp(logsumexp(x, {1})).item<double>()).epsilon(1e-14));
}

TEST_CASE("the gradient of logsumexp is softmax", "[ops][reduction]") {
  const Tensor x = variable({1000, 1001, 1002}, f64);
  const auto slope = gradients(logsumexp(x), {x})[0].to_vector<double>();
  CHECK(slope[0] == Approx(0.09003057317038046).epsilon(1e-12));
  CHECK(slope[2] == Approx(0.6652409557748218).epsilon(1e-12));
}

TEST_CASE("labels of reductions list their axes", "[ops][reduction]") {
  CHECK(to_string(AxisSet{0b101}) == "(-3, -1)");
  CHECK(to_string(AxisSet{}) == "()");
}

}  // namespace
}  // namespace gradweave
