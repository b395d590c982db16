// Normalisation and distances. Known answers are PyTorch 2.13's, in float64, unless they are worked out here.
#include <cmath>

#include <gradweave/ops/ops.hpp>

#include "gradcheck_matcher.hpp"
#include "pattern.hpp"
#include "support.hpp"

namespace gradweave::normalization_tests {
namespace {

// Four channels, three places.
const Shape of_x{2, 4, 3};
Tensor sample() { return variable(pattern(of_x, 7, 11, 0.3)); }
Tensor weights() { return pattern({4}, 3, 5, 0.5) + 2; }
Tensor biases() { return pattern({4}, 1, 4, 0.25); }

// For each of two samples the sum with weights, and the gradient of the first sample.
void check(const Tensor& y, const Tensor& x, const Doubles& sums, const Doubles& slopes) {
  const Tensor weighted = y * pattern(of_x, 3, 5);
  check_values(sum(weighted, {1, 2}), sums);
  check_values(select(gradients(sum(weighted), {x})[0], 0, 0), slopes, 1e-6);
}

TEST_CASE("group norm is PyTorch's", "[normalization]") {
  const Tensor x = sample();
  check(group_norm(x, 2, {.weight = weights(), .bias = biases()}), x, {12.13063988, -0.8169675331},
        {2.019583527, -0.5122756313, 0.6502060979, 1.103443733, -0.7191713312, -2.541786395, 2.552947873,
         -1.397774809, 2.217963087, 0.8086211446, -6.168685769, 1.986928474});
  CHECK_THROWS_AS(group_norm(x, 3), ValueError);
  CHECK_THROWS_AS(group_norm(x, 2, {.weight = ones({3}, f64)}), ShapeError);
  CHECK_THROWS_AS(group_norm(zeros({3}), 1), ShapeError);
  CHECK(group_norm(zeros({0, 4, 3}), 2).shape() == Shape{0, 4, 3});
}

TEST_CASE("instance norm is PyTorch's", "[normalization]") {
  const Tensor x = sample();
  check_values(sum(instance_norm(x, {.weight = weights(), .bias = biases()}) * pattern(of_x, 3, 5), {1, 2}),
               {11.20596101, -0.8368388129});
  CHECK_THROWS_AS(instance_norm(zeros({2, 4, 1})), ValueError);
}

TEST_CASE("batch norm in training is PyTorch's, and moves the running statistics", "[normalization]") {
  const Tensor x = sample(), mean = pattern({4}, 1, 4, 0.1), var = mean + 1;
  const BatchNorm y = batch_norm(x, {.running_mean = mean,
                                     .running_var = var,
                                     .weight = weights(),
                                     .bias = biases(),
                                     .training = true,
                                     .momentum = 0.2});
  check(y.output, x, {12.11929635, -0.1176991239},
        {-1.233455424, 0.9288963565, -0.5938854434, 4.597443056, 0.8337303442, -2.929982367, 2.234381654,
         -2.120055649, 1.648414824, -2.010461995, -7.098610797, 4.05905595});
  check_values(y.mean, {-0.16, -0.03, -0.01, 0.01});
  check_values(y.var, {0.8776, 0.9246, 1.0046, 1.0846});
  CHECK_FALSE(y.mean.is_tracked());
  CHECK(batch_norm(x, {.training = true}).mean.is_empty());
  CHECK_THROWS_AS(batch_norm(zeros({1, 4}), {.training = true}), ValueError);
}

TEST_CASE("batch norm without training takes the running statistics", "[normalization]") {
  const Tensor x = sample(), mean = pattern({4}, 1, 4, 0.1), var = mean + 1;
  const BatchNorm y =
      batch_norm(x, {.running_mean = mean, .running_var = var, .weight = weights(), .bias = biases()});
  check(y.output, x, {13.55925216, -5.338133772},
        {-2.236054002, 1.118027001, -1.118027001, 5.270433487, 0, -5.270433487, 1.4999925, -1.4999925,
         2.999985, 0, -5.720749532, 2.860374766});
  CHECK(y.mean.to_vector<double>() == mean.to_vector<double>());
  CHECK_THROWS_AS(batch_norm(x, {}), ValueError);
  CHECK_THROWS_AS(batch_norm(x, {.running_mean = ones({3}, f64), .running_var = var}), ShapeError);
}

TEST_CASE("batch norm: halves as float32, shifts that are large", "[normalization]") {
  const Tensor x = pattern({64, 2}, 7, 11) + 10000;
  const Tensor exact = batch_norm(x, {.training = true}).output;
  const Tensor single = batch_norm(cast(x, f32), {.training = true}).output;
  check_values(single, exact.to_vector<double>(), 1e-5);
  const Tensor half =
      batch_norm(cast(pattern({300, 2}, 7, 11, 100), DType::float16), {.training = true}).output;
  CHECK(half.dtype() == DType::float16);  // whose squares it could not hold
  check_values(half, batch_norm(pattern({300, 2}, 7, 11, 100), {.training = true}).output.to_vector<double>(),
               1e-3);
}

TEST_CASE("batch norm has right gradients", "[normalization]") {
  REQUIRE_THAT(
      [](std::span<const Tensor> in) {
        return batch_norm(in[0], {.weight = in[1], .bias = in[2], .training = true, .epsilon = 0.1}).output;
      },
      HasRightGradients({variable(pattern({3, 2, 2}, 7, 11, 0.3)), variable(pattern({2}, 1, 3, 0.5)),
                         variable(pattern({2}, 1, 2, 0.5))}));
}

TEST_CASE("layer norm and rms norm over several axes are PyTorch's", "[normalization]") {
  const Tensor x = sample(), weight = pattern({4, 3}, 2, 5, 0.5);
  check(layer_norm(x, {4, 3}, {.weight = weight, .bias = pattern({4, 3}, 2, 3)}), x,
        {-7.857571569, 2.649832622},
        {1.27785948, 0.1274684657, -1.361367701, -0.5086364186, 0.00564971104, 1.521496989, 0.371105975,
         -1.117730192, -1.60500521, 0.2492872203, 1.765134498, -0.7252628168});
  check(rms_norm(x, {4, 3}, {.weight = weight, .epsilon = 0.1}), x, {-4.835263724, 0.9209601182},
        {1.352893794, 0.2173152236, -1.16540615, -0.4048028674, 0.1086576118, 1.570209017, 0.4346304471,
         -0.9480909263, -1.382721373, 0.3259728353, 1.787524241, -0.5432880589});
  CHECK_THROWS_AS(layer_norm(x, {3, 3}), ShapeError);
  CHECK_THROWS_AS(layer_norm(x, {1, 2, 4, 3}), ShapeError);
}

TEST_CASE("local response norm is PyTorch's", "[normalization]") {
  const Tensor x = sample();
  check(local_response_norm(x, 3, 0.5, 0.75, 2), x, {3.390781465, -2.089096913},
        {-0.5795088034, 0.5533231419, -0.4749077975, 0.4459156843, -0.01254384956, -0.9985404439, 0.274594439,
         -0.5880008739, 0.8440313208, -0.04597603873, -1.169356644, 0.2284338313});
  // An even number of channels: one more of those before.
  check_values(sum(local_response_norm(x, 2, 0.5) * pattern(of_x, 3, 5), {1, 2}),
               {5.149969213, -3.393011668});
  CHECK_THROWS_AS(local_response_norm(x, 0), ValueError);
}

TEST_CASE("normalize divides by a norm, which is not too small", "[normalization]") {
  const Tensor x = sample();
  check(normalize(x, 3), x, {4.468604679, -3.638061929},
        {-0.1147325798, -0.9283177667, -0.5978669511, 0.1147325798, -0.6188785111, -1.207985274,
         -0.06016464551, -1.547196278, 0.9017009755, -0.3022224054, -2.475514045, 0.2425771646});
  const Tensor none = variable(zeros({1, 2}, f64));
  check_values(normalize(none), {0, 0});
  check_values(gradients(sum(normalize(none)), {none})[0], {1e12, 1e12});
}

TEST_CASE("cosines and distances are PyTorch's", "[normalization]") {
  const Tensor a = pattern({2, 3}, 7, 11, 0.3), b = pattern({2, 3}, 5, 7, 0.4),
               c = pattern({3, 3}, 5, 7, 0.4);
  check_values(cosine_similarity(a, b), {0.9173286442, -0.4517539515});
  check_values(cosine_similarity(zeros({1, 2}), ones({1, 2})), {0});
  check_values(pairwise_distance(a, b), {0.6999984286, 2.791057183});
  check_values(pairwise_distance(a, b, 1), {1.099997, 4.499999});
  check_values(cdist(a, c), {0.7, 1.360147051, 2.53179778, 2.889636655, 2.791057147, 2.958039892});
  check_values(cdist(a, c, 0), {3, 3, 3, 3, 3, 3});
  check_values(cdist(a, c, 1), {1.1, 2.3, 4.3, 4.1, 4.5, 5.1});
  check_values(cdist(a, c, 3),
               {0.6307993549, 1.159530131, 2.147735131, 2.738497409, 2.471298415, 2.474242192});
  check_values(cdist(a, c, inf), {0.6, 1, 1.8, 2.7, 2.3, 1.9});
  check_values(pdist(c), {0.692820323, 2.297825059, 2.465765601});
  check_values(pdist(c, inf), {0.4, 2, 2.4});
  CHECK(pdist(zeros({1, 3})).shape() == Shape{0});
  CHECK(cdist(zeros({5, 1, 2, 3}), zeros({4, 0, 3})).shape() == Shape{5, 4, 2, 0});
  CHECK_THROWS_AS(cdist(a, zeros({2, 4}, f64)), ShapeError);
  CHECK_THROWS_AS(cdist(a, b, -1), ValueError);
}

TEST_CASE("distances of what is near are not lost, and have gradient 0 at 0", "[normalization]") {
  // |a|^2 + |b|^2 - 2ab would give 0 in float32.
  const Tensor a = constant(std::vector<float>{1000, 1000}, {1, 2}),
               b = constant(std::vector<float>{1000, 1000.25F}, {1, 2});
  CHECK(cdist(a, b).item<double>() == 0.25);
  const Tensor x = variable(constant({{1, 2}, {4, 6}}, f64));
  check_values(gradients(sum(cdist(x, x)), {x})[0], {-1.2, -1.6, 1.2, 1.6});
}

}  // namespace
}  // namespace gradweave::normalization_tests
