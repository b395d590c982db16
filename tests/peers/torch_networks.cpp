// The networks of tests/benchmarks/networks.cpp in libtorch, under the same names.
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include <benchmark/benchmark.h>
#include <torch/torch.h>

namespace nn = torch::nn;
using torch::Tensor;

namespace {

enum class Clear { zeros, none };

// A step: clear the gradients, forward, backward and update.
void train(benchmark::State& state, Clear clear, torch::optim::Optimizer& optimizer,
           std::vector<Tensor> parameters, const auto& loss, int threads) {
  torch::set_num_threads(threads);
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

void lenet5_step(benchmark::State& state, Clear clear, int threads) {
  nn::Sequential network(nn::Conv2d(nn::Conv2dOptions(1, 6, 5).padding(2)), nn::ReLU(), nn::MaxPool2d(2),
                         nn::Conv2d(6, 16, 5), nn::ReLU(), nn::MaxPool2d(2), nn::Flatten(),
                         nn::Linear(400, 120), nn::ReLU(), nn::Linear(120, 84), nn::ReLU(),
                         nn::Linear(84, 10));
  torch::optim::SGD optimizer(network->parameters(), torch::optim::SGDOptions(0.01));
  const Tensor x = torch::rand({64, 1, 28, 28}), y = torch::randint(10, {64}, torch::kLong);
  train(
      state, clear, optimizer, network->parameters(),
      [&] { return nn::functional::cross_entropy(network->forward(x), y); }, threads);
}
BENCHMARK_CAPTURE(lenet5_step, zeros, Clear::zeros, 1)
    ->Name("torch/lenet5/b64/step_t1")
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(lenet5_step, none, Clear::none, 1)
    ->Name("torch/lenet5/b64/step_set_to_none_t1")
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(lenet5_step, t2, Clear::none, 2)
    ->Name("torch/lenet5/b64/step_set_to_none_t2")
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

constexpr std::int64_t layers = 4, heads = 4, width = 128, context = 64, vocabulary = 65;

nn::LinearOptions linear(std::int64_t in, std::int64_t out) { return nn::LinearOptions(in, out).bias(false); }

struct Block : nn::Module {
  nn::LayerNorm norm1 = register_module("norm1", nn::LayerNorm(nn::LayerNormOptions({width})));
  nn::Linear qkv = register_module("qkv", nn::Linear(linear(width, 3 * width)));
  nn::Linear output = register_module("output", nn::Linear(linear(width, width)));
  nn::LayerNorm norm2 = register_module("norm2", nn::LayerNorm(nn::LayerNormOptions({width})));
  nn::Linear up = register_module("up", nn::Linear(linear(width, 4 * width)));
  nn::Linear down = register_module("down", nn::Linear(linear(4 * width, width)));
  Tensor mask = torch::ones({context, context}).tril().eq(0);

  Tensor attention(const Tensor& x) {
    const std::int64_t batch = x.size(0), rows = x.size(1);
    const std::vector<Tensor> parts = qkv(x).split(width, 2);
    const auto part = [&](std::size_t k) {
      return parts[k].view({batch, rows, heads, width / heads}).transpose(1, 2);
    };
    const Tensor scores = torch::matmul(part(0), part(1).transpose(-2, -1)) *
                          (1 / std::sqrt(static_cast<double>(width / heads)));
    const Tensor weights =
        torch::softmax(scores.masked_fill(mask, -std::numeric_limits<float>::infinity()), -1);
    return output(torch::matmul(weights, part(2)).transpose(1, 2).contiguous().view({batch, rows, width}));
  }
  Tensor forward(Tensor x) {
    x = x + attention(norm1(x));
    return x + down(torch::gelu(up(norm2(x))));
  }
};

struct Gpt : nn::Module {
  nn::Embedding token = register_module("token", nn::Embedding(vocabulary, width));
  nn::Embedding position = register_module("position", nn::Embedding(context, width));
  std::vector<std::shared_ptr<Block>> blocks;
  nn::LayerNorm norm = register_module("norm", nn::LayerNorm(nn::LayerNormOptions({width})));
  nn::Linear head = register_module("head", nn::Linear(linear(width, vocabulary)));
  Tensor positions = torch::arange(context);

  Gpt() {
    for (std::int64_t i = 0; i < layers; ++i)
      blocks.push_back(register_module("block" + std::to_string(i), std::make_shared<Block>()));
  }
  Tensor forward(const Tensor& indices) {
    Tensor x = token(indices) + position(positions);
    for (const auto& block : blocks) x = block->forward(x);
    return head(norm(x));
  }
};

void gpt_step(benchmark::State& state, Clear clear, int threads) {
  Gpt network;
  torch::optim::AdamW optimizer(network.parameters(), torch::optim::AdamWOptions(1e-3).weight_decay(0.1));
  const Tensor x = torch::randint(vocabulary, {12, context}, torch::kLong);
  const Tensor y = torch::randint(vocabulary, {12 * context}, torch::kLong);
  train(
      state, clear, optimizer, network.parameters(),
      [&] {
        return nn::functional::cross_entropy(network.forward(x).view({-1, vocabulary}), y);
      },
      threads);
}
BENCHMARK_CAPTURE(gpt_step, zeros, Clear::zeros, 1)
    ->Name("torch/gpt4x128/b12/step_t1")
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(gpt_step, none, Clear::none, 1)
    ->Name("torch/gpt4x128/b12/step_set_to_none_t1")
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(gpt_step, t2, Clear::none, 2)
    ->Name("torch/gpt4x128/b12/step_set_to_none_t2")
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

void lstm_step(benchmark::State& state, Clear clear, int threads) {
  nn::LSTM network(nn::LSTMOptions(32, 128));
  torch::optim::SGD optimizer(network->parameters(), torch::optim::SGDOptions(0.01));
  const Tensor x = torch::rand({50, 32, 32}), y = torch::rand({50, 32, 128});
  train(
      state, clear, optimizer, network->parameters(),
      [&] { return torch::mse_loss(std::get<0>(network->forward(x)), y); }, threads);
}
BENCHMARK_CAPTURE(lstm_step, zeros, Clear::zeros, 1)
    ->Name("torch/lstm32-128-seq50/b32/step_t1")
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(lstm_step, none, Clear::none, 1)
    ->Name("torch/lstm32-128-seq50/b32/step_set_to_none_t1")
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(lstm_step, t2, Clear::none, 2)
    ->Name("torch/lstm32-128-seq50/b32/step_set_to_none_t2")
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
