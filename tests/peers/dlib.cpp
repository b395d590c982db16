// dlib's networks, whose structure is a type. A step is what its trainer does with a batch that lies ready.
#include <dlib/dnn.h>

#include <vector>

#include <benchmark/benchmark.h>

namespace {

using Image = dlib::matrix<float>;
using Input = dlib::input<Image>;

template <class Network>
void step(benchmark::State& state, long rows, long columns,
          const std::vector<typename Network::training_label_type>& labels) {
  const Image image = dlib::matrix_cast<float>(dlib::randm(rows, columns));
  const std::vector<Image> images(labels.size(), image);
  Network network;
  dlib::resizable_tensor x;
  network.to_tensor(images.begin(), images.end(), x);
  std::vector<dlib::sgd> solvers(Network::num_computational_layers, dlib::sgd(0, 0));
  for (auto _ : state) {
    network.compute_parameter_gradients(x, labels.begin());
    network.update_parameters(dlib::make_sstack(solvers), 0.01);
  }
}

std::vector<unsigned long> classes(std::size_t count) {
  std::vector<unsigned long> labels(count);
  for (std::size_t i = 0; i < count; ++i) labels[i] = i % 10;
  return labels;
}

void xor_step(benchmark::State& state) {
  using dlib::fc, dlib::sig;
  step<dlib::loss_mean_squared<sig<fc<1, sig<fc<2, Input>>>>>>(state, 2, 1, {1});
}
BENCHMARK(xor_step)->Name("dlib/xor2-2-1/b1/step_t1");

void nielsen_step(benchmark::State& state) {
  using dlib::fc, dlib::sig;
  const std::vector<Image> y(10, dlib::ones_matrix<float>(10, 1));
  step<dlib::loss_mean_squared_multioutput<sig<fc<10, sig<fc<30, Input>>>>>>(state, 28, 28, y);
}
BENCHMARK(nielsen_step)->Name("dlib/nielsen784-30-10/b10/step_t1");

void mlp_step(benchmark::State& state, std::size_t batch) {
  using dlib::fc, dlib::sig;
  step<dlib::loss_multiclass_log<fc<10, sig<fc<128, Input>>>>>(state, 28, 28, classes(batch));
}
BENCHMARK_CAPTURE(mlp_step, b1, 1)->Name("dlib/mlp784-128-10/b1/step_t1");
BENCHMARK_CAPTURE(mlp_step, b64, 64)->Name("dlib/mlp784-128-10/b64/step_t1");

void lenet5_step(benchmark::State& state) {
  using dlib::fc, dlib::relu;
  using First = dlib::max_pool<2, 2, 2, 2, relu<dlib::con<6, 5, 5, 1, 1, Input>>>;  // padded by 2
  using Second = dlib::max_pool<2, 2, 2, 2, relu<dlib::add_layer<dlib::con_<16, 5, 5, 1, 1, 0, 0>, First>>>;
  step<dlib::loss_multiclass_log<fc<10, relu<fc<84, relu<fc<120, Second>>>>>>>(state, 28, 28, classes(64));
}
BENCHMARK(lenet5_step)->Name("dlib/lenet5/b64/step_t1")->Unit(benchmark::kMillisecond);

}  // namespace
