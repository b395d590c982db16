// One image at a time, by three loops over the same picture of it. An image is spread out in scratch with its
// padding, and split into the phases of the stride: row r of a stride of s goes to phase r mod s, so that a
// strided convolution is one of stride 1 over phases. In this layout the element that a tap of the weight
// meets at position p of the output lies at p + tap, whatever the tap: every loop runs along p, over all rows
// as one, and vectorises for any size. The positions between the rows, a window's width less one for each
// row, are computed in vain.
#include <gradweave/ops/convolution.hpp>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <fmt/format.h>

#include <gradweave/graph/define.hpp>
#include <gradweave/graph/parallel.hpp>
#include <gradweave/graph/storage.hpp>
#include <gradweave/ops/row_kernels.hpp>

namespace gradweave {
namespace {

template <class T>
using Packet = typename Eigen::internal::packet_traits<T>::type;
template <class T>
constexpr Index lanes = Eigen::internal::packet_traits<T>::size;
template <class T>
constexpr Index tile = 2 * lanes<T>;  // positions that are worked on at a time
// The running sums of a weight gradient, in rows and columns: as many as stay in registers.
#if defined(__AVX512F__)
constexpr Index dot_rows = 4, dot_cols = 6;
#else
constexpr Index dot_rows = 3, dot_cols = 4;
#endif

// Rows of `count` elements that begin `from_row` and `to_row` apart; they are short, and a call of memcpy for
// each would take longer than the copy; one of constant size is an instruction.
template <class T>
void copy_rows(const T* from, Index from_row, T* to, Index to_row, Index rows, Index count) {
  in_pieces<std::min<Index>(lanes<T>, 8)>(rows, count, [&]<Index n>(Index i, Index j) {
    std::memcpy(to + i * to_row + j, from + i * from_row + j, n * sizeof(T));
  });
}

struct Geometry {
  Index channels, outputs, groups;  // of all groups
  Pair image, window, stride, padding, dilation, count;
  Index row, phase, channel;  // how many elements each of them takes in scratch
  Index positions;            // of one output: rows of `row`, up to the last element

  Geometry(Dims x, Dims weight, Pair stride_, Pair padding_, Pair dilation_, Index groups_)
      : channels(x[1]),
        outputs(weight[0]),
        groups(groups_),
        image(x[2], x[3]),
        window(weight[2], weight[3]),
        stride(stride_),
        padding(padding_),
        dilation(dilation_),
        count(window_count(image, window, stride, padding, dilation)),
        row((image.cols + 2 * padding.cols + stride.cols - 1) / stride.cols),
        phase((image.rows + 2 * padding.rows + stride.rows - 1) / stride.rows * row),
        channel(phase * stride.rows * stride.cols),
        positions((count.rows - 1) * row + count.cols) {}

  Index image_size() const { return channels * image.rows * image.cols; }
  Index output_size() const { return outputs * count.rows * count.cols; }
  // How many images to work on at a time: 100 us at 40 products a nanosecond, and many positions for each
  // factor that is packed.
  Index worthwhile_images() const {
    return std::max(4'000'000 / std::max<Index>(outputs * tap_count() * positions, 1), 800 / positions) + 1;
  }
  // Nanoseconds.
  Index image_cost() const { return outputs * tap_count() * positions / 40; }
  Index group_channels() const { return channels / groups; }
  Index group_outputs() const { return outputs / groups; }
  Index tap_count() const { return group_channels() * window.rows * window.cols; }
  template <class T>
  Index wide() const {  // positions, in whole tiles
    return (positions + tile<T> - 1) / tile<T> * tile<T>;
  }
  // Where the taps of the first group's weight lie from a position.
  RecycledVector<Index> taps() const {
    RecycledVector<Index> all;
    const auto along = [](Index offset, Index step, Index width) {
      return Pair(offset % step, offset / step * width);
    };
    for (Index c = 0; c < group_channels(); ++c) {
      for (Index i = 0; i < window.rows; ++i) {
        for (Index j = 0; j < window.cols; ++j) {
          const Pair r = along(i * dilation.rows, stride.rows, row),
                     s = along(j * dilation.cols, stride.cols, 1);
          all.push_back(c * channel + (r.rows * stride.cols + s.rows) * phase + r.cols + s.cols);
        }
      }
    }
    return all;
  }
  template <class T>
  Index image_scratch_size() const {
    return channels * channel + tile<T>;
  }
  template <class T>
  Index output_scratch_size() const {
    return outputs * wide<T>();
  }
  template <class T>
  RecycledVector<T> image_scratch(Index images = 1) const {
    return RecycledVector<T>(static_cast<std::size_t>(images * image_scratch_size<T>()));
  }
  template <class T>
  RecycledVector<T> output_scratch(Index images = 1) const {
    return RecycledVector<T>(static_cast<std::size_t>(images * output_scratch_size<T>()));
  }

  // Calls copy(where it begins in the image, and in scratch, its rows, and columns) for every phase of every
  // channel.
  template <class F>
  void for_phases(const F& copy) const {
    for (Index c = 0; c < channels; ++c) {
      for (Index i = 0; i < std::min(stride.rows, image.rows); ++i) {
        for (Index j = 0; j < std::min(stride.cols, image.cols); ++j) {
          const Index r = i + padding.rows, s = j + padding.cols;
          copy((c * image.rows + i) * image.cols + j,
               c * channel + (r % stride.rows * stride.cols + s % stride.cols) * phase +
                   r / stride.rows * row + s / stride.cols,
               (image.rows - i + stride.rows - 1) / stride.rows,
               (image.cols - j + stride.cols - 1) / stride.cols);
        }
      }
    }
  }
  // The image into scratch, whose padding is zero and stays so; and back.
  template <class T>
  void spread(const T* x, T* scratch) const {
    const Index apart = stride.rows * image.cols;
    for_phases([&](Index from, Index to, Index rows, Index cols) {
      if (stride.cols == 1) return copy_rows(x + from, apart, scratch + to, row, rows, cols);
      for (Index i = 0; i < rows; ++i) {
        for (Index j = 0; j < cols; ++j) scratch[to + i * row + j] = x[from + i * apart + j * stride.cols];
      }
    });
  }
  template <class T>
  void collect(const T* scratch, T* x) const {
    const Index apart = stride.rows * image.cols;
    for_phases([&](Index to, Index from, Index rows, Index cols) {
      if (stride.cols == 1) return copy_rows(scratch + from, row, x + to, apart, rows, cols);
      for (Index i = 0; i < rows; ++i) {
        for (Index j = 0; j < cols; ++j) x[to + i * apart + j * stride.cols] = scratch[from + i * row + j];
      }
    });
  }
  // Outputs with the gaps between their rows, which stay zero, and without.
  template <class T>
  void widen(const T* y, T* scratch) const {
    const Index size = count.rows * count.cols;
    for (Index o = 0; o < outputs; ++o)
      copy_rows(y + o * size, count.cols, scratch + o * wide<T>(), row, count.rows, count.cols);
  }
  template <class T>
  void narrow(const T* scratch, T* y) const {
    const Index size = count.rows * count.cols;
    for (Index o = 0; o < outputs; ++o)
      copy_rows(scratch + o * wide<T>(), row, y + o * size, count.cols, count.rows, count.cols);
  }
};

// Nearly equal parts of at most `most`.
struct Part {
  Index first, size;
};
RecycledVector<Part> parts_of(Index total, Index most) {
  const Index count = (total + most - 1) / most;
  RecycledVector<Part> parts;
  for (Index k = 0; k < count; ++k) {
    const Index first = k * total / count;
    parts.push_back({first, (k + 1) * total / count - first});
  }
  return parts;
}

// Calls f<size>() with a size of 1 to `most` as a constant.
template <Index most, class F>
void with_constant(Index size, const F& f) {
  if constexpr (most > 0) {
    if (size == most) return f.template operator()<most>();
    with_constant<most - 1>(size, f);
  }
}

// The product of a small matrix with the rows of a picture: row to[m] of y, along all positions, becomes (or
// gains) the sum over d of weight(d, m) times row from[d] of x. Rows are given by where they begin; those of
// y may overlap when they gain.
template <class T>
class Product {
 public:
  template <class Weight>
  Product(RecycledVector<Index> from, RecycledVector<Index> to, const Weight& weight)
      : from_(std::move(from)),
        to_(std::move(to)),
        deep_(parts_of(static_cast<Index>(from_.size()), 256)),
        wide_(parts_apart(to_)) {
    packed_.reserve(from_.size() * to_.size());
    for (const Part& deep : deep_) {
      for (const Part& wide : wide_) {
        for (Index d = deep.first; d < deep.first + deep.size; ++d) {
          for (Index m = wide.first; m < wide.first + wide.size; ++m) packed_.push_back(weight(d, m));
        }
      }
    }
  }

  void set(T* y, const T* x, Index positions) const { run<false>(y, x, positions); }
  void add_to(T* y, const T* x, Index positions) const { run<true>(y, x, positions); }

 private:
  static constexpr Index widest = 6;              // so that the running sums stay in registers
  static constexpr Index stretch = 16 * tile<T>;  // so that what is read stays in the cache

  // Rows that are worked on at a time, which must not overlap within a tile.
  static RecycledVector<Part> parts_apart(const RecycledVector<Index>& rows) {
    RecycledVector<Part> parts;
    for (auto row = rows.begin(); row != rows.end(); ++row) {
      const auto clear = [&](Index other) { return std::abs(*row - other) >= tile<T>; };
      if (!parts.empty() && parts.back().size < widest && std::all_of(row - parts.back().size, row, clear)) {
        ++parts.back().size;
      } else {
        parts.push_back({row - rows.begin(), 1});
      }
    }
    return parts;
  }

  template <bool gains>
  void run(T* y, const T* x, Index positions) const {
    for (const Part& deep : deep_) {
      for (Index first = 0; first < positions; first += stretch) {
        const Index end = std::min(first + stretch, positions);
        for (const Part& wide : wide_) {
          const T* weight =
              packed_.data() + deep.first * static_cast<Index>(to_.size()) + wide.first * deep.size;
          const Index *from = from_.data() + deep.first, *to = to_.data() + wide.first;
          with_constant<widest>(wide.size, [&]<Index M>() {
            for (Index p = first; p < end; p += tile<T>) {
              if (gains || deep.first > 0) {
                block<M, true>(weight, deep.size, x + p, from, y + p, to);
              } else {
                block<M, false>(weight, deep.size, x + p, from, y + p, to);
              }
            }
          });
        }
      }
    }
  }

  template <Index M, bool gains>
  static void block(const T* weight, Index depth, const T* x, const Index* from, T* y, const Index* to) {
    using namespace Eigen::internal;
    Packet<T> left[M], right[M];
    for (Index m = 0; m < M; ++m) {
      left[m] = gains ? ploadu<Packet<T>>(y + to[m]) : pset1<Packet<T>>(T(0));
      right[m] = gains ? ploadu<Packet<T>>(y + to[m] + lanes<T>) : pset1<Packet<T>>(T(0));
    }
    for (Index d = 0; d < depth; ++d, weight += M) {
      const auto a = ploadu<Packet<T>>(x + from[d]), b = ploadu<Packet<T>>(x + from[d] + lanes<T>);
      for (Index m = 0; m < M; ++m) {
        const auto factor = pset1<Packet<T>>(weight[m]);
        left[m] = pmadd(factor, a, left[m]);
        right[m] = pmadd(factor, b, right[m]);
      }
    }
    for (Index m = 0; m < M; ++m) {
      T* at = y + to[m];
      pstoreu(at, left[m]);
      at += lanes<T>;
      pstoreu(at, right[m]);
    }
  }

  RecycledVector<Index> from_, to_;
  RecycledVector<Part> deep_, wide_;
  RecycledVector<T> packed_;
};

// Where `count` rows of equal length begin.
RecycledVector<Index> every(Index length, Index count) {
  RecycledVector<Index> all(static_cast<std::size_t>(count));
  for (Index k = 0; k < count; ++k) all[static_cast<std::size_t>(k)] = k * length;
  return all;
}

template <class T>
void convolve(const Geometry& g, Index images, const T* x, const T* weight, T* y) {
  const RecycledVector<Index> taps = g.taps(), rows = every(g.wide<T>(), g.group_outputs());
  const Index k = g.tap_count(), o = g.group_outputs();
  RecycledVector<Product<T>> products;
  for (Index group = 0; group < g.groups; ++group) {
    products.emplace_back(taps, rows, [&](Index d, Index m) { return weight[(group * o + m) * k + d]; });
  }
  RecycledVector<T> spread = g.image_scratch<T>(), wide = g.output_scratch<T>();
  for (Index i = 0; i < images; ++i) {
    g.spread(x + i * g.image_size(), spread.data());
    for (Index group = 0; group < g.groups; ++group) {
      products[static_cast<std::size_t>(group)].set(wide.data() + group * o * g.wide<T>(),
                                                    spread.data() + group * g.group_channels() * g.channel,
                                                    g.positions);
    }
    g.narrow(wide.data(), y + i * g.output_size());
  }
}

// The same with input and output swapped.
template <class T>
void convolve_back(const Geometry& g, Index images, const T* dy, const T* weight, T* dx) {
  const RecycledVector<Index> taps = g.taps(), rows = every(g.wide<T>(), g.group_outputs());
  const Index k = g.tap_count(), o = g.group_outputs();
  // Taps that come together should lie apart: channels first, then rows, then columns.
  RecycledVector<Index> order, to;
  for (Index col = 0; col < g.window.cols; ++col) {
    for (Index at = col; at < g.window.rows * g.window.cols; at += g.window.cols) {
      for (Index tap = at; tap < k; tap += g.window.rows * g.window.cols) order.push_back(tap);
    }
  }
  for (Index tap : order) to.push_back(taps[static_cast<std::size_t>(tap)]);
  RecycledVector<Product<T>> products;
  for (Index group = 0; group < g.groups; ++group) {
    products.emplace_back(rows, to, [&](Index d, Index m) {
      return weight[(group * o + d) * k + order[static_cast<std::size_t>(m)]];
    });
  }
  RecycledVector<T> spread = g.image_scratch<T>(), wide = g.output_scratch<T>();
  for (Index i = 0; i < images; ++i) {
    g.widen(dy + i * g.output_size(), wide.data());
    std::fill(spread.begin(), spread.end(), T(0));
    for (Index group = 0; group < g.groups; ++group) {
      products[static_cast<std::size_t>(group)].add_to(spread.data() + group * g.group_channels() * g.channel,
                                                       wide.data() + group * o * g.wide<T>(), g.positions);
    }
    g.collect(spread.data(), dx + i * g.image_size());
  }
}

// M rows of dy times N of x, along the positions of some images, onto M x N running packets.
template <Index M, Index N, class T>
void add_dots(Index images, const T* dy, Index dy_image, Index dy_row, const T* x, Index x_image,
              const Index* taps, Index positions, T* sums, Index sums_row) {
  using namespace Eigen::internal;
  Packet<T> sum[M][N];
  for (Index m = 0; m < M; ++m) {
    for (Index n = 0; n < N; ++n) sum[m][n] = ploadu<Packet<T>>(sums + m * sums_row + n * lanes<T>);
  }
  for (; images > 0; --images, dy += dy_image, x += x_image) {
    for (Index p = 0; p < positions; p += lanes<T>) {
      Packet<T> a[M];
      for (Index m = 0; m < M; ++m) a[m] = ploadu<Packet<T>>(dy + m * dy_row + p);
      for (Index n = 0; n < N; ++n) {
        const auto b = ploadu<Packet<T>>(x + taps[n] + p);
        for (Index m = 0; m < M; ++m) sum[m][n] = pmadd(a[m], b, sum[m][n]);
      }
    }
  }
  for (Index m = 0; m < M; ++m) {
    for (Index n = 0; n < N; ++n) pstoreu(sums + m * sums_row + n * lanes<T>, sum[m][n]);
  }
}

template <class T>
void add_weight_gradient(const Geometry& g, Index images, const T* dy, const T* x, T* dw) {
  constexpr Index stretch = 512;  // positions at a time, of one image or of several: they stay in the cache
  const RecycledVector<Index> taps = g.taps();
  const Index k = g.tap_count(), o = g.group_outputs(), wide_row = g.wide<T>(), sums_row = k * lanes<T>;
  const Index together = std::clamp<Index>(stretch / g.positions, 1, images);
  const RecycledVector<Part> output_parts = parts_of(o, dot_rows), tap_parts = parts_of(k, dot_cols);
  RecycledVector<T> sums(static_cast<std::size_t>(g.outputs * sums_row));  // a packet for each element
  RecycledVector<T> spread = g.image_scratch<T>(together), wide = g.output_scratch<T>(together);
  const Index spread_image = g.image_scratch_size<T>(), wide_image = g.output_scratch_size<T>();
  for (Index i = 0; i < images; i += together) {
    const Index count = std::min(together, images - i);
    for (Index j = 0; j < count; ++j) {
      g.spread(x + (i + j) * g.image_size(), spread.data() + j * spread_image);
      g.widen(dy + (i + j) * g.output_size(), wide.data() + j * wide_image);
    }
    for (Index group = 0; group < g.groups; ++group) {
      for (Index p = 0; p < g.positions; p += stretch) {
        const T* from = spread.data() + group * g.group_channels() * g.channel + p;
        const Index run = std::min(stretch, g.positions - p);
        for (const Part& rows : output_parts) {
          const Index m = group * o + rows.first;
          for (const Part& columns : tap_parts) {
            with_constant<dot_rows>(rows.size, [&]<Index M>() {
              with_constant<dot_cols>(columns.size, [&]<Index N>() {
                add_dots<M, N>(count, wide.data() + m * wide_row + p, wide_image, wide_row, from,
                               spread_image, taps.data() + columns.first, run,
                               sums.data() + m * sums_row + columns.first * lanes<T>, sums_row);
              });
            });
          }
        }
      }
    }
  }
  for (Index j = 0; j < g.outputs * k; ++j) {
    dw[j] += Eigen::internal::predux(Eigen::internal::ploadu<Packet<T>>(sums.data() + j * lanes<T>));
  }
}

// In fixed parts, whose sums are then added in order: it does not matter who computes which.
template <class T>
void weight_gradient(const Geometry& g, Index images, const T* dy, const T* x, T* dw) {
  constexpr Index part = 16;
  const Index size = g.outputs * g.tap_count(), parts = (images + part - 1) / part;
  const auto add_part = [&](Index k, T* to) {
    const Index first = k * part;
    add_weight_gradient(g, std::min(part, images - first), dy + first * g.output_size(),
                        x + first * g.image_size(), to);
  };
  std::fill_n(dw, size, T(0));
  if (parts <= 1) return parts == 1 ? add_part(0, dw) : void();
  const Ref<Storage> sums = allocate_storage(static_cast<std::size_t>(parts * size) * sizeof(T));
  T* const first_sum = reinterpret_cast<T*>(sums->data);
  std::fill_n(first_sum, parts * size, T(0));
  const Index cost = std::max<Index>(part * g.image_cost(), 1);
  parallel_for(parts, block_cost / cost + 1, [&](Index first, Index last) {
    for (Index k = first; k < last; ++k) add_part(k, first_sum + k * size);
  });
  for (Index k = 0; k < parts; ++k) {
    for (Index j = 0; j < size; ++j) dw[j] += first_sum[k * size + j];
  }
}

// ---- The three ops: each is linear in its two inputs, and its derivatives are the other two.

// Of all three: a product and a sum for each output and each tap of the weight, padding included.
double flops_of(const Array& y, const Array& weight) {
  return 2 * static_cast<double>(y.size()) * static_cast<double>(numel(weight.shape.subspan(1)));
}

struct Conv2d {
  Pair stride, padding, dilation;
  Index groups;
  static constexpr std::string_view name = "conv2d";
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
  Geometry geometry(Dims x, Dims weight) const { return {x, weight, stride, padding, dilation, groups}; }
  void forward(const Rows& rows, const Array& y, const Array& x, const Array& weight) const {
    const Geometry g = geometry(x.shape, weight.shape);
    dispatch<floating>(y.dtype, [&]<class T>() {
      convolve(g, rows.count, x.as<const T>() + rows.first * g.image_size(), weight.as<const T>(),
               rows.as<T>());
    });
  }
  static Index row_width(const Array& y, const Array&, const Array&) { return numel(y.shape.subspan(1)); }
  static double flops(const Array& y, const Array&, const Array& weight) { return flops_of(y, weight); }
  Index row_cost(const Array&, const Array& x, const Array& weight) const {
    return geometry(x.shape, weight.shape).image_cost();
  }
  Index part_rows(const Array&, const Array& x, const Array& weight) const {
    return geometry(x.shape, weight.shape).worthwhile_images();
  }
  Tensor vjp(std::size_t i, const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor&) const;
  static SamplesOf<Conv2d> samples();
};

struct Conv2dInput {
  Pair stride, padding, dilation;
  Index groups;
  Shape images;
  static constexpr std::string_view name = "conv2d_input";
  static constexpr DTypes dtypes = floating;
  Conv2d convolution() const { return {stride, padding, dilation, groups}; }
  Spec infer(const Spec& dy, const Spec&) const { return {images, dy.dtype}; }
  void forward(const Rows& rows, const Array& dx, const Array& dy, const Array& weight) const {
    const Geometry g = convolution().geometry(dx.shape, weight.shape);
    dispatch<floating>(dx.dtype, [&]<class T>() {
      convolve_back(g, rows.count, dy.as<const T>() + rows.first * g.output_size(), weight.as<const T>(),
                    rows.as<T>());
    });
  }
  static Index row_width(const Array& dx, const Array&, const Array&) { return numel(dx.shape.subspan(1)); }
  static double flops(const Array&, const Array& dy, const Array& weight) { return flops_of(dy, weight); }
  Index row_cost(const Array& dx, const Array&, const Array& weight) const {
    return convolution().geometry(dx.shape, weight.shape).image_cost();
  }
  Index part_rows(const Array& dx, const Array&, const Array& weight) const {
    return convolution().geometry(dx.shape, weight.shape).worthwhile_images();
  }
  Tensor vjp(std::size_t i, const Tensor& h, const Tensor& dy, const Tensor& weight, const Tensor&) const;
  static SamplesOf<Conv2dInput> samples() {
    return {{{1, 0, 1, 1, {2, 2, 4, 3}}, {uniform(-2, 2, {2, 3, 3, 2}), uniform(-2, 2, {3, 2, 2, 2})}},
            {{{2, 1}, {0, 1}, {1, 2}, 2, {1, 2, 5, 5}},
             {uniform(-2, 2, {1, 2, 2, 3}), uniform(-2, 2, {2, 1, 3, 3})}}};
  }
};

struct Conv2dWeight {
  Pair stride, padding, dilation;
  Index groups;
  Shape weight;
  static constexpr std::string_view name = "conv2d_weight";
  static constexpr DTypes dtypes = floating;
  Conv2d convolution() const { return {stride, padding, dilation, groups}; }
  Spec infer(const Spec& dy, const Spec&) const { return {weight, dy.dtype}; }
  void forward(const Array& dw, const Array& dy, const Array& x) const {
    const Geometry g = convolution().geometry(x.shape, dw.shape);
    dispatch<floating>(dw.dtype, [&]<class T>() {
      weight_gradient(g, x.shape[0], dy.as<const T>(), x.as<const T>(), dw.as<T>());
    });
  }
  static double flops(const Array& dw, const Array& dy, const Array&) { return flops_of(dy, dw); }
  Tensor vjp(std::size_t i, const Tensor& h, const Tensor& dy, const Tensor& x, const Tensor&) const;
  static SamplesOf<Conv2dWeight> samples() {
    return {{{1, 0, 1, 1, {3, 2, 2, 2}}, {uniform(-2, 2, {2, 3, 3, 2}), uniform(-2, 2, {2, 2, 4, 3})}},
            {{{2, 1}, {0, 1}, {1, 2}, 2, {2, 1, 3, 3}},
             {uniform(-2, 2, {1, 2, 2, 3}), uniform(-2, 2, {1, 2, 5, 5})}}};
  }
};

Tensor input_gradient(const Conv2d& op, const Tensor& dy, const Tensor& weight, const Shape& images) {
  return apply(Conv2dInput{op.stride, op.padding, op.dilation, op.groups, images}, {dy, weight});
}
Tensor weight_gradient(const Conv2d& op, const Tensor& dy, const Tensor& x, const Shape& weight) {
  return apply(Conv2dWeight{op.stride, op.padding, op.dilation, op.groups, weight}, {dy, x});
}

Tensor Conv2d::vjp(std::size_t i, const Tensor& dy, const Tensor& x, const Tensor& weight,
                   const Tensor&) const {
  return i == 0 ? input_gradient(*this, dy, weight, x.shape())
                : weight_gradient(*this, dy, x, weight.shape());
}
Tensor Conv2dInput::vjp(std::size_t i, const Tensor& h, const Tensor& dy, const Tensor& weight,
                        const Tensor&) const {
  return i == 0 ? apply(convolution(), {h, weight}) : weight_gradient(convolution(), dy, h, weight.shape());
}
Tensor Conv2dWeight::vjp(std::size_t i, const Tensor& h, const Tensor& dy, const Tensor& x,
                         const Tensor&) const {
  return i == 0 ? apply(convolution(), {x, h}) : input_gradient(convolution(), dy, h, x.shape());
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

std::vector<const Operation*> convolution_operations() {
  return {&operation_of<Conv2d>(), &operation_of<Conv2dInput>(), &operation_of<Conv2dWeight>()};
}

}  // namespace gradweave
