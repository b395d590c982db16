// The workloads of tests/benchmarks/training.cpp in libtorch, under the same names. A step is measured both
// with gradients that are zeroed and with gradients that are dropped: compare with the better of the two.
#include <malloc.h>

#include <cstdint>
#include <vector>

#include <benchmark/benchmark.h>
#include <torch/torch.h>

using torch::Tensor;

namespace {

enum class Clear { zeros, none };

torch::nn::Sequential digits_network() {
  return torch::nn::Sequential(torch::nn::Linear(784, 128), torch::nn::Sigmoid(), torch::nn::Linear(128, 10));
}

Tensor classes(std::int64_t rows) { return torch::arange(rows, torch::kLong) % 10; }

// A step: clear the gradients, forward, backward and update.
void train(benchmark::State& state, Clear clear, torch::nn::Sequential network, const auto& loss,
           int threads = 1) {
  torch::set_num_threads(threads);
  torch::optim::SGD optimizer(network->parameters(), torch::optim::SGDOptions(0.01));
  std::vector<Tensor> parameters = network->parameters();
  for (auto _ : state) {
    if (clear == Clear::zeros) {
      optimizer.zero_grad();
    } else {
      for (Tensor& parameter : parameters) parameter.mutable_grad() = Tensor();
    }
    loss().backward();
    optimizer.step();
  }
}

void xor_step(benchmark::State& state, Clear clear) {
  torch::nn::Sequential network(torch::nn::Linear(2, 2), torch::nn::Sigmoid(), torch::nn::Linear(2, 1),
                                torch::nn::Sigmoid());
  const Tensor x = torch::tensor({{0.F, 1.F}}), y = torch::tensor({{1.F}});
  train(state, clear, network, [&] { return torch::mse_loss(network->forward(x), y); });
}
BENCHMARK_CAPTURE(xor_step, zeros, Clear::zeros)->Name("torch/xor2-2-1/b1/step_t1");
BENCHMARK_CAPTURE(xor_step, none, Clear::none)->Name("torch/xor2-2-1/b1/step_set_to_none_t1");

void moons_step(benchmark::State& state, Clear clear) {
  torch::nn::Sequential network(torch::nn::Linear(2, 16), torch::nn::ReLU(), torch::nn::Linear(16, 16),
                                torch::nn::ReLU(), torch::nn::Linear(16, 1));
  const Tensor x = torch::tensor({{0.5F, -0.25F}}), y = torch::tensor({{1.F}});
  train(state, clear, network, [&] { return torch::relu(1 - y * network->forward(x)).mean(); });
}
BENCHMARK_CAPTURE(moons_step, zeros, Clear::zeros)->Name("torch/moons2-16-16-1/b1/step_t1");
BENCHMARK_CAPTURE(moons_step, none, Clear::none)->Name("torch/moons2-16-16-1/b1/step_set_to_none_t1");

void nielsen_step(benchmark::State& state, Clear clear) {
  torch::nn::Sequential network(torch::nn::Linear(784, 30), torch::nn::Sigmoid(), torch::nn::Linear(30, 10),
                                torch::nn::Sigmoid());
  const Tensor x = torch::rand({10, 784}), y = torch::rand({10, 10});
  train(state, clear, network, [&] { return torch::mse_loss(network->forward(x), y); });
}
BENCHMARK_CAPTURE(nielsen_step, zeros, Clear::zeros)->Name("torch/nielsen784-30-10/b10/step_t1");
BENCHMARK_CAPTURE(nielsen_step, none, Clear::none)->Name("torch/nielsen784-30-10/b10/step_set_to_none_t1");

void mlp_step(benchmark::State& state, std::int64_t batch, Clear clear, int threads) {
  torch::nn::Sequential network = digits_network();
  const Tensor x = torch::rand({batch, 784}), y = classes(batch);
  train(
      state, clear, network, [&] { return torch::nn::functional::cross_entropy(network->forward(x), y); },
      threads);
}
BENCHMARK_CAPTURE(mlp_step, b1_zeros, 1, Clear::zeros, 1)->Name("torch/mlp784-128-10/b1/step_t1");
BENCHMARK_CAPTURE(mlp_step, b1_none, 1, Clear::none, 1)->Name("torch/mlp784-128-10/b1/step_set_to_none_t1");
BENCHMARK_CAPTURE(mlp_step, b64_zeros, 64, Clear::zeros, 1)->Name("torch/mlp784-128-10/b64/step_t1");
BENCHMARK_CAPTURE(mlp_step, b64_none, 64, Clear::none, 1)
    ->Name("torch/mlp784-128-10/b64/step_set_to_none_t1");
BENCHMARK_CAPTURE(mlp_step, t2, 64, Clear::none, 2)
    ->Name("torch/mlp784-128-10/b64/step_set_to_none_t2")
    ->UseRealTime();

void hvp(benchmark::State& state) {
  torch::set_num_threads(1);
  torch::nn::Sequential network = digits_network();
  const Tensor x = torch::rand({64, 784}), y = classes(64);
  const std::vector<Tensor> parameters = network->parameters();
  std::vector<Tensor> directions;
  for (const Tensor& parameter : parameters) directions.push_back(torch::rand_like(parameter));

  for (auto _ : state) {
    const Tensor loss = torch::nn::functional::cross_entropy(network->forward(x), y);
    const auto gradient =
        torch::autograd::grad({loss}, parameters, {}, /*retain_graph=*/true, /*create_graph=*/true);
    benchmark::DoNotOptimize(torch::autograd::grad(gradient, parameters, directions));
  }
}
BENCHMARK(hvp)->Name("torch/mlp784-128-10/b64/hvp_t1");

void swish(benchmark::State& state) {
  torch::set_num_threads(1);
  const Tensor x = torch::rand({10'000'000}, torch::requires_grad()), dy = torch::ones_like(x);
  for (auto _ : state) {
    const Tensor y = torch::sigmoid(x * 1.5 + 0.25) * x;
    benchmark::DoNotOptimize(torch::autograd::grad({y}, {x}, {dy}));
  }
}
BENCHMARK(swish)->Name("torch/swish10M/forward_backward_t1")->Unit(benchmark::kMillisecond);

Tensor chain(const Tensor& x, const Tensor& factor, std::int64_t length) {
  Tensor y = x;
  for (std::int64_t i = 0; i < length; ++i) y = y * factor;
  return y;
}

// The time is that of one multiplication: forward, backward and letting go of the graph.
void chain_of(benchmark::State& state, std::int64_t length, std::int64_t n) {
  torch::set_num_threads(1);
  const Tensor x = torch::rand({n}, torch::requires_grad()), factor = torch::full({n}, 1.0001F);
  const Tensor dy = torch::ones({n});
  while (state.KeepRunningBatch(length)) {
    const Tensor y = chain(x, factor, length);
    benchmark::DoNotOptimize(torch::autograd::grad({y}, {x}, {dy}));
  }
}
BENCHMARK_CAPTURE(chain_of, n1, 1000, 1)->Name("torch/chain1000/n1/forward_backward_t1");
BENCHMARK_CAPTURE(chain_of, n1000, 1000, 1000)->Name("torch/chain1000/n1000/forward_backward_t1");

double allocated_bytes() {
  const struct mallinfo2 heap = mallinfo2();
  return static_cast<double>(heap.uordblks + heap.hblkhd);
}

// A million multiplications deep; `memory_per_node` is what one holds from the forward to the backward pass.
void deep(benchmark::State& state) {
  torch::set_num_threads(1);
  constexpr std::int64_t length = 1'000'000;
  const Tensor x = torch::rand({1}, torch::requires_grad()), factor = torch::full({1}, 1.0000001F);
  const Tensor dy = torch::ones({1});
  double bytes = 0;
  while (state.KeepRunningBatch(length)) {
    const double before = allocated_bytes();
    const Tensor y = chain(x, factor, length);
    bytes = allocated_bytes() - before;
    benchmark::DoNotOptimize(torch::autograd::grad({y}, {x}, {dy}));
  }
  state.counters["memory_per_node:B"] = bytes / length;
}
BENCHMARK(deep)->Name("torch/deep1000000/forward_backward_t1");

}  // namespace
