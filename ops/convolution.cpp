// Convolution and its two derivatives as ops: each is linear in its two inputs, and its derivatives are the
// other two.
#include <gradweave/ops/convolution.hpp>

#include <vector>

#include <fmt/format.h>

#include <gradweave/graph/define.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/kernels/convolve.hpp>
#include <gradweave/ops/shape.hpp>

namespace gradweave {
namespace {

// Of all three: a product and a sum for each output and each tap of the weight, padding included.
double flops_of(const ArrayView& y, const ArrayView& weight) {
  return 2 * static_cast<double>(y.size()) * static_cast<double>(numel(weight.shape.subspan(1)));
}

struct Conv2d {
  Pair stride, padding, dilation;
  Index groups;
  static constexpr std::string_view name = "conv2d";
  static constexpr bool leading_axes = false;
  static constexpr bool throws = false;
  static constexpr DTypes dtypes = floating;
  Spec infer(const Spec& x, const Spec& weight) const {
    if (x.shape.rank() != 4 || weight.shape.rank() != 4) {
      throw ShapeError(
          "expected images (n, channels, height, width) and a weight (outputs, channels / groups, rows, "
          "columns)");
    }
    if (groups < 1) throw ValueError(fmt::format("{} groups", groups));
    if (x.shape[1] != weight.shape[1] * groups || weight.shape[0] % groups != 0) {
      throw ShapeError(fmt::format(
          "images of {} channels and a weight of {} outputs that see {} channels each do not make {} group{}",
          x.shape[1], weight.shape[0], weight.shape[1], groups, groups == 1 ? "" : "s"));
    }
    const Pair size(x.shape[2], x.shape[3]);
    const Pair count = window_count(size, {weight.shape[2], weight.shape[3]}, stride, padding, dilation);
    // What the kernels spread an image out to must be countable, too.
    static_cast<void>(Shape{x.shape[1], size.rows + 2 * padding.rows + stride.rows,
                            size.cols + 2 * padding.cols + stride.cols});
    return {{x.shape[0], weight.shape[0], count.rows, count.cols}, x.dtype};
  }
  ConvolutionSizes sizes(Dims x, Dims weight) const { return {x, weight, stride, padding, dilation, groups}; }
  void forward(const RowRange& rows, const ArrayView& y, const ArrayView& x, const ArrayView& weight) const {
    const ConvolutionSizes g = sizes(x.shape, weight.shape);
    dispatch<floating>(y.dtype, [&]<class T>() {
      convolve(g, rows.count, x.as<const T>() + rows.first * g.image_size(), weight.as<const T>(),
               rows.as<T>());
    });
  }
  static Index row_width(const ArrayView& y, const ArrayView&, const ArrayView&) {
    return numel(y.shape.subspan(1));
  }
  Index workspace(const ArrayView& y, const ArrayView& x, const ArrayView& weight) const {
    return sizes(x.shape, weight.shape).workspace(y.shape[0]);
  }
  static double flops(const ArrayView& y, const ArrayView&, const ArrayView& weight) {
    return flops_of(y, weight);
  }
  Index row_cost(const ArrayView&, const ArrayView& x, const ArrayView& weight) const {
    return sizes(x.shape, weight.shape).image_cost();
  }
  Index row_tile(const ArrayView&, const ArrayView& x, const ArrayView& weight) const {
    return sizes(x.shape, weight.shape).worthwhile_images();
  }
  Tensor vjp(std::size_t i, const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor&) const;
  static SamplesOf<Conv2d> samples();
};

// The derivatives are applied to what fits a convolution: one whose result is like `dy`.
void require_rank_4(const Spec& a, const Spec& b) {
  if (a.shape.rank() != 4 || b.shape.rank() != 4) throw ShapeError("expected two tensors of rank 4");
}
void require_result(const Conv2d& op, const Spec& x, const Spec& weight, const Spec& dy) {
  const Shape result = op.infer(x, weight).shape;
  if (result != dy.shape) {
    throw ShapeError(fmt::format("images {} and a weight {} give {}, not {}", to_string(x.shape),
                                 to_string(weight.shape), to_string(result), to_string(dy.shape)));
  }
}

struct Conv2dInput {
  Pair stride, padding, dilation;
  Index groups;
  Pair size;  // of an image: the stride leaves open which of several it was
  static constexpr std::string_view name = "conv2d_input";
  static constexpr bool leading_axes = false;
  static constexpr bool throws = false;
  static constexpr DTypes dtypes = floating;
  Conv2d convolution() const { return {stride, padding, dilation, groups}; }
  Spec infer(const Spec& dy, const Spec& weight) const {
    require_rank_4(dy, weight);
    if (groups < 1 || groups > dy.shape[1]) throw ValueError(fmt::format("{} groups", groups));
    const Shape images{dy.shape[0], weight.shape[1] * groups, size.rows, size.cols};
    require_result(convolution(), {images, dy.dtype}, weight, dy);
    return {images, dy.dtype};
  }
  void forward(const RowRange& rows, const ArrayView& dx, const ArrayView& dy,
               const ArrayView& weight) const {
    const ConvolutionSizes g = convolution().sizes(dx.shape, weight.shape);
    dispatch<floating>(dx.dtype, [&]<class T>() {
      convolve_back(g, rows.count, dy.as<const T>() + rows.first * g.output_size(), weight.as<const T>(),
                    rows.as<T>());
    });
  }
  static Index row_width(const ArrayView& dx, const ArrayView&, const ArrayView&) {
    return numel(dx.shape.subspan(1));
  }
  Index workspace(const ArrayView& dx, const ArrayView&, const ArrayView& weight) const {
    return convolution().sizes(dx.shape, weight.shape).workspace(dx.shape[0]);
  }
  static double flops(const ArrayView&, const ArrayView& dy, const ArrayView& weight) {
    return flops_of(dy, weight);
  }
  Index row_cost(const ArrayView& dx, const ArrayView&, const ArrayView& weight) const {
    return convolution().sizes(dx.shape, weight.shape).image_cost();
  }
  Index row_tile(const ArrayView& dx, const ArrayView&, const ArrayView& weight) const {
    return convolution().sizes(dx.shape, weight.shape).worthwhile_images();
  }
  Tensor vjp(std::size_t i, const Tensor& h, const Tensor& dy, const Tensor& weight, const Tensor&) const;
  static SamplesOf<Conv2dInput> samples() {
    return {{{1, 0, 1, 1, {4, 3}}, {uniform(-2, 2, {2, 3, 3, 2}), uniform(-2, 2, {3, 2, 2, 2})}},
            {{{2, 1}, {0, 1}, {1, 2}, 2, 5}, {uniform(-2, 2, {1, 2, 2, 3}), uniform(-2, 2, {2, 1, 3, 3})}}};
  }
};

struct Conv2dWeight {
  Pair stride, padding, dilation;
  Index groups;
  Pair window;  // of a weight
  static constexpr std::string_view name = "conv2d_weight";
  static constexpr bool leading_axes = false;
  static constexpr bool throws = false;
  static constexpr DTypes dtypes = floating;
  Conv2d convolution() const { return {stride, padding, dilation, groups}; }
  Spec infer(const Spec& dy, const Spec& x) const {
    require_rank_4(dy, x);
    if (groups < 1 || x.shape[1] % groups != 0) throw ValueError(fmt::format("{} groups", groups));
    const Shape weight{dy.shape[1], x.shape[1] / groups, window.rows, window.cols};
    require_result(convolution(), x, {weight, dy.dtype}, dy);
    return {weight, dy.dtype};
  }
  void forward(const ArrayView& dw, const ArrayView& dy, const ArrayView& x) const {
    const ConvolutionSizes g = convolution().sizes(x.shape, dw.shape);
    dispatch<floating>(dw.dtype, [&]<class T>() {
      convolve_weight(g, x.shape[0], dy.as<const T>(), x.as<const T>(), dw.as<T>());
    });
  }
  Index workspace(const ArrayView& dw, const ArrayView&, const ArrayView& x) const {
    return convolution().sizes(x.shape, dw.shape).workspace(x.shape[0]);
  }
  static double flops(const ArrayView& dw, const ArrayView& dy, const ArrayView&) { return flops_of(dy, dw); }
  Tensor vjp(std::size_t i, const Tensor& h, const Tensor& dy, const Tensor& x, const Tensor&) const;
  static SamplesOf<Conv2dWeight> samples() {
    return {{{1, 0, 1, 1, 2}, {uniform(-2, 2, {2, 3, 3, 2}), uniform(-2, 2, {2, 2, 4, 3})}},
            {{{2, 1}, {0, 1}, {1, 2}, 2, 3}, {uniform(-2, 2, {1, 2, 2, 3}), uniform(-2, 2, {1, 2, 5, 5})}}};
  }
};

Tensor input_gradient(const Conv2d& op, const Tensor& dy, const Tensor& weight, const Tensor& images) {
  const Pair size(images.size(2), images.size(3));
  return apply(Conv2dInput{op.stride, op.padding, op.dilation, op.groups, size}, {dy, weight});
}
Tensor weight_gradient(const Conv2d& op, const Tensor& dy, const Tensor& x, const Tensor& weight) {
  const Pair window(weight.size(2), weight.size(3));
  return apply(Conv2dWeight{op.stride, op.padding, op.dilation, op.groups, window}, {dy, x});
}

Tensor Conv2d::vjp(std::size_t i, const Tensor& dy, const Tensor& x, const Tensor& weight,
                   const Tensor&) const {
  return i == 0 ? input_gradient(*this, dy, weight, x) : weight_gradient(*this, dy, x, weight);
}
Tensor Conv2dInput::vjp(std::size_t i, const Tensor& h, const Tensor& dy, const Tensor& weight,
                        const Tensor&) const {
  return i == 0 ? apply(convolution(), {h, weight}) : weight_gradient(convolution(), dy, h, weight);
}
Tensor Conv2dWeight::vjp(std::size_t i, const Tensor& h, const Tensor& dy, const Tensor& x,
                         const Tensor&) const {
  return i == 0 ? apply(convolution(), {x, h}) : input_gradient(convolution(), dy, h, x);
}

SamplesOf<Conv2d> Conv2d::samples() {
  return {{{1, 0, 1, 1}, {uniform(-2, 2, {2, 2, 4, 3}), uniform(-2, 2, {3, 2, 2, 2})}},
          {{{2, 1}, {0, 1}, {1, 2}, 2}, {uniform(-2, 2, {1, 2, 5, 5}), uniform(-2, 2, {2, 1, 3, 3})}},
          {{{3, 2}, {1, 0}, 1, 1}, {uniform(-2, 2, {1, 1, 5, 7}), uniform(-2, 2, {7, 1, 2, 3})}}};
}

}  // namespace

Tensor conv2d(const Operand& x, const Operand& weight, const Conv2dOptions& options) {
  return apply(Conv2d{options.stride, options.padding, options.dilation, options.groups}, {x, weight});
}

namespace {

// A sequence as an image of one row.
Operand as_row(const Operand& x, Tensor& keep, std::string_view op) {
  if (tensor_of(x, op).rank() != 3) refuse<ShapeError>(op, {x}, "expected three axes");
  keep = expand_dims(x, 2);
  return {keep, x.where()};
}

}  // namespace

Tensor conv1d(const Operand& x, const Operand& weight, const Conv1dOptions& options) {
  Tensor row, window;
  const Conv2dOptions flat{.stride = {1, options.stride},
                           .padding = {0, options.padding},
                           .dilation = {1, options.dilation},
                           .groups = options.groups};
  return squeeze(conv2d(as_row(x, row, "conv1d"), as_row(weight, window, "conv1d"), flat), 2);
}

Tensor conv_transpose2d(const Operand& x, const Operand& weight, const ConvTranspose2dOptions& options) {
  const Tensor &y = tensor_of(x, "conv_transpose2d"), &w = tensor_of(weight, "conv_transpose2d");
  if (y.rank() != 4 || w.rank() != 4)
    refuse<ShapeError>("conv_transpose2d", {x, weight}, "expected four axes");
  const auto size = [&](Index count, Index window, Index Pair::*part) {
    const Index stride = options.stride.*part, dilation = options.dilation.*part,
                more = options.output_padding.*part;
    if (more < 0 || (more >= stride && more >= dilation))
      refuse<ValueError>("conv_transpose2d", {x, weight}, "output_padding is less than stride or dilation");
    return (count - 1) * stride - 2 * (options.padding.*part) + dilation * (window - 1) + more + 1;
  };
  const Pair image(size(y.size(2), w.size(2), &Pair::rows), size(y.size(3), w.size(3), &Pair::cols));
  if (image.rows < 1 || image.cols < 1)
    refuse<ShapeError>("conv_transpose2d", {x, weight}, "nothing is left");
  return apply(Conv2dInput{options.stride, options.padding, options.dilation, options.groups, image},
               {x, weight});
}
Tensor conv_transpose1d(const Operand& x, const Operand& weight, const ConvTranspose1dOptions& options) {
  Tensor row, window;
  const ConvTranspose2dOptions flat{.stride = {1, options.stride},
                                    .padding = {0, options.padding},
                                    .output_padding = {0, options.output_padding},
                                    .dilation = {1, options.dilation},
                                    .groups = options.groups};
  return squeeze(
      conv_transpose2d(as_row(x, row, "conv_transpose1d"), as_row(weight, window, "conv_transpose1d"), flat),
      2);
}

std::vector<const Operation*> convolution_operations() {
  return {&operation_of<Conv2d>(), &operation_of<Conv2dInput>(), &operation_of<Conv2dWeight>()};
}

}  // namespace gradweave
