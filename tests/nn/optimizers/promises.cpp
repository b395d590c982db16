// What a step that fails leaves behind: nothing. And what rules and transforms of one's own may do.
#include <gradweave/graph/compile.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/graph/node.hpp>

#include <array>
#include <cmath>
#include <memory>
#include <random>
#include <vector>

#include <gradweave/nn/nn.hpp>

#include "support.hpp"

namespace gradweave {
namespace {

using Catch::Matchers::ContainsSubstring;

constinit thread_local int calls_until_failure = -1;  // of the op below; negative: never

void perhaps_fail() {
  if (calls_until_failure >= 0 && calls_until_failure-- == 0) throw ValueError("this op was told to fail");
}

// Values as they are, where it was not told to fail: in the forward pass, and in the reverse one.
struct Fragile {
  static constexpr std::string_view name = "fragile";
  static Spec infer(const Spec& x) { return x; }
  static void forward(const ArrayView& y, const ArrayView& x) {
    perhaps_fail();
    std::copy_n(x.as<std::byte>(), x.size() * static_cast<Index>(size_of(x.dtype)), y.as<std::byte>());
  }
  static Tensor vjp(const Tensor& g, const Tensor&, const Tensor&) { return apply<Fragile>(Operand(g)); }
  static Samples samples() { return {{uniform(-2, 2)}}; }
};
// The same, element by element.
struct FragileElements {
  static constexpr std::string_view name = "fragile_elements";
  static auto forward(const auto& x) {
    perhaps_fail();
    return x * 1;
  }
  static Tensor vjp(const Tensor& g, const Tensor&, const Tensor&) {
    return apply<FragileElements>(Operand(g));
  }
  static Samples samples() { return {{uniform(-2, 2)}}; }
};

Tensor fragile(const Tensor& x, bool elements) {
  return elements ? apply<FragileElements>(Operand(x)) : apply<Fragile>(Operand(x));
}

std::vector<std::unique_ptr<nn::Optimizer>> all_optimizers(const std::vector<nn::Parameter>& p) {
  std::vector<std::unique_ptr<nn::Optimizer>> all;
  all.push_back(std::make_unique<nn::SGD>(p, nn::SgdOptions{.learning_rate = 0.1}));
  all.push_back(std::make_unique<nn::SGD>(
      p, nn::SgdOptions{.learning_rate = 0.1, .momentum = 0.9, .nesterov = true, .weight_decay = 0.01}));
  all.push_back(std::make_unique<nn::Adam>(p, nn::AdamOptions{.learning_rate = 0.1}));
  all.push_back(std::make_unique<nn::AdamW>(p, nn::AdamWOptions{.learning_rate = 0.1}));
  return all;
}

std::vector<Doubles> values_of(const std::vector<nn::Parameter>& parameters) {
  std::vector<Doubles> all;
  for (const nn::Parameter& p : parameters) all.push_back(p.value().to_vector<double>());
  return all;
}

TEST_CASE("a loss that refuses a label leaves all parameters as they were", "[promises]") {
  const nn::Parameter v("v", constant({1.0, 2.0})), w("w", constant({{1.0, 2.0}, {3.0, 4.0}}));
  nn::SGD optimizer({v, w}, {.learning_rate = 0.1});
  const Tensor labels = constant(std::vector<Index>{0, 2});  // 2 is no class
  for (int k = 0; k < 2; ++k) {
    CHECK_THROWS_AS(
        optimizer.minimize(mean(square(v.value() * 2)) + nn::cross_entropy(w.value() * 1.5, labels)),
        ValueError);
    CHECK(v.value().to_vector<double>() == Doubles{1, 2});
    CHECK(optimizer.steps() == 0);
  }
  const nn::Parameter u("u", ones({3, 2}));
  nn::SGD rows({u}, {.learning_rate = 0.1});
  const Tensor last = constant(std::vector<Index>{0, 1, 3});
  CHECK_THROWS_AS(rows.minimize(sum(take(constant({{1, 2}, {3, 4}, {5, 6}}), last) * u.value())), ValueError);
  CHECK(u.value().to_vector() == std::vector<float>(6, 1));
}

// A network of random depth whose layers and cotangents pass through the fragile op at random places.
struct RandomLoss {
  explicit RandomLoss(std::uint64_t seed) : seed_(seed) {}
  Tensor operator()(const std::vector<nn::Parameter>& p, const Tensor& x) const {
    std::mt19937_64 random(seed_);
    const auto maybe = [&](const Tensor& t) { return random() % 3 == 0 ? fragile(t, random() % 2 == 0) : t; };
    Tensor h = x;
    for (std::size_t layer = 0; layer + 1 < p.size(); layer += 2) {
      h = maybe(matmul(h, maybe(p[layer].value())) + maybe(p[layer + 1].value()));
      if (random() % 2 == 0) h = tanh(h);
    }
    const Tensor labels = constant(std::vector<Index>{0, 1, 2});
    return maybe(nn::cross_entropy(h, labels)) + maybe(sum(square(p[random() % p.size()].value())));
  }

 private:
  std::uint64_t seed_;
};

TEST_CASE("wherever an op throws, a step leaves everything as it was", "[promises]") {
  Generator generator(1);
  std::size_t failures = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    for (std::size_t kind = 0; kind < 4; ++kind) {
      for (const bool compiled : {false, true}) {
        INFO("seed " << seed << ", optimizer " << kind << ", compiled " << compiled);
        std::vector<nn::Parameter> p, q;
        for (int k = 0; k < 6; ++k) {
          const Tensor initial = random_normal(k % 2 == 0 ? Shape{3, 3} : Shape{3}, generator);
          p.emplace_back("p", initial);
          q.emplace_back("q", initial);
        }
        const auto optimizer = std::move(all_optimizers(p)[kind]), twin = std::move(all_optimizers(q)[kind]);
        const RandomLoss loss(seed);
        const Tensor x = constant({{1, 2, 3}, {0, 1, 0}, {-1, 0.5, 2}});
        const auto step = compile([&](const Tensor& in) { optimizer->minimize(loss(p, in)); });
        const auto take_step = [&] {
          if (compiled) {
            step(x);
          } else {
            optimizer->minimize(loss(p, x));
          }
        };
        for (int k = 0; k < 3; ++k) {
          for (int fail_at = 0; fail_at < 200; ++fail_at) {
            const std::vector<Doubles> before = values_of(p);
            calls_until_failure = fail_at;
            try {
              take_step();
              calls_until_failure = -1;
              break;  // all of it was done
            } catch (const ValueError&) {
              ++failures;
            }
            calls_until_failure = -1;
            REQUIRE(values_of(p) == before);
            REQUIRE(optimizer->steps() == k);
          }
          twin->minimize(loss(q, x));
          REQUIRE(values_of(p) == values_of(q));  // its state, too, is that of one that never failed
        }
      }
    }
  }
  CHECK(failures > 1000);
}

TEST_CASE("a compiled step that fails takes back its random numbers", "[promises]") {
  Generator mine(7), other(7);
  const nn::Parameter p("p", constant({1.0, 2.0, 3.0})), q("q", constant({1.0, 2.0, 3.0}));
  nn::SGD optimizer({p}, {.learning_rate = 0.1}), twin({q}, {.learning_rate = 0.1});
  const auto loss = [](const nn::Parameter& w, Generator& g) {
    return sum(square(fragile(w.value() * random_normal({3}, g), false)));
  };
  const auto step = compile([&] { optimizer.minimize(loss(p, mine)); });
  for (int k = 0; k < 4; ++k) {
    calls_until_failure = k % 2;
    CHECK_THROWS_AS(step(), ValueError);
    calls_until_failure = -1;
    step();
    twin.minimize(loss(q, other));
    CHECK(values_of({p}) == values_of({q}));
  }
}

// ---- Rules that look, and rules that change

// Scales each gradient to a norm of one by looking at its values.
class LookingSgd : public nn::Optimizer {
 public:
  explicit LookingSgd(std::vector<nn::Parameter> p) : Optimizer(std::move(p), 1) {}

 private:
  Tensor update(std::size_t, const Tensor& value, const Tensor& gradient) override {
    const double norm = sqrt(sum(square(gradient))).item<double>();
    return value - gradient * (1 / norm);
  }
};

TEST_CASE("an update that looks at values is right at every step, and refused where it cannot be",
          "[promises]") {
  const nn::Parameter p("p", constant({3.0, 4.0}));
  LookingSgd optimizer({p});
  for (int k = 1; k <= 4; ++k) {
    optimizer.minimize(sum(square(p.value())));  // along (0.6, 0.8), a length of one at each step
    CHECK(p.value().to_vector<double>()[0] == Approx(3 - 0.6 * k));
    CHECK(p.value().to_vector<double>()[1] == Approx(4 - 0.8 * k));
  }
  const auto step = compile([&] { optimizer.minimize(sum(square(p.value()))); });
  CHECK_THROWS_AS(step(), GraphError);
}

struct Cube {
  static constexpr std::string_view name = "cube";
  static auto forward(const auto& x) { return x * x * x; }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) {
    eval(x);
    return g * 3 * x * x;
  }
  static Samples samples() { return {{uniform(-2, 2)}}; }
};

TEST_CASE("a derivative rule that evaluates leaves the others right", "[promises]") {
  const Tensor a = variable(2.0), b = variable(3.0);
  const Tensor y = ((b + b) + a) * apply<Cube>(Operand((b + b) + b));
  const auto [da, db] = gradients(y, {a, b});
  CHECK(db.item() == 7290);  // d/db (2 b + a) (3 b)^3 = 2 (3 b)^3 + (2 b + a) 9 (3 b)^2
  CHECK(da.item() == 729);
}

// The sign of the step alternates; and one that sees that in steps().
class Alternating : public nn::Optimizer {
 public:
  Alternating(std::vector<nn::Parameter> p, bool says_so) : Optimizer(std::move(p), 1), says_so_(says_so) {}

 private:
  std::uint64_t variant(Index step) const override {
    return says_so_ ? static_cast<std::uint64_t>(step % 2) : 0;
  }
  void begin(Index step) override { step_ = step; }
  Tensor update(std::size_t, const Tensor& value, const Tensor& gradient) override {
    const Index step = says_so_ ? step_ : steps() + 1;
    return step % 2 == 1 ? value - gradient : value + gradient;
  }
  bool says_so_;
  Index step_ = 0;
};

TEST_CASE("a rule that changes with the step is right at every step", "[promises]") {
  for (const bool says_so : {false, true}) {
    const nn::Parameter p("p", constant(10.0));
    Alternating optimizer({p}, says_so);
    const double expected[] = {9, 10, 9, 10, 9};
    for (const double value : expected) {
      optimizer.minimize(p.value() * 1);
      CHECK(p.value().item<double>() == value);
    }
  }
  const nn::Parameter p("p", constant(10.0));
  Alternating optimizer({p}, true), careless({p}, false);
  const auto step = compile([&] { optimizer.minimize(p.value() * 1); });
  for (const double value : {9.0, 10.0, 9.0, 10.0}) {
    step();
    CHECK(p.value().item<double>() == value);
  }
  CHECK(step.programs() == 2);
  const auto refused = compile([&] { careless.minimize(p.value() * 1); });
  CHECK_THROWS_WITH(refused(), ContainsSubstring("variant"));
}

// ---- Transforms, groups, frozen parameters

TEST_CASE("gradients are clipped by their norm together, inside the program", "[promises]") {
  for (const bool compiled : {false, true}) {
    const nn::Parameter a("a", constant({0.0, 0.0})), b("b", constant(0.0));
    nn::SGD optimizer({a, b}, {.learning_rate = 1});
    optimizer.add_transform(nn::clip_by_global_norm(1));
    const auto loss = [&](const Tensor& c) {
      return sum(a.value() * constant({2, 3})) * c + b.value() * 6 * c;
    };
    const auto step = compile([&](const Tensor& c) { optimizer.minimize(loss(c)); });
    const auto take_step = [&](double c) {
      if (compiled) {
        step(constant(c));
      } else {
        optimizer.minimize(loss(constant(c)));
      }
    };
    take_step(1);  // the norm is 7
    check_values(a.value(), {-2.0 / 7, -3.0 / 7}, 1e-5);
    check_values(b.value(), {-6.0 / 7}, 1e-5);
    take_step(0.1);  // and 0.7, which is left alone
    check_values(a.value(), {-2.0 / 7 - 0.2, -3.0 / 7 - 0.3}, 1e-5);
  }
  CHECK_THROWS_AS(nn::clip_by_global_norm(0), ValueError);
  const nn::Parameter c("c", constant({1.0, 1.0}));
  nn::SGD clipped({c}, {.learning_rate = 1});
  clipped.add_transform(nn::clip_by_value(0.5));
  clipped.minimize(sum(c.value() * constant({0.25, -8})));
  check_values(c.value(), {0.75, 1.5}, 1e-6);
}

TEST_CASE("groups have options of their own, and learning rates that are set apart", "[promises]") {
  const nn::Parameter a("a", constant(1.0)), b("b", constant(1.0));
  nn::SGD optimizer({{{a}, {.learning_rate = 0.5}}, {{b}, {.learning_rate = 0.25, .momentum = 0.5}}});
  const auto loss = [&] { return a.value() + b.value(); };
  optimizer.minimize(loss());
  optimizer.minimize(loss());
  CHECK(a.value().item() == 0);
  CHECK(b.value().item() == 1 - 0.25F - 0.25F * 1.5F);
  optimizer.set_learning_rate(0, 0);
  optimizer.minimize(loss());
  CHECK(a.value().item() == 0);
  CHECK(b.value().item() < 0.375F);
  CHECK_THROWS_AS(optimizer.set_learning_rate(2, 0.1), ValueError);
  CHECK_THROWS_WITH(nn::Adam({{{a}, {}}, {{b, a}, {}}}), ContainsSubstring("two groups"));
}

TEST_CASE("frozen parameters, and those that take no part, stay as they are", "[promises]") {
  nn::Parameter a("a", constant(1.0)), b("b", constant(1.0)), unused("unused", constant(1.0));
  nn::Adam optimizer({a, b, unused}, {.learning_rate = 0.125});
  const auto loss = [&] { return a.value() + b.value() * 2; };
  const auto step = compile([&] { optimizer.minimize(loss()); });
  step();
  CHECK(a.value().item() < 1);
  const float before = a.value().item();
  a.freeze();
  CHECK(a.is_frozen());
  optimizer.minimize(loss());
  step();  // makes a program of its own
  CHECK(a.value().item() == before);
  CHECK(b.value().item() == Approx(1 - 3 * 0.125F));
  a.unfreeze();
  optimizer.minimize(loss());
  CHECK(a.value().item() < before);
  CHECK(unused.value().item() == 1);
  CHECK_THROWS_WITH(optimizer.minimize(sum(variable({1.0, 2.0}))),
                    ContainsSubstring("none of the optimizer's 3"));
}

// ---- Histories

TEST_CASE("a history that was let go is an error in every sum, never a missing term", "[promises]") {
  nn::Parameter p("p", constant(3.0));
  const auto f = compile([&](const Tensor& x) { return p.value() * x; });
  const Tensor x = constant(10.0), result = f(x);
  CHECK(result.item() == 30);
  CHECK_THROWS_WITH(gradients(result + p.value() * p.value(), {p.value()}), ContainsSubstring("detach"));
  CHECK_THROWS_AS(gradients(result * 2 + 1 + p.value() * p.value(), {p.value()}), GraphError);
  CHECK_THROWS_AS(gradients(result, {p.value()}), GraphError);
  CHECK(gradients(detach(result) + p.value() * p.value(), {p.value()})[0].item() == 6);

  nn::SGD optimizer({p}, {.learning_rate = 0.1});
  const Tensor part = p.value() * 5, z = variable(2.0);
  optimizer.minimize(part + 1);
  CHECK(part.item() == 15);
  CHECK_THROWS_AS(gradients(part + z, {z}), GraphError);
  CHECK_THROWS_WITH(optimizer.minimize(part + p.value()), ContainsSubstring("released"));
  const auto plain = compile([](const Tensor& a) { return a * 2; });  // of data alone
  CHECK(gradients(plain(x) * z, {z})[0].item() == 20);
}

TEST_CASE("logits that are looked at before the step cost no plan", "[promises]") {
  struct Net : nn::Module {
    nn::Dense hidden = child("hidden", nn::Dense(4, 5, {.seed = 1}));
    nn::Dense output = child("output", nn::Dense(5, 3, {.seed = 2}));
    Tensor operator()(const Tensor& in) const { return output(tanh(hidden(in))); }
  };
  const Net net, twin = nn::clone(net);
  nn::Adam optimizer(net.parameters()), other(twin.parameters());
  Generator generator(3);
  const Tensor labels = constant(std::vector<Index>{0, 1, 2, 0});
  CacheStatistics first;
  for (int k = 0; k < 6; ++k) {
    if (k == 1) first = plan_cache_statistics();
    const Tensor x = random_normal({4, 4}, generator);
    eval(x);
    const Tensor logits = net(x);
    static_cast<void>(nn::accuracy(logits, labels));
    optimizer.minimize(nn::cross_entropy(logits, labels));
    other.minimize(nn::cross_entropy(twin(x), labels));
    CHECK(values_of(net.parameters()) == values_of(twin.parameters()));
    CHECK_THROWS_AS(gradients(sum(logits), {net.hidden.weight.value()}), GraphError);  // let go, too
  }
  CHECK(plan_cache_statistics().misses == first.misses);
}

}  // namespace
}  // namespace gradweave
