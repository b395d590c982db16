// Steps of embeddings: of the rows that they name alone. Known answers are PyTorch 2.13's, in float64.
#include <algorithm>
#include <memory>
#include <vector>

#include <gradweave/graph/compile.hpp>
#include <gradweave/graph/report/explain.hpp>
#include <gradweave/nn/nn.hpp>
#include <gradweave/ops/ops.hpp>

#include "catch.hpp"
#include "pattern.hpp"
#include "support.hpp"

namespace gradweave::rows_tests {
namespace {

std::vector<Tensor> batches() {
  return {constant({{0, 2, 2}, {4, 1, 0}}, i64), constant({{1, 1, 3}, {4, 4, 0}}, i64),
          constant({{2, 0, 1}, {1, 0, 2}}, i64)};
}
Tensor loss_of(const Tensor& indices, const Tensor& weight) {
  return sum(square(embedding_bag(indices, weight, {.mode = BagMode::sum})));
}

// The weight after three steps, of so many rows.
template <class Optimizer, class Options>
Tensor trained(Index count, const Options& options) {
  const nn::Parameter weight("weight", pattern({count, 2}, 7, 11, 0.3));
  Optimizer optimizer({weight}, options);
  for (const Tensor& indices : batches()) optimizer.minimize(loss_of(indices, weight));
  return weight.value();
}

TEST_CASE("Adagrad is PyTorch's", "[nn][optimizers][rows]") {
  check_values(trained<nn::Adagrad>(5, nn::AdagradOptions{.learning_rate = 0.1, .learning_rate_decay = 0.5}),
               {-1.333215088, 0.4202663352, -0.4749651598, 1.326348729, 0.4425999717, -0.8318309536,
                1.133333333, -0.06666666667, -1.039395678, 0.7457511019});
  check_values(
      trained<nn::Adagrad>(
          5, nn::AdagradOptions{.learning_rate = 0.1, .initial_accumulator_value = 0.5, .weight_decay = 0.1}),
      {-1.288827472, 0.3708036466, -0.4450642545, 1.284040793, 0.4815220232, -0.8591392767, 1.11450779,
       -0.09903725221, -1.00925951, 0.718900287});
  CHECK_THROWS_AS(trained<nn::Adagrad>(5, nn::AdagradOptions{.epsilon = -1}), ValueError);
}

TEST_CASE("SparseAdam is PyTorch's", "[nn][optimizers][rows]") {
  check_values(trained<nn::SparseAdam>(5, nn::SparseAdamOptions{.learning_rate = 0.1}),
               {-1.203729591, 0.3001747708, -0.3676716516, 1.213003551, 0.4850861541, -0.7924533318,
                1.125586376, -0.07441367815, -1.004440521, 0.7005034292});
  const nn::Parameter weight("weight", ones({5, 2}, f64));
  nn::SparseAdam adam({weight});
  CHECK_THROWS_AS(adam.minimize(sum(square(weight.value()))), GraphError);
  CHECK(adam.steps() == 0);
}

TEST_CASE("a step of few rows of many has the bits of a step of all", "[nn][optimizers][rows]") {
  const auto run = [](bool by_rows) {
    const WithPasses passes({.without = by_rows ? "" : "update of rows"});
    return std::vector<Doubles>{
        trained<nn::SGD>(50, nn::SgdOptions{.learning_rate = 0.1}).to_vector<double>(),
        trained<nn::Adagrad>(50, nn::AdagradOptions{.learning_rate = 0.1}).to_vector<double>(),
        trained<nn::SGD>(50, nn::SgdOptions{.learning_rate = 0.1, .momentum = 0.9}).to_vector<double>()};
  };
  CHECK(run(true) == run(false));
}

TEST_CASE("what a step of an embedding writes does not grow with its rows", "[nn][optimizers][rows]") {
  for (const bool is_adagrad : {false, true}) {
    const nn::Parameter weight("weight", zeros({1000, 2}) + 1);
    std::shared_ptr<nn::Optimizer> optimizer;
    if (is_adagrad) {
      optimizer = std::make_shared<nn::Adagrad>(std::vector{weight});
    } else {
      optimizer = std::make_shared<nn::SGD>(std::vector{weight});
    }
    const PlanReport report = optimizer->explain(loss_of(batches()[0], weight));
    CHECK(report.arena_bytes < 1000);  // of 8000 of the weight
    const auto rewrite = std::ranges::find(report.rewrites, "update of rows", &PlanReport::Rewrites::name);
    REQUIRE(rewrite != report.rewrites.end());
    CHECK(rewrite->count == (is_adagrad ? 2 : 1));
    for (const PlanReport::Step& step : report.steps) {
      if (step.bytes_written > 1000) CHECK(step.in_place == 1);
    }
  }
}

TEST_CASE("rows of a gradient: of an embedding only, of one index the same sum", "[nn][optimizers][rows]") {
  const Tensor weight = variable(pattern({5, 2}, 7, 11, 0.3)), scale = pattern({3, 2}, 3, 5);
  const auto [g] = gradients(sum(embedding(constant({3, 1, 3}, i64), weight) * scale), {weight});
  const auto rows = gradient_rows(g);
  REQUIRE(rows);
  CHECK(rows->indices.to_vector<Index>() == std::vector<Index>{3, 1, 3});
  CHECK(rows->rows.to_vector<double>() == Doubles{-2, -1, -1, 2, -2, -1});
  CHECK(put_rows(weight, rows->rows, rows->indices).to_vector<double>()[6] == -2);
  CHECK_FALSE(gradient_rows(gradients(sum(square(weight)), {weight})[0]));
  CHECK_FALSE(gradient_rows(gradients(sum(take(weight, constant({0}, i64), 1)), {weight})[0]));
}

TEST_CASE("the padding row of an embedding stays as it is", "[nn][optimizers][rows]") {
  const nn::Parameter weight("weight", pattern({50, 2}, 7, 11, 0.3));
  const Doubles before = weight.value().to_vector<double>();
  nn::SGD sgd({weight}, {.learning_rate = 0.1});
  sgd.minimize(sum(square(embedding(constant({1, 3}, i64), weight, 1))));
  const Doubles after = weight.value().to_vector<double>();
  CHECK(after[2] == before[2]);
  CHECK(after[6] == Approx(0.8 * before[6]));
  CHECK(after[8] == before[8]);
}

}  // namespace
}  // namespace gradweave::rows_tests
