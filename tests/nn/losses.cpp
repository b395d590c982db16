#include <gradweave/nn/losses.hpp>

#include <cmath>
#include <string>
#include <vector>

#include <gradweave/ops/ops.hpp>
#include <gradweave/ops/optimizer_updates.hpp>

#include "catch.hpp"
#include "gradcheck_matcher.hpp"
#include "support.hpp"

using namespace gradweave;
using Catch::Matchers::ContainsSubstring;

namespace {

Tensor labels(const std::vector<Index>& values) { return constant(values); }

TEST_CASE("mse_loss", "[nn][losses]") {
  const Tensor prediction = variable({{1, 2}, {3, 4}});
  const Tensor loss = nn::mse_loss(prediction, constant({{1, 0}, {0, 8}}));
  CHECK(loss.item() == (0 + 4 + 9 + 16) / 4.0F);
  const auto [g] = gradients(loss, {prediction});  // 2 (prediction - target) / n
  CHECK(g.to_vector() == std::vector<float>{0, 1, 1.5F, -2});
  CHECK(nn::mse_loss(variable({1, 2}), labels({1, 4})).dtype() == DType::float32);
  // (4, 1) with (4) would broadcast to (4, 4) without a word.
  CHECK_THROWS_AS(nn::mse_loss(zeros({4, 1}), zeros({4})), ShapeError);
}

TEST_CASE("cross_entropy of known distributions", "[nn][losses]") {
  SECTION("uniform logits: log(classes), whatever the label") {
    CHECK(nn::cross_entropy(full({3, 10}, 2.5, f64), labels({0, 4, 9})).item<double>() ==
          Approx(std::log(10.0)).epsilon(1e-14));
  }
  SECTION("logits that are logs of probabilities") {
    const Tensor logits = log(constant({{0.7, 0.2, 0.1}, {0.25, 0.5, 0.25}}, f64));
    const double expected = -(std::log(0.2) + std::log(0.25)) / 2;
    CHECK(nn::cross_entropy(logits, labels({1, 2})).item<double>() == Approx(expected).epsilon(1e-13));
    CHECK(nn::cross_entropy(logits, one_hot(labels({1, 2}), 3, f64)).item<double>() ==
          Approx(expected).epsilon(1e-13));
    // Of the distribution itself: its entropy.
    const Tensor p = constant({{0.5, 0.25, 0.25}}, f64);
    CHECK(nn::cross_entropy(log(p), p).item<double>() == Approx(1.5 * std::log(2.0)).epsilon(1e-13));
  }
  SECTION("huge logits stay finite") {
    const Tensor logits = variable({{1e4, -1e4}, {-1e4, 1e4}});
    const Tensor right = nn::cross_entropy(logits, labels({0, 1})),
                 wrong = nn::cross_entropy(logits, labels({1, 0}));
    CHECK(right.item() == 0);
    CHECK(wrong.item() == 2e4F);
    const auto [g] = gradients(wrong, {logits});
    CHECK(g.to_vector() == std::vector<float>{0.5, -0.5, -0.5, 0.5});
  }
}

TEST_CASE("the gradient of cross_entropy is (softmax - onehot) / n", "[nn][losses]") {
  const Tensor logits = variable({{1, 2, 3}, {0, 0, 0}}, f64);
  const double z = std::exp(1.0) + std::exp(2.0) + std::exp(3.0);
  const std::vector<double> expected{std::exp(1.0) / z / 2,
                                     std::exp(2.0) / z / 2,
                                     (std::exp(3.0) / z - 1) / 2,
                                     (1.0 / 3 - 1) / 2,
                                     1.0 / 6,
                                     1.0 / 6};
  for (const Tensor& target :
       {labels({2, 0}), one_hot(labels({2, 0}), 3), one_hot(labels({2, 0}), 3, DType::int64)}) {
    const auto [g] = gradients(nn::cross_entropy(logits, target), {logits});
    const std::vector<double> actual = g.to_vector<double>();
    for (std::size_t i = 0; i < 6; ++i) CHECK(actual[i] == Approx(expected[i]).epsilon(1e-12));
  }
}

TEST_CASE("binary_cross_entropy_with_logits", "[nn][losses]") {
  const Tensor logits = variable({0, 1, -2}, f64), target = constant({1, 0, 0.5}, f64);
  const auto sigmoid_of = [](double x) { return 1 / (1 + std::exp(-x)); };
  const double expected = (-std::log(0.5) - std::log(1 - sigmoid_of(1)) - 0.5 * std::log(sigmoid_of(-2)) -
                           0.5 * std::log(1 - sigmoid_of(-2))) /
                          3;
  const Tensor loss = nn::binary_cross_entropy_with_logits(logits, target);
  CHECK(loss.item<double>() == Approx(expected).epsilon(1e-13));
  const auto [g] = gradients(loss, {logits});  // (sigmoid - target) / n
  const std::vector<double> slope = g.to_vector<double>();
  CHECK(slope[0] == Approx(-0.5 / 3).epsilon(1e-13));
  CHECK(slope[1] == Approx(sigmoid_of(1) / 3).epsilon(1e-13));
  CHECK(slope[2] == Approx((sigmoid_of(-2) - 0.5) / 3).epsilon(1e-13));

  CHECK(nn::binary_cross_entropy_with_logits(constant({1e5, -1e5}), constant({1, 0})).item() < 1e-30);
  CHECK(nn::binary_cross_entropy_with_logits(constant({1e5, -1e5}), constant({0, 1})).item() == 1e5F);
  CHECK_THROWS_AS(nn::binary_cross_entropy_with_logits(zeros({2, 1}), zeros({2})), ShapeError);
}

TEST_CASE("losses have right derivatives to second order", "[nn][losses]") {
  const Tensor x = variable({{0.3, -1.2, 0.8}, {0.1, 0.4, -0.6}}, f64);
  const Tensor t = constant({{0.2, 0.5, 0.3}, {1, 0, 0}}, f64);
  CHECK_THAT([&](auto in) { return nn::mse_loss(in[0], t); }, HasRightGradients({x}));
  CHECK_THAT([&](auto in) { return nn::binary_cross_entropy_with_logits(in[0], t); }, HasRightGradients({x}));
  CHECK_THAT([&](auto in) { return nn::cross_entropy(in[0], t); }, HasRightGradients({x}));
  CHECK_THAT([&](auto in) { return nn::cross_entropy(in[0], labels({2, 0})); }, HasRightGradients({x}));
}

TEST_CASE("targets that do not fit are errors", "[nn][losses]") {
  const Tensor logits = zeros({2, 3});
  const auto what_of = [](const Tensor& loss) -> std::string {
    try {
      loss.item();
    } catch (const ValueError& error) {
      return error.what();
    }
    return "no ValueError";
  };
  CHECK_THAT(what_of(nn::cross_entropy(logits, labels({0, 3}))),
             ContainsSubstring("label 3") && ContainsSubstring("row 1") && ContainsSubstring("[0, 3)"));
  CHECK_THAT(what_of(nn::cross_entropy(logits, labels({-1, 0}))),
             ContainsSubstring("label -1") && ContainsSubstring("row 0"));
  CHECK_THROWS_AS(nn::cross_entropy(logits, labels({0, 1, 2})), ShapeError);
  CHECK_THROWS_AS(nn::cross_entropy(logits, zeros({3, 3})), ShapeError);
  CHECK_THROWS_AS(nn::cross_entropy(logits, constant({0, 1})), DTypeError);
  CHECK_THROWS_AS(nn::cross_entropy(constant(1.0), constant(1.0)), ShapeError);
}

TEST_CASE("losses refuse with their name, what they were given, and the line", "[nn][losses]") {
  const std::string line = ":" + std::to_string(__LINE__ + 1) + ")";
  const auto unequal = [] { nn::mse_loss(zeros({4, 1}), zeros({4})); };
  CHECK_THROWS_AS(unequal(), ShapeError);
  CHECK_THROWS_WITH(unequal(), ContainsSubstring("mse_loss of float32 (4, 1) with float32 (4,)") &&
                                   ContainsSubstring("reshape") && ContainsSubstring(line));
  CHECK_THROWS_WITH(
      nn::cross_entropy(zeros({2, 3}), zeros({2})),
      ContainsSubstring("cross_entropy of float32 (2, 3) with float32 (2,)") && ContainsSubstring("int64"));
  CHECK_THROWS_WITH(
      nn::cross_entropy(zeros({2, 3}), labels({0, 3})).item(),
      ContainsSubstring("label 3 in row 1 is outside [0, 3)") && ContainsSubstring("losses.cpp:"));
  CHECK_THROWS_AS(nn::cross_entropy(Tensor(), labels({0})), GraphError);
  CHECK_THROWS_AS(nn::mse_loss(Tensor(), Tensor()), GraphError);
}

TEST_CASE("losses by their formulas", "[losses]") {
  const Tensor p = constant({0.5, -1, 3}, DType::float64), t = constant({1, 1, 1}, DType::float64);
  const auto none = nn::Reduction::none;
  const auto values = [](const Tensor& x) { return x.to_vector<double>(); };
  using Doubles = std::vector<double>;
  CHECK(values(nn::l1_loss(p, t, none)) == Doubles{0.5, 2, 2});
  CHECK(nn::l1_loss(p, t, nn::Reduction::sum).item<double>() == 4.5);
  CHECK(nn::l1_loss(p, t).item<double>() == 1.5);
  CHECK(values(nn::huber_loss(p, t, 1, none)) == Doubles{0.125, 1.5, 1.5});
  CHECK(values(nn::smooth_l1_loss(p, t, 0.5, none)) == Doubles{0.25, 1.75, 1.75});
  CHECK(values(nn::hinge_loss(p, t, 1, none)) == Doubles{0.5, 2, 0});
  CHECK(values(nn::poisson_nll_loss(p * 0, t, none)) == Doubles{1, 1, 1});
  CHECK(values(nn::gaussian_nll_loss(p, t, 1, 1e-6, none)) == Doubles{0.125, 2, 2});
  CHECK(values(nn::kl_div(log(constant({0.5, 0.5}, DType::float64)), constant({1, 0}, DType::float64),
                          none))[0] == Approx(std::log(2)));
  CHECK(nn::binary_cross_entropy(constant({0.0, 1.0}), constant({1, 1})).item<double>() == 50);
  CHECK(nn::cosine_similarity(constant({3, 4}), constant({4, 3})).item<double>() == Approx(0.96));
  CHECK(nn::cosine_similarity(constant({0, 0}), constant({4, 3})).item<double>() == 0);
  CHECK(nn::triplet_margin_loss(constant({{0, 0}}), constant({{3, 4}}), constant({{6, 8}})).item<double>() ==
        0);
  CHECK(nn::margin_ranking_loss(constant({1}), constant({3}), constant({1})).item<double>() == 2);
  CHECK_THROWS_AS(nn::l1_loss(p, ones({2})), ShapeError);
}

TEST_CASE("cross_entropy with weights, ignored labels and smoothing, as PyTorch's", "[losses]") {
  const Tensor x = constant({{1, 2, 0.5}, {0.1, -1, 3}, {2, 2, 2}}, DType::float64);
  const Tensor labels = constant({1, 2, 0}, DType::int64);
  const auto row = [](double chosen, double a, double b, double c) {
    return std::log(std::exp(a) + std::exp(b) + std::exp(c)) - chosen;
  };
  const double l0 = row(2, 1, 2, 0.5), l1 = row(3, 0.1, -1, 3), l2 = row(2, 2, 2, 2);
  CHECK(nn::cross_entropy(x, labels).item<double>() == Approx((l0 + l1 + l2) / 3));
  const Tensor weight = constant({1, 2, 4}, DType::float64);
  CHECK(nn::cross_entropy(x, labels, {.weight = weight}).item<double>() ==
        Approx((2 * l0 + 4 * l1 + l2) / 7));
  CHECK(nn::cross_entropy(x, labels, {.ignore_index = 0}).item<double>() == Approx((l0 + l1) / 2));
  const Tensor outside = constant({1, 2, -100}, DType::int64);
  CHECK(nn::cross_entropy(x, outside, {.ignore_index = -100}).item<double>() == Approx((l0 + l1) / 2));
  const double all0 = row(1, 1, 2, 0.5) + l0 + row(0.5, 1, 2, 0.5);
  CHECK(nn::cross_entropy(x, labels, {.label_smoothing = 0.3, .reduction = nn::Reduction::none})
            .to_vector<double>()[0] == Approx(0.7 * l0 + 0.1 * all0));
  CHECK(nn::cross_entropy(x, one_hot(labels, 3), {.label_smoothing = 0.3}).item<double>() ==
        Approx(nn::cross_entropy(x, labels, {.label_smoothing = 0.3}).item<double>()));
  CHECK(nn::nll_loss(log_softmax(x), labels).item<double>() == Approx((l0 + l1 + l2) / 3));
  CHECK(nn::binary_cross_entropy_with_logits(constant(2.0), constant(1), {.pos_weight = constant(3)})
            .item<double>() == Approx(3 * std::log1p(std::exp(-2))));
  CHECK_THROWS_AS(nn::cross_entropy(x, labels, {.label_smoothing = 2}), ValueError);
  CHECK_THROWS_AS(nn::cross_entropy(x, labels, {.weight = ones({2})}), ShapeError);
}

TEST_CASE("losses of large logits keep their small differences", "[losses]") {
  const auto check = [](const Tensor& logits, double loss, const Doubles& gradient) {
    const Tensor found = nn::cross_entropy(logits, labels({0}));
    CHECK(found.item<double>() == Approx(loss).epsilon(1e-6));
    check_values(gradients(found, {logits})[0], gradient, 1e-6);
  };
  check(variable({{1e8, 1e8}}), std::log(2), {-0.5, 0.5});
  const double share = 1 / (1 + std::exp(3));
  check(variable({{1000002, 999999}}), std::log1p(std::exp(-3)), {-share, share});
  CHECK(nn::cross_entropy(constant({{-inf, 0}}), labels({0})).item() == inf);
  CHECK(nn::cross_entropy(constant({{0, 1, -inf}}), constant({{1, 0, 0}})).item() ==
        Approx(std::log1p(std::exp(1))));
  const Tensor both = variable({1e8, 1e8});
  CHECK(values(gradients(logsumexp(both), {both})[0]) == std::vector<float>{0.5F, 0.5F});
}

TEST_CASE("binary cross entropies of large logits cancel nowhere, and have their limits", "[losses]") {
  const auto loss = [](double x, double t, DType dtype = f32) {
    return nn::binary_cross_entropy_with_logits(constant(x, dtype), constant(t, dtype)).item<double>();
  };
  CHECK(loss(15, 1) == Approx(3.05902e-07));
  CHECK(loss(-15, 0) == Approx(3.05902e-07));
  CHECK(loss(10, 1) == Approx(4.53989e-05));
  CHECK(loss(50, 1, f64) == Approx(1.92875e-22));
  CHECK(loss(inf, 1) == 0);
  CHECK(loss(-inf, 0) == 0);
  CHECK(loss(inf, 0) == inf);
  CHECK(loss(inf, 0.5) == inf);
  const Tensor zero = variable(0.0);
  CHECK(gradients(nn::binary_cross_entropy_with_logits(zero, constant(0.25)), {zero})[0].item() == 0.25F);
  const Tensor x = variable({-20, 20}, f64);
  const auto slope = gradients(
      nn::binary_cross_entropy_with_logits(x, ones({2}, f64), {.pos_weight = constant(3, f64)}), {x})[0];
  check_values(slope, {-1.5 / (1 + std::exp(-20)), -1.5 / (1 + std::exp(20))});
}

}  // namespace
