// FANN: back-propagation in C, for networks of sigmoids and squared errors. There is no graph.
#include <floatfann.h>

#include <algorithm>
#include <array>
#include <memory>

#include <benchmark/benchmark.h>

namespace {

using Network = std::unique_ptr<fann, decltype(&fann_destroy)>;

Network make(std::array<unsigned, 3> layers, fann_train_enum algorithm) {
  Network network(fann_create_standard_array(3, layers.data()), &fann_destroy);
  fann_set_activation_function_hidden(network.get(), FANN_SIGMOID);
  fann_set_activation_function_output(network.get(), FANN_SIGMOID);
  fann_set_training_algorithm(network.get(), algorithm);
  return network;
}

void xor_step(benchmark::State& state) {
  const Network network = make({2, 2, 1}, FANN_TRAIN_INCREMENTAL);
  std::array<float, 2> x{0, 1};
  float y = 1;
  for (auto _ : state) fann_train(network.get(), x.data(), &y);
}
BENCHMARK(xor_step)->Name("fann/xor2-2-1/b1/step_t1");

void nielsen_step(benchmark::State& state) {
  constexpr unsigned batch = 10;
  const Network network = make({784, 30, 10}, FANN_TRAIN_BATCH);
  const std::unique_ptr<fann_train_data, decltype(&fann_destroy_train)> data(
      fann_create_train(batch, 784, 10), &fann_destroy_train);
  for (unsigned i = 0; i < batch; ++i) {
    std::fill_n(data->input[i], 784, 0.5F);
    std::fill_n(data->output[i], 10, 0.3F);
  }
  for (auto _ : state) fann_train_epoch(network.get(), data.get());
}
BENCHMARK(nielsen_step)->Name("fann/nielsen784-30-10/b10/step_t1");

}  // namespace
