// Branches of which one runs.
#include <gradweave/ops/control.hpp>

#include <cmath>
#include <sstream>
#include <vector>

#include <gradweave/graph/check/gradcheck.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/graph/report/dot.hpp>
#include <gradweave/nn/nn.hpp>

#include "../support.hpp"

namespace gradweave {
namespace {

using Catch::Matchers::ContainsSubstring;
using List = std::span<const Tensor>;

thread_local int runs = 0;

// Its input, counted.
template <bool Pure>
struct Counted {
  static constexpr std::string_view name = "counted";
  static constexpr bool pure = Pure;
  static Spec infer(const Spec& x) { return x; }
  static void forward(const ArrayView& y, const ArrayView& x) {
    ++runs;
    std::memcpy(y.data, x.data, static_cast<std::size_t>(x.size()) * size_of(x.dtype));
  }
  static Tensor vjp(const Tensor& g, const Tensor&, const Tensor&) { return g; }
};
Tensor counted(const Tensor& x) { return apply<Counted<false>>(Operand(x)); }

Tensor leaky(const Tensor& x, double slope = 0.25) {
  return cond(
      sum(x) > 0, [](const Tensor& t) { return t * t; }, [=](const Tensor& t) { return t * t * t * slope; },
      x);
}

TEST_CASE("one branch runs, whichever the predicate says", "[cond]") {
  const Tensor x = constant({1, 2}), p = variable(1.0);
  for (const bool yes : {true, false}) {
    const Tensor y = cond(
        constant(yes ? 1.0 : 0.0), [](const Tensor& t) { return counted(t) * 2; },
        [](const Tensor& t) { return counted(counted(t)) * 3; }, x);
    runs = 0;
    CHECK(values(y) == (yes ? std::vector<float>{2, 4} : std::vector<float>{3, 6}));
    CHECK(runs == (yes ? 1 : 2));
  }
  // An error of the branch that is not taken is none.
  const auto line = std::to_string(__LINE__ + 1);
  const auto outside = [](const Tensor& t) { return take(t * 2, constant(std::vector<Index>{5})); };
  const auto inside = [](const Tensor& t) { return take(t, constant(std::vector<Index>{0})); };
  CHECK(cond(p > 0, inside, outside, x).item() == 1);
  CHECK(cond(p > 2, outside, inside, x).item() == 1);
  CHECK_THROWS_WITH(cond(p > 0, outside, inside, x).item(),
                    ContainsSubstring("take of") && ContainsSubstring("control.cpp:" + line));
  CHECK(cond(true, inside, outside, x).item() == 1);
}

TEST_CASE("results and derivatives of cond are those of the branch, in every mode", "[cond]") {
  for_each_mode([](const Mode& mode) {
    const auto f = [&](const Tensor& x) {
      const Tensor y = sum(square(
          mode.checkpointed ? checkpoint([](const Tensor& t) { return leaky(t * 2); }, x) : leaky(x * 2)));
      const auto [g] = gradients(y, {x});
      const auto [h] = gradients(sum(g), {x});
      return std::vector{y, g, h};
    };
    auto compiled = compile(f);
    for (const double x : {0.5, -0.5, 1.5, -1.0}) {
      const Tensor in = variable({x, x / 2}, f64);
      const std::vector<Tensor> found = mode.compiled ? compiled(in) : f(in);
      Doubles y{0}, g, h;
      for (const double t : {x, x / 2}) {
        const double u = 2 * t;
        y[0] += x > 0 ? std::pow(u, 4) : std::pow(u, 6) / 16;
        g.push_back(x > 0 ? 8 * std::pow(u, 3) : 12 * std::pow(u, 5) / 16);
        h.push_back(x > 0 ? 48 * std::pow(u, 2) : 120 * std::pow(u, 4) / 16);
      }
      check_values(found[0], y);
      check_values(found[1], g);
      check_values(found[2], h);
    }
    if (mode.compiled) CHECK(compiled.programs() == 1);
  });
}

TEST_CASE("cond equals where, bit for bit, and passes the gradient checker", "[cond]") {
  const Tensor a = variable({0.3, -0.7, 1.1}, f64), b = variable({0.9, 0.2, -0.4}, f64);
  const auto then = [](const Tensor& x, const Tensor& y) { return tanh(x) * exp(y); };
  const auto otherwise = [](const Tensor& x, const Tensor& y) { return x * sin(x * y); };
  for (const double limit : {-10.0, 10.0}) {
    const auto chosen = [&](List in) { return cond(sum(in[0]) > limit, then, otherwise, in[0], in[1]); };
    const auto both = [&](List in) {
      return where(sum(in[0]) > limit, then(in[0], in[1]), otherwise(in[0], in[1]));
    };
    const std::vector<Tensor> in{a, b};
    CHECK(chosen(in).to_vector<double>() == both(in).to_vector<double>());
    const auto x = gradients(sum(chosen(in)), {a, b}), y = gradients(sum(both(in)), {a, b});
    CHECK(x[0].to_vector<double>() == y[0].to_vector<double>());
    CHECK(x[1].to_vector<double>() == y[1].to_vector<double>());
    const GradcheckReport report = gradcheck(chosen, in, {.order = 3});
    INFO(report.message);
    CHECK(report.ok);
  }
}

TEST_CASE("gradients flow to what the branches read, zeros from the one that did not run", "[cond]") {
  const Tensor x = variable({1.0, 2.0}, f64), u = variable(3.0, f64), v = variable(5.0, f64), late = u * v;
  const auto y = [&](bool yes) {
    return sum(cond(
        constant(yes ? 1.0 : 0.0), [&](const Tensor& t) { return t * u + late; },
        [&](const Tensor& t) { return t * t * v; }, x));
  };
  const auto [gx, gu, gv, gl] = gradients(y(true), {x, u, v, late});
  check_values(gx, {3, 3});
  check_values(gu, {3 + 2 * 5});
  check_values(gv, {6});
  check_values(gl, {2});
  const auto [hx, hu, hv, hl] = gradients(y(false), {x, u, v, late});
  check_values(hx, {10, 20});
  check_values(hu, {0});
  check_values(hv, {5});
  check_values(hl, {0});
  // No operands at all: everything is read from outside.
  const Tensor z = cond(
      u > v, [&] { return u * 2; }, [&] { return v * 3; });
  CHECK(z.item() == 15);
  check_values(gradients(z, {v})[0], {3});
}

TEST_CASE("networks in branches are trained, in a loop and compiled", "[cond]") {
  const auto train = [](bool compiled) {
    const nn::Dense a(2, 3, {.seed = 1}), b(2, 3, {.seed = 2});
    std::vector<nn::Parameter> all = a.parameters();
    for (const nn::Parameter& p : b.parameters()) all.push_back(p);
    nn::Adam optimizer(all, {.learning_rate = 0.1});
    const auto step = [&](const Tensor& x) {
      const Tensor y = cond(
          sum(x) > 0, [&](const Tensor& t) { return tanh(a(t)); }, [&](const Tensor& t) { return b(t); }, x);
      const Tensor loss = mean(square(y - 1));
      optimizer.minimize(loss);
      return loss;
    };
    auto program = compile(step);
    std::vector<float> losses;
    for (int k = 0; k < 6; ++k) {
      const Tensor x = constant({{1.0, 0.5 + k}, {-3.0, 2.0}});  // below zero at first
      losses.push_back((compiled ? program(x) : step(x)).item());
      if (k == 0) {
        const CacheStatistics planned = plan_cache_statistics();
        losses.push_back((compiled ? program(x) : step(x)).item());
        CHECK(plan_cache_statistics().misses == planned.misses);
      }
    }
    if (compiled) CHECK(program.programs() == 1);
    for (const nn::Parameter& p : all) {
      for (const float value : values(p.value())) losses.push_back(value);
    }
    return losses;
  };
  const std::vector<float> loop = train(false);
  CHECK(loop == train(true));
  CHECK(loop[1] < loop[0]);
}

TEST_CASE("a loop of conds plans once", "[cond]") {
  for (int k = 0; k < 3; ++k) {
    const Tensor x = variable({1.0 - k, 0.5});
    const CacheStatistics before = plan_cache_statistics();
    const Tensor y = leaky(x);
    const auto [g] = gradients(sum(y), {x});
    eval(y, g);
    if (k > 0) CHECK(plan_cache_statistics().misses == before.misses);
  }
  const Tensor x = variable({1.0, 0.5});
  const CacheStatistics before = plan_cache_statistics();
  eval(leaky(x, 0.5));  // another graph in a branch
  CHECK(plan_cache_statistics().misses == before.misses + 1);
}

TEST_CASE("conds in branches of conds", "[cond]") {
  const auto f = [](const Tensor& x) {
    return cond(
        sum(x) > 0,
        [](const Tensor& t) {
          const Tensor twice = t * 2;
          return cond(
              sum(t) > 10, [&](const Tensor& s) { return s * twice; },
              [](const Tensor& s) { return s * s * s; }, t);
        },
        [](const Tensor& t) { return -t; }, x);
  };
  auto compiled = compile([&](const Tensor& x) {
    const Tensor y = f(x);
    const auto [g] = gradients(sum(y), {x});
    return std::vector{y, g, gradients(sum(g), {x}, {}, Unconnected::zeros)[0]};
  });
  for (const double x : {20.0, 2.0, -3.0}) {
    const std::vector<Tensor> found = compiled(variable({x}, f64));
    check_values(found[0], {x > 10 ? 2 * x * x : x > 0 ? x * x * x : -x});
    check_values(found[1], {x > 10 ? 4 * x : x > 0 ? 3 * x * x : -1});
    check_values(found[2], {x > 10 ? 4 : x > 0 ? 6 * x : 0});
  }
  CHECK(compiled.programs() == 1);
}

TEST_CASE("several results, of several dtypes, of which some are used", "[cond]") {
  const Tensor x = variable({3.0, 1.0, 2.0}, f64);
  const auto f = [&](const Tensor& p) {
    return cond(
        p,
        [](const Tensor& t) {
          return std::array{t * t, cast(t > 1.5, i64), sum(t)};
        },
        [](const Tensor& t) {
          return std::array{t * 5, cast(t > 2.5, i64), max(t)};
        },
        x);
  };
  const auto [squares, places, total] = f(constant(1.0));
  CHECK(places.dtype() == i64);
  CHECK(places.to_vector<int>() == std::vector<int>{1, 0, 1});
  check_values(squares, {9, 1, 4});
  check_values(gradients(total, {x})[0], {1, 1, 1});
  check_values(gradients(sum(squares) + total, {x})[0], {7, 3, 5});
  const auto [fives, others, largest] = f(constant(0.0));
  check_values(gradients(sum(fives) * largest, {x})[0], {15 + 30, 15, 15});
  const std::vector<Tensor> list = cond(
      true,
      [](const Tensor& t) {
        return std::vector{t, t * 2};
      },
      [](const Tensor& t) {
        return std::vector{t, t};
      },
      x);
  check_values(list[1], {6, 2, 4});
}

TEST_CASE("branches on tensors of no axes and of no elements, of constants, and of their operand itself",
          "[cond]") {
  const Tensor x = variable(2.0), none = variable(std::vector<float>(), {0, 3});
  const auto same = [](const Tensor& t) { return t; };
  const auto twice = [](const Tensor& t) { return t * 2; };
  CHECK(cond(x > 1, same, twice, x).item() == 2);
  CHECK(gradients(cond(x > 3, same, twice, x), {x})[0].item() == 2);
  const Tensor empty = cond(x > 1, same, twice, none);
  CHECK(empty.to_vector().empty());
  CHECK(gradients(sum(empty), {none})[0].shape() == Shape{0, 3});
  const Tensor number = cond(
      x > 1, [](const Tensor&) { return constant(7.0); }, [](const Tensor&) { return full({}, 8); }, x);
  CHECK(number.item() == 7);
  CHECK(cond(reshape(x, {1, 1}), same, twice, x).item() == 2);
  CHECK(gradients(number, {x}, {}, Unconnected::zeros)[0].item() == 0);
}

TEST_CASE("an op with effects in a branch runs once", "[cond]") {
  const Tensor x = variable({1.0, 2.0}, f64);
  const auto plain = [](const Tensor& t) { return t; };
  runs = 0;
  {
    const auto effect = [](const Tensor& t) { return counted(t) * 2; };
    const Tensor y = cond(true, effect, plain, x);
    const auto [g] = gradients(sum(y), {x});  // whose values are not needed for the derivative
    eval(y, g);
    check_values(g, {2, 2});
  }
  CHECK(runs == 1);
  {
    const auto effect = [](const Tensor& t) { return square(counted(t)); };
    const Tensor y = cond(true, effect, plain, x), z = cond(true, effect, plain, x);
    CHECK_THROWS_WITH(gradients(sum(y), {x}), ContainsSubstring("an op with effects"));
    runs = 0;
    eval(y, z);  // two nodes
    CHECK(runs == 2);
  }
}

TEST_CASE("random numbers in branches are drawn anew at each run, the same in loops and compiled", "[cond]") {
  const auto noisy = [](Generator& generator) {
    return [&generator](const Tensor& x) {
      return cond(
          sum(x) > 0, [&](const Tensor& t) { return t + random_uniform({2}, generator); },
          [&](const Tensor& t) { return t - random_normal({2}, generator); }, x);
    };
  };
  Generator one(7), other(7);
  auto compiled = compile(noisy(one));
  std::vector<std::vector<float>> seen;
  for (const double x : {1.0, 1.0, -1.0, -1.0, 1.0}) {
    const Tensor in = constant({x, x});
    const std::vector<float> y = values(compiled(in));
    CHECK(y == values(noisy(other)(in)));
    for (const auto& before : seen) CHECK(y != before);
    seen.push_back(y);
  }
}

TEST_CASE("a step that fails in a branch changes nothing", "[cond]") {
  nn::Parameter w("w", constant({1.0, 2.0}));
  nn::Adam optimizer({w});
  const auto loss = [&](const Tensor& labels) {
    return cond(
        sum(labels) > 0, [&](const Tensor& i) { return sum(take(w, i) * 2); },
        [&](const Tensor&) { return sum(square(w)); }, labels);
  };
  auto step = compile([&](const Tensor& labels) { optimizer.minimize(loss(labels)); });
  const auto before = values(w.value());
  const Tensor bad = constant(std::vector<Index>{0, 9}), good = constant(std::vector<Index>{0, 1});
  CHECK_THROWS_AS(step(bad), ValueError);
  CHECK_THROWS_AS(optimizer.minimize(loss(bad)), ValueError);
  CHECK(values(w.value()) == before);
  CHECK(optimizer.steps() == 0);
  step(good);
  CHECK(values(w.value()) != before);
}

TEST_CASE("branches that differ are named", "[cond]") {
  const Tensor x = constant({1, 2}), p = sum(x) > 0;
  const auto same = [](const Tensor& t) { return t; };
  CHECK_THROWS_WITH(cond(
                        p, same, [](const Tensor& t) { return sum(t); }, x),
                    ContainsSubstring("result 0 is float32 (2,) if the predicate is true, else float32 ()") &&
                        ContainsSubstring("control.cpp"));
  CHECK_THROWS_AS(cond(
                      p, same, [](const Tensor& t) { return sum(t); }, x),
                  ShapeError);
  CHECK_THROWS_AS(cond(
                      p, same, [](const Tensor& t) { return cast(t, f64); }, x),
                  DTypeError);
  const auto list = [](std::size_t n) { return [n](const Tensor& t) { return std::vector<Tensor>(n, t); }; };
  CHECK_THROWS_AS(cond(p, list(1), list(2), x), GraphError);
  CHECK_THROWS_AS(cond(p, list(0), list(0), x), GraphError);
  CHECK_THROWS_AS(cond(x, same, same, x), ShapeError);
  CHECK_THROWS_AS(cond(
                      p, same, [](const Tensor& t) { return t * sum(t).item(); }, x),
                  GraphError);
}

TEST_CASE("a cond in a picture", "[cond]") {
  std::stringstream picture;
  write_dot(picture, {leaky(constant({1, 2}))});
  INFO(picture.str());
  CHECK(picture.str().find("cond(then={multiply}, otherwise={multiply, multiply, scale})") !=
        std::string::npos);
}

}  // namespace
}  // namespace gradweave
