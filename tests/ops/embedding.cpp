// Dropout, embeddings and bags of them. Known answers are PyTorch 2.13's, in float64.
#include <gradweave/ops/embedding.hpp>

#include <algorithm>
#include <set>

#include <gradweave/ops/ops.hpp>

#include "gradcheck_matcher.hpp"
#include "pattern.hpp"
#include "support.hpp"

namespace gradweave::embedding_tests {
namespace {

Tensor weights() { return variable(pattern({5, 3}, 7, 11, 0.3)); }
Tensor flat() { return constant({0, 2, 2, 4, 1, 0}, i64); }

TEST_CASE("an embedding takes rows, and the padding row gets no gradient", "[embedding]") {
  const Tensor weight = weights(), indices = constant({{1, 4}, {1, 0}}, i64);
  CHECK(embedding(indices, weight).shape() == Shape{2, 2, 3});
  for (const Index padding : {4, -1}) {
    const Tensor y = embedding(indices, weight, padding);
    check_values(y, take(weight, indices).to_vector<double>());
    check_values(gradients(sum(y), {weight})[0], {1, 1, 1, 2, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  }
  CHECK_THROWS_AS(embedding(indices, weight, 5), ValueError);
  CHECK_THROWS_AS(embedding(constant({5}, i64), weight).to_vector<double>(), ValueError);
  CHECK_THROWS_AS(embedding(constant({0.5}), weight), DTypeError);
}

// The result and the gradient of its sum with weights.
void check(const Tensor& indices, const EmbeddingBagOptions& options, const Doubles& values,
           const Doubles& slopes) {
  const Tensor weight = weights(), y = embedding_bag(indices, weight, options);
  check_values(y, values);
  check_values(gradients(sum(y * (pattern(y.shape(), 3, 5) + 0.5)), {weight})[0], slopes);
}

TEST_CASE("bags of rows of indices", "[embedding]") {
  const Tensor rows = constant({{0, 2, 2}, {4, 1, 0}}, i64);
  check(rows, {.mode = BagMode::sum}, {0.9, 0.6, -3, 0.6, 0.3, 0},
        {1, 2, -2, 2.5, 0.5, -1.5, -3, 3, -1, 0, 0, 0, 2.5, 0.5, -1.5});
  check(
      rows, {}, {0.3, 0.2, -1, 0.2, 0.1, 0},
      {1.0 / 3, 2.0 / 3, -2.0 / 3, 2.5 / 3, 0.5 / 3, -0.5, -1, 1, -1.0 / 3, 0, 0, 0, 2.5 / 3, 0.5 / 3, -0.5});
  check(rows, {.mode = BagMode::max}, {1.2, 0.6, -0.6, 1.5, 0.6, 1.5},
        {0, 2, -0.5, 2.5, 0, 0, -1.5, 0, 0, 0, 0, 0, 0, 0, -1.5});
}

TEST_CASE("bags that begin at offsets, one of them empty", "[embedding]") {
  const Tensor offsets = constant({0, 2, 2, 5}, i64);
  check(flat(), {.offsets = offsets, .mode = BagMode::sum},
        {-0.3, 0.6, -1.8, 0, 0, 0, 3.3, -0.3, -0.6, -1.5, 0.6, -0.6},
        {-1, 0, 1, 1.5, -0.5, 2.5, 0, 1, 2, 0, 0, 0, 1.5, -0.5, 2.5});
  check(flat(), {.offsets = offsets, .mode = BagMode::mean},
        {-0.15, 0.3, -0.9, 0, 0, 0, 1.1, -0.1, -0.2, -1.5, 0.6, -0.6},
        {-0.25, -0.75, 1.25, 0.5, -0.5 / 3, 2.5 / 3, -0.25, 1.75 / 3, 1.75 / 3, 0, 0, 0, 0.5, -0.5 / 3,
         2.5 / 3});
  check(flat(), {.offsets = offsets, .mode = BagMode::max},
        {1.2, 0.6, -0.6, 0, 0, 0, 1.5, 0.3, 1.5, -1.5, 0.6, -0.6},
        {0.5, 0, 1, 1.5, -0.5, 0, -1.5, 0, 0, 0, 0, 0, 0, 0, 2.5});
  check_values(
      embedding_bag(flat(), weights(), {.offsets = constant({0, 2, 2, 6}, i64), .include_last_offset = true}),
      {-0.15, 0.3, -0.9, 0, 0, 0, 0.45, 0.075, -0.3});
}

TEST_CASE("the padding row counts for nothing in a bag", "[embedding]") {
  const Tensor offsets = constant({0, 2, 2, 5}, i64);
  check(flat(), {.offsets = offsets, .mode = BagMode::sum, .padding_idx = 2},
        {-1.5, 0.6, -0.6, 0, 0, 0, 2.1, -0.3, 0.6, -1.5, 0.6, -0.6},
        {-1, 0, 1, 1.5, -0.5, 2.5, 0, 0, 0, 0, 0, 0, 1.5, -0.5, 2.5});
  check(flat(), {.offsets = offsets, .mode = BagMode::mean, .padding_idx = -3},
        {-1.5, 0.6, -0.6, 0, 0, 0, 1.05, -0.15, 0.3, -1.5, 0.6, -0.6},
        {-1, 0, 1, 0.75, -0.25, 1.25, 0, 0, 0, 0, 0, 0, 0.75, -0.25, 1.25});
  check(flat(), {.offsets = offsets, .mode = BagMode::max, .padding_idx = 2},
        {-1.5, 0.6, -0.6, 0, 0, 0, 1.5, 0.3, 1.5, -1.5, 0.6, -0.6},
        {-1, 0, 1, 1.5, -0.5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2.5});
}

TEST_CASE("weights of a bag's samples, and their gradients", "[embedding]") {
  const Tensor weight = weights(), scale = variable(pattern({6}, 2, 5, 0.5));
  const Tensor y = embedding_bag(
      flat(), weight,
      {.offsets = constant({0, 2, 2, 5}, i64), .mode = BagMode::sum, .per_sample_weights = scale});
  check_values(y, {1.5, -0.6, 0.6, 0, 0, 0, 1.65, 0.45, -2.4, 1.5, -0.6, 0.6});
  const auto [of_weight, of_scale] = gradients(sum(y * (pattern(y.shape(), 3, 5) + 0.5)), {weight, scale});
  check_values(of_weight, {1, 0, -1, 0.75, -0.25, 1.25, 1.5, -0.5, 2.5, 0, 0, 0, -0.75, 0.25, -1.25});
  check_values(of_scale, {3.45, -1.2, -1.2, 4.95, -0.15, -2.55});
}

TEST_CASE("bags have right gradients in every mode", "[embedding]") {
  for (const BagMode mode : {BagMode::sum, BagMode::mean, BagMode::max}) {
    REQUIRE_THAT(
        [mode](std::span<const Tensor> in) {
          return square(embedding_bag(
              flat(), in[0], {.offsets = constant({0, 2, 2, 5}, i64), .mode = mode, .padding_idx = 4}));
        },
        HasRightGradients({weights()}));
  }
}

TEST_CASE("gradients divided by how often a row is named", "[embedding]") {
  const Tensor weight = weights(), scale = pattern({6, 3}, 3, 5) + 0.5;
  const Tensor rows = embedding(flat(), weight, {}, true);
  CHECK(rows.to_vector<double>() == embedding(flat(), weight).to_vector<double>());
  check_values(gradients(sum(rows * scale), {weight})[0],
               {-1.5, 1.5, -0.5, -0.5, 2.5, 0.5, 2, 0, 0.5, 0, 0, 0, 0.5, -1.5, 1.5});
  const Tensor bags =
      embedding_bag(flat(), weight, {.offsets = constant({0, 2, 2, 5}, i64), .scale_grad_by_freq = true});
  // (PyTorch 2.13 divides by the counts of other rows.)
  check_values(gradients(sum(bags * (pattern({4, 3}, 3, 5) + 0.5)), {weight})[0],
               {-0.125, -0.375, 0.625, 0.5, -0.5 / 3, 2.5 / 3, -0.125, 1.75 / 6, 1.75 / 6, 0, 0, 0, 0.5,
                -0.5 / 3, 2.5 / 3});
  CHECK_THROWS_AS(
      embedding_bag(flat(), weight,
                    {.offsets = constant({0}, i64), .mode = BagMode::max, .scale_grad_by_freq = true}),
      ValueError);
}

TEST_CASE("what a bag cannot be", "[embedding]") {
  const Tensor weight = weights();
  const auto bag = [&](const Tensor& offsets) {
    return embedding_bag(flat(), weight, {.offsets = offsets}).to_vector<double>();
  };
  CHECK_THROWS_AS(bag(constant({1, 2}, i64)), ValueError);
  CHECK_THROWS_AS(bag(constant({0, 4, 2}, i64)), ValueError);
  CHECK_THROWS_AS(bag(constant({0, 7}, i64)), ValueError);
  CHECK_THROWS_AS(embedding_bag(flat(), weight), ShapeError);
  CHECK_THROWS_AS(embedding_bag(constant({{5}}, i64), weight).to_vector<double>(), ValueError);
  CHECK_THROWS_AS(embedding_bag(constant({{0}}, i64), weight, {.per_sample_weights = ones({1, 1}, f64)}),
                  ValueError);
  CHECK(embedding_bag(zeros({3, 0}, i64), weight).to_vector<double>() == Doubles(9, 0));
  CHECK(embedding_bag(zeros({0, 3}, i64), weight).shape() == Shape{0, 3});
}

TEST_CASE("dropout keeps the mean, drops as often as it says, and passes gradients where it keeps",
          "[dropout]") {
  Generator generator(3);
  const Tensor x = variable(ones({10000}, f64)), y = dropout(x, generator, 0.2);
  const Doubles values = y.to_vector<double>();
  const auto dropped = std::ranges::count(values, 0.0);
  CHECK(std::abs(static_cast<double>(dropped) - 2000) < 5 * 40);  // five standard deviations
  CHECK(std::ranges::count(values, 1.25) == 10000 - dropped);
  CHECK(gradients(sum(y), {x})[0].to_vector<double>() == values);
  CHECK(dropout(x, generator, 0.2).to_vector<double>() != values);
  Generator again(3);
  CHECK(dropout(x, again, 0.2).to_vector<double>() == values);
}

TEST_CASE("dropout that drops nothing or everything", "[dropout]") {
  Generator generator;
  const Tensor x = constant({1, nan}, f64);
  CHECK(dropout(x, generator, 0.5, false).node() == x.node());
  CHECK(dropout(x, generator, 0).node() == x.node());
  CHECK(dropout(x, generator, 1).to_vector<double>() == Doubles{0, 0});
  CHECK(alpha_dropout(x, generator, 1).to_vector<double>() == Doubles{0, 0});
  CHECK_THROWS_AS(dropout(x, generator, 1.5), ValueError);
  CHECK_THROWS_AS(dropout(constant({1, 2}, i64), generator), DTypeError);
}

TEST_CASE("dropout of channels drops whole ones", "[dropout]") {
  Generator generator(7);
  const auto whole = [](const Tensor& y, Index channels) {
    const Tensor each = reshape(y, {channels, -1});
    CHECK(max(each, {1}).to_vector<double>() == min(each, {1}).to_vector<double>());
    CHECK(max(y).item<double>() == 2);
    CHECK(min(y).item<double>() == 0);
  };
  whole(dropout1d(ones({4, 8, 5}), generator), 32);
  whole(dropout1d(ones({32, 5}), generator), 32);
  whole(dropout2d(ones({4, 8, 2, 3}), generator), 32);
  whole(dropout2d(ones({4, 8, 6}), generator), 32);
  whole(dropout3d(ones({4, 8, 2, 2, 2}), generator), 32);
  whole(dropout3d(ones({32, 2, 2, 2}), generator), 32);
  CHECK_THROWS_AS(dropout2d(ones({4, 8}), generator), ShapeError);
  const Tensor y = reshape(feature_alpha_dropout(ones({4, 8, 3}), generator), {32, -1});
  CHECK(max(y, {1}).to_vector<double>() == min(y, {1}).to_vector<double>());
}

TEST_CASE("alpha dropout keeps mean and variance", "[dropout]") {
  Generator generator(11);
  const Tensor x = random_normal({100000}, generator, 0, 1, f64), y = alpha_dropout(x, generator, 0.3);
  CHECK(mean(y).item<double>() == Approx(0).margin(0.02));
  CHECK(var(y).item<double>() == Approx(1).margin(0.02));
}

TEST_CASE("a compiled dropout draws anew at each run", "[dropout]") {
  Generator generator(5);
  auto f = compile([&](const Tensor& x) { return dropout(x, generator); });
  const Tensor x = ones({64});
  std::set<std::vector<float>> seen;
  for (int run = 0; run < 4; ++run) seen.insert(f(x).to_vector());
  CHECK(seen.size() == 4);
}

}  // namespace
}  // namespace gradweave::embedding_tests
