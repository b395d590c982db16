// Memory against time: loss and gradients of a deep network within budgets and with checkpoints.
#include <benchmark/benchmark.h>

#include <gradweave/graph/gradients.hpp>
#include <gradweave/graph/memory.hpp>
#include <gradweave/graph/memory/storage.hpp>
#include <gradweave/graph/plan/plan.hpp>
#include <gradweave/nn/nn.hpp>

using namespace gradweave;

namespace {

constexpr std::size_t layers = 16;

struct Layer : nn::Module {
  nn::Dense dense = child("dense", nn::Dense(64, 64));
  Tensor operator()(const Tensor& x) const { return tanh(dense(x)); }
};

class Deep {
 public:
  Deep() {
    for (std::size_t k = 0; k < layers; ++k) {
      for (const nn::Parameter& p : layers_[k].parameters()) values_.push_back(p.value());
    }
    eval(x_);
  }
  /// The loss and its gradients, each `segment` layers in a checkpoint, if any.
  std::vector<Tensor> graph(std::size_t segment) const {
    Tensor y = x_;
    for (std::size_t k = 0; k < layers; k += segment == 0 ? layers : segment) {
      const auto block = [&](Tensor h) {
        for (std::size_t j = k; j < k + (segment == 0 ? layers : segment); ++j) h = layers_[j](h);
        return h;
      };
      y = segment == 0 ? block(y) : checkpoint(block, y);
    }
    std::vector<Tensor> all{mean(square(y))};
    y = {};
    for (Tensor& g : gradients(all[0], values_)) all.push_back(std::move(g));
    return all;
  }

 private:
  std::vector<Layer> layers_ = std::vector<Layer>(layers);
  std::vector<Tensor> values_;
  Generator generator_{1};
  Tensor x_ = random_uniform({256, 64}, generator_);
};

std::size_t arena_bytes(std::span<const Tensor> tensors) {
  PendingGraph pending;
  pending.take(tensors);
  const GraphKey structure(pending);
  return Plan(pending, structure).bytes();
}

// `percent` of what it takes without a budget; 0: no budget.
void run(benchmark::State& state, std::size_t percent, std::size_t segment) {
  const Deep network;
  const std::size_t whole = arena_bytes(network.graph(0));
  const MemoryBudget budget(percent == 0 ? MemoryBudget::unlimited : whole * percent / 100);
  release_cached_memory();
  const std::size_t before = memory_use().now;
  for (auto _ : state) eval(network.graph(segment));
  // Nodes and gradients in it.
  state.counters["peak_bytes"] = static_cast<double>(memory_use().peak - before);
  state.counters["arena_bytes"] = static_cast<double>(arena_bytes(network.graph(segment)));
}

BENCHMARK_CAPTURE(run, none, 0, 0)
    ->Name("gradweave/memory/mlp16x64/b256/no_budget")
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(run, b100, 100, 0)
    ->Name("gradweave/memory/mlp16x64/b256/100%")
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(run, b75, 75, 0)->Name("gradweave/memory/mlp16x64/b256/75%")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(run, b50, 50, 0)->Name("gradweave/memory/mlp16x64/b256/50%")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(run, segments, 0, 4)
    ->Name("gradweave/memory/mlp16x64/b256/checkpoint4")
    ->Unit(benchmark::kMicrosecond);

void plan(benchmark::State& state) {
  const Deep network;
  const std::vector<Tensor> all = network.graph(0);
  const MemoryBudget budget(arena_bytes(all) / 2);
  std::size_t bytes = 0;
  for (auto _ : state) bytes = arena_bytes(all);
  state.counters["arena_bytes"] = static_cast<double>(bytes);
}
BENCHMARK(plan)->Name("gradweave/memory/mlp16x64/b256/plan_50%")->Unit(benchmark::kMicrosecond);

}  // namespace
