// The optimizers against sequences worked out by hand.
#include <gradweave/nn/optimizers/optimizers.hpp>

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include <gradweave/graph/compile.hpp>
#include <gradweave/graph/kernels/parallel.hpp>
#include <gradweave/graph/node.hpp>
#include <gradweave/graph/plan/plan.hpp>
#include <gradweave/nn/layers/layers.hpp>
#include <gradweave/nn/losses.hpp>
#include <gradweave/ops/ops.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace gradweave;
using Catch::Matchers::ContainsSubstring;

namespace {

nn::Parameter scalar(double value) { return {"p", constant(value, f64)}; }

// The values that a parameter takes when these gradients arrive one after another.
std::vector<double> trace(nn::Optimizer& optimizer, const nn::Parameter& p,
                          const std::vector<double>& gradients) {
  std::vector<double> values;
  for (double g : gradients) {
    const Tensor all[] = {constant(g, f64)};
    optimizer.step(all);
    values.push_back(p.value().item<double>());
  }
  return values;
}

void check(const std::vector<double>& actual, const std::vector<double>& expected) {
  REQUIRE(actual.size() == expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    INFO("step " << i + 1);
    CHECK(actual[i] == Approx(expected[i]).epsilon(1e-12));
  }
}

TEST_CASE("SGD goes down the gradient", "[nn][optimizers]") {
  const nn::Parameter p = scalar(1);
  nn::SGD sgd({p}, {.learning_rate = 0.1});
  check(trace(sgd, p, {2, -1, 0.5}), {0.8, 0.9, 0.85});
  CHECK(sgd.steps() == 3);
  sgd.set_learning_rate(1);
  check(trace(sgd, p, {0.5}), {0.35});
}

TEST_CASE("SGD on a parabola shrinks by the same factor at every step", "[nn][optimizers]") {
  const nn::Parameter p = scalar(8);
  nn::SGD sgd({p}, {.learning_rate = 0.25});
  for (int k = 0; k < 20; ++k) sgd.minimize(square(p.value()));  // p <- p - 0.25 * 2 p
  CHECK(p.value().item<double>() == 8 * std::pow(0.5, 20));
}

TEST_CASE("SGD with momentum", "[nn][optimizers]") {
  const nn::Parameter p = scalar(1);
  nn::SGD sgd({p}, {.learning_rate = 0.1, .momentum = 0.5});
  // v = 2, then 0.5 * 2 - 1 = 0, then 0.5 * 0 + 4 = 4
  check(trace(sgd, p, {2, -1, 4}), {0.8, 0.8, 0.4});
}

TEST_CASE("SGD with Nesterov's momentum", "[nn][optimizers]") {
  const nn::Parameter p = scalar(1);
  nn::SGD sgd({p}, {.learning_rate = 0.1, .momentum = 0.5, .nesterov = true});
  // v = 2, 0, 4; the step is g + 0.5 v: 3, -1, 6
  check(trace(sgd, p, {2, -1, 4}), {0.7, 0.8, 0.2});
}

TEST_CASE("SGD with weight decay", "[nn][optimizers]") {
  SECTION("alone") {
    const nn::Parameter p = scalar(1);
    nn::SGD sgd({p}, {.learning_rate = 0.1, .weight_decay = 0.5});
    // 1 - 0.1 (2 + 0.5 * 1) = 0.75; 0.75 - 0.1 (-1 + 0.375) = 0.8125
    check(trace(sgd, p, {2, -1}), {0.75, 0.8125});
  }
  SECTION("with Nesterov's momentum, which sees the decayed gradient") {
    const nn::Parameter p = scalar(1);
    nn::SGD sgd({p}, {.learning_rate = 0.1, .momentum = 0.5, .nesterov = true, .weight_decay = 0.5});
    // g = 2.5, v = 2.5, step 3.75: 0.625; g = -1 + 0.3125 = -0.6875, v = 1.25 - 0.6875 = 0.5625, step
    // -0.40625
    check(trace(sgd, p, {2, -1}), {0.625, 0.665625});
  }
}

TEST_CASE("Adam corrects the bias of its means", "[nn][optimizers]") {
  SECTION("a constant gradient gives steps of the learning rate, whatever its size") {
    const nn::Parameter p = scalar(1);
    nn::Adam adam({p}, {.learning_rate = 0.1, .epsilon = 0});
    check(trace(adam, p, {1e-3, 1e-3, 1e-3, 1e-3}), {0.9, 0.8, 0.7, 0.6});
  }
  SECTION("by hand") {
    const nn::Parameter p = scalar(1);
    nn::Adam adam({p}, {.learning_rate = 0.1, .beta1 = 0.5, .beta2 = 0.75, .epsilon = 0.5});
    // m = 1, v = 1: corrected 2 and 4.           1 - 0.1 * 2 / 2.5
    // m = 0.5 - 0.5 = 0: the parameter stays.
    // m = 0 + 2, v = 0.75 (0.75 * 1 + 0.25) + 0.25 * 16 = 4.75; corrected 2 / 0.875 and 4.75 / 0.578125
    const double third = 0.92 - 0.1 * (2 / 0.875) / (std::sqrt(4.75 / 0.578125) + 0.5);
    check(trace(adam, p, {2, -1, 4}), {0.92, 0.92, third});
  }
}

TEST_CASE("weight decay in Adam goes through the means, in AdamW it does not", "[nn][optimizers]") {
  const nn::Parameter a = scalar(1), b = scalar(1);
  nn::Adam adam({a}, {.learning_rate = 0.1, .epsilon = 0, .weight_decay = 0.5});
  nn::AdamW adamw({b}, {.learning_rate = 0.1, .epsilon = 0, .weight_decay = 0.5});
  // Adam's first step is the learning rate, along the sign of g + 0.5 p.
  check(trace(adam, a, {-0.25}), {0.9});
  // AdamW: 1 - 0.1 * 0.5 * 1 + 0.1, then 1.05 (1 - 0.05) + 0.1
  check(trace(adamw, b, {-0.25, -0.25}), {1.05, 1.0975});
}

TEST_CASE("all optimizers reach the least squares solution", "[nn][optimizers]") {
  const Tensor x = constant({{1, 0}, {0, 1}, {1, 1}}, f64), y = constant({1, 2, 4}, f64);
  const auto solved = [&](auto make) {
    const nn::Parameter w("w", constant({0, 0}, f64));
    auto optimizer = make(w);
    for (int k = 0; k < 4000; ++k) optimizer->minimize(nn::mse_loss(matmul(x, w), y));
    const std::vector<double> found = w.value().template to_vector<double>();
    CHECK(found[0] == Approx(4.0 / 3).epsilon(1e-3));
    CHECK(found[1] == Approx(7.0 / 3).epsilon(1e-3));
  };
  solved([](auto& w) {
    return std::make_unique<nn::SGD>(std::vector{w}, nn::SgdOptions{.learning_rate = 0.1});
  });
  solved([](auto& w) {
    return std::make_unique<nn::SGD>(
        std::vector{w}, nn::SgdOptions{.learning_rate = 0.05, .momentum = 0.9, .nesterov = true});
  });
  solved([](auto& w) {
    return std::make_unique<nn::Adam>(std::vector{w}, nn::AdamOptions{.learning_rate = 0.01});
  });
  solved([](auto& w) {
    return std::make_unique<nn::AdamW>(std::vector{w},
                                       nn::AdamWOptions{.learning_rate = 0.01, .weight_decay = 0});
  });
}

TEST_CASE("options out of range are errors", "[nn][optimizers]") {
  const std::vector p{scalar(1)};
  CHECK_THROWS_AS(nn::SGD(p, {.learning_rate = -1}), ValueError);
  CHECK_THROWS_AS(nn::SGD(p, {.learning_rate = std::numeric_limits<double>::quiet_NaN()}), ValueError);
  CHECK_THROWS_AS(nn::SGD(p, {.momentum = -0.1}), ValueError);
  CHECK_THROWS_AS(nn::SGD(p, {.nesterov = true}), ValueError);
  CHECK_THROWS_AS(nn::SGD(p, {.weight_decay = -1}), ValueError);
  CHECK_THROWS_AS(nn::Adam(p, {.beta1 = 1}), ValueError);
  CHECK_THROWS_AS(nn::Adam(p, {.beta2 = -0.1}), ValueError);
  CHECK_THROWS_AS(nn::AdamW(p, {.epsilon = -1}), ValueError);
  CHECK_THROWS_AS(nn::SGD({}), ValueError);
  CHECK_THROWS_AS(nn::SGD({nn::Parameter()}), ValueError);
  nn::SGD sgd(p);
  CHECK_THROWS_AS(sgd.set_learning_rate(-1), ValueError);
  CHECK(sgd.learning_rate() == 0.01);
}

TEST_CASE("gradients that do not fit are errors", "[nn][optimizers]") {
  const nn::Parameter p("p", constant({1, 2}));
  nn::SGD sgd({p, p});  // the same twice counts once
  CHECK(sgd.parameters().size() == 1);
  const auto step = [&](std::vector<Tensor> gradients) { sgd.step(gradients); };
  CHECK_THROWS_AS(step({}), ShapeError);
  CHECK_THROWS_AS(step({constant({1})}), ShapeError);
  CHECK_THROWS_AS(step({constant({1, 2}, f64)}), DTypeError);
  CHECK_THROWS_AS(step({Tensor()}), GraphError);
  CHECK_THROWS_AS(sgd.minimize(constant(1.0)), GraphError);
  CHECK(p.value().to_vector() == std::vector<float>{1, 2});
  CHECK(sgd.steps() == 0);
}

// ---- How a step is run

struct Net : nn::Module {
  nn::Dense hidden = child("hidden", nn::Dense(4, 8, {.seed = 1}));
  nn::Dense output = child("output", nn::Dense(8, 3, {.seed = 2}));
  Tensor operator()(const Tensor& x) const { return output(sigmoid(hidden(x))); }
};

const void* address_of(const nn::Parameter& p) { return p.value().data<float>().data(); }

template <class Optimizer, class Options>
void check_that_steps_are_in_place(const Options& options) {
  const Net net;
  Optimizer optimizer(net.parameters(), options);
  const Tensor x = full({5, 4}, 0.5), y = constant(std::vector<Index>{0, 1, 2, 0, 1});
  const auto step = [&] { optimizer.minimize(nn::cross_entropy(net(x), y)); };
  step();
  std::vector<const void*> addresses;
  std::vector<std::vector<float>> before;
  for (const nn::Parameter& p : net.parameters()) {
    addresses.push_back(address_of(p));
    before.push_back(p.value().to_vector());
  }
  for (int k = 0; k < 3; ++k) step();
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    INFO(net.parameters()[i].name());
    CHECK(address_of(net.parameters()[i]) == addresses[i]);
    CHECK(net.parameters()[i].value().to_vector() != before[i]);
  }
}

TEST_CASE("steps are done in place", "[nn][optimizers]") {
  check_that_steps_are_in_place<nn::SGD>(nn::SgdOptions{});
  check_that_steps_are_in_place<nn::SGD>(
      nn::SgdOptions{.momentum = 0.9, .nesterov = true, .weight_decay = 0.01});
  check_that_steps_are_in_place<nn::Adam>(nn::AdamOptions{.weight_decay = 0.1});
  check_that_steps_are_in_place<nn::AdamW>(nn::AdamWOptions{});
}

TEST_CASE("whoever holds an old value keeps its numbers", "[nn][optimizers]") {
  const nn::Parameter p("p", constant({1, 2, 3}));
  nn::SGD sgd({p}, {.learning_rate = 0.5});
  const Tensor first = p.value();
  const Tensor view = slice(p.value(), 0, 1, 3);
  eval(view);
  sgd.minimize(sum(square(p.value())));  // p - 0.5 * 2 p = 0
  CHECK(p.value().to_vector() == std::vector<float>{0, 0, 0});
  CHECK(first.to_vector() == std::vector<float>{1, 2, 3});
  CHECK(view.to_vector() == std::vector<float>{2, 3});
}

TEST_CASE("a pending use of an old value sees the old value", "[nn][optimizers]") {
  const nn::Parameter p("p", constant({1, 2}));
  nn::SGD sgd({p}, {.learning_rate = 0.5});
  const Tensor later = p.value() * 10;
  sgd.minimize(sum(square(p.value())));
  CHECK(later.to_vector() == std::vector<float>{10, 20});
}

TEST_CASE("after a step the loss has its value and no history", "[nn][optimizers]") {
  const nn::Parameter p("p", constant({1, 2}));
  nn::SGD sgd({p});
  const Tensor loss = sum(square(p.value()));
  sgd.minimize(loss);
  CHECK(loss.is_evaluated());
  CHECK(loss.item() == 5);
  CHECK(loss.node()->inputs().empty());
  CHECK_THROWS_AS(sgd.minimize(loss), GraphError);
  CHECK(p.value().is_tracked());
  CHECK(p.value().node()->inputs().empty());  // a leaf again: training does not grow the graph
}

TEST_CASE("a loss that was looked at before can still be minimised", "[nn][optimizers]") {
  const nn::Parameter p("p", constant({1, 2}));
  nn::SGD sgd({p}, {.learning_rate = 0.5});
  const Tensor loss = sum(square(p.value()));
  CHECK(loss.item() == 5);
  sgd.minimize(loss);
  CHECK(p.value().to_vector() == std::vector<float>{0, 0});
}

TEST_CASE("a parameter that the loss does not need stays as it is; if there is no other, that is an error",
          "[nn][optimizers]") {
  const Net net;
  nn::SGD sgd(net.parameters());
  const std::vector<float> before = net.hidden.weight.value().to_vector(),
                           apart = net.output.weight.value().to_vector();
  CHECK_THROWS_AS(sgd.minimize(sum(variable({1, 2}))), GraphError);
  sgd.minimize(sum(net.hidden(ones({1, 4}))));
  CHECK(net.hidden.weight.value().to_vector() != before);
  CHECK(net.output.weight.value().to_vector() == apart);
  sgd.minimize(sum(net(ones({1, 4}))));
  CHECK(net.output.weight.value().to_vector() != apart);
}

TEST_CASE("a loss that was built before the last step is an error that says so", "[nn][optimizers]") {
  const nn::Parameter p("p", constant({1, 2}));
  nn::SGD sgd({p}, {.learning_rate = 0.25});
  const Tensor stale = sum(square(p.value()));
  sgd.minimize(sum(square(p.value())));
  try {
    sgd.minimize(stale);
    FAIL("no error");
  } catch (const GraphError& error) {
    CHECK_THAT(error.what(), ContainsSubstring("after the last step"));
  }
  CHECK(p.value().to_vector() == std::vector<float>{0.5, 1});
}

struct Classifier : nn::Module {
  static constexpr int line = __LINE__ + 5;
  nn::Dense dense = child("dense", nn::Dense(4, 3));
  Tensor loss(const Tensor& x, const Tensor& y) const {
    const auto here = scope();
    const Tensor logits = dense(x);
    return nn::cross_entropy(logits, y);
  }
};

TEST_CASE("an error in a step says which op of which operands and where, though the graph is gone",
          "[optimizer]") {
  const Classifier net;
  nn::SGD sgd(net.parameters(), {});
  const Tensor x = full({2, 4}, 0.5);
  auto compiled = compile([&](const Tensor& y) {
    const Tensor loss = net.loss(x, y);
    sgd.minimize(loss);
    return loss;
  });
  compiled(constant(std::vector<Index>{0, 2}));
  for (const bool is_compiled : {false, true}) {
    for (const Index label : {3, -1}) {
      const Tensor y = constant(std::vector<Index>{0, label});
      try {
        is_compiled ? static_cast<void>(compiled(y)) : sgd.minimize(net.loss(x, y));
        FAIL("it took the label");
      } catch (const ValueError& error) {
        CHECK_THAT(error.what(), ContainsSubstring("int64 (2,)"));  // at_label, or one_hot of its derivative
        CHECK_THAT(error.what(), ContainsSubstring(std::to_string(label)));
        CHECK_THAT(error.what(), ContainsSubstring("optimizers.cpp:" + std::to_string(Classifier::line)));
      }
    }
  }
}

template <class Optimizer, class Options>
void check_that_a_failed_step_changes_nothing(const Options& options) {
  const Net net, twin = nn::clone(net);
  Optimizer optimizer(net.parameters(), options), same(twin.parameters(), options);
  const Tensor x = full({2, 4}, 0.5);
  const Tensor good = constant(std::vector<Index>{0, 2}), bad = constant(std::vector<Index>{0, 3});
  const auto loss_of = [&](const Net& n, const Tensor& y) { return nn::cross_entropy(n(x), y); };

  optimizer.minimize(loss_of(net, good));
  std::vector<std::vector<float>> before;
  for (const nn::Parameter& p : net.parameters()) before.push_back(p.value().to_vector());
  CHECK_THROWS_AS(optimizer.minimize(loss_of(net, bad)), ValueError);
  CHECK(optimizer.steps() == 1);
  for (std::size_t i = 0; i < before.size(); ++i) {
    CHECK(net.parameters()[i].value().is_tracked());
    CHECK(net.parameters()[i].value().to_vector() == before[i]);
  }

  // The state of the optimizer is as before, too: it goes on as if nothing had happened.
  optimizer.minimize(loss_of(net, good));
  same.minimize(loss_of(twin, good));
  same.minimize(loss_of(twin, good));
  for (std::size_t i = 0; i < before.size(); ++i) {
    CHECK(net.parameters()[i].value().to_vector() == twin.parameters()[i].value().to_vector());
  }
}

TEST_CASE("a label out of range is an error, and parameters and state are intact afterwards",
          "[nn][optimizers]") {
  check_that_a_failed_step_changes_nothing<nn::SGD>(nn::SgdOptions{.learning_rate = 0.1});
  check_that_a_failed_step_changes_nothing<nn::SGD>(
      nn::SgdOptions{.learning_rate = 0.1, .momentum = 0.9, .nesterov = true});
  check_that_a_failed_step_changes_nothing<nn::Adam>(nn::AdamOptions{});
}

TEST_CASE("parameters of both dtypes can be trained together", "[nn][optimizers]") {
  const nn::Parameter a("a", constant({1, 2})), b("b", constant({3, 4}, f64));
  nn::SGD sgd({a, b}, {.learning_rate = 0.5});
  sgd.minimize(sum(square(a.value())) + sum(square(b.value())));
  CHECK(a.dtype() == DType::float32);
  CHECK(b.dtype() == f64);
  CHECK(a.value().to_vector() == std::vector<float>{0, 0});
  CHECK(b.value().to_vector() == std::vector<float>{0, 0});
}

// A weight's gradient is an outer product then, which the updates multiply out themselves.
TEST_CASE("updates from one sample have the same bits when every op runs alone, on any number of threads",
          "[nn][optimizers][threads]") {
  const int threads = get_num_threads();
  const auto trained = [](auto optimizer_of, DType dtype, Index in, Index out) {
    Generator generator(7);
    const auto random = [&](const Shape& shape) {
      Tensor x = random_normal(shape, generator, 0, 1, dtype);
      eval(x);
      return x;
    };
    const nn::Parameter weight("weight", random({out, in})), bias("bias", random({out}));
    const auto optimizer = optimizer_of(std::vector{weight, bias});
    const Tensor x = random({1, in}), y = random({1, out});
    for (int k = 0; k < 3; ++k) optimizer->minimize(nn::mse_loss(tanh(linear(x, weight) + bias), y));
    return weight.value().to_vector<double>();
  };
  Passes alone;
  alone.fuse = false;
  const auto check = [&](auto optimizer_of) {
    for (const DType dtype : {DType::float32, f64}) {
      for (const Index in : {1, 17, 63, 64, 100, 784}) {
        for (const Index out : {1, 5, 600}) {
          INFO(in << " to " << out);
          set_num_threads(1);
          const auto found = trained(optimizer_of, dtype, in, out);
          set_num_threads(3);
          CHECK(bool(trained(optimizer_of, dtype, in, out) == found));  // too long to print
          const WithPasses with(alone);
          CHECK(bool(trained(optimizer_of, dtype, in, out) == found));  // too long to print
        }
      }
    }
  };
  check([](auto p) { return std::make_unique<nn::SGD>(p, nn::SgdOptions{.learning_rate = 0.1}); });
  check([](auto p) {
    return std::make_unique<nn::SGD>(
        p, nn::SgdOptions{.learning_rate = 0.1, .momentum = 0.9, .nesterov = true, .weight_decay = 0.1});
  });
  check([](auto p) { return std::make_unique<nn::Adam>(p); });
  set_num_threads(threads);
}

TEST_CASE("XOR is learnt, from several starts", "[nn][training]") {
  const Tensor x = constant({{0, 0}, {0, 1}, {1, 0}, {1, 1}}), y = constant({{0}, {1}, {1}, {0}});
  const auto learns = [&](auto make) {
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      nn::Sequential net(nn::Dense(2, 8, {.seed = seed}), nn::Tanh(), nn::Dense(8, 1, {.seed = seed + 100}));
      auto optimizer = make(net.parameters());
      for (int k = 0; k < 2000; ++k) optimizer->minimize(nn::binary_cross_entropy_with_logits(net(x), y));
      INFO("seed " << seed);
      CHECK(nn::binary_cross_entropy_with_logits(net(x), y).item() < 0.02F);
      CHECK(cast(net(x) > 0, DType::float32).to_vector() == y.to_vector());
    }
  };
  learns([](auto p) {
    return std::make_unique<nn::SGD>(p, nn::SgdOptions{.learning_rate = 0.5, .momentum = 0.9});
  });
  learns([](auto p) { return std::make_unique<nn::Adam>(p, nn::AdamOptions{.learning_rate = 0.05}); });
}

}  // namespace
