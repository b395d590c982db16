// What `compile` keeps from its first call, and how one finds what was meant to change.
#include <gradweave/graph/compile.hpp>

#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include <gradweave/nn/nn.hpp>

#include "support.hpp"

namespace gradweave {
namespace {

using Catch::Matchers::ContainsSubstring;

TEST_CASE("a captured number, flag or tensor is frozen; verify finds it and its line", "[compile]") {
  double factor = 2;
  bool shifted = false;
  Tensor offset = constant({1, 1});
  const auto function = [&](const Tensor& x) {
    Tensor y = x * factor;
    if (shifted) y = exp(y);
    return y + offset;
  };
  const auto frozen = compile(function);
  const auto checked = compile(function, {.verify = true});
  const Tensor x = constant({1, 2});
  CHECK(frozen(x).to_vector() == std::vector<float>{3, 5});
  CHECK(checked(x).to_vector() == std::vector<float>{3, 5});
  CHECK(checked(constant({0, 1})).to_vector() == std::vector<float>{1, 3});
  factor = 3;
  CHECK(frozen(x).to_vector() == std::vector<float>{3, 5});
  CHECK_THROWS_WITH(checked(x), ContainsSubstring("another graph") && ContainsSubstring("verify.cpp:23"));
  factor = 2;
  shifted = true;
  CHECK_THROWS_WITH(checked(x), ContainsSubstring("another graph"));
  shifted = false;
  offset = constant({1, 1});  // the same values
  CHECK(checked(x).to_vector() == std::vector<float>{3, 5});
  offset = constant({2, 1});
  CHECK_THROWS_WITH(checked(x), ContainsSubstring("other values") && ContainsSubstring("verify.cpp:25"));
}

TEST_CASE("verifying changes nothing: steps, random numbers, states", "[compile]") {
  struct Run {
    nn::Parameter p{"p", constant({1.0, 2.0})};
    nn::Adam adam{{p}};
    Generator generator{5};
  };
  Run plain, verified;
  const auto step_of = [](Run& run, bool verify) {
    return compile(
        [&run](const Tensor& x) {
          run.adam.minimize(sum(square(run.p.value() * x * random_normal({2}, run.generator))));
        },
        {.verify = verify});
  };
  const auto a = step_of(plain, false), b = step_of(verified, true);
  for (int k = 0; k < 5; ++k) {
    const Tensor x = constant({1.0 + k, 2.0});
    a(x);
    b(x);
    CHECK(plain.p.value().to_vector() == verified.p.value().to_vector());
  }
  CHECK(verified.adam.steps() == 5);
}

TEST_CASE("a tensor in a condition means its value", "[tensor]") {
  CHECK((constant(3) > 2));
  CHECK_FALSE(constant(0.0));
  CHECK((constant({{1}}) == constant(1)));
  const Tensor x = constant({-1, 0.5, 2});
  const auto both = [&] { return (x > 0) && (x < 1); };
  CHECK_THROWS_WITH(both(), ContainsSubstring("logical_and") && ContainsSubstring("any(x)"));
  CHECK_THROWS_AS(static_cast<bool>(zeros({0})), ShapeError);
  CHECK_THROWS_AS(static_cast<bool>(Tensor()), GraphError);
  CHECK(where(logical_and(x > 0, x < 1), x, 0.0).to_vector() == std::vector<float>{0, 0.5F, 0});
  CHECK(where(logical_not(x > 0), x, 0.0).to_vector() == std::vector<float>{-1, 0, 0});
  CHECK(logical_or(x, 0).to_vector<bool>() == std::vector<bool>{true, true, true});
  CHECK(logical_xor(x > 0, x > 1).to_vector<bool>() == std::vector<bool>{false, true, false});
  CHECK(any(x > 1));
  CHECK_FALSE(all(x > 1));
  CHECK_FALSE(any(zeros({0})));
  CHECK(all(zeros({0})));
  CHECK(any(constant({{0, 1}, {0, 0}}), {1}).to_vector<bool>() == std::vector<bool>{true, false});
  double error = 1;
  int rounds = 0;
  for (Tensor e = constant(error); e > 0.1; e = e / 2) ++rounds;
  CHECK(rounds == 4);
}

TEST_CASE("a condition inside a compiled function names the line of the comparison", "[compile]") {
  const nn::Parameter p("weight", constant(1.0));
  const auto compares = compile([](const Tensor& t) {
    if (t > 0) return t * 1;
    return -t;
  });
  CHECK_THROWS_WITH(compares(constant(-3)),
                    ContainsSubstring("less of") && ContainsSubstring("verify.cpp:97"));
  const auto bare = compile([](const Tensor&, const Tensor& t) { return t ? t * 1 : -t; });
  CHECK_THROWS_WITH(bare(constant(1), constant(-3)), ContainsSubstring("argument 1"));
  const auto reads = compile([&](const Tensor& t) { return p.value() ? t * 1 : -t; });
  CHECK_THROWS_WITH(reads(constant(1)), ContainsSubstring("parameter \"weight\""));
}

TEST_CASE("a compiled function that another thread runs is an error, never a wrong result",
          "[compile][threads]") {
  const auto f = compile([](const Tensor& x) { return sum(matmul(x, x)); });
  std::atomic<int> wrong = 0, refused = 0;
  const auto work = [&](float value) {
    const Tensor x = constant(std::vector<float>(64 * 64, value), {64, 64});
    for (int k = 0; k < 300; ++k) {
      try {
        wrong += f(x).item() != 64.0F * 64 * 64 * value * value ? 1 : 0;
      } catch (const GraphError&) {
        ++refused;
      }
    }
  };
  std::thread other(work, 2.0F);
  work(1.0F);
  other.join();
  CHECK(wrong == 0);
}

TEST_CASE("one thread trains while another infers: each run sees a whole step", "[compile][threads]") {
  // All elements move together, so that a torn read shows.
  constexpr Index size = 1 << 14;
  const nn::Parameter p("p", zeros({size}));
  nn::SGD optimizer({p}, {.learning_rate = 1});
  const auto infer = compile([&] { return std::array{max(p.value()), min(p.value())}; });
  const auto step = compile([&] { optimizer.minimize(sum(p.value())); });
  std::atomic<bool> stop = false;
  std::atomic<int> torn = 0, seen = 0;
  std::thread reader([&] {
    while (!stop) {
      const auto [high, low] = infer();
      torn += high.item() != low.item() ? 1 : 0;
      ++seen;
    }
  });
  int steps = 0;
  for (; steps < 500 || seen < 20; ++steps) {
    if (steps % 2 == 0) {
      step();
    } else {
      optimizer.minimize(sum(p.value()));
    }
  }
  stop = true;
  reader.join();
  CHECK(torn == 0);
  CHECK(p.value().to_vector()[0] == -static_cast<float>(steps));
}

TEST_CASE("a compiled function can be const", "[compile]") {
  const auto f = compile([](const Tensor& x) { return x + 1; });
  CHECK(f(constant(1)).item() == 2);
}

}  // namespace
}  // namespace gradweave
