#include <gradweave/ops/pooling.hpp>

#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/integer.hpp>
#include <gradweave/ops/kernels/max_windows.hpp>
#include <gradweave/ops/rearrange.hpp>
#include <gradweave/ops/scatter.hpp>
#include <gradweave/ops/shape.hpp>

namespace gradweave {
namespace {

Tensor max_pool_vjp(const Operand& g, const Operand& x, const Sliding& sliding);

Pair last_two(Dims shape) { return {shape[shape.size() - 2], shape.back()}; }

// Windows over the last two axes.
Windows over(const Sliding& windows, Dims shape) { return {windows, last_two(shape)}; }

Shape pooled(Dims shape, Pair count) {
  Shape y(shape.first(shape.size() - 2));
  y.push_back(count.rows), y.push_back(count.cols);
  return y;
}

void require_images(const Spec& x) {
  if (x.shape.rank() < 2) throw ShapeError("expected images (..., height, width)");
}

struct MaxPool2d {
  Sliding windows;
  static constexpr std::string_view name = "max_pool2d";
  static constexpr bool throws = false;
  static constexpr DTypes dtypes = floating;
  Spec infer(const Spec& x) const {
    require_images(x);
    return {pooled(x.shape, over(windows, x.shape).count), x.dtype};
  }
  void forward(const RowRange& rows, const ArrayView& y, const ArrayView& x) const {
    const Windows w = over(windows, x.shape);
    dispatch<floating>(y.dtype, [&]<class T>() {
      for (Index k = 0; k < rows.count; ++k) {
        max_of_windows(w, x.as<const T>() + (rows.first + k) * w.elements(), rows.as<T>() + k * rows.stride);
      }
    });
  }
  static Index row_width(const ArrayView& y, const ArrayView&) { return numel(y.shape.last(2)); }
  Index workspace(const ArrayView&, const ArrayView& x) const { return over(windows, x.shape).workspace(); }
  Index row_cost(const ArrayView&, const ArrayView& x) const {
    return over(windows, x.shape).elements_held() / 4;
  }
  Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) const { return max_pool_vjp(g, x, windows); }
  static SamplesOf<MaxPool2d> samples() {
    return {{{{2, 2, 0, 1}}, {uniform(-2, 2, {1, 2, 5, 4})}},
            {{{{3, 2}, {2, 1}, 1, {1, 2}, true}}, {uniform(-2, 2, {5, 4})}},
            {{{1, 1, 0, 1, false, {2, 3}}}, {uniform(-2, 2, {5, 4})}}};
  }
};

// Zeros, plus g where the largest elements of x are.
struct MaxPool2dVjp {
  Sliding windows;
  static constexpr std::string_view name = "max_pool2d_vjp";
  static constexpr bool throws = false;
  static constexpr DTypes dtypes = floating;
  Spec infer(const Spec& g, const Spec& x) const {
    require_images(x);
    if (g.shape != pooled(x.shape, over(windows, x.shape).count))
      throw ShapeError("a cotangent of another shape");
    return x;
  }
  void forward(const RowRange& rows, const ArrayView& dx, const ArrayView& g, const ArrayView& x) const {
    const Windows w = over(windows, x.shape);
    dispatch<floating>(dx.dtype, [&]<class T>() {
      for (Index k = 0; k < rows.count; ++k) {
        scatter_to_largest(w, g.as<const T>() + (rows.first + k) * w.windows(),
                           x.as<const T>() + (rows.first + k) * w.elements(), rows.as<T>() + k * rows.stride);
      }
    });
  }
  static Index row_width(const ArrayView& dx, const ArrayView&, const ArrayView&) {
    return numel(dx.shape.last(2));
  }
  Index workspace(const ArrayView&, const ArrayView&, const ArrayView& x) const {
    return over(windows, x.shape).workspace();
  }
  Index row_cost(const ArrayView&, const ArrayView&, const ArrayView& x) const {
    const Windows w = over(windows, x.shape);
    return std::max(w.elements(), w.elements_held()) / 2;
  }
  Tensor vjp(std::size_t i, const Tensor& h, const Tensor&, const Tensor& x, const Tensor&) const;
  static SamplesOf<MaxPool2dVjp> samples() {
    return {{{{2, 2, 0, 1}}, {uniform(-2, 2, {1, 2, 2, 2}), uniform(-2, 2, {1, 2, 5, 4})}},
            {{{{3, 2}, {2, 1}, 1, {1, 2}, true}}, {uniform(-2, 2, {3, 4}), uniform(-2, 2, {5, 4})}},
            {{{1, 1, 0, 1, false, {2, 3}}}, {uniform(-2, 2, {2, 3}), uniform(-2, 2, {5, 4})}}};
  }
};

// The elements of h where the largest elements of x are.
struct TakeLargest2d {
  Sliding windows;
  static constexpr std::string_view name = "take_largest2d";
  static constexpr bool throws = false;
  static constexpr DTypes dtypes = floating;
  Spec infer(const Spec& h, const Spec& x) const {
    require_images(x);
    if (h.shape != x.shape) throw ShapeError("expected two tensors of one shape");
    return {pooled(x.shape, over(windows, x.shape).count), x.dtype};
  }
  void forward(const RowRange& rows, const ArrayView& y, const ArrayView& h, const ArrayView& x) const {
    const Windows w = over(windows, x.shape);
    dispatch<floating>(y.dtype, [&]<class T>() {
      for (Index k = 0; k < rows.count; ++k) {
        const Index image = (rows.first + k) * w.elements();
        take_largest(w, h.as<const T>() + image, x.as<const T>() + image, rows.as<T>() + k * rows.stride);
      }
    });
  }
  static Index row_width(const ArrayView& y, const ArrayView&, const ArrayView&) {
    return numel(y.shape.last(2));
  }
  Index workspace(const ArrayView&, const ArrayView&, const ArrayView& x) const {
    return over(windows, x.shape).workspace();
  }
  Index row_cost(const ArrayView&, const ArrayView&, const ArrayView& x) const {
    return over(windows, x.shape).elements_held() / 2;
  }
  Tensor vjp(std::size_t i, const Tensor& g, const Tensor&, const Tensor& x, const Tensor&) const {
    return i == 0 ? max_pool_vjp(g, x, windows) : Tensor();
  }
  static SamplesOf<TakeLargest2d> samples() {
    return {{{{2, 2, 0, 1}}, {uniform(-2, 2, {1, 2, 5, 4}), uniform(-2, 2, {1, 2, 5, 4})}},
            {{{{3, 2}, {2, 1}, 1, {1, 2}, true}}, {uniform(-2, 2, {5, 4}), uniform(-2, 2, {5, 4})}},
            {{{1, 1, 0, 1, false, {2, 3}}}, {uniform(-2, 2, {5, 4}), uniform(-2, 2, {5, 4})}}};
  }
};

// Where the largest elements are, in the row-major image.
struct ArgMaxPool2d {
  Sliding windows;
  static constexpr std::string_view name = "argmax_pool2d";
  static constexpr bool throws = false;
  static constexpr bool not_differentiable = true;
  static constexpr DTypes dtypes = floating;
  Spec infer(const Spec& x) const {
    require_images(x);
    return {pooled(x.shape, over(windows, x.shape).count), DType::int64};
  }
  void forward(const RowRange& rows, const ArrayView&, const ArrayView& x) const {
    const Windows w = over(windows, x.shape);
    dispatch<floating>(x.dtype, [&]<class T>() {
      for (Index k = 0; k < rows.count; ++k) {
        find_largest(w, x.as<const T>() + (rows.first + k) * w.elements(),
                     rows.as<Index>() + k * rows.stride);
      }
    });
  }
  static Index row_width(const ArrayView& y, const ArrayView&) { return numel(y.shape.last(2)); }
  Index workspace(const ArrayView&, const ArrayView& x) const { return over(windows, x.shape).workspace(); }
  Index row_cost(const ArrayView&, const ArrayView& x) const {
    return over(windows, x.shape).elements_held() / 2;
  }
  static SamplesOf<ArgMaxPool2d> samples() {
    return {{{{2, 2, 0, 1}}, {uniform(-2, 2, {1, 2, 5, 4})}},
            {{{{3, 2}, {2, 1}, 1, {1, 2}, true}}, {uniform(-2, 2, {5, 4})}}};
  }
};

Tensor max_pool_vjp(const Operand& g, const Operand& x, const Sliding& sliding) {
  return apply(MaxPool2dVjp{sliding}, {g, x});
}
Tensor MaxPool2dVjp::vjp(std::size_t i, const Tensor& h, const Tensor&, const Tensor& x,
                         const Tensor&) const {
  return i == 0 ? apply(TakeLargest2d{windows}, {h, x}) : Tensor();
}

// ---- One, two and three axes, by windows over two: a sequence is an image of one row, and the largest of a
// block is the largest of those of its planes, which are then the columns of an image, depth by plane.

const Tensor& require_axes(const Operand& x, std::size_t axes, std::string_view op) {
  if (tensor_of(x, op).rank() < axes)
    refuse<ShapeError>(op, {x}, fmt::format("expected at least {} ax{}", axes, axes == 1 ? "is" : "es"));
  return *x.tensor();
}

Triple volume(Index size) { return {1, 1, size}; }
Triple volume(Pair size) { return {1, size.rows, size.cols}; }
Triple volume(Triple size) { return size; }
template <class Extent>
constexpr std::size_t axes_of = std::same_as<Extent, Index>  ? 1
                                : std::same_as<Extent, Pair> ? 2
                                                             : 3;

struct Blocks {
  Sliding planes, depth;
};
template <class Extent>
Blocks blocks(Extent window, const PoolOptionsOf<Extent>& options) {
  // Along an axis that there is not, a window of one element.
  const Triple all = volume(window), stride = volume(options.stride.value_or(window));
  Triple padding(0), dilation(1);
  if constexpr (std::same_as<Extent, Index>) {
    padding.cols = options.padding, dilation.cols = options.dilation;
  } else if constexpr (std::same_as<Extent, Pair>) {
    padding = {0, options.padding.rows, options.padding.cols};
    dilation = {1, options.dilation.rows, options.dilation.cols};
  } else {
    padding = options.padding, dilation = options.dilation;
  }
  return {{all.plane(), stride.plane(), padding.plane(), dilation.plane(), options.ceil_mode},
          {{all.depth, 1}, {stride.depth, 1}, {padding.depth, 0}, {dilation.depth, 1}, options.ceil_mode}};
}

// An adaptive window is one of equal size where that divides the axis.
Sliding sharing(Pair size, Pair shares) {
  if (shares.rows < 1 || shares.cols < 1) throw ValueError(fmt::format("{} windows", to_string(shares)));
  if (size.rows % shares.rows != 0 || size.cols % shares.cols != 0 || size.rows < 1 || size.cols < 1)
    return {1, 1, 0, 1, false, shares};
  const Pair window(size.rows / shares.rows, size.cols / shares.cols);
  return {window, window, 0, 1};
}
template <class Extent>
Blocks sharing(const Operand& x, Extent shares, std::string_view op) {
  const Tensor& from = require_axes(x, axes_of<Extent>, op);
  const Triple wanted = volume(shares);
  if (wanted.depth < 1 || wanted.rows < 1 || wanted.cols < 1)
    refuse<ValueError>(op, {x}, fmt::format("{} by {} windows", wanted.depth, to_string(wanted.plane())));
  const Index rows = axes_of<Extent> > 1 ? from.size(-2) : 1;
  const Index depth = axes_of<Extent> > 2 ? from.size(-3) : 1;
  return {sharing({rows, from.size(-1)}, wanted.plane()),
          sharing({depth, wanted.rows * wanted.cols}, {wanted.depth, wanted.rows * wanted.cols})};
}

Tensor flat_planes(const Tensor& x) { return flatten(x, -2, -1); }

ValuesAndIndices largest_of_blocks(const Operand& x, std::size_t axes, const Blocks& blocks,
                                   bool wants_indices) {
  const Tensor& whole = *x.tensor();
  const Tensor image = axes == 1 ? expand_dims(x, -2) : whole;
  const Operand planes(image, x.where());
  ValuesAndIndices all;
  if (!wants_indices) all.values = apply(MaxPool2d{blocks.planes}, {planes});
  if (wants_indices) all.indices = apply(ArgMaxPool2d{blocks.planes}, {planes});
  if (axes == 3) {
    const Index plane = image.size(-2) * image.size(-1);
    const Tensor values = wants_indices ? apply(MaxPool2d{blocks.planes}, {planes}) : all.values;
    const Shape shape = values.shape();
    const Tensor columns = flat_planes(values);
    const auto unflat = [&](const Tensor& t) {
      Shape result(Dims(t.shape()).first(t.rank() - 1));
      result.push_back(shape[shape.rank() - 2]), result.push_back(shape[shape.rank() - 1]);
      return reshape(t, Dims(result));
    };
    if (wants_indices) {
      const Tensor chosen = apply(ArgMaxPool2d{blocks.depth}, {columns});
      const Tensor in_plane = take_along_axis(flatten(all.indices, -3, -1), flat_planes(chosen), -1);
      all.indices =
          unflat(floor_divide(chosen, columns.size(-1)) * plane + reshape(in_plane, Dims(chosen.shape())));
    } else {
      all.values = unflat(apply(MaxPool2d{blocks.depth}, {columns}));
    }
  }
  if (axes == 1) {
    Tensor& y = wants_indices ? all.indices : all.values;
    y = squeeze(y, -2);
  }
  if (wants_indices) {
    const auto count = -static_cast<Index>(axes);
    const Tensor taken = take_along_axis(flatten(x, count, -1), flatten(all.indices, count, -1), -1);
    all.values = reshape(taken, Dims(all.indices.shape()));
  }
  return all;
}

template <class Extent>
ValuesAndIndices max_pooled(const Operand& x, Extent window, const PoolOptionsOf<Extent>& options,
                            std::string_view op, bool wants_indices = false) {
  require_axes(x, axes_of<Extent>, op);
  return largest_of_blocks(x, axes_of<Extent>, blocks(window, options), wants_indices);
}
template <class Extent>
ValuesAndIndices max_shared(const Operand& x, Extent size, std::string_view op, bool wants_indices = false) {
  return largest_of_blocks(x, axes_of<Extent>, sharing(x, size, op), wants_indices);
}

template <class Extent>
Tensor unpooled(const Operand& x, const Operand& indices, Extent window,
                const MaxUnpoolOptions<Extent>& options, std::string_view op) {
  const Tensor& from = require_axes(x, axes_of<Extent>, op);
  if (tensor_of(indices, op).shape() != from.shape())
    refuse<ShapeError>(op, {x, indices}, "expected an index for each element");
  const auto axes = static_cast<Index>(axes_of<Extent>);
  const std::array<Index Triple::*, 3> parts{&Triple::depth, &Triple::rows, &Triple::cols};
  const Triple stride = volume(options.stride.value_or(window)), all = volume(window),
               padding = volume(options.padding), given = volume(options.output_size.value_or(Extent(0)));
  const auto shape = from.shape();
  const std::size_t leading = shape.rank() - axes_of<Extent>;
  Shape y(Dims(shape).first(leading));
  Index size = 1;
  for (Index k = -axes; k < 0; ++k) {
    const auto part = parts[static_cast<std::size_t>(3 + k)];
    const Index along = options.output_size
                            ? given.*part
                            : (from.size(k) - 1) * (stride.*part) - 2 * (padding.*part) + all.*part;
    if (along < 0) refuse<ShapeError>(op, {x, indices}, "nothing is left");
    y.push_back(along);
    size *= along;
  }
  Shape flat(Dims(shape).first(leading));
  flat.push_back(size);
  const Tensor places = flatten(indices, -axes, -1), values = flatten(x, -axes, -1);
  return reshape(scatter(zeros(flat, from.dtype()), -1, Operand(places, indices.where()), values), Dims(y));
}

}  // namespace

Tensor max_pool1d(const Operand& x, Index window, const PoolOptions1d& options) {
  return max_pooled(x, window, options, "max_pool1d").values;
}
Tensor max_pool2d(const Operand& x, Pair window, const PoolOptions& options) {
  return max_pooled(x, window, options, "max_pool2d").values;
}
Tensor max_pool3d(const Operand& x, Triple window, const PoolOptions3d& options) {
  return max_pooled(x, window, options, "max_pool3d").values;
}
ValuesAndIndices max_pool1d_with_indices(const Operand& x, Index window, const PoolOptions1d& options) {
  return max_pooled(x, window, options, "max_pool1d", true);
}
ValuesAndIndices max_pool2d_with_indices(const Operand& x, Pair window, const PoolOptions& options) {
  return max_pooled(x, window, options, "max_pool2d", true);
}
ValuesAndIndices max_pool3d_with_indices(const Operand& x, Triple window, const PoolOptions3d& options) {
  return max_pooled(x, window, options, "max_pool3d", true);
}

Tensor adaptive_max_pool1d(const Operand& x, Index size) {
  return max_shared(x, size, "adaptive_max_pool1d").values;
}
Tensor adaptive_max_pool2d(const Operand& x, Pair size) {
  return max_shared(x, size, "adaptive_max_pool2d").values;
}
Tensor adaptive_max_pool3d(const Operand& x, Triple size) {
  return max_shared(x, size, "adaptive_max_pool3d").values;
}
ValuesAndIndices adaptive_max_pool1d_with_indices(const Operand& x, Index size) {
  return max_shared(x, size, "adaptive_max_pool1d", true);
}
ValuesAndIndices adaptive_max_pool2d_with_indices(const Operand& x, Pair size) {
  return max_shared(x, size, "adaptive_max_pool2d", true);
}
ValuesAndIndices adaptive_max_pool3d_with_indices(const Operand& x, Triple size) {
  return max_shared(x, size, "adaptive_max_pool3d", true);
}

Tensor max_unpool1d(const Operand& x, const Operand& indices, Index window,
                    const MaxUnpoolOptions<Index>& options) {
  return unpooled(x, indices, window, options, "max_unpool1d");
}
Tensor max_unpool2d(const Operand& x, const Operand& indices, Pair window,
                    const MaxUnpoolOptions<Pair>& options) {
  return unpooled(x, indices, window, options, "max_unpool2d");
}
Tensor max_unpool3d(const Operand& x, const Operand& indices, Triple window,
                    const MaxUnpoolOptions<Triple>& options) {
  return unpooled(x, indices, window, options, "max_unpool3d");
}

std::vector<const Operation*> pooling_operations() {
  return {&operation_of<MaxPool2d>(), &operation_of<MaxPool2dVjp>(), &operation_of<TakeLargest2d>(),
          &operation_of<ArgMaxPool2d>()};
}

}  // namespace gradweave
