// Connectionist temporal classification. Known answers are PyTorch 2.13's, in float64, unless worked out
// here.
#include <gradweave/ops/ctc.hpp>

#include <cmath>

#include <gradweave/nn/losses.hpp>
#include <gradweave/ops/ops.hpp>

#include "gradcheck_matcher.hpp"
#include "pattern.hpp"
#include "support.hpp"

namespace gradweave::ctc_tests {
namespace {

using nn::Reduction;

struct Inputs {
  Tensor logits = variable(pattern({6, 3, 4}, 7, 11, 0.3));
  Tensor x = log_softmax(logits);
  Tensor targets = constant({{1, 2, 2}, {3, 1, 0}, {1, 1, 1}}, i64), steps = constant({6, 4, 6}, i64),
         labels = constant({3, 2, 0}, i64);
};

TEST_CASE("the loss adds up all ways", "[ctc]") {
  // Two steps, one label: (label, label), (blank, label), (label, blank).
  const Tensor p = constant({{0.5, 0.5}, {0.25, 0.75}}, f64);
  const Tensor loss = ctc_losses(log(p), constant({1}, i64), constant(2, i64), constant(1, i64));
  CHECK(loss.rank() == 0);
  CHECK(loss.item<double>() == Approx(-std::log(0.5 * 0.75 + 0.5 * 0.75 + 0.5 * 0.25)));
  // A label twice needs a blank between: three steps, one way.
  const Tensor q = constant({{0.5, 0.5}, {0.25, 0.75}, {0.4, 0.6}}, f64);
  const Tensor twice = ctc_losses(log(q), constant({1, 1}, i64), constant(3, i64), constant(2, i64));
  CHECK(twice.item<double>() == Approx(-std::log(0.5 * 0.25 * 0.6)));
}

TEST_CASE("losses are PyTorch's", "[ctc]") {
  const Inputs in;
  check_values(ctc_losses(in.x, in.targets, in.steps, in.labels), {5.249298937, 3.945372433, 12.25294628});
  check_values(nn::ctc_loss(in.x, in.targets, in.steps, in.labels), {5.325132935});
  const Tensor all = nn::ctc_loss(in.x, in.targets, in.steps, in.labels, {.reduction = Reduction::sum});
  check_values(all, {21.44761765});
  const auto [g] = gradients(all, {in.logits});
  check_values(select(g, 0, 0),
               {0.02178619941, -0.732735702, 0.07756233077, 0.6333871719, 0.134908301, 0.06690802646,
                0.5463823126, -0.7481986401, -0.9191369731, 0.660341217, 0.1988909524, 0.05990480368});
  check_values(select(g, 0, 4), {-0.0187628226, 0.06690802646, -0.2127123939, 0.16456719, 0, 0, 0, 0,
                                 -0.7778575291, 0.06690802646, 0.5463823126, 0.16456719});
}

TEST_CASE("targets of all samples one behind the other, another blank", "[ctc]") {
  const Inputs in;
  check_values(ctc_losses(in.x, constant({1, 2, 2, 3, 1}, i64), in.steps, in.labels),
               {5.249298937, 3.945372433, 12.25294628});
  check_values(ctc_losses(in.x, constant({{0, 1, 1}, {2, 0, 0}, {0, 0, 0}}, i64), in.steps, in.labels, 3),
               {4.878406028, 2.865116819, 10.75294628});
}

TEST_CASE("no way at all is infinite, or 0, with gradient 0", "[ctc]") {
  const Inputs in;
  const Tensor steps = constant({3, 4, 6}, i64);  // 1, 2, 2 needs four
  const Tensor losses = ctc_losses(in.x, in.targets, steps, in.labels);
  check_values(losses, {inf, 3.945372433, 12.25294628});
  const auto [g] = gradients(sum(losses), {in.x});
  CHECK(max(abs(select(g, 1, 0))).item<double>() == 0);
  check_values(nn::ctc_loss(in.x, in.targets, steps, in.labels, {.zero_infinity = true}), {4.741877498});
  CHECK(std::isfinite(ctc_losses(cast(in.x * 1000, f32), in.targets, in.steps, in.labels).to_vector()[0]));
}

TEST_CASE("lengths and labels beyond what is there are errors", "[ctc]") {
  const Inputs in;
  const auto losses = [&](const Tensor& targets, const Tensor& steps, const Tensor& labels) {
    return ctc_losses(in.x, targets, steps, labels).to_vector<double>();
  };
  CHECK_THROWS_AS(losses(in.targets, constant({7, 4, 6}, i64), in.labels), ValueError);
  CHECK_THROWS_AS(losses(in.targets, in.steps, constant({4, 2, 0}, i64)), ValueError);
  CHECK_THROWS_AS(losses(in.targets + 2, in.steps, in.labels), ValueError);
  CHECK_THROWS_AS(losses(constant({1, 2}, i64), in.steps, in.labels), ValueError);
  CHECK_THROWS_AS(ctc_losses(in.x, in.targets, in.steps, in.labels, 4), ValueError);
  CHECK_THROWS_AS(ctc_losses(in.x, in.x, in.steps, in.labels), DTypeError);
  CHECK_THROWS_AS(losses(in.targets, constant({6, 4}, i64), in.labels), ShapeError);
}

TEST_CASE("the loss has right gradients to second order, also of targets in a row", "[ctc]") {
  for (const Tensor& targets : {constant({{1, 1}, {2, 0}}, i64), constant({1, 1, 2}, i64)}) {
    REQUIRE_THAT(
        [&](std::span<const Tensor> in) {
          return nn::ctc_loss(in[0], targets, constant({4, 3}, i64), constant({2, 1}, i64));
        },
        HasRightGradients({variable(pattern({4, 2, 3}, 7, 11, 0.3))}));
  }
}

}  // namespace
}  // namespace gradweave::ctc_tests
