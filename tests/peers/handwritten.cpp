// What the same steps cost without a graph: back-propagation by hand, in Eigen, into memory that lies ready.
#include <benchmark/benchmark.h>
#include <Eigen/Dense>

namespace {

using Matrix = Eigen::MatrixXf;  // a sample is a column
using Vector = Eigen::VectorXf;

struct Layer {
  Matrix weights, delta, gradient;
  Matrix y;
  Vector bias;

  Layer(Eigen::Index inputs, Eigen::Index outputs, Eigen::Index batch)
      : weights(Matrix::Random(outputs, inputs)),
        delta(outputs, batch),
        gradient(outputs, inputs),
        y(outputs, batch),
        bias(Vector::Zero(outputs)) {}

  void forward(const Matrix& x) {
    y.noalias() = weights * x;
    y.colwise() += bias;
  }
  void sigmoid() { y = (1 + (-y.array()).exp()).inverse(); }
  void sigmoid_backward() { delta.array() *= y.array() * (1 - y.array()); }
  // One step down, of one sample straight into the weights.
  void update(const Matrix& x) {
    constexpr float rate = 0.01F;
    if (x.cols() == 1) {
      delta *= -rate;
      weights.noalias() += delta * x.transpose();
      bias += delta;
    } else {
      gradient.noalias() = delta * x.transpose();
      weights -= rate * gradient;
      bias -= rate * delta.rowwise().sum();
    }
  }
};

enum class Loss { squares, cross_entropy };

void step(benchmark::State& state, Loss loss, Eigen::Index inputs, Eigen::Index size, Eigen::Index outputs,
          Eigen::Index batch) {
  Layer hidden(inputs, size, batch), output(size, outputs, batch);
  const Matrix x = Matrix::Random(inputs, batch);
  Matrix target = Matrix::Zero(outputs, batch);
  for (Eigen::Index i = 0; i < batch; ++i) target(i % outputs, i) = 1;

  for (auto _ : state) {
    hidden.forward(x);
    hidden.sigmoid();
    output.forward(hidden.y);
    float value = 0;
    if (loss == Loss::squares) {
      output.sigmoid();
      output.delta = output.y - target;
      value = output.delta.squaredNorm() / static_cast<float>(outputs * batch);
      output.delta *= 2 / static_cast<float>(outputs * batch);
      output.sigmoid_backward();
    } else {
      output.y.rowwise() -= output.y.colwise().maxCoeff().eval();
      output.y = output.y.array().exp();
      output.y.array().rowwise() /= output.y.colwise().sum().eval().array();
      value = -output.y.cwiseProduct(target).colwise().sum().array().log().mean();
      output.delta = (output.y - target) / static_cast<float>(batch);
    }
    benchmark::DoNotOptimize(value);
    hidden.delta.noalias() = output.weights.transpose() * output.delta;
    hidden.sigmoid_backward();
    output.update(hidden.y);
    hidden.update(x);
  }
}
BENCHMARK_CAPTURE(step, xor2, Loss::squares, 2, 2, 1, 1)->Name("handwritten/xor2-2-1/b1/step_t1");
BENCHMARK_CAPTURE(step, nielsen, Loss::squares, 784, 30, 10, 10)
    ->Name("handwritten/nielsen784-30-10/b10/step_t1");
BENCHMARK_CAPTURE(step, b1, Loss::cross_entropy, 784, 128, 10, 1)
    ->Name("handwritten/mlp784-128-10/b1/step_t1");
BENCHMARK_CAPTURE(step, b64, Loss::cross_entropy, 784, 128, 10, 64)
    ->Name("handwritten/mlp784-128-10/b64/step_t1");

// One pass over memory, in pieces that stay in the cache.
void swish(benchmark::State& state) {
  constexpr Eigen::Index size = 10'000'000, piece = 1000;
  const Eigen::ArrayXf x = Eigen::ArrayXf::Random(size), dy = Eigen::ArrayXf::Ones(size);
  Eigen::ArrayXf y(size), dx(size);
  Eigen::Array<float, piece, 1> s;
  for (auto _ : state) {
    for (Eigen::Index i = 0; i < size; i += piece) {
      const auto part = x.segment<piece>(i);
      s = (1 + (-1.5F * part - 0.25F).exp()).inverse();
      y.segment<piece>(i) = s * part;
      dx.segment<piece>(i) = dy.segment<piece>(i) * s * (1 + 1.5F * part * (1 - s));
    }
    benchmark::ClobberMemory();
  }
}
BENCHMARK(swish)->Name("handwritten/swish10M/forward_backward_t1")->Unit(benchmark::kMillisecond);

}  // namespace
