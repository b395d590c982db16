#include <gradweave/ops/pooling.hpp>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/graph/memory/storage.hpp>
#include <gradweave/ops/convolution.hpp>
#include <gradweave/ops/kernels/row_kernels.hpp>

namespace gradweave {
namespace {

Tensor max_pool_vjp(const Operand& g, const Operand& x, Pair window, Pair stride, Pair padding);

// One image that windows slide over; padding is behind.
struct Windows {
  Pair size, count, window, stride;
  bool halves() const { return window == Pair(2) && stride == Pair(2); }
};

// A NaN stays. Of numbers, or of vectors of them.
template <class V>
V larger(V a, V b) {
  return ((a < b) | (b != b)) ? b : a;
}

// Windows of 2x2 side by side, as most networks have them: `lanes` at a time, or one.
template <class T, Index lanes>
struct Pairs {
  using Lane __attribute__((vector_size(lanes * sizeof(T)))) = T;
  Lane even, odd;  // the left and the right column of each window

  static Lane lane(const T* x) {
    Lane values;
    std::memcpy(&values, x, sizeof(Lane));
    return values;
  }
  static void store(const Lane& values, T* x) { std::memcpy(x, &values, sizeof(Lane)); }
  static Pairs load(const T* x) {
    return [&]<int... I>(std::integer_sequence<int, I...>, const Lane& a, const Lane& b) {
      return Pairs{__builtin_shufflevector(a, b, (2 * I)...), __builtin_shufflevector(a, b, (2 * I + 1)...)};
    }(std::make_integer_sequence<int, lanes>(), lane(x), lane(x + lanes));
  }
  void store(T* x) const {
    [&]<int... I>(std::integer_sequence<int, I...>) {
      constexpr int n = lanes;
      store(__builtin_shufflevector(even, odd, (I / 2 + I % 2 * n)...), x);
      store(__builtin_shufflevector(even, odd, ((n + I) / 2 + (n + I) % 2 * n)...), x + lanes);
    }(std::make_integer_sequence<int, lanes>());
  }
};

template <class T>
constexpr Index most_lanes = Eigen::internal::packet_traits<T>::size;

template <class T>
void max_of_pairs(const Windows& w, const T* x, T* y) {
  in_pieces<most_lanes<T>>(w.count.rows, w.count.cols, [&]<Index lanes>(Index i, Index j) {
    using P = Pairs<T, lanes>;
    const T* corner = x + 2 * (i * w.size.cols + j);
    const P a = P::load(corner), b = P::load(corner + w.size.cols);
    P::store(larger(larger(a.even, a.odd), larger(b.even, b.odd)), y + i * w.count.cols + j);
  });
}
// Each element in turn takes what is left of the cotangent unless it is less than the largest.
template <class T>
void scatter_to_pairs(const Windows& w, const T* g, const T* x, T* dx) {
  in_pieces<most_lanes<T>>(w.count.rows, w.count.cols, [&]<Index lanes>(Index i, Index j) {
    using P = Pairs<T, lanes>;
    const Index corner = 2 * (i * w.size.cols + j), below = corner + w.size.cols;
    const P a = P::load(x + corner), b = P::load(x + below);
    const auto largest = larger(larger(a.even, a.odd), larger(b.even, b.odd));
    auto left = P::lane(g + i * w.count.cols + j);
    const auto taken_by = [&](auto element) {
      const auto none = decltype(left){}, taken = element < largest ? none : left;
      left = element < largest ? left : none;
      return taken;
    };
    P above{}, under{};
    above.even = taken_by(a.even), above.odd = taken_by(a.odd);
    under.even = taken_by(b.even), under.odd = left;
    above.store(dx + corner), under.store(dx + below);
  });
}

template <class T>
void max_of_windows(const Windows& w, const T* x, T* y) {
  if (w.halves()) return max_of_pairs(w, x, y);
  for (Index i = 0; i < w.count.rows; ++i, y += w.count.cols) {
    const T* top = x + i * w.stride.rows * w.size.cols;
    for (Index j = 0; j < w.count.cols; ++j) y[j] = top[j * w.stride.cols];
    for (Index r = 0; r < w.window.rows; ++r) {
      for (Index s = 0; s < w.window.cols; ++s) {
        const T* from = top + r * w.size.cols + s;
        for (Index j = 0; j < w.count.cols; ++j) y[j] = larger(y[j], from[j * w.stride.cols]);
      }
    }
  }
}

// Calls f(window, element) with where each window's first largest element is.
template <class T, class F>
void for_largest(const Windows& w, const T* x, const F& f) {
  for (Index i = 0; i < w.count.rows; ++i) {
    for (Index j = 0; j < w.count.cols; ++j) {
      const Index corner = i * w.stride.rows * w.size.cols + j * w.stride.cols;
      Index best = corner;
      for (Index r = 0; r < w.window.rows; ++r) {
        for (Index s = 0; s < w.window.cols; ++s) {
          const Index at = corner + r * w.size.cols + s;
          if (x[best] < x[at] || (x[at] != x[at] && x[best] == x[best])) best = at;
        }
      }
      f(i * w.count.cols + j, best);
    }
  }
}

template <class T>
void scatter_to_largest(const Windows& w, const T* g, const T* x, T* dx) {
  if (!w.halves()) {
    std::fill_n(dx, w.size.rows * w.size.cols, T(0));
    return for_largest(w, x, [&](Index window, Index element) { dx[element] += g[window]; });
  }
  scatter_to_pairs(w, g, x, dx);
  for (Index i = 0; w.size.cols % 2 == 1 && i < w.size.rows; ++i) dx[(i + 1) * w.size.cols - 1] = 0;
  if (w.size.rows % 2 == 1) std::fill_n(dx + (w.size.rows - 1) * w.size.cols, w.size.cols, T(0));
}

// Of two images with their padding.
Index padded_bytes(const ArrayView& x, Pair padding) {
  const std::size_t rank = x.shape.size();
  constexpr Index images = 2, element = 8;
  return images * element * (x.shape[rank - 2] + 2 * padding.rows) * (x.shape[rank - 1] + 2 * padding.cols) +
         128;
}

// Pools some images of `x`, from `first` on: calls kernel(windows, image, number of the image counted from
// `first`), where the image has its padding of -inf around it.
template <class T, class F>
void for_images(const ArrayView& x, Index first, Index images, Pair count, Pair window, Pair stride,
                Pair padding, const F& kernel) {
  const std::size_t rank = x.shape.size();
  const Pair size(x.shape[rank - 2], x.shape[rank - 1]);
  const Pair padded(size.rows + 2 * padding.rows, size.cols + 2 * padding.cols);
  const Windows windows{padded, count, window, stride};
  const Index elements = size.rows * size.cols;
  const T* from = x.as<const T>() + first * elements;
  if (padding == Pair(0)) {
    for (Index k = 0; k < images; ++k) kernel(windows, from + k * elements, k);
    return;
  }
  RecycledVector<T> scratch(static_cast<std::size_t>(padded.rows * padded.cols),
                            -std::numeric_limits<T>::infinity());
  for (Index k = 0; k < images; ++k) {
    for (Index i = 0; i < size.rows; ++i) {
      std::copy_n(from + k * elements + i * size.cols, size.cols,
                  scratch.data() + (i + padding.rows) * padded.cols + padding.cols);
    }
    kernel(windows, scratch.data(), k);
  }
}

Shape pooled(Dims shape, Pair count) {
  RecycledVector<Index> sizes(shape.begin(), shape.end());
  sizes[sizes.size() - 2] = count.rows, sizes.back() = count.cols;
  return Shape(Dims(sizes));
}

Pair count_windows(const Spec& x, Pair window, Pair stride, Pair padding) {
  const std::size_t rank = x.shape.rank();
  if (rank < 2) throw ShapeError("expected images (..., height, width)");
  if (2 * padding.rows > window.rows || 2 * padding.cols > window.cols) {
    throw ValueError(
        fmt::format("padding {} is more than half of the window {}", to_string(padding), to_string(window)));
  }
  return window_count({x.shape[rank - 2], x.shape[rank - 1]}, window, stride, padding, 1);
}

Pair last_two(Dims shape) { return {shape[shape.size() - 2], shape.back()}; }

struct MaxPool2d {
  Pair window, stride, padding;
  static constexpr std::string_view name = "max_pool2d";
  static constexpr bool throws = false;
  static constexpr DTypes dtypes = floating;
  Spec infer(const Spec& x) const {
    return {pooled(x.shape, count_windows(x, window, stride, padding)), x.dtype};
  }
  void forward(const RowRange& rows, const ArrayView& y, const ArrayView& x) const {
    const Pair count = last_two(y.shape);
    dispatch<floating>(y.dtype, [&]<class T>() {
      for_images<T>(x, rows.first, rows.count, count, window, stride, padding,
                    [&](const Windows& w, const T* image, Index k) {
                      max_of_windows(w, image, rows.as<T>() + k * rows.width);
                    });
    });
  }
  static Index row_width(const ArrayView& y, const ArrayView&) {
    return last_two(y.shape).rows * last_two(y.shape).cols;
  }
  Index workspace(const ArrayView&, const ArrayView& x) const { return padded_bytes(x, padding); }
  Index row_cost(const ArrayView& y, const ArrayView& x) const {
    return row_width(y, x) * window.rows * window.cols / 4;
  }
  Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) const {
    return max_pool_vjp(g, x, window, stride, padding);
  }
  static SamplesOf<MaxPool2d> samples() {
    return {{{2, 2, 0}, {uniform(-2, 2, {1, 2, 5, 4})}}, {{{3, 2}, {2, 1}, 1}, {uniform(-2, 2, {5, 4})}}};
  }
};

// Zeros, plus g where the largest elements of x are.
struct MaxPool2dVjp {
  Pair window, stride, padding;
  static constexpr std::string_view name = "max_pool2d_vjp";
  static constexpr bool throws = false;
  static constexpr DTypes dtypes = floating;
  static Spec infer(const Spec&, const Spec& x) { return x; }
  void forward(const RowRange& rows, const ArrayView& dx, const ArrayView& g, const ArrayView& x) const {
    const Pair count = last_two(g.shape), size = last_two(x.shape);
    dispatch<floating>(dx.dtype, [&]<class T>() {
      const bool pads = padding != Pair(0);
      const Index padded_cols = size.cols + 2 * padding.cols;
      RecycledVector<T> scratch(pads ? static_cast<std::size_t>((size.rows + 2 * padding.rows) * padded_cols)
                                     : 0);
      for_images<T>(x, rows.first, rows.count, count, window, stride, padding,
                    [&](const Windows& w, const T* image, Index k) {
                      T* to = rows.as<T>() + k * rows.width;
                      scatter_to_largest(w, g.as<const T>() + (rows.first + k) * count.rows * count.cols,
                                         image, pads ? scratch.data() : to);
                      for (Index i = 0; pads && i < size.rows; ++i) {
                        std::copy_n(scratch.data() + (i + padding.rows) * padded_cols + padding.cols,
                                    size.cols, to + i * size.cols);
                      }
                    });
    });
  }
  static Index row_width(const ArrayView& dx, const ArrayView&, const ArrayView&) {
    return last_two(dx.shape).rows * last_two(dx.shape).cols;
  }
  Index workspace(const ArrayView&, const ArrayView&, const ArrayView& x) const {
    return padded_bytes(x, padding);
  }
  Index row_cost(const ArrayView&, const ArrayView& g, const ArrayView& x) const {
    const Pair count = last_two(g.shape), size = last_two(x.shape);
    return std::max(size.rows * size.cols, count.rows * count.cols * window.rows * window.cols) / 2;
  }
  Tensor vjp(std::size_t i, const Tensor& h, const Tensor&, const Tensor& x, const Tensor&) const;
  static SamplesOf<MaxPool2dVjp> samples() {
    return {{{2, 2, 0}, {uniform(-2, 2, {1, 2, 2, 2}), uniform(-2, 2, {1, 2, 5, 4})}},
            {{{3, 2}, {2, 1}, 1}, {uniform(-2, 2, {3, 5}), uniform(-2, 2, {5, 4})}}};
  }
};

// The elements of h where the largest elements of x are.
struct TakeLargest2d {
  Pair window, stride, padding;
  static constexpr std::string_view name = "take_largest2d";
  static constexpr bool throws = false;
  static constexpr DTypes dtypes = floating;
  Spec infer(const Spec&, const Spec& x) const {
    return {pooled(x.shape, count_windows(x, window, stride, padding)), x.dtype};
  }
  void forward(const RowRange& rows, const ArrayView& y, const ArrayView& h, const ArrayView& x) const {
    const Pair count = last_two(y.shape), size = last_two(x.shape);
    dispatch<floating>(y.dtype, [&]<class T>() {
      for_images<T>(
          x, rows.first, rows.count, count, window, stride, padding,
          [&](const Windows& w, const T* image, Index k) {
            for_largest(w, image, [&](Index at, Index element) {
              // Padding is the largest only of nothing but -inf; then the nearest element stands for it.
              const Index i = std::clamp(element / w.size.cols - padding.rows, Index{0}, size.rows - 1);
              const Index j = std::clamp(element % w.size.cols - padding.cols, Index{0}, size.cols - 1);
              rows.as<T>()[k * rows.width + at] =
                  h.as<const T>()[((rows.first + k) * size.rows + i) * size.cols + j];
            });
          });
    });
  }
  static Index row_width(const ArrayView& y, const ArrayView&, const ArrayView&) {
    return last_two(y.shape).rows * last_two(y.shape).cols;
  }
  Index workspace(const ArrayView&, const ArrayView&, const ArrayView& x) const {
    return padded_bytes(x, padding);
  }
  Index row_cost(const ArrayView& y, const ArrayView& h, const ArrayView& x) const {
    return row_width(y, h, x) * window.rows * window.cols / 2;
  }
  Tensor vjp(std::size_t i, const Tensor& g, const Tensor&, const Tensor& x, const Tensor&) const {
    return i == 0 ? max_pool_vjp(g, x, window, stride, padding) : Tensor();
  }
  static SamplesOf<TakeLargest2d> samples() {
    return {{{2, 2, 0}, {uniform(-2, 2, {1, 2, 5, 4}), uniform(-2, 2, {1, 2, 5, 4})}},
            {{{3, 2}, {2, 1}, 1}, {uniform(-2, 2, {5, 4}), uniform(-2, 2, {5, 4})}}};
  }
};

Tensor max_pool_vjp(const Operand& g, const Operand& x, Pair window, Pair stride, Pair padding) {
  return apply(MaxPool2dVjp{window, stride, padding}, {g, x});
}
Tensor MaxPool2dVjp::vjp(std::size_t i, const Tensor& h, const Tensor&, const Tensor& x,
                         const Tensor&) const {
  return i == 0 ? apply(TakeLargest2d{window, stride, padding}, {h, x}) : Tensor();
}

}  // namespace

Tensor max_pool2d(const Operand& x, Pair window, const PoolOptions& options) {
  return apply(MaxPool2d{window, options.stride.value_or(window), options.padding}, {x});
}

// A convolution of each channel with a window of equal numbers.
Tensor avg_pool2d(const Operand& x, Pair window, const PoolOptions& options) {
  if (x.tensor() == nullptr || x.tensor()->is_empty()) throw GraphError("avg_pool2d takes a tensor");
  const Pair stride = options.stride.value_or(window);
  const Spec spec{x.tensor()->shape(), x.tensor()->dtype()};
  const Pair count = count_windows(spec, window, stride, options.padding);
  const Pair size = last_two(spec.shape);
  const DType dtype = is_floating(spec.dtype) ? spec.dtype : default_dtype();
  const Tensor mean =
      full({1, 1, window.rows, window.cols}, 1 / static_cast<double>(window.rows * window.cols), dtype);
  const Index images = numel(Dims(spec.shape).first(spec.shape.rank() - 2));
  const Tensor flat = reshape(x, {images, 1, size.rows, size.cols});
  const Tensor y = conv2d(Operand(flat, x.where()), mean, {.stride = stride, .padding = options.padding});
  return reshape(y, Dims(pooled(spec.shape, count)));
}

std::vector<const Operation*> pooling_operations() {
  return {&operation_of<MaxPool2d>(), &operation_of<MaxPool2dVjp>(), &operation_of<TakeLargest2d>()};
}

}  // namespace gradweave
