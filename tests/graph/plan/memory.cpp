#include <gradweave/graph/memory.hpp>

#include <gradweave/graph/compile.hpp>
#include <gradweave/graph/gradients.hpp>
#include <gradweave/graph/memory/storage.hpp>
#include <gradweave/graph/node.hpp>
#include <gradweave/graph/plan/plan.hpp>
#include <gradweave/graph/report/explain.hpp>
#include <gradweave/nn/nn.hpp>

#include "catch.hpp"

namespace gradweave {
namespace {

using Floats = std::vector<float>;

Tensor evaluated(const Tensor& tensor) {
  eval(tensor);
  return tensor;
}

Tensor scalar_inputs_of(const Shape& shape, std::uint64_t seed = 1, double low = 0, double high = 1) {
  Generator generator(seed);
  return evaluated(random_uniform(shape, generator, low, high));
}

// What a plan for these tensors takes.
std::size_t peak(std::span<const Tensor> tensors) {
  PendingGraph pending;
  pending.take(tensors);
  const GraphKey structure(pending);
  return Plan(pending, structure).bytes();
}

// Layers of width 64 for a batch of 256: 64 KiB each.
struct Mlp {
  static constexpr std::size_t layer = 64 * 256 * sizeof(float);
  std::vector<Tensor> weights;
  Tensor x = scalar_inputs_of({256, 64}, 99);

  explicit Mlp(std::size_t layers) {
    for (std::size_t k = 0; k < layers; ++k)
      weights.push_back(variable_of(scalar_inputs_of({64, 64}, k, -0.2, 0.2)));
  }
  static Tensor variable_of(const Tensor& values) {
    return make_leaf(variable_leaf, values.node()->spec(), values.node()->storage, values.node()->data, {});
  }

  // The loss and its gradients, each `segment` layers in a checkpoint.
  std::vector<Tensor> graph(std::size_t segment = 0) const {
    Tensor y = x;
    for (std::size_t k = 0; k < weights.size(); k += std::max<std::size_t>(segment, 1)) {
      const auto block = [&](Tensor h) {
        for (std::size_t j = k; j < k + std::max<std::size_t>(segment, 1); ++j)
          h = tanh(matmul(h, weights[j]));
        return h;
      };
      y = segment == 0 ? block(y) : checkpoint(block, y);
    }
    std::vector<Tensor> all{mean(square(y))};
    y = {};
    for (Tensor& g : gradients(all[0], weights)) all.push_back(std::move(g));
    return all;
  }
};

std::vector<Floats> values_of(std::span<const Tensor> tensors) {
  eval(tensors);
  std::vector<Floats> values;
  for (const Tensor& t : tensors) values.push_back(t.to_vector());
  return values;
}

TEST_CASE("a budget is kept where that is possible, and changes no bit", "[memory]") {
  const Mlp network(16);
  const std::size_t whole = peak(network.graph());
  const std::vector<Floats> expected = values_of(network.graph());
  CHECK(whole >= 16 * Mlp::layer);
  std::size_t before = whole;
  for (const std::size_t percent : {75U, 50U}) {
    const std::size_t most = whole * percent / 100;
    const MemoryBudget budget(most);
    const std::size_t bytes = peak(network.graph());
    CHECK(bytes <= most);
    CHECK(bytes < before);
    CHECK(values_of(network.graph()) == expected);
    before = bytes;
  }
  {
    const MemoryBudget budget(whole);
    CHECK(peak(network.graph()) == whole);
  }
}

TEST_CASE("a reverse pass lets go of what it has read as it goes", "[memory]") {
  const Mlp network(16);
  CHECK(peak(network.graph()) <= 18 * Mlp::layer);  // what the forward pass keeps, and two more
  const WithPasses as_built({.order = false});
  CHECK(peak(network.graph()) >= 30 * Mlp::layer);  // all cotangents wait for the weights' gradients
}

TEST_CASE("the memory that is really taken falls with the budget, and a report says what that costs",
          "[memory]") {
  const Mlp network(16);
  const std::size_t whole = peak(network.graph());
  std::size_t unlimited = 0;
  for (const std::size_t bytes : {MemoryBudget::unlimited, whole / 2}) {
    const MemoryBudget budget(bytes);
    release_cached_memory();
    const std::size_t before = memory_use().now;
    eval(network.graph());
    const std::size_t taken = memory_use().peak - before, planned = peak(network.graph());
    // The rest: 16 gradients of 16 KiB, nodes, what a matrix product packs, and rounding up to a size class.
    CHECK(taken >= planned + 256 * 1024);
    CHECK(taken <= planned * 5 / 4 + 1024 * 1024);
    const PlanReport report = explain_plan(network.graph());
    CHECK(report.arena_bytes == planned);
    if (bytes == MemoryBudget::unlimited) {
      unlimited = taken;
      CHECK(report.computed_again == 0);
    } else {
      CHECK(taken < unlimited - whole / 4);
      CHECK(report.computed_again >= 8);
      // At most each layer once more, of three products and some more that there are for it.
      CHECK(report.flops_again > 0);
      CHECK(report.flops_again < report.flops() / 3);
      CHECK(to_string(report).find("computed again to save memory") != std::string::npos);
    }
  }
}

TEST_CASE("a budget that is too small is no error: it takes the least there is", "[memory]") {
  const Mlp network(16);
  const std::vector<Floats> expected = values_of(network.graph());
  for (const std::size_t bytes : {0U, 1U, 64U}) {
    const MemoryBudget budget(bytes);
    // Four stretches of four layers: three results are kept, and the layers of the stretch at hand.
    CHECK(peak(network.graph()) == 7 * Mlp::layer);
    CHECK(values_of(network.graph()) == expected);
  }
  CHECK(MemoryBudget::current() == MemoryBudget::unlimited);
}

TEST_CASE("without memory to spare a chain of n layers takes that of two roots of n", "[memory]") {
  for (const std::size_t root : {4U, 8U, 12U}) {
    std::vector<Tensor> weights;
    Tensor y = scalar_inputs_of({1, 4});
    for (std::size_t k = 0; k < root * root; ++k)
      weights.push_back(Mlp::variable_of(scalar_inputs_of({4, 4}, k)));
    for (const Tensor& w : weights) y = tanh(matmul(y, w));
    std::vector<Tensor> all{sum(y)};
    y = {};
    for (Tensor& g : gradients(all[0], weights)) all.push_back(std::move(g));
    constexpr std::size_t result = 64;  // bytes, what memory is given out in
    CHECK(peak(all) >= root * root * result);
    const MemoryBudget budget(0);
    CHECK(peak(all) <= (2 * root + 1) * result);
  }
}

TEST_CASE("budgets nest, and a plan is kept for each", "[memory]") {
  const Mlp network(6);
  eval(network.graph());
  const CacheStatistics before = plan_cache_statistics();
  for (int turn = 0; turn < 2; ++turn) {
    const MemoryBudget outer(5 * Mlp::layer);
    eval(network.graph());
    {
      const MemoryBudget inner(0);
      CHECK(MemoryBudget::current() == 0);
      eval(network.graph());
    }
    CHECK(MemoryBudget::current() == 5 * Mlp::layer);
  }
  eval(network.graph());
  CHECK(plan_cache_statistics().misses == before.misses + 2);
  CHECK(plan_cache_statistics().hits == before.hits + 3);
}

TEST_CASE("what is kept is a minimum cut", "[memory]") {
  // Four times a column and a row, made by kernels, become 64 KiB that a kernel reads: keep the former.
  const Tensor x = scalar_inputs_of({256, 3}), y = scalar_inputs_of({3, 64}),
               w = Mlp::variable_of(scalar_inputs_of({64, 1}));
  std::vector<Tensor> variables{w};
  Tensor loss;
  for (std::uint64_t k = 0; k < 4; ++k) {
    variables.push_back(Mlp::variable_of(scalar_inputs_of({3, 1}, 10 + k)));
    variables.push_back(Mlp::variable_of(scalar_inputs_of({1, 3}, 20 + k)));
    const Tensor wide = tanh(matmul(x, variables.end()[-2]) + matmul(variables.end()[-1], y));
    const Tensor term = sum(square(matmul(wide, w)));
    loss = loss.is_empty() ? term : loss + term;
  }
  std::vector<Tensor> all = gradients(loss, variables);
  all.push_back(loss);
  CHECK(peak(all) >= 4 * Mlp::layer);
  const MemoryBudget budget(3 * Mlp::layer);
  PendingGraph pending;
  pending.take(all);
  const GraphKey structure(pending);
  const Plan plan(pending, structure);
  CHECK(plan.bytes() <= 3 * Mlp::layer);
  int kernels_again = 0, tanh_again = 0;
  for (const Value& v : plan.program().values) {
    if (!v.rematerialized) continue;
    kernels_again += !v.operation->elementwise && v.operation->view == nullptr;
    tanh_again += v.operation->name == "tanh";
  }
  CHECK(kernels_again == 0);
  CHECK(tanh_again >= 1);
  CHECK(tanh_again <= 4);
}

TEST_CASE("checkpoints keep what goes from one to the next and compute the rest again", "[memory]") {
  const Mlp network(16);
  const std::vector<Floats> expected = values_of(network.graph());
  for (const std::size_t segment : {2U, 4U, 8U}) {
    const std::vector<Tensor> all = network.graph(segment);
    // The results between segments, one segment, and a cotangent.
    CHECK(peak(all) <= (16 / segment - 1 + segment + 1) * Mlp::layer);
    CHECK(values_of(all) == expected);
  }
  const std::vector<Tensor> all = network.graph(4);
  const MemoryBudget budget(1 << 30);  // more than enough: still computed again
  CHECK(peak(all) <= 8 * Mlp::layer);
}

TEST_CASE("a checkpoint gives what its function gives", "[memory]") {
  const Tensor x = variable({1, 2}), y = variable({3, 5});
  const auto both = [](const Tensor& a, const Tensor& b) { return std::vector<Tensor>{exp(a * b), a}; };
  const std::vector<Tensor> result = checkpoint(both, x, y);
  CHECK(result.size() == 2);
  CHECK(is_same(result[1], x));
  CHECK_FALSE(result[0].node()->checkpointed);
  const Tensor product = checkpoint([](const Tensor& a, const Tensor& b) { return a * b; }, x, y);
  const auto [dx, dy] =
      gradients(sum(checkpoint([](const Tensor& t) { return square(tanh(t)); }, product)), {x, y});
  const auto [ex, ey] = gradients(sum(square(tanh(x * y))), {x, y});
  CHECK(dx.to_vector() == ex.to_vector());
  CHECK(dy.to_vector() == ey.to_vector());
  CHECK_THROWS_AS(checkpoint([](const Tensor&) -> Tensor { throw ValueError("no"); }, x), ValueError);
  CHECK_FALSE(Checkpoint::is_on());
}

TEST_CASE("second derivatives are the same within a budget and with checkpoints", "[memory]") {
  const Mlp network(4);
  const auto second = [&](std::size_t segment) {
    const std::vector<Tensor> first = network.graph(segment);
    Tensor penalty = first[0];
    for (std::size_t k = 1; k < first.size(); ++k) penalty = penalty + sum(square(first[k]));
    return gradients(penalty, network.weights);
  };
  const std::size_t whole = peak(second(0));
  const std::vector<Floats> expected = values_of(second(0));
  CHECK(values_of(second(2)) == expected);
  const MemoryBudget budget(0);
  CHECK(peak(second(0)) <= whole);
  CHECK(values_of(second(0)) == expected);
  CHECK(values_of(second(2)) == expected);
}

struct Block : nn::Module {
  nn::LayerNorm norm1 = child("norm1", nn::LayerNorm(16));
  nn::MultiHeadAttention attention = child("attention", nn::MultiHeadAttention(16, 2, {.causal = true}));
  nn::LayerNorm norm2 = child("norm2", nn::LayerNorm(16));
  nn::Dense up = child("up", nn::Dense(16, 64)), down = child("down", nn::Dense(64, 16));
  Tensor operator()(Tensor x) const {
    x = x + attention(norm1(x));
    return x + down(gelu(up(norm2(x))));
  }
};

TEST_CASE("training within a budget takes the same steps, compiled too", "[memory]") {
  const Tensor x = scalar_inputs_of({4, 8, 16});
  enum class How { plain, compiled, checkpoints };
  const auto trained = [&](How how) {
    nn::manual_seed(3);
    const nn::Sequential network{Block(), Block(), Block()};
    nn::Adam optimizer(network.parameters());
    const auto step = [&](Tensor h) {
      h = how == How::checkpoints ? checkpoint(network, h) : network(h);
      const Tensor loss = nn::mse_loss(h, x * 2);
      h = {};
      optimizer.minimize(loss);
      return loss;
    };
    auto compiled = compile(step);
    Floats values;
    for (int k = 0; k < 3; ++k) values.push_back((how == How::compiled ? compiled(x) : step(x)).item());
    for (const nn::Parameter& p : network.parameters()) {
      for (const float v : p.value().to_vector()) values.push_back(v);
    }
    return values;
  };
  const Floats expected = trained(How::plain);
  CHECK(trained(How::checkpoints) == expected);
  for (const std::size_t bytes : {0U, 30'000U, 60'000U, 1'000'000U}) {
    const MemoryBudget budget(bytes);
    CHECK(trained(How::plain) == expected);
    CHECK(trained(How::compiled) == expected);
    CHECK(trained(How::checkpoints) == expected);
  }
}

}  // namespace
}  // namespace gradweave
