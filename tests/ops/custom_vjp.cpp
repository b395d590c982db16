// Functions with a derivative of one's own.
#include <gradweave/ops/custom_vjp.hpp>

#include <cmath>
#include <vector>

#include <gradweave/graph/check/gradcheck.hpp>
#include <gradweave/nn/nn.hpp>

#include "../support.hpp"

namespace gradweave {
namespace {

using Catch::Matchers::ContainsSubstring;
using List = std::span<const Tensor>;

// JAX's example: log(1 + exp(x)), whose derivative by the chain rule is exp(x) / (1 + exp(x)) = inf / inf.
const auto log1pexp =
    custom_vjp([](const Tensor& x) { return log(1 + exp(x)); },
               [](const Tensor& g, const Tensor& x, const Tensor&) { return g * (1 - 1 / (1 + exp(x))); });
const auto clip_gradient =
    custom_vjp([](const Tensor& x) { return x; },
               [](const Tensor& g, const Tensor&, const Tensor&) { return clamp(g, -1, 1); });
const auto stepped = custom_vjp([](const Tensor& x) { return cast(x > 0, x.dtype()); },
                                [](const Tensor& g, const Tensor&, const Tensor&) { return g; });

TEST_CASE("log1pexp has the right derivative where the chain rule gives NaN", "[custom_vjp]") {
  const Tensor x = variable({0.0, 100.0, 1000.0, -1000.0}, f64);
  const auto [naive] = gradients(sum(log(1 + exp(x))), {x});
  CHECK(std::isnan(naive.to_vector<double>()[2]));
  const auto [g] = gradients(sum(log1pexp(x)), {x});
  CHECK(g.to_vector<double>() == Doubles{0.5, 1, 1, 0});
  const auto [h] = gradients(sum(g), {x});  // s (1 - s), by differentiating the rule
  CHECK(h.to_vector<double>()[0] == 0.25);
  const Tensor near = variable({-2.0, 0.5, 3.0}, f64);
  const GradcheckReport report = gradcheck([](List in) { return log1pexp(in[0]); }, {near});
  INFO(report.message);
  CHECK(report.ok);
}

TEST_CASE("values are those of the function, in every mode, and fused with what is around", "[custom_vjp]") {
  for_each_mode([](const Mode& mode) {
    const auto f = [&](const Tensor& x) {
      const auto g = [](const Tensor& t) { return sum(square(clip_gradient(log1pexp(t * 3) - 2))); };
      const Tensor y = mode.checkpointed ? checkpoint(g, x) : g(x);
      const auto [dx] = gradients(y, {x});
      return std::vector{y, dx};
    };
    const Tensor x = variable({0.5, -0.25, 2.0}, f64);
    const std::vector<Tensor> found = mode.compiled ? compile(f)(x) : f(x);
    Doubles expected;
    double total = 0;
    for (const double t : {0.5, -0.25, 2.0}) {
      const double y = std::log1p(std::exp(3 * t)) - 2;
      total += y * y;
      expected.push_back(std::clamp(2 * y, -1.0, 1.0) * 3 / (1 + std::exp(-3 * t)));
    }
    check_values(found[0], {total});
    check_values(found[1], expected);
  });
  const Tensor y = [] {
    const Tensor x = variable(std::vector<float>(1000, 0.5F), {1000});
    return sum(clip_gradient(log1pexp(x * 2)) * 3);
  }();
  const PlanReport report = explain_plan(y);
  CHECK(report.steps.size() == 1);
  CHECK(report.arena_bytes == 0);
}

TEST_CASE("a straight-through estimator learns", "[custom_vjp]") {
  nn::Parameter w("w", constant({-0.3, 0.4}));
  nn::SGD optimizer({w}, {.learning_rate = 0.1});
  auto step = compile([&](const Tensor& wanted) {
    const Tensor loss = sum(square(stepped(w) - wanted));
    optimizer.minimize(loss);
    return loss;
  });
  const Tensor wanted = constant({1, 0});
  double loss = 9;
  for (int k = 0; k < 10; ++k) loss = step(wanted).item();
  CHECK(loss == 0);
}

TEST_CASE("the gradient checker notices a wrong rule", "[custom_vjp]") {
  const auto wrong = custom_vjp([](const Tensor& x) { return x * x; },
                                [](const Tensor& g, const Tensor& x, const Tensor&) { return g * x; });
  const GradcheckReport report =
      gradcheck([&](List in) { return wrong(in[0]); }, {variable({0.5, 2.0}, f64)});
  CHECK(report.verdict == Gradcheck::wrong);
  const auto second = custom_vjp(  // right, but it hides from the second derivative that x matters
      [](const Tensor& x) { return x * x; },
      [](const Tensor& g, const Tensor& x, const Tensor&) { return g * 2 * detach(x); });
  CHECK_FALSE(gradcheck([&](List in) { return second(in[0]); }, {variable({0.5, 2.0}, f64)}).ok);
}

TEST_CASE("several inputs, and tensors that the rule reads", "[custom_vjp]") {
  const Tensor a = variable({1.0, 2.0}, f64), b = variable({3.0, 4.0}, f64), t = variable(0.5, f64);
  const auto f = custom_vjp([](const Tensor& x, const Tensor& y) { return x * y; },
                            [&](const Tensor& g, const Tensor& x, const Tensor& y, const Tensor& z) {
                              return std::array{g * y * t, g * z * x};
                            });
  const auto [ga, gb] = gradients(sum(f(a, b)), {a, b});
  check_values(ga, {1.5, 2});
  check_values(gb, {3, 16});
  check_values(gradients(sum(ga), {t})[0], {7});
  // An input that is not floating, one that gets no cotangent, and one that nobody asks for.
  const auto picked =
      custom_vjp([](const Tensor& x, const Tensor& i, const Tensor& scale) { return take(x, i) * scale; },
                 [](const Tensor& g, const Tensor& x, const Tensor& i, const Tensor& scale, const Tensor&) {
                   return std::vector{sum(expand_dims(g * scale, -1) * one_hot(i, x.size(0), x.dtype()), {0}),
                                      Tensor(), Tensor()};
                 });
  const Tensor i = constant(std::vector<Index>{1, 1, 0});
  const auto [gx, gs] = gradients(sum(picked(a, i, t)), {a, t});
  check_values(gx, {0.5, 1});
  check_values(gs, {0});
}

TEST_CASE("several outputs, with cotangents for all, one or none", "[custom_vjp]") {
  const auto polar = custom_vjp(
      [](const Tensor& r, const Tensor& t) {
        return std::array{r * cos(t), r * sin(t)};
      },
      [](const Tensor& gx, const Tensor& gy, const Tensor& r, const Tensor&, const Tensor& x,
         const Tensor& y) {
        return std::array{(gx * x + gy * y) / r, gy * x - gx * y};
      });
  const auto both = [&](List in) {
    const auto [x, y] = polar(in[0], in[1]);
    return x * x * y;
  };
  const std::vector<Tensor> at{variable({0.5, 1.5}, f64), variable({0.3, 2.0}, f64)};
  for (const auto& f :
       {GradcheckFunction(both), GradcheckFunction([&](List in) { return polar(in[0], in[1])[1]; })}) {
    const GradcheckReport report = gradcheck(f, at);
    INFO(report.message);
    CHECK(report.ok);
  }
  const auto lists = custom_vjp(
      [](const Tensor& x) {
        return std::vector{x * 2, x * 3};
      },
      [](List g, List x, List y) {
        CHECK((g.size() == 2 && x.size() == 1 && y.size() == 2));
        return g[0] * 2 + g[1] * 3;
      });
  const std::vector<Tensor> y = lists(at[0]);
  check_values(gradients(sum(y[0] + y[1]), {at[0]})[0], {5, 5});
  check_values(gradients(sum(y[1]), {at[0]})[0], {3, 3});
}

TEST_CASE("shapes of no axes and of no elements", "[custom_vjp]") {
  const Tensor x = variable(2.0), none = variable(std::vector<float>(), {0, 3});
  CHECK(gradients(log1pexp(x), {x})[0].item() == Approx(0.8807971));
  CHECK(gradients(sum(clip_gradient(none)), {none})[0].shape() == Shape{0, 3});
}

TEST_CASE("what custom_vjp refuses", "[custom_vjp]") {
  const Tensor x = variable({1.0, 2.0}), w = variable({3.0, 4.0});
  const auto times = [&](const Tensor& t) { return t * w; };
  const auto rule = [](const Tensor& g, const Tensor&, const Tensor&) { return g; };
  CHECK_THROWS_WITH(custom_vjp(times, rule)(x), ContainsSubstring("make it an input"));
  CHECK_NOTHROW(custom_vjp([&](const Tensor& t) { return t * detach(w); }, rule)(x));
  CHECK_THROWS_AS(custom_vjp([](const Tensor& t) { return sum(t); }, rule)(x), ShapeError);
  const auto too_many = [](const Tensor& g, const Tensor&, const Tensor&) { return std::array{g, g}; };
  CHECK_THROWS_WITH(custom_vjp([](const Tensor& t) { return t * 2; }, too_many)(x),
                    ContainsSubstring("2 cotangents for 1 inputs"));
  CHECK_THROWS_AS(custom_vjp([](const Tensor& t) { return t * sum(t).item(); }, rule)(x), GraphError);
}

TEST_CASE("a loop with a rule plans once, and another rule is another plan", "[custom_vjp]") {
  nn::Parameter w("w", constant({-0.3, 0.4}));
  nn::SGD optimizer({w}, {.learning_rate = 1});
  double slope = 1;
  const auto sloped =
      custom_vjp([](const Tensor& x) { return x; },
                 [&slope](const Tensor& g, const Tensor&, const Tensor&) { return g * slope; });
  const auto step = [&] {
    const double before = w.value().to_vector()[0];
    optimizer.minimize(sum(sloped(w)));
    return before - w.value().to_vector()[0];
  };
  CHECK(step() == Approx(1));
  const CacheStatistics first = plan_cache_statistics();
  for (int k = 0; k < 5; ++k) CHECK(step() == Approx(1));
  CHECK(plan_cache_statistics().misses == first.misses);
  slope = 0.5;  // a number that the rule reads is never stale
  CHECK(step() == Approx(0.5));
}

}  // namespace
}  // namespace gradweave
