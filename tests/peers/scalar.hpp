// The workloads of tests/benchmarks/training.cpp that a tape of scalars can express. A peer is a struct
// `Tape`: its `gradient(x, f, g)` records f(x) anew, as a dynamic graph would, and puts its gradient in g.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include <benchmark/benchmark.h>

// The time is that of one multiplication.
template <class Tape>
void chain(benchmark::State& state) {
  constexpr int length = 1000;
  const std::array<double, 1> x{1.5};
  std::array<double, 1> dx{};
  const auto product = [](const auto* at) {
    auto y = at[0];
    for (int i = 0; i < length; ++i) y = y * 1.0001;
    return y;
  };
  while (state.KeepRunningBatch(length)) Tape::gradient(x, product, dx);
  if (std::abs(dx[0] - std::pow(1.0001, length)) > 1e-9) state.SkipWithError("wrong gradient");
}

template <class T>
T rectified(const T& x) {
  return x > 0.0 ? x : T(0.0);
}

// Takes the weights, then the biases of a layer from the parameters.
template <std::size_t outputs>
auto dense(const auto*& parameters, const auto& x) {
  using T = std::decay_t<decltype(*parameters)>;
  const T* weights = parameters;
  parameters += outputs * x.size();
  std::array<T, outputs> y;
  for (T& sum : y) {
    sum = *parameters++;
    for (const auto& xi : x) sum += *weights++ * xi;
  }
  return y;
}

// Hinge loss of one sample in the network 2-16-16-1 of ReLUs, and a step of gradient descent.
template <class Tape>
void moons_step(benchmark::State& state) {
  constexpr std::size_t size = 16;
  std::vector<double> parameters(3 * size + size * size + size + size + 1), gradient(parameters.size());
  for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i] = std::sin(static_cast<double>(i));
  const auto loss = [](const auto* p) {
    using T = std::decay_t<decltype(*p)>;
    auto first = dense<size>(p, std::array{0.5, -0.25});
    for (T& x : first) x = rectified(x);
    auto second = dense<size>(p, first);
    for (T& x : second) x = rectified(x);
    return rectified(T(1.0 - dense<1>(p, second)[0]));
  };
  for (auto _ : state) {
    Tape::gradient(parameters, loss, gradient);
    for (std::size_t i = 0; i < parameters.size(); ++i)
      parameters[i] -= 1e-9 * gradient[i];  // not to reach a loss of 0
  }
  if (std::ranges::count(gradient, 0.0) > 300) state.SkipWithError("the loss is flat");
}
