// What training costs: steps of small networks, long chains of small ops, memory-bound ops on a large tensor.
// The programs of tests/peers measure the same workloads in other libraries under the same names.
#include <malloc.h>

#include <array>
#include <vector>

#include <benchmark/benchmark.h>

#include <gradweave/graph/kernels/parallel.hpp>
#include <gradweave/graph/memory/storage.hpp>
#include <gradweave/nn/nn.hpp>

#include "work.hpp"

using namespace gradweave;

namespace {

Tensor evaluated(const Tensor& tensor) {
  eval(tensor);
  return tensor;
}

Tensor uniform(const Shape& shape) {
  Generator generator(1);
  return evaluated(random_uniform(shape, generator));
}

std::vector<Tensor> values_of(const nn::Module& network) {
  std::vector<Tensor> values;
  for (const nn::Parameter& parameter : network.parameters()) values.push_back(parameter.value());
  return values;
}

nn::Sequential digits_network() {
  return nn::Sequential(nn::Dense(784, 128), nn::Sigmoid(), nn::Dense(128, 10));
}

// A class for each row of a batch.
Tensor classes(Index rows) {
  std::vector<Index> labels;
  for (Index row = 0; row < rows; ++row) labels.push_back(row % 10);
  return constant(labels);
}

// A step: forward, backward and update.
void train(benchmark::State& state, const nn::Module& network, const auto& loss) {
  nn::SGD optimizer(network.parameters(), {.learning_rate = 0.01});
  for (auto _ : state) optimizer.minimize(loss());
  count_work(state, optimizer.explain(loss()));
}

void xor_step(benchmark::State& state) {
  const nn::Sequential network(nn::Dense(2, 2), nn::Sigmoid(), nn::Dense(2, 1), nn::Sigmoid());
  const Tensor x = constant({{0, 1}}), y = constant({{1}});
  train(state, network, [&] { return nn::mse_loss(network(x), y); });
}
BENCHMARK(xor_step)->Name("gradweave/xor2-2-1/b1/step_t1");

void moons_step(benchmark::State& state) {
  const nn::Sequential network(nn::Dense(2, 16), nn::ReLU(), nn::Dense(16, 16), nn::ReLU(), nn::Dense(16, 1));
  const Tensor x = constant({{0.5, -0.25}}), y = constant({{1}});
  train(state, network, [&] { return mean(relu(1 - y * network(x))); });
}
BENCHMARK(moons_step)->Name("gradweave/moons2-16-16-1/b1/step_t1");

void nielsen_step(benchmark::State& state) {
  const nn::Sequential network(nn::Dense(784, 30), nn::Sigmoid(), nn::Dense(30, 10), nn::Sigmoid());
  const Tensor x = uniform({10, 784}), y = uniform({10, 10});
  train(state, network, [&] { return nn::mse_loss(network(x), y); });
}
BENCHMARK(nielsen_step)->Name("gradweave/nielsen784-30-10/b10/step_t1");

void mlp_step(benchmark::State& state, Index batch, int threads) {
  set_num_threads(threads);
  const nn::Sequential network = digits_network();
  const Tensor x = uniform({batch, 784}), y = classes(batch);
  train(state, network, [&] { return nn::cross_entropy(network(x), y); });
}
BENCHMARK_CAPTURE(mlp_step, b1, 1, 1)->Name("gradweave/mlp784-128-10/b1/step_t1");
BENCHMARK_CAPTURE(mlp_step, b64, 64, 1)->Name("gradweave/mlp784-128-10/b64/step_t1");
BENCHMARK_CAPTURE(mlp_step, b64_t2, 64, 2)->Name("gradweave/mlp784-128-10/b64/step_t2")->UseRealTime();

// The same from the network to the step, and with a look at the logits in between.
void loop(benchmark::State& state, bool looks) {
  set_num_threads(1);
  const nn::Sequential network(nn::Dense(64, 32), nn::Sigmoid(), nn::Dense(32, 10));
  const Tensor x = uniform({32, 64}), y = classes(32);
  nn::SGD optimizer(network.parameters(), {.learning_rate = 0.01});
  for (auto _ : state) {
    const Tensor logits = network(x);
    if (looks) benchmark::DoNotOptimize(nn::accuracy(logits, y));
    optimizer.minimize(nn::cross_entropy(logits, y));
  }
  count_work(state, optimizer.explain(nn::cross_entropy(network(x), y)));
}
BENCHMARK_CAPTURE(loop, plain, false)->Name("gradweave/mlp64-32-10/b32/loop_t1");
BENCHMARK_CAPTURE(loop, looks, true)->Name("gradweave/mlp64-32-10/b32/loop_looks_t1");

// The Hessian of the loss times a vector: the gradient of the gradient along it.
void hvp(benchmark::State& state) {
  set_num_threads(1);
  const nn::Sequential network = digits_network();
  const Tensor x = uniform({64, 784}), y = classes(64);
  const std::vector<Tensor> parameters = values_of(network);
  std::vector<Tensor> directions;
  for (const Tensor& parameter : parameters) directions.push_back(uniform(parameter.shape()));

  const auto product = [&] {
    const std::vector<Tensor> gradient = gradients(nn::cross_entropy(network(x), y), parameters);
    Tensor slope = sum(gradient[0] * directions[0]);
    for (std::size_t i = 1; i < gradient.size(); ++i) slope = slope + sum(gradient[i] * directions[i]);
    return gradients(slope, parameters);
  };
  for (auto _ : state) eval(product());
  count_work(state, explain_plan(product()));
}
BENCHMARK(hvp)->Name("gradweave/mlp784-128-10/b64/hvp_t1");

void swish(benchmark::State& state) {
  set_num_threads(1);
  const Tensor x = variable(uniform({10'000'000})), dy = evaluated(x * 0 + 1);
  const auto both = [&] {
    const Tensor y = sigmoid(x * 1.5 + 0.25) * x;
    const auto [dx] = gradients(y, {x}, dy);
    return std::array{y, dx};
  };
  for (auto _ : state) eval(both());
  count_work(state, explain_plan(both()));
}
BENCHMARK(swish)->Name("gradweave/swish10M/forward_backward_t1")->Unit(benchmark::kMillisecond);

Tensor chain(const Tensor& x, const Tensor& factor, Index length) {
  Tensor y = x;
  for (Index i = 0; i < length; ++i) y = y * factor;
  return y;
}

// The time is that of one multiplication: forward, backward and letting go of the graph.
void chain_of(benchmark::State& state, Index length, Index n) {
  const Tensor x = variable(uniform({n})), factor = evaluated(uniform({n}) * 0 + 1.0001);
  const Tensor dy = evaluated(uniform({n}) * 0 + 1);
  const auto both = [&] {
    const Tensor y = chain(x, factor, length);
    const auto [dx] = gradients(y, {x}, dy);
    return std::array{y, dx};
  };
  while (state.KeepRunningBatch(length)) eval(both());
  count_work(state, explain_plan(both()), static_cast<double>(length));
}
BENCHMARK_CAPTURE(chain_of, n1, 1000, 1)->Name("gradweave/chain1000/n1/forward_backward_t1");
BENCHMARK_CAPTURE(chain_of, n1000, 1000, 1000)->Name("gradweave/chain1000/n1000/forward_backward_t1");

double allocated_bytes() {
  release_cached_memory();
  const struct mallinfo2 heap = mallinfo2();
  return static_cast<double>(heap.uordblks + heap.hblkhd);
}

// A million multiplications deep; `memory_per_node` is what one holds from the forward to the backward pass.
void deep(benchmark::State& state) {
  constexpr Index length = 1'000'000;
  const Tensor x = variable(uniform({1})), factor = constant({1.0000001}), dy = constant({1});
  const double before = allocated_bytes();
  const Tensor once = evaluated(chain(x, factor, length));
  const double bytes = allocated_bytes() - before;
  while (state.KeepRunningBatch(length)) {
    const Tensor y = evaluated(chain(x, factor, length));
    const auto [dx] = gradients(y, {x}, dy);
    eval(dx);
  }
  state.counters["memory_per_node:B"] = bytes / length;
}
BENCHMARK(deep)->Name("gradweave/deep1000000/forward_backward_t1");

}  // namespace
