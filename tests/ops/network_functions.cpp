// Activations, softmax, normalisation and attention. Known answers are libtorch 1.13's, in float64, unless
// they are worked out here.
#include <cmath>
#include <limits>

#include <gradweave/ops/ops.hpp>

#include "gradcheck_matcher.hpp"
#include "pattern.hpp"
#include "support.hpp"

namespace gradweave {
namespace {

TEST_CASE("gelu in both forms, and silu", "[activation]") {
  const Tensor x = constant({-3, -1, -0.25, 0, 0.5, 2, 10}, f64);
  check_values(gelu(x), {-0.00404969409, -0.158655254, -0.100323419, 0, 0.345731231, 1.95449974, 10});
  check_values(gelu(x, GeluForm::tanh),
               {-0.00363739208, -0.158808009, -0.100324649, 0, 0.34571401, 1.95459769, 10});
  check_values(silu(x), {-0.14227762, -0.268941421, -0.109455875, 0, 0.311229666, 1.76159416, 9.99954602});
}

TEST_CASE("the composite activations have right gradients", "[activation]") {
  const Tensor x = variable(pattern({5}, 3, 7, 0.5));
  REQUIRE_THAT([](std::span<const Tensor> in) { return gelu(in[0], GeluForm::tanh); },
               HasRightGradients({x}));
  REQUIRE_THAT([](std::span<const Tensor> in) { return silu(in[0]); }, HasRightGradients({x}));
}

// 5.5 ulp was the largest error over all floats from 2^-95 up.
TEST_CASE("erf in float32 is within 6 ulp, and exact at its ends", "[activation]") {
  std::vector<float> points;
  for (float x = 1e-20F; x < 6; x *= 1.0009F) points.push_back(x), points.push_back(-x);
  const std::vector<float> found = erf(constant(points)).to_vector();
  double worst = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const double exact = std::erf(static_cast<double>(points[i]));
    const auto magnitude = static_cast<float>(std::abs(exact));
    const double ulp = static_cast<double>(std::nextafter(magnitude, 2.0F)) - static_cast<double>(magnitude);
    worst = std::max(worst, std::abs(static_cast<double>(found[i]) - exact) / ulp);
  }
  CHECK(worst < 6);
  const float inf = std::numeric_limits<float>::infinity();
  CHECK(erf(constant(std::vector<float>{0, inf, -inf, 5})).to_vector() == std::vector<float>{0, 1, -1, 1});
  CHECK(std::isnan(erf(constant(std::vector<float>{std::nanf("")})).item()));
}

TEST_CASE("softmax along any axis, without overflow", "[softmax]") {
  const Tensor x = constant({-2, -0.5, 0, 0.3, 1, 4}, f64);
  check_values(softmax(x),
               {0.00224034784, 0.0100405424, 0.0165540559, 0.0223456381, 0.0449985893, 0.903820826});
  check_values(log_softmax(x),
               {-6.10112414, -4.60112414, -4.10112414, -3.80112414, -3.10112414, -0.101124139});

  const Tensor y = constant({{1000, 2000}, {1000, 2000 + std::log(3.0)}}, f64);
  check_values(softmax(y, 0), {0.5, 0.25, 0.5, 0.75});
  check_values(softmax(y), {0, 1, 0, 1});
  check_values(log_softmax(y, 0), {std::log(0.5), std::log(0.25), std::log(0.5), std::log(0.75)});
  check_values(log_softmax(y), {-1000, 0, -1000 - std::log(3.0), 0});
  CHECK_THROWS_AS(softmax(y, 2), ShapeError);
  CHECK_THROWS_AS(softmax(constant(1)), ShapeError);

  const float inf = std::numeric_limits<float>::infinity();
  CHECK(softmax(constant(std::vector<float>{-inf, 0})).to_vector() == std::vector<float>{0, 1});
  CHECK(std::isnan(softmax(constant(std::vector<float>{-inf, -inf})).to_vector()[0]));
  CHECK(std::isnan(log_softmax(constant(std::vector<float>{std::nanf(""), 0})).to_vector()[1]));
}

TEST_CASE("softmax in one pass equals its definition in value and derivatives", "[softmax]") {
  const Tensor x = variable(pattern({3, 4}, 7, 11, 0.3)), c = pattern({3, 4}, 3, 5);
  const auto derivatives = [&](const Tensor& y) {
    const auto [first] = gradients(sum(y * c), {x});
    return std::vector<Tensor>{y, first, gradients(sum(first * square(c)), {x})[0]};
  };
  const std::vector<Tensor> fast = derivatives(softmax(x, 0)),
                            slow = derivatives(exp(x) / sum(exp(x), {0}, true));
  for (std::size_t order = 0; order < fast.size(); ++order)
    check_values(fast[order], slow[order].to_vector<double>());
}

TEST_CASE("causal softmax: row i sees i + 1 columns", "[softmax]") {
  const Tensor x = constant({{0, 9, 9}, {0, std::log(3.0) / 2, 9}, {1, 1, 1}}, f64);
  check_values(causal_softmax(x, 2), {1, 0, 0, 0.25, 0.75, 0, 1.0 / 3, 1.0 / 3, 1.0 / 3});
  check_values(causal_softmax(stack({x, x}), 2), {1, 0, 0, 0.25, 0.75, 0, 1.0 / 3, 1.0 / 3, 1.0 / 3, 1, 0, 0,
                                                  0.25, 0.75, 0, 1.0 / 3, 1.0 / 3, 1.0 / 3});
  // RowRange that see all columns, and columns that no row sees.
  check_values(causal_softmax(zeros({3, 2}, f64)), {1, 0, 0.5, 0.5, 0.5, 0.5});
  check_values(causal_softmax(zeros({1, 2}, f64)), {1, 0});
  CHECK_THROWS_AS(causal_softmax(constant({1, 2})), ShapeError);
}

TEST_CASE("layer norm and rms norm", "[normalization]") {
  const Tensor x = variable(constant({{1, 2, 4, 8}, {-1, 0.5, 0.25, 3}}, f64));
  const Tensor y = layer_norm(x, constant({1, 2, -1, 0.5}, f64), constant({0, 1, 2, 3}, f64));
  check_values(y, {-1.02575458, -0.305505823, 1.90674958, 3.79262854, -1.16296957, 0.741562318, 2.30151063,
                   3.79684952});
  check_values(gradients(sum(y * pattern({2, 4}, 3, 7)), {x})[0],
               {-0.321106047, 0.728163948, -0.530311037, 0.123253136, 1.3725843, -2.06814034, -0.116351934,
                0.811907979});
  check_values(rms_norm(constant({3, -4}, f64), 0), {3 / std::sqrt(12.5), -4 / std::sqrt(12.5)});
  check_values(layer_norm(constant({5, 5}, f64)), {0, 0});
  CHECK(layer_norm(zeros({0, 3})).shape() == Shape{0, 3});
  CHECK(rms_norm(zeros({2, 0})).to_vector().empty());
  CHECK_THROWS_AS(layer_norm(constant(1)), ShapeError);
  CHECK_THROWS_AS(layer_norm(x, -1), ValueError);
}

TEST_CASE("layer norm equals its definition in value and derivatives", "[normalization]") {
  const Tensor x = variable(pattern({3, 4}, 7, 11, 0.3)), c = pattern({3, 4}, 3, 5);
  const auto derivatives = [&](const Tensor& y) {
    const auto [first] = gradients(sum(y * c), {x});
    const auto [second] = gradients(sum(first * square(c)), {x});
    return std::vector<Tensor>{y, first, second, gradients(sum(second * c), {x})[0]};
  };
  const std::vector<Tensor> fast = derivatives(layer_norm(x, 0.1)),
                            slow = derivatives((x - mean(x, {-1}, true)) / sqrt(var(x, {-1}, true, 0) + 0.1));
  for (std::size_t order = 0; order < fast.size(); ++order)
    check_values(fast[order], slow[order].to_vector<double>());
}

TEST_CASE("attention looks up by likeness", "[attention]") {
  // Keys far apart: each query finds the value of its own key.
  const Tensor keys = constant({{100, 0}, {0, 100}}, f64), values = constant({{1, 2, 3}, {4, 5, 6}}, f64);
  check_values(scaled_dot_product_attention(keys, keys, values), {1, 2, 3, 4, 5, 6});
  // Equal keys: the mean of the values, or of those up to the row.
  const Tensor same = ones({2, 2}, f64);
  check_values(scaled_dot_product_attention(same, same, values), {2.5, 3.5, 4.5, 2.5, 3.5, 4.5});
  check_values(scaled_dot_product_attention(same, same, values, true), {1, 2, 3, 2.5, 3.5, 4.5});
  // The scale is 1 / sqrt(width): scores of 4 ln(3) / sqrt(4) - 0 weigh 9 to 1.
  const double a = std::log(3.0);
  check_values(
      scaled_dot_product_attention(constant({{a, a, a, a}}, f64), constant({{1, 1, 1, 1}, {0, 0, 0, 0}}, f64),
                                   constant({{10}, {20}}, f64)),
      {11});
  CHECK(scaled_dot_product_attention(zeros({5, 1, 3, 2}), zeros({4, 6, 2}), zeros({4, 6, 7})).shape() ==
        Shape{5, 4, 3, 7});
  CHECK_THROWS_AS(scaled_dot_product_attention(same, ones({2, 3}), values), ShapeError);
  CHECK_THROWS_AS(scaled_dot_product_attention(ones({2}), same, values), ShapeError);
}

TEST_CASE("attention has right gradients, causal or not", "[attention]") {
  const std::vector<Tensor> qkv{variable(pattern({2, 3, 2}, 7, 11, 0.2)),
                                variable(pattern({2, 3, 2}, 5, 7, 0.3)),
                                variable(pattern({2, 3, 2}, 3, 5, 0.4))};
  for (bool causal : {false, true}) {
    REQUIRE_THAT(
        [&](std::span<const Tensor> in) { return scaled_dot_product_attention(in[0], in[1], in[2], causal); },
        HasRightGradients(qkv));
  }
}

}  // namespace
}  // namespace gradweave
