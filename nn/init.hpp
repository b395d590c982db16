// Initial values of parameters. For a weight of shape (out, in) or (out, in, window...): fan_in = in *
// window, fan_out = out * window.
#pragma once
#include <cstdint>
#include <functional>

#include <gradweave/graph/tensor.hpp>
#include <gradweave/ops/random.hpp>

namespace gradweave::nn {

/// Draws a tensor of the given shape and dtype. The functions below that take (Shape, DType, Generator) are
/// initializers themselves: `nn::Dense(784, 128, {.weight_init = nn::he_normal})`. Those that need fans throw
/// ShapeError for less than two axes.
using Initializer = std::function<Tensor(const Shape&, DType, Generator&)>;

/// Uniform in +-sqrt(6 / (fan_in + fan_out)) (X. Glorot, Y. Bengio, AISTATS 2010).
Tensor xavier_uniform(const Shape& shape, DType dtype, Generator& generator);
/// Normal with standard deviation sqrt(2 / (fan_in + fan_out)).
Tensor xavier_normal(const Shape& shape, DType dtype, Generator& generator);
/// Uniform in +-sqrt(6 / fan_in) (K. He et al., ICCV 2015), for layers before a ReLU.
Tensor he_uniform(const Shape& shape, DType dtype, Generator& generator);
/// Normal with standard deviation sqrt(2 / fan_in).
Tensor he_normal(const Shape& shape, DType dtype, Generator& generator);
/// Uniform in +-sqrt(3 / fan_in) (Y. LeCun et al., "Efficient BackProp", 1998).
Tensor lecun_uniform(const Shape& shape, DType dtype, Generator& generator);
/// Normal with standard deviation 1 / sqrt(fan_in).
Tensor lecun_normal(const Shape& shape, DType dtype, Generator& generator);
Tensor zeros(const Shape& shape, DType dtype, Generator& generator);
Tensor ones(const Shape& shape, DType dtype, Generator& generator);

/// Normal with this mean and standard deviation.
Initializer normal(double mean, double std);
/// Uniform in [low, high).
Initializer uniform(double low, double high);

/// What layers draw from unless they are given a generator or a seed: the thread's own.
using gradweave::default_generator;
/// Starts it anew, as `seed` does.
inline void manual_seed(std::uint64_t seed) { gradweave::seed(seed); }

}  // namespace gradweave::nn
