#include <gradweave/ops/unfold.hpp>

#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/pad.hpp>
#include <gradweave/ops/shape.hpp>

namespace gradweave {
namespace {

// Of windows along an axis.
Index windows_in(Index length, Index size, Index step, Index dilation) {
  return window_count({length, 1}, {size, 1}, {step, 1}, 0, {dilation, 1}).rows;
}

struct Unfold {
  Index axis, size, step, dilation;
  static constexpr std::string_view name = "unfold";
  Spec infer(const Spec& x) const {
    const std::size_t at = axis_from_last(axis, x.shape.rank());
    Shape shape;
    for (std::size_t k = 0; k < x.shape.rank(); ++k)
      shape.push_back(k == at ? windows_in(x.shape[k], size, step, dilation) : x.shape[k]);
    shape.push_back(size);
    return {shape, x.dtype};
  }
  bool view(const ArrayView& x, ArrayView&, std::span<Index> strides) const {
    const Shape from = x.row_major() ? row_major(x.shape) : Shape::of_strides(x.strides);
    std::ranges::copy(from, strides.begin());
    Index& stride = strides[axis_from_last(axis, from.rank())];
    strides.back() = stride * dilation;
    stride *= step;
    return true;
  }
  Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) const {
    return fold_axis(g, axis, x.size(axis), step, dilation);
  }
  static SamplesOf<Unfold> samples() {
    return {{{-1, 3, 1, 1}, {uniform(-2, 2, {2, 5})}}, {{-2, 2, 2, 3}, {uniform(-2, 2, {7, 2})}}};
  }
};

struct FoldAxis {
  Index axis, length, step, dilation;  // the axis of the result
  static constexpr std::string_view name = "fold_axis";
  static constexpr bool throws = false;
  static constexpr DTypes dtypes = numeric;
  Spec infer(const Spec& g) const {
    if (g.shape.rank() < 2) throw ShapeError("expected windows as the last axis");
    const std::size_t rank = g.shape.rank() - 1, at = axis_from_last(axis, rank);
    const Index count = windows_in(length, g.shape[rank], step, dilation);
    if (g.shape[at] != count) {
      throw ShapeError(fmt::format("an axis of {} has {} windows of {}, not {}", length, count, g.shape[rank],
                                   g.shape[at]));
    }
    Shape shape;
    for (std::size_t k = 0; k < rank; ++k) shape.push_back(k == at ? length : g.shape[k]);
    return {shape, g.dtype};
  }
  void forward(const RowRange& rows, const ArrayView&, const ArrayView& g) const {
    const Index size = g.shape.back(), count = g.shape[axis_from_last(axis, g.shape.size() - 1)];
    const Index inner = rows.width / length;
    dispatch<numeric>(g.dtype, [&]<class T>() {
      const T* from = g.as<const T>() + rows.first * count * inner * size;
      for (Index row = 0; row < rows.count; ++row) {
        T* to = rows.as<T>() + row * rows.stride;
        std::fill_n(to, rows.width, T(0));
        for (Index i = 0; i < count; ++i, from += inner * size) {
          for (Index w = 0; w < size; ++w) {
            T* at = to + (i * step + w * dilation) * inner;
            for (Index k = 0; k < inner; ++k) at[k] = static_cast<T>(at[k] + from[k * size + w]);
          }
        }
      }
    });
  }
  Index row_width(const ArrayView& y, const ArrayView&) const {
    return numel(y.shape.last(static_cast<std::size_t>(-axis)));
  }
  Index row_cost(const ArrayView& y, const ArrayView& g) const {
    return row_width(y, g) / 4 + numel(g.shape.last(static_cast<std::size_t>(1 - axis))) / 2;
  }
  Tensor vjp(const Tensor& h, const Tensor& g, const Tensor&) const {
    return gradweave::apply(Unfold{axis, g.size(-1), step, dilation}, {h});
  }
  static SamplesOf<FoldAxis> samples() {
    return {{{-1, 5, 1, 1}, {uniform(-2, 2, {2, 3, 3})}}, {{-2, 7, 2, 3}, {uniform(-2, 2, {2, 2, 2})}}};
  }
};

// The shape of an image with other sizes behind those axes that are carried along.
std::vector<Index> leading(const Tensor& x, std::size_t own, std::initializer_list<Index> others) {
  const Shape shape = x.shape();
  std::vector<Index> all(shape.begin(), shape.end() - own);
  all.insert(all.end(), others);
  return all;
}

}  // namespace

Tensor unfold(const Operand& x, Index axis, Index size, Index step, Index dilation) {
  return apply(Unfold{axis_from_end(x, axis, Unfold::name), size, step, dilation}, {x});
}

Tensor fold_axis(const Operand& x, Index axis, Index length, Index step, Index dilation) {
  const auto rank = static_cast<Index>(tensor_of(x, FoldAxis::name).rank()) - 1;
  if (axis < -rank || axis >= rank)
    refuse<ShapeError>(FoldAxis::name, {x}, fmt::format("axis {} is not in front of the windows", axis));
  return apply(FoldAxis{axis < 0 ? axis : axis - rank, length, step, dilation}, {x});
}

Tensor sliding_window_view(const Operand& x, std::initializer_list<Index> sizes,
                           std::initializer_list<Index> axes) {
  constexpr std::string_view op = "sliding_window_view";
  if (axes.size() != 0 && axes.size() != sizes.size())
    refuse<ValueError>(op, {x}, fmt::format("{} sizes along {} axes", sizes.size(), axes.size()));
  Tensor y = tensor_of(x, op);
  const Index* axis = axes.begin();
  Index next = 0;
  for (const Index size : sizes) {  // an axis keeps its number, counted from the front
    const std::size_t at = axis_of(x, axes.size() == 0 ? next++ : *axis++, op);
    y = unfold(Operand(y, x.where()), static_cast<Index>(at), size, 1);
  }
  return y;
}

Tensor unfold(const Operand& x, Pair window, const UnfoldOptions& options) {
  const Tensor& image = tensor_of(x, "unfold");
  if (image.rank() < 3) refuse<ShapeError>("unfold", {x}, "expected images (..., channels, height, width)");
  const auto [rows, cols] = options.padding;
  const Tensor padded = pad(x, {cols, cols, rows, rows});
  const Operand wide(padded, x.where());
  const Tensor high = unfold(wide, -2, window.rows, options.stride.rows, options.dilation.rows);
  // (..., channels, places down, width, rows), then (..., channels, down, across, rows, columns).
  const Tensor all =
      unfold(Operand(high, x.where()), -2, window.cols, options.stride.cols, options.dilation.cols);
  const Index channels = image.size(-3), places = all.size(-4) * all.size(-3);
  const Tensor columns = transpose(transpose(all, -4, -2), -3, -1);  // (..., rows, columns, down, across)
  return reshape(columns, Dims(leading(image, 3, {channels * window.rows * window.cols, places})));
}

Tensor fold(const Operand& x, Pair size, Pair window, const UnfoldOptions& options) {
  const Tensor& columns = tensor_of(x, "fold");
  if (columns.rank() < 2)
    refuse<ShapeError>("fold", {x}, "expected columns (..., elements of a window, places)");
  const auto [rows, cols] = options.padding;
  const Pair padded(size.rows + 2 * rows, size.cols + 2 * cols);
  const auto [down, across] = [&] {
    try {
      return window_count(padded, window, options.stride, 0, options.dilation);
    } catch (const Error&) {
      rethrow_situated("fold", std::array{x});
    }
  }();
  const Index elements = window.rows * window.cols;
  if (columns.size(-1) != down * across || columns.size(-2) % elements != 0) {
    refuse<ShapeError>(
        "fold", {x}, fmt::format("expected {} places of a multiple of {} elements", down * across, elements));
  }
  const Tensor apart = reshape(
      x, Dims(leading(columns, 2, {columns.size(-2) / elements, window.rows, window.cols, down, across})));
  const Tensor places = transpose(transpose(apart, -4, -2), -3, -1);  // (..., down, across, rows, columns)
  const Tensor high = fold_axis(places, -2, padded.cols, options.stride.cols, options.dilation.cols);
  const Tensor image = fold_axis(high, -2, padded.rows, options.stride.rows, options.dilation.rows);
  return pad(image, {-cols, -cols, -rows, -rows});
}

std::vector<const Operation*> unfold_operations() {
  return {&operation_of<Unfold>(), &operation_of<FoldAxis>()};
}

}  // namespace gradweave
