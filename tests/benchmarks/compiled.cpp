// What `compile` saves: steps and gradients of small networks that are looked at once and then run without a
// graph. `allocations` counts the calls of operator new in a step, the ordinary loop's beside the compiled
// one's.
#include <benchmark/benchmark.h>

#include <gradweave/graph/compile.hpp>
#include <gradweave/graph/kernels/parallel.hpp>
#include <gradweave/nn/nn.hpp>

#include "allocations.hpp"

using namespace gradweave;

namespace {

Tensor uniform(const Shape& shape) {
  Generator generator(1);
  Tensor values = random_uniform(shape, generator);
  eval(values);
  return values;
}

// Runs `step` over and over; the first rounds fill caches.
void run(benchmark::State& state, auto step) {
  set_num_threads(1);
  for (int k = 0; k < 3; ++k) step();
  const std::size_t before = allocations();
  for (auto _ : state) step();
  state.counters["allocations"] =
      benchmark::Counter(static_cast<double>(allocations() - before), benchmark::Counter::kAvgIterations);
}

enum class How { loop, compiled };

void train(benchmark::State& state, How how, const nn::Module& network, auto loss, const Tensor& x,
           const Tensor& y) {
  nn::SGD optimizer(network.parameters(), {.learning_rate = 0.01});
  const auto step = [&](const Tensor& a, const Tensor& b) {
    Tensor value = loss(a, b);
    optimizer.minimize(value);
    return value;
  };
  if (how == How::loop) return run(state, [&] { step(x, y); });
  auto compiled = compile(step);
  run(state, [&] { compiled(x, y); });
}

void xor_step(benchmark::State& state, How how) {
  const nn::Sequential network(nn::Dense(2, 2), nn::Sigmoid(), nn::Dense(2, 1), nn::Sigmoid());
  train(
      state, how, network, [&](const Tensor& x, const Tensor& y) { return nn::mse_loss(network(x), y); },
      constant({{0, 1}}), constant({{1}}));
}
BENCHMARK_CAPTURE(xor_step, loop, How::loop)->Name("gradweave/xor2-2-1/b1/loop_t1");
BENCHMARK_CAPTURE(xor_step, compiled, How::compiled)->Name("gradweave/xor2-2-1/b1/compiled_step_t1");

void mlp_step(benchmark::State& state, How how, Index batch) {
  const nn::Sequential network(nn::Dense(784, 128), nn::Sigmoid(), nn::Dense(128, 10));
  std::vector<Index> labels;
  for (Index row = 0; row < batch; ++row) labels.push_back(row % 10);
  train(
      state, how, network, [&](const Tensor& x, const Tensor& y) { return nn::cross_entropy(network(x), y); },
      uniform({batch, 784}), constant(labels));
}
BENCHMARK_CAPTURE(mlp_step, b1_loop, How::loop, 1)->Name("gradweave/mlp784-128-10/b1/loop_t1");
BENCHMARK_CAPTURE(mlp_step, b1_compiled, How::compiled, 1)
    ->Name("gradweave/mlp784-128-10/b1/compiled_step_t1");
BENCHMARK_CAPTURE(mlp_step, b64_compiled, How::compiled, 64)
    ->Name("gradweave/mlp784-128-10/b64/compiled_step_t1");

// The gradient alone.
void moons_gradient(benchmark::State& state) {
  const nn::Sequential network(nn::Dense(2, 16), nn::ReLU(), nn::Dense(16, 16), nn::ReLU(), nn::Dense(16, 1));
  auto gradient = compile([&](const Tensor& x, const Tensor& y) {
    std::vector<Tensor> values;
    for (const nn::Parameter& p : network.parameters()) values.push_back(p.value());
    return gradients(mean(relu(1 - y * network(x))), values);
  });
  const Tensor x = constant({{0.5, -0.25}}), y = constant({{1}});
  run(state, [&] { gradient(x, y); });
}
BENCHMARK(moons_gradient)->Name("gradweave/moons2-16-16-1/b1/compiled_gradient_t1");

// The time is that of one multiplication, forward and backward.
void chain(benchmark::State& state) {
  constexpr Index length = 1000;
  auto gradient = compile([](const Tensor& x, const Tensor& factor) {
    Tensor y = x;
    for (Index i = 0; i < length; ++i) y = y * factor;
    return gradients(y, std::span(&x, 1));
  });
  const Tensor x = variable({1.5}), factor = constant({1.0001});
  gradient(x, factor);
  while (state.KeepRunningBatch(length)) gradient(x, factor);
}
BENCHMARK(chain)->Name("gradweave/chain1000/n1/compiled_forward_backward_t1");

}  // namespace
