// What a training step of larger networks costs: a convolutional, a transformer and a recurrent one.
// tests/peers/torch_networks.cpp measures the same networks in libtorch under the same names.
#include <benchmark/benchmark.h>

#include <gradweave/graph/kernels/parallel.hpp>
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

// Whole numbers below `count`.
Tensor integers(const Shape& shape, Index count) {
  return evaluated(cast(uniform(shape) * count, DType::int64));
}

// A step: forward, backward and update.
void train(benchmark::State& state, nn::Optimizer& optimizer, const auto& loss) {
  for (auto _ : state) optimizer.minimize(loss());
  count_work(state, optimizer.explain(loss()));
}

void lenet5_step(benchmark::State& state, int threads) {
  set_num_threads(threads);
  const nn::Sequential network(nn::Conv2d(1, 6, 5, {.padding = 2}), nn::ReLU(), nn::MaxPool2d(2),
                               nn::Conv2d(6, 16, 5), nn::ReLU(), nn::MaxPool2d(2), nn::Flatten(),
                               nn::Dense(400, 120), nn::ReLU(), nn::Dense(120, 84), nn::ReLU(),
                               nn::Dense(84, 10));
  nn::SGD optimizer(network.parameters(), {.learning_rate = 0.01});
  const Tensor x = uniform({64, 1, 28, 28}), y = integers({64}, 10);
  train(state, optimizer, [&] { return nn::cross_entropy(network(x), y); });
}
BENCHMARK_CAPTURE(lenet5_step, t1, 1)->Name("gradweave/lenet5/b64/step_t1")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(lenet5_step, t2, 2)
    ->Name("gradweave/lenet5/b64/step_t2")
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

// GPT as nanoGPT writes it: 4 layers of 4 heads, width 128, no biases but in the norms.
struct Gpt : nn::Module {
  static constexpr Index heads = 4, width = 128, context = 64, vocabulary = 65;

  struct Block : nn::Module {
    nn::LayerNorm norm1 = child("norm1", nn::LayerNorm(width));
    nn::MultiHeadAttention attention =
        child("attention", nn::MultiHeadAttention(width, heads, {.causal = true, .bias = false}));
    nn::LayerNorm norm2 = child("norm2", nn::LayerNorm(width));
    nn::Dense up = child("up", nn::Dense(width, 4 * width, {.bias = false}));
    nn::Dense down = child("down", nn::Dense(4 * width, width, {.bias = false}));

    Tensor operator()(Tensor x) const {
      x = x + attention(norm1(x));
      return x + down(gelu(up(norm2(x))));
    }
  };

  nn::Embedding token = child("token", nn::Embedding(vocabulary, width));
  nn::Embedding position = child("position", nn::Embedding(context, width));
  nn::Sequential blocks = child("blocks", nn::Sequential(Block(), Block(), Block(), Block()));
  nn::LayerNorm norm = child("norm", nn::LayerNorm(width));
  nn::Dense head = child("head", nn::Dense(width, vocabulary, {.bias = false}));

  Tensor operator()(const Tensor& indices) const {
    return head(norm(blocks(token(indices) + position(arange(context)))));
  }
};

void gpt_step(benchmark::State& state, int threads) {
  set_num_threads(threads);
  const Gpt network;
  nn::AdamW optimizer(network.parameters(), {.learning_rate = 1e-3, .weight_decay = 0.1});
  const Tensor x = integers({12, Gpt::context}, Gpt::vocabulary),
               y = integers({12 * Gpt::context}, Gpt::vocabulary);
  train(state, optimizer, [&] { return nn::cross_entropy(reshape(network(x), {-1, Gpt::vocabulary}), y); });
}
BENCHMARK_CAPTURE(gpt_step, t1, 1)->Name("gradweave/gpt4x128/b12/step_t1")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(gpt_step, t2, 2)
    ->Name("gradweave/gpt4x128/b12/step_t2")
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

void lstm_step(benchmark::State& state, int threads) {
  set_num_threads(threads);
  const nn::LSTM network(32, 128);
  nn::SGD optimizer(network.parameters(), {.learning_rate = 0.01});
  const Tensor x = uniform({50, 32, 32}), y = uniform({50, 32, 128});
  train(state, optimizer, [&] { return nn::mse_loss(network(x).outputs, y); });
}
BENCHMARK_CAPTURE(lstm_step, t1, 1)
    ->Name("gradweave/lstm32-128-seq50/b32/step_t1")
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(lstm_step, t2, 2)
    ->Name("gradweave/lstm32-128-seq50/b32/step_t2")
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
