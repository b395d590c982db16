// Layers over images of shape (images, channels, height, width).
#pragma once
#include <gradweave/nn/init.hpp>
#include <gradweave/nn/module.hpp>
#include <gradweave/ops/pooling.hpp>

namespace gradweave::nn {

struct Conv2dOptions {
  Pair stride = 1;
  PaddingOf<Pair> padding = {};  ///< zeros around the image
  Pair dilation = 1;
  Index groups = 1;  ///< output channels of a group see only its input channels
  bool bias = true;
  Initializer weight_init = lecun_normal;
  Initializer bias_init = zeros;
  DType dtype = default_dtype();
  Generator* generator = nullptr;  ///< where the numbers come from; by default `default_generator()`
};

/// A convolution (`conv2d`) of `in` channels to `out` channels, plus a bias for each of them.
class Conv2d : public Module {
 public:
  /// Throws ValueError for sizes that are not positive or not divisible by the groups.
  Conv2d(Index in, Index out, Pair window, const Conv2dOptions& options = {});
  Tensor operator()(const Operand& x) const;

  Parameter weight;  ///< (out, in / groups, rows, columns)
  Parameter bias;    ///< (out), or empty

 private:
  Conv2dOptions options_;
};

/// `max_pool2d` as a layer.
class MaxPool2d : public Module {
 public:
  explicit MaxPool2d(Pair window, const PoolOptions& options = {}) : window_(window), options_(options) {}
  Tensor operator()(const Operand& x) const;

 private:
  Pair window_;
  PoolOptions options_;
};

/// `avg_pool2d` as a layer.
class AvgPool2d : public Module {
 public:
  explicit AvgPool2d(Pair window, const PoolOptions& options = {}) : window_(window), options_(options) {}
  Tensor operator()(const Operand& x) const;

 private:
  Pair window_;
  PoolOptions options_;
};

/// (n, ...) as (n, size): what comes between images and `Dense`.
struct Flatten : Module {
  /// Throws ShapeError for a scalar.
  Tensor operator()(const Tensor& x) const;
};

}  // namespace gradweave::nn
