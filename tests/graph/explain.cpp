// What a plan is said to be, for graphs whose plan one can work out.
#include <gradweave/graph/explain.hpp>

#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave {
namespace {

using Catch::Matchers::ContainsSubstring;

TEST_CASE("a dense layer is one step without memory of its own", "[explain]") {
  const Tensor x = ones({8, 4}) + 0, w = ones({3, 4}) + 0, b = ones({3}) + 0;
  eval(x, w, b);
  const Tensor y = sigmoid(linear(x, w) + b);
  const PlanReport report = explain_plan(y);
  CHECK_FALSE(y.is_evaluated());
  REQUIRE(report.steps.size() == 1);
  const PlannedStep& step = report.steps[0];
  CHECK(step.ops == std::vector<std::string>{"matmul (8, 3)", "add (8, 3)", "sigmoid (8, 3)"});
  CHECK(step.flops == 2 * 8 * 4 * 3 + 2 * 8 * 3);
  CHECK(step.bytes_read == (8 * 4 + 3 * 4 + 3) * sizeof(float));
  CHECK(step.bytes_written == 8 * 3 * sizeof(float));
  CHECK(report.nodes == 3);
  CHECK(report.values == 3);
  CHECK(report.arena_bytes == 0);
  CHECK(report.result_bytes == 8 * 3 * sizeof(float));
  CHECK(y.to_vector() == sigmoid(linear(x, w) + b).to_vector());
}

TEST_CASE("lifetimes in the arena", "[explain]") {
  const Tensor x = ones({16, 16}) + 0;
  eval(x);
  Tensor y = x;
  for (int k = 0; k < 3; ++k) y = matmul(y, x);
  y = sum(y);
  const PlanReport report = explain_plan(y);
  REQUIRE(report.steps.size() == 4);
  REQUIRE(report.arena.size() == 3);
  constexpr std::size_t bytes = 16 * 16 * sizeof(float);
  CHECK(report.arena_bytes == 2 * bytes);
  for (std::size_t k = 0; k < 3; ++k) {
    CHECK(report.arena[k].bytes == bytes);
    CHECK(report.arena[k].first_step == k);
    CHECK(report.arena[k].last_step == k + 1);
  }
  CHECK(report.arena[0].offset == report.arena[2].offset);
  CHECK(report.arena[0].offset != report.arena[1].offset);
}

TEST_CASE("what is known or repeated is not computed", "[explain]") {
  const Tensor x = constant({1, 2, 3});
  Tensor y = ones({3}) * 2;
  y = exp(x) * y;
  y = exp(x) + y;
  const PlanReport report = explain_plan(y);
  CHECK(report.nodes == 6);
  CHECK(report.values == 3);  // exp, multiply, add
}

TEST_CASE("a plan as text", "[explain]") {
  const Tensor x = constant({{1, 2}, {3, 4}});
  const std::string text = to_string(explain_plan(tanh(matmul(x, x)), sum(x)));
  CHECK_THAT(text, ContainsSubstring("matmul (2, 2), tanh (2, 2)"));
  CHECK_THAT(text, ContainsSubstring("in 2 steps"));
  CHECK_THROWS_AS(explain_plan(Tensor()), GraphError);
  CHECK(explain_plan(x).steps.empty());  // there already
}

}  // namespace
}  // namespace gradweave
