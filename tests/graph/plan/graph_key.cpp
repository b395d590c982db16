// What tells graphs apart that nearly have the same structure: a plan for one must never serve the other. And
// what plans that are kept hold on to.
#include <gradweave/graph/compile.hpp>
#include <gradweave/graph/plan/plan_cache.hpp>

#include <array>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include <gradweave/nn/nn.hpp>

#include "catch.hpp"

namespace gradweave {
namespace {

using Floats = std::vector<float>;

TEST_CASE("zeros of both signs are different attributes", "[plan]") {
  const Tensor x = constant({1, 2});
  const Tensor up = x / full({2}, 0.0), down = x / full({2}, -0.0);
  eval(up, down);
  CHECK(up.to_vector()[0] == std::numeric_limits<float>::infinity());
  CHECK(down.to_vector()[0] == -std::numeric_limits<float>::infinity());
  for (const double zero : {0.0, -0.0}) {  // the second has the first one's plan, if they are taken for equal
    const Tensor y = x / full({2}, zero);
    CHECK(std::signbit(y.to_vector()[0]) == std::signbit(zero));
  }
}

TEST_CASE("an attribute that is not a number is the same at each step", "[plan]") {
  const Tensor x = constant({1, 2});
  const CacheStatistics before = plan_cache_statistics();
  for (int k = 0; k < 10; ++k) eval(x * full({2}, std::nan("")));
  CHECK(plan_cache_statistics().misses == before.misses + 1);
}

TEST_CASE("adding zero makes a negative zero positive, as in IEEE 754", "[plan]") {
  const Tensor x = constant({1, 1}) * -0.0;
  CHECK_FALSE(std::signbit((x + 0).to_vector()[0]));
  CHECK(std::signbit((x + -0.0).to_vector()[0]));
}

TEST_CASE("a root that has its value is told apart from a node that somebody holds", "[plan]") {
  // In the key, the description of a scalar input looks like the number of a node.
  const auto chain = [](const Tensor& x, int held, std::vector<Tensor>& keep) {
    Tensor y = x;
    for (int k = 0; k < 8; ++k) {
      y = exp(y);
      if (k == held) keep.push_back(y);
    }
    return y;
  };
  const Tensor x = constant({-1, -2}), there = constant(3.0);
  std::vector<Tensor> keep;
  for (int held = 0; held < 7; ++held) {
    const Tensor roots[] = {chain(x, held, keep)}, others[] = {chain(x, -1, keep), there};
    PendingGraph one, other;
    one.take(std::span<const Tensor>(roots));
    const GraphKey structure(one);
    other.take(std::span<const Tensor>(others));
    CHECK_FALSE(structure.matches(other));
  }
}

TEST_CASE("two steps of one optimizer do not fit into one compiled function, which says so", "[compile]") {
  nn::Parameter p("p", constant({1, 2}));
  nn::Adam adam({p});
  auto twice = compile([&] {
    adam.minimize(sum(square(p.value())));
    adam.minimize(sum(square(p.value())));
  });
  CHECK_THROWS_AS(twice(), GraphError);
  CHECK(p.value().to_vector() == Floats{1, 2});
  CHECK(adam.steps() == 0);
}

TEST_CASE("a plan that ends with an error lets go of the memory it was to fill", "[plan]") {
  Tensor state = constant(std::vector<float>(1000, 3)) + 1;
  eval(state);
  const Storage* storage = state.node()->storage.get();
  const Tensor next = std::exchange(state, Tensor()) - 1;
  const std::array all{next, take(next, arange(3) + 999)};  // the last two are outside
  CHECK_THROWS_AS(evaluate(all, History::release), ValueError);
  CHECK(storage->refs.value() == 1);
}

}  // namespace
}  // namespace gradweave
