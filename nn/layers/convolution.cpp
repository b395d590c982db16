#include <gradweave/nn/layers/convolution.hpp>

#include <fmt/format.h>

#include <gradweave/ops/ops.hpp>

namespace gradweave::nn {

Conv2d::Conv2d(Index in, Index out, Pair window, const Conv2dOptions& options) : options_(options) {
  if (in <= 0 || out <= 0 || window.rows <= 0 || window.cols <= 0) {
    throw ValueError(
        fmt::format("Conv2d({}, {}, {}): all sizes must be positive", in, out, to_string(window)));
  }
  if (options.groups <= 0 || in % options.groups != 0 || out % options.groups != 0) {
    throw ValueError(fmt::format("Conv2d({}, {}, {}): the channels do not make {} groups", in, out,
                                 to_string(window), options.groups));
  }
  Generator& generator = options.generator != nullptr ? *options.generator : default_generator();
  weight = parameter("weight", options.weight_init({out, in / options.groups, window.rows, window.cols},
                                                   options.dtype, generator));
  if (options.bias) bias = parameter("bias", options.bias_init({out}, options.dtype, generator));
}

Tensor Conv2d::operator()(const Operand& x) const {
  const Scope scope = this->scope();
  const Tensor y = conv2d(x, weight,
                          {.stride = options_.stride,
                           .padding = options_.padding,
                           .dilation = options_.dilation,
                           .groups = options_.groups});
  return bias ? Operand(y, x.where()) + reshape(bias, {-1, 1, 1}) : y;
}

Tensor MaxPool2d::operator()(const Operand& x) const {
  const Scope scope = this->scope();
  return max_pool2d(x, window_, options_);
}

Tensor AvgPool2d::operator()(const Operand& x) const {
  const Scope scope = this->scope();
  return avg_pool2d(x, window_, options_);
}

Tensor Flatten::operator()(const Tensor& x) const {
  const Scope scope = this->scope();
  const Shape shape = x.shape();
  if (shape.rank() == 0) throw ShapeError("Flatten: a scalar has no first axis to keep");
  return reshape(x, {shape[0], numel(Dims(shape).subspan(1))});
}

}  // namespace gradweave::nn
