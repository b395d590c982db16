#include <gradweave/graph/report/explain.hpp>
#include <gradweave/graph/samples.hpp>

#include <cmath>

#include <gradweave/graph/compile.hpp>
#include <gradweave/graph/evaluate.hpp>
#include <gradweave/graph/plan/plan.hpp>
#include <gradweave/nn/nn.hpp>

#include "catch.hpp"

namespace gradweave {
namespace {

using Catch::Matchers::ContainsSubstring;
using Names = std::vector<std::string>;

Tensor data(const Shape& shape) {
  const Tensor x = contiguous(ones(shape));
  eval(x);
  return x;
}
Tensor weights(const Shape& shape) { return variable(data(shape)); }

// The ops of each step, without attributes and shapes.
std::vector<Names> groups(const PlanReport& report) {
  std::vector<Names> all;
  for (const PlanReport::Step& step : report.steps) {
    Names& names = all.emplace_back();
    for (const PlanReport::Op& op : step.ops) names.push_back(op.name.substr(0, op.name.find('(')));
  }
  return all;
}

TEST_CASE("the loss of a network: each product runs together with what follows it", "[explain]") {
  const Tensor x = data({8, 4}), w1 = weights({4, 16}), b1 = weights({16}), w2 = weights({16, 2});
  const Tensor loss = sum(sum(square(matmul(sigmoid(matmul(x, w1) + b1), w2)), {0}));
  const PlanReport report = explain_plan(loss);
  CHECK(groups(report) ==
        std::vector<Names>{{"matmul", "add", "sigmoid"}, {"matmul", "square"}, {"sum", "sum"}});
  REQUIRE(report.steps.size() == 3);

  const PlanReport::Step& hidden = report.steps[0];
  CHECK(hidden.ops[0].spec == Spec{{8, 16}, DType::float32});
  CHECK(hidden.bytes_read == 4 * (8 * 4 + 4 * 16 + 16));
  CHECK(hidden.bytes_written == 4 * 8 * 16);
  CHECK(hidden.flops == 2 * 8 * 4 * 16 + 2 * 8 * 16);
  CHECK(hidden.scratch_values == 2);
  CHECK(hidden.after.empty());
  CHECK(report.steps[1].after == std::vector<std::size_t>{0});
  CHECK(report.steps[2].after == std::vector<std::size_t>{1});
  CHECK(report.steps[2].bytes_read == 4 * 8 * 2);
  CHECK(report.steps[2].bytes_written == 4);
  CHECK(report.input_bytes == 4 * (8 * 4 + 4 * 16 + 16 + 16 * 2));
  CHECK(report.output_bytes == 4);
  CHECK(report.nodes == 7);
  CHECK(report.values == 7);
  CHECK(label_of(hidden) == "matmul(transpose_a=false, transpose_b=false) (8, 16) + add + sigmoid");
}

TEST_CASE("nothing is evaluated, kept or changed", "[explain]") {
  const Tensor x = weights({3, 3}), hidden = exp(x), y = sum(matmul(hidden, x));
  const CacheStatistics before = plan_cache_statistics();
  const std::string once = to_string(explain_plan(y, hidden));
  CHECK(to_string(explain_plan({y, hidden})) == once);
  CHECK_FALSE(y.is_evaluated());
  CHECK_FALSE(hidden.is_evaluated());
  const CacheStatistics after = plan_cache_statistics();
  CHECK(after.misses == before.misses);
  CHECK(after.hits == before.hits);
  CHECK(after.entries == before.entries);
  CHECK(y.item() == Approx(27 * std::exp(1.0)));
  CHECK(explain_plan(y).steps.empty());
}

TEST_CASE("floating-point operations of products and convolutions", "[explain]") {
  const auto flops = [](const Tensor& t) { return explain_plan(t).flops(); };
  const Tensor a = weights({5, 7}), b = weights({7, 3});
  CHECK(flops(matmul(a, b)) == 2 * 5 * 7 * 3);
  CHECK(flops(matmul(transpose(b), transpose(a))) == 2 * 5 * 7 * 3);
  CHECK(flops(matmul(weights({4, 5, 7}), weights({4, 7, 3}))) == 4 * 2 * 5 * 7 * 3);
  CHECK(flops(exp(a)) == 35);
  CHECK(flops(reshape(a, {7, 5})) == 0);
  CHECK(flops(sum(a)) == 35);

  // 2 images of 3 channels, 6 outputs of 4 x 4, windows of 3 x 3.
  const Tensor x = weights({2, 3, 6, 6}), w = weights({6, 3, 3, 3});
  const Tensor y = conv2d(x, w);
  const double once = 2.0 * (2 * 6 * 4 * 4) * (3 * 3 * 3);
  CHECK(flops(y) == once);
  const Tensor dy = data({2, 6, 4, 4});
  const Tensor loss = sum(y * dy);
  const auto with_gradient = explain_plan(gradients(loss, {x, w}));
  double convolutions = 0;
  for (const PlanReport::Step& step : with_gradient.steps) {
    if (step.ops[0].name.starts_with("conv2d_")) convolutions += step.flops;
  }
  CHECK(convolutions == 2 * once);
}

TEST_CASE("the arena holds what lives at the same time, and no more", "[explain]") {
  // A chain of products: while one is computed, only the one before it is needed.
  const Tensor w = weights({32, 32});
  Tensor y = w;
  for (int i = 0; i < 6; ++i) y = matmul(y, w);
  const PlanReport report = explain_plan(y);
  constexpr std::size_t matrix = 32 * 32 * 4;
  CHECK(report.steps.size() == 6);
  REQUIRE(report.arena.size() == 5);
  CHECK(report.arena_bytes == 2 * matrix);
  CHECK(report.input_bytes == matrix);  // all steps read w
  CHECK(report.output_bytes == matrix);
  for (std::size_t k = 0; k < report.arena.size(); ++k) {
    CHECK(report.arena[k].first_step == k);
    CHECK(report.arena[k].last_step == k + 1);
    CHECK(report.arena[k].bytes == matrix);
    CHECK(report.arena[k].offset == (k % 2 == 0 ? 0 : matrix));
  }

  PendingGraph pending;
  pending.take({&y, 1});
  const GraphKey structure(pending);
  CHECK(Plan(pending, structure).bytes() == report.arena_bytes);
  const WithPasses all_apart({.reuse = false});
  CHECK(explain_plan(y).arena_bytes == 5 * matrix);
}

TEST_CASE("what simplification saves", "[explain]") {
  const Tensor x = weights({4});
  const Tensor y = exp(x) * 1 + exp(x) + exp(constant({1, 2, 3, 4}) * ones({4}));
  const PlanReport report = explain_plan(y);
  CHECK(report.values < report.nodes);
  CHECK(report.constants_folded > 0);
  const WithPasses none({.simplify = false});
  CHECK(explain_plan(y).values > report.values);
}

TEST_CASE("a broadcast is read once, however often it is repeated", "[explain]") {
  const PlanReport report = explain_plan(weights({1000, 8}) * broadcast_to(weights({8}), {1000, 8}));
  REQUIRE(report.steps.size() == 1);
  CHECK(report.steps[0].bytes_read == 4 * (8000 + 8));
}

TEST_CASE("what an optimizer would run, without a step", "[explain]") {
  nn::Dense dense(4, 2);
  nn::SGD sgd(dense.parameters(), {.learning_rate = 0.1});
  const Tensor x = data({3, 4});
  Tensor loss = sum(square(dense(x)));
  const std::vector<float> before = dense.parameters()[0].value().to_vector();
  const PlanReport report = sgd.explain(loss);
  std::size_t in_place = 0;
  for (const PlanReport::Step& step : report.steps) in_place += step.in_place;
  CHECK(in_place == 2);  // weight and bias
  CHECK(sgd.steps() == 0);
  CHECK_FALSE(loss.is_evaluated());
  CHECK(dense.parameters()[0].value().to_vector() == before);
  CHECK_THAT(to_string(report), ContainsSubstring("sgd_update"));
  CHECK_THROWS_AS(sgd.explain(Tensor()), GraphError);

  sgd.minimize(loss);
  CHECK(sgd.steps() == 1);
  CHECK(dense.parameters()[0].value().to_vector() != before);
}

TEST_CASE("to explain a step does not change the training", "[explain]") {
  const Tensor x = data({3, 4});
  const nn::Dense one(4, 2), other = nn::clone(one);
  nn::Adam plain(one.parameters(), {}), explained(other.parameters(), {});
  for (int step = 0; step < 3; ++step) {
    plain.minimize(sum(square(one(x))));
    const Tensor loss = sum(square(other(x)));
    explained.explain(loss);
    explained.minimize(loss);
    explained.explain(sum(other(x)));
  }
  CHECK(other.parameters()[0].value().to_vector() == one.parameters()[0].value().to_vector());

  auto step = compile([&](const Tensor& batch) { explained.explain(sum(other(batch))); });
  CHECK_THROWS_AS(step(x), GraphError);
  CHECK_THROWS_AS(step.explain(), GraphError);  // it did not run
}

TEST_CASE("what a compiled function ran", "[explain]") {
  auto f = compile([](const Tensor& x) { return sum(exp(x)); });
  CHECK_THROWS_AS(f.explain(), GraphError);
  f(data({5}));
  CHECK(groups(f.explain()) == std::vector<Names>{{"exp", "sum"}});
  f(data({2, 5}));
  CHECK(f.explain().steps[0].ops[0].spec.shape == Shape{2, 5});
  f(data({5}));
  CHECK(f.explain().steps[0].ops[0].spec.shape == Shape{5});
}

TEST_CASE("every op says what it costs", "[explain]") {
  for (const Operation* op : all_operations()) {
    for (const Sample& sample : op->samples()) {
      std::vector<Tensor> inputs;
      for (const InputSpec& draw : sample.inputs) {
        inputs.push_back(contiguous(cast(ones(draw.shape), draw.dtype)));
        eval(inputs.back());
      }
      const PlanReport report = explain_plan(sample.call(inputs));
      INFO(op->name << "\n" << to_string(report));
      CHECK(std::isfinite(report.flops()));
      for (const PlanReport::Step& step : report.steps) {
        CHECK(step.flops >= 0);
        CHECK(step.bytes_written > 0);
      }
    }
  }
}

TEST_CASE("an empty tensor cannot be explained", "[explain]") {
  CHECK_THROWS_AS(explain_plan(Tensor()), GraphError);
  CHECK_THROWS_AS(explain_plan({weights({2}), Tensor()}), GraphError);
  CHECK(explain_plan({weights({2})}).steps.empty());
}

}  // namespace
}  // namespace gradweave
