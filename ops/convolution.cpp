// Convolution and its two derivatives as ops: each is linear in its two inputs, and its derivatives are the
// other two.
#include <gradweave/ops/convolution.hpp>

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include <gradweave/graph/define.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/kernels/convolve.hpp>
#include <gradweave/ops/pad.hpp>
#include <gradweave/ops/shape.hpp>
#include <gradweave/ops/unfold.hpp>

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

// What an op cannot pad: on one side more than on the other. `rest` is what is left to it.
Operand padded_image(const Operand& x, const PaddingOf<Pair>& padding, Pair& rest, Tensor& keep) {
  rest = {std::min(padding.before.rows, padding.behind.rows),
          std::min(padding.before.cols, padding.behind.cols)};
  if (padding.before == padding.behind) return x;
  keep = pad(x, {padding.before.cols - rest.cols, padding.behind.cols - rest.cols,
                 padding.before.rows - rest.rows, padding.behind.rows - rest.rows});
  return {keep, x.where()};
}

void require_rank(const Operand& x, const Operand& weight, std::size_t rank, std::string_view op) {
  if (tensor_of(x, op).rank() != rank || tensor_of(weight, op).rank() != rank)
    refuse<ShapeError>(op, {x, weight}, fmt::format("expected two tensors of {} axes", rank));
}

// As many as keep the size of an axis.
struct Sides {
  Index before, behind;
};
Sides same_sides(const Operand& x, const Operand& weight, std::string_view op, Index axis, Index stride,
                 Index dilation) {
  if (stride != 1)
    refuse<ValueError>(op, {x, weight}, fmt::format("Padding::same with a stride of {}", stride));
  const Index all = std::max<Index>(dilation * (weight.tensor()->size(axis) - 1), 0);
  return {all / 2, all - all / 2};
}

// Of a transposed convolution.
Index transposed_size(const Operand& x, const Operand& weight, std::string_view op, Index count, Index window,
                      Index stride, Index padding, Index output_padding, Index dilation) {
  if (padding < 0) refuse<ValueError>(op, {x, weight}, fmt::format("padding {}", padding));
  if (output_padding < 0 || (output_padding >= stride && output_padding >= dilation))
    refuse<ValueError>(op, {x, weight}, "output_padding is less than stride or dilation");
  const Index size = (count - 1) * stride - 2 * padding + dilation * (window - 1) + output_padding + 1;
  if (size < 1) refuse<ShapeError>(op, {x, weight}, "nothing is left");
  return size;
}

// A sequence as an image of one row.
Operand as_row(const Operand& x, Tensor& keep) {
  keep = expand_dims(x, 2);
  return {keep, x.where()};
}

// A volume as images, one for each place of the window along its depth, whose channels are those of all
// planes in the window: (n, channels, depth, ...) to (n places, channels window, ...). And a weight (outputs,
// channels, depth, ...) as one of such images.
Tensor planes_of(const Tensor& x, Index window, Index stride, Index dilation) {
  const Tensor windows = permute(unfold(x, 2, window, stride, dilation), {0, 2, 1, 5, 3, 4});
  return reshape(windows, {windows.size(0) * windows.size(1), x.size(1) * window, x.size(3), x.size(4)});
}
Tensor flat_weight(const Operand& weight) {
  const Tensor& w = *weight.tensor();
  return reshape(weight, {w.size(0), w.size(1) * w.size(2), w.size(3), w.size(4)});
}

}  // namespace

Tensor conv2d(const Operand& x, const Operand& weight, const Conv2dOptions& options) {
  constexpr std::string_view op = Conv2d::name;
  PaddingOf<Pair> padding = options.padding;
  if (padding.is_same || padding.before != padding.behind) require_rank(x, weight, 4, op);
  if (padding.is_same) {
    const Sides rows = same_sides(x, weight, op, 2, options.stride.rows, options.dilation.rows);
    const Sides cols = same_sides(x, weight, op, 3, options.stride.cols, options.dilation.cols);
    padding = {Pair(rows.before, cols.before), Pair(rows.behind, cols.behind)};
  }
  Pair rest;
  Tensor keep;
  const Operand image = padded_image(x, padding, rest, keep);
  return apply(Conv2d{options.stride, rest, options.dilation, options.groups}, {image, weight});
}

Tensor conv1d(const Operand& x, const Operand& weight, const Conv1dOptions& options) {
  require_rank(x, weight, 3, "conv1d");
  Tensor row, window;
  Conv2dOptions flat{
      .stride = {1, options.stride}, .dilation = {1, options.dilation}, .groups = options.groups};
  flat.padding = {Pair(0, options.padding.before), Pair(0, options.padding.behind)};
  flat.padding.is_same = options.padding.is_same;
  return squeeze(conv2d(as_row(x, row), as_row(weight, window), flat), 2);
}

Tensor conv3d(const Operand& x, const Operand& weight, const Conv3dOptions& options) {
  require_rank(x, weight, 5, "conv3d");
  const Triple before = options.padding.before, behind = options.padding.behind, &stride = options.stride,
               &dilation = options.dilation;
  const Index window = weight.tensor()->size(2), images = x.tensor()->size(0);
  const Sides depth = options.padding.is_same
                          ? same_sides(x, weight, "conv3d", 2, stride.depth, dilation.depth)
                          : Sides{before.depth, behind.depth};
  if (depth.before < 0 || depth.behind < 0) refuse<ValueError>("conv3d", {x, weight}, "negative padding");
  const Tensor deep = pad(x, {0, 0, 0, 0, depth.before, depth.behind});
  const Tensor planes = planes_of(deep, window, stride.depth, dilation.depth);
  Conv2dOptions flat{.stride = stride.plane(), .dilation = dilation.plane(), .groups = options.groups};
  flat.padding = {before.plane(), behind.plane()};
  flat.padding.is_same = options.padding.is_same;
  const Tensor y = conv2d(Operand(planes, x.where()), flat_weight(weight), flat);
  const Index places =
      window_count({deep.size(2), 1}, {window, 1}, {stride.depth, 1}, 0, {dilation.depth, 1}).rows;
  return permute(reshape(y, {images, places, y.size(1), y.size(2), y.size(3)}), {0, 2, 1, 3, 4});
}

Tensor conv_transpose2d(const Operand& x, const Operand& weight, const ConvTranspose2dOptions& options) {
  constexpr std::string_view op = "conv_transpose2d";
  require_rank(x, weight, 4, op);
  const auto size = [&](Index axis, Index Pair::*part) {
    return transposed_size(x, weight, op, x.tensor()->size(axis), weight.tensor()->size(axis),
                           options.stride.*part, options.padding.*part, options.output_padding.*part,
                           options.dilation.*part);
  };
  const Pair image(size(2, &Pair::rows), size(3, &Pair::cols));
  return apply(Conv2dInput{options.stride, options.padding, options.dilation, options.groups, image},
               {x, weight});
}
Tensor conv_transpose1d(const Operand& x, const Operand& weight, const ConvTranspose1dOptions& options) {
  require_rank(x, weight, 3, "conv_transpose1d");
  Tensor row, window;
  const ConvTranspose2dOptions flat{.stride = {1, options.stride},
                                    .padding = {0, options.padding},
                                    .output_padding = {0, options.output_padding},
                                    .dilation = {1, options.dilation},
                                    .groups = options.groups};
  return squeeze(conv_transpose2d(as_row(x, row), as_row(weight, window), flat), 2);
}

// The adjoint of `conv3d`, step by step.
Tensor conv_transpose3d(const Operand& x, const Operand& weight, const ConvTranspose3dOptions& options) {
  constexpr std::string_view op = "conv_transpose3d";
  require_rank(x, weight, 5, op);
  const Tensor &y = *x.tensor(), &w = *weight.tensor();
  const Index stride = options.stride.depth, dilation = options.dilation.depth,
              padding = options.padding.depth, more = options.output_padding.depth;
  const Index images = y.size(0), places = y.size(2), window = w.size(2),
              outputs = w.size(1) * options.groups;
  static_cast<void>(transposed_size(x, weight, op, places, window, stride, padding, more, dilation));
  const Tensor planes =
      reshape(permute(x, {0, 2, 1, 3, 4}), {images * places, y.size(1), y.size(3), y.size(4)});
  const Tensor back = conv_transpose2d(Operand(planes, x.where()), flat_weight(weight),
                                       {.stride = options.stride.plane(),
                                        .padding = options.padding.plane(),
                                        .output_padding = options.output_padding.plane(),
                                        .dilation = options.dilation.plane(),
                                        .groups = options.groups});
  const Tensor windows = permute(reshape(back, {images, places, outputs, window, back.size(2), back.size(3)}),
                                 {0, 2, 1, 4, 5, 3});
  const Index length = (places - 1) * stride + dilation * (window - 1) + 1;
  return pad(fold_axis(windows, 2, length, stride, dilation), {0, 0, 0, 0, -padding, more - padding});
}

std::vector<const Operation*> convolution_operations() {
  return {&operation_of<Conv2d>(), &operation_of<Conv2dInput>(), &operation_of<Conv2dWeight>()};
}

}  // namespace gradweave
