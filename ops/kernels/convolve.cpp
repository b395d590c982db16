// One image at a time, by three loops over the same picture of it. An image is spread out in scratch with its
// padding, and split into the phases of the stride: row r of a stride of s goes to phase r mod s, so that a
// strided convolution is one of stride 1 over phases. In this layout the element that a tap of the weight
// meets at position p of the output lies at p + tap, whatever the tap: every loop runs along p, over all rows
// as one, and vectorises for any size. The positions between the rows, a window's width less one for each
// row, are computed in vain. There a zero meets an element, which must be finite: an image or weight that is
// not goes by plain loops over the places of the outputs alone.
#include <gradweave/ops/kernels/convolve.hpp>

#include <bit>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <type_traits>

#include <Eigen/Core>

#include <gradweave/graph/kernels/parallel.hpp>
#include <gradweave/graph/memory/storage.hpp>
#include <gradweave/graph/operation.hpp>
#include <gradweave/ops/kernels/row_kernels.hpp>

namespace gradweave {
namespace {

template <class T>
using Packet = typename Eigen::internal::packet_traits<T>::type;
template <class T>
constexpr Index packet_size = Eigen::internal::packet_traits<T>::size;
template <class T>
constexpr Index two_packets = 2 * packet_size<T>;  // positions that are worked on at a time
// The running sums of a weight gradient, in rows and columns: as many as stay in registers.
#if defined(__AVX512F__)
constexpr Index dot_rows = 4, dot_cols = 6;
#else
constexpr Index dot_rows = 3, dot_cols = 4;
#endif

// RowRange of `count` elements that begin `from_row` and `to_row` apart; they are short, and a call of memcpy
// for each would take longer than the copy; one of constant size is an instruction.
template <class T>
void copy_rows(const T* from, Index from_row, T* to, Index to_row, Index rows, Index count) {
  in_pieces<std::min<Index>(packet_size<T>, 8)>(rows, count, [&]<Index n>(Index i, Index j) {
    std::memcpy(to + i * to_row + j, from + i * from_row + j, n * sizeof(T));
  });
}

// Where everything lies in scratch.
template <class T>
struct Layout : ConvolutionSizes {
  explicit Layout(const ConvolutionSizes& sizes) : ConvolutionSizes(sizes) {}

  Index wide() const {  // positions, as many as whole pairs of packets
    return (positions + two_packets<T> - 1) / two_packets<T> * two_packets<T>;
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
  Index image_scratch_size() const { return channels * channel + two_packets<T>; }
  Index output_scratch_size() const { return outputs * wide(); }
  RecycledVector<T> image_scratch(Index images = 1) const {
    return RecycledVector<T>(static_cast<std::size_t>(images * image_scratch_size()));
  }
  RecycledVector<T> output_scratch(Index images = 1) const {
    return RecycledVector<T>(static_cast<std::size_t>(images * output_scratch_size()));
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
  void spread(const T* x, T* scratch) const {
    const Index apart = stride.rows * image.cols;
    for_phases([&](Index from, Index to, Index rows, Index cols) {
      if (stride.cols == 1) return copy_rows(x + from, apart, scratch + to, row, rows, cols);
      const auto copy = [&](auto step) {
        for (Index i = 0; i < rows; ++i) {
          for (Index j = 0; j < cols; ++j) scratch[to + i * row + j] = x[from + i * apart + j * step];
        }
      };
      if (stride.cols == 2) return copy(std::integral_constant<Index, 2>());  // so that it vectorises
      copy(stride.cols);
    });
  }
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
  void widen(const T* y, T* scratch) const {
    const Index size = count.rows * count.cols;
    for (Index o = 0; o < outputs; ++o)
      copy_rows(y + o * size, count.cols, scratch + o * wide(), row, count.rows, count.cols);
  }
  void narrow(const T* scratch, T* y) const {
    const Index size = count.rows * count.cols;
    for (Index o = 0; o < outputs; ++o)
      copy_rows(scratch + o * wide(), row, y + o * size, count.cols, count.rows, count.cols);
  }
};

// Of bits, so that it vectorises.
template <class T>
bool are_finite(const T* x, Index count) {
  using Word = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  constexpr auto infinite = std::bit_cast<Word>(std::numeric_limits<T>::infinity());
  Word largest = 0;
  for (Index i = 0; i < count; ++i)
    largest = std::max(largest, std::bit_cast<Word>(x[i]) & std::numeric_limits<Word>::max());
  return largest < infinite;
}

// Calls f(element of the weight, row of an output, where it lies in dy, and what it meets in a spread image).
template <class T, class F>
void for_rows_met(const Layout<T>& g, const RecycledVector<Index>& taps, const F& f) {
  for (Index o = 0; o < g.outputs; ++o) {
    const Index channels = o / g.group_outputs() * g.group_channels() * g.channel;
    for (Index k = 0; k < g.tap_count(); ++k) {
      for (Index i = 0; i < g.count.rows; ++i) {
        f(o * g.tap_count() + k, (o * g.count.rows + i) * g.count.cols,
          channels + taps[static_cast<std::size_t>(k)] + i * g.row);
      }
    }
  }
}

// Nearly equal parts of at most `most`.
struct Range {
  Index first, size;
};
RecycledVector<Range> parts_of(Index total, Index most) {
  const Index count = (total + most - 1) / most;
  RecycledVector<Range> parts;
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
// gains) the sum over d of weight(d, m) times row from[d] of x. RowRange are given by where they begin; those
// of y may overlap when they gain.
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
    for (const Range& deep : deep_) {
      for (const Range& wide : wide_) {
        for (Index d = deep.first; d < deep.first + deep.size; ++d) {
          for (Index m = wide.first; m < wide.first + wide.size; ++m) packed_.push_back(weight(d, m));
        }
      }
    }
  }

  void set(T* y, const T* x, Index positions) const { run<false>(y, x, positions); }
  void add_to(T* y, const T* x, Index positions) const { run<true>(y, x, positions); }

 private:
  static constexpr Index widest = 6;                     // so that the running sums stay in registers
  static constexpr Index stretch = 16 * two_packets<T>;  // so that what is read stays in the cache

  // RowRange that are worked on at a time, which must not overlap within two packets.
  static RecycledVector<Range> parts_apart(const RecycledVector<Index>& rows) {
    RecycledVector<Range> parts;
    for (auto row = rows.begin(); row != rows.end(); ++row) {
      const auto clear = [&](Index other) { return std::abs(*row - other) >= two_packets<T>; };
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
    for (const Range& deep : deep_) {
      for (Index first = 0; first < positions; first += stretch) {
        const Index end = std::min(first + stretch, positions);
        for (const Range& wide : wide_) {
          const T* weight =
              packed_.data() + deep.first * static_cast<Index>(to_.size()) + wide.first * deep.size;
          const Index *from = from_.data() + deep.first, *to = to_.data() + wide.first;
          with_constant<widest>(wide.size, [&]<Index M>() {
            for (Index p = first; p < end; p += two_packets<T>) {
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
      right[m] = gains ? ploadu<Packet<T>>(y + to[m] + packet_size<T>) : pset1<Packet<T>>(T(0));
    }
    for (Index d = 0; d < depth; ++d, weight += M) {
      const auto a = ploadu<Packet<T>>(x + from[d]), b = ploadu<Packet<T>>(x + from[d] + packet_size<T>);
      for (Index m = 0; m < M; ++m) {
        const auto factor = pset1<Packet<T>>(weight[m]);
        left[m] = pmadd(factor, a, left[m]);
        right[m] = pmadd(factor, b, right[m]);
      }
    }
    for (Index m = 0; m < M; ++m) {
      T* at = y + to[m];
      pstoreu(at, left[m]);
      at += packet_size<T>;
      pstoreu(at, right[m]);
    }
  }

  RecycledVector<Index> from_, to_;
  RecycledVector<Range> deep_, wide_;
  RecycledVector<T> packed_;
};

// Where `count` rows of equal length begin.
RecycledVector<Index> every(Index length, Index count) {
  RecycledVector<Index> all(static_cast<std::size_t>(count));
  for (Index k = 0; k < count; ++k) all[static_cast<std::size_t>(k)] = k * length;
  return all;
}

// M rows of dy times N of x, along the positions of some images, onto M x N running packets.
template <Index M, Index N, class T>
void add_dots(Index images, const T* dy, Index dy_image, Index dy_row, const T* x, Index x_image,
              const Index* taps, Index positions, T* sums, Index sums_row) {
  using namespace Eigen::internal;
  Packet<T> sum[M][N];
  for (Index m = 0; m < M; ++m) {
    for (Index n = 0; n < N; ++n) sum[m][n] = ploadu<Packet<T>>(sums + m * sums_row + n * packet_size<T>);
  }
  for (; images > 0; --images, dy += dy_image, x += x_image) {
    for (Index p = 0; p < positions; p += packet_size<T>) {
      Packet<T> a[M];
      for (Index m = 0; m < M; ++m) a[m] = ploadu<Packet<T>>(dy + m * dy_row + p);
      for (Index n = 0; n < N; ++n) {
        const auto b = ploadu<Packet<T>>(x + taps[n] + p);
        for (Index m = 0; m < M; ++m) sum[m][n] = pmadd(a[m], b, sum[m][n]);
      }
    }
  }
  for (Index m = 0; m < M; ++m) {
    for (Index n = 0; n < N; ++n) pstoreu(sums + m * sums_row + n * packet_size<T>, sum[m][n]);
  }
}

template <class T>
void add_weight_gradient(const ConvolutionSizes& sizes, Index images, const T* dy, const T* x, T* dw) {
  const Layout<T> g(sizes);
  if (!are_finite(x, images * g.image_size())) {
    RecycledVector<T> spread = g.image_scratch();
    for (Index i = 0; i < images; ++i) {
      g.spread(x + i * g.image_size(), spread.data());
      for_rows_met(g, g.taps(), [&](Index weight, Index row, Index met) {
        for (Index j = 0; j < g.count.cols; ++j)
          dw[weight] += dy[i * g.output_size() + row + j] * spread[static_cast<std::size_t>(met + j)];
      });
    }
    return;
  }
  constexpr Index stretch = 512;  // positions at a time, of one image or of several: they stay in the cache
  const RecycledVector<Index> taps = g.taps();
  const Index k = g.tap_count(), o = g.group_outputs(), wide_row = g.wide(), sums_row = k * packet_size<T>;
  const Index together = std::clamp<Index>(stretch / g.positions, 1, images);
  const RecycledVector<Range> output_parts = parts_of(o, dot_rows), tap_parts = parts_of(k, dot_cols);
  RecycledVector<T> sums(static_cast<std::size_t>(g.outputs * sums_row));  // a packet for each element
  RecycledVector<T> spread = g.image_scratch(together), wide = g.output_scratch(together);
  const Index spread_image = g.image_scratch_size(), wide_image = g.output_scratch_size();
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
        for (const Range& rows : output_parts) {
          const Index m = group * o + rows.first;
          for (const Range& columns : tap_parts) {
            with_constant<dot_rows>(rows.size, [&]<Index M>() {
              with_constant<dot_cols>(columns.size, [&]<Index N>() {
                add_dots<M, N>(count, wide.data() + m * wide_row + p, wide_image, wide_row, from,
                               spread_image, taps.data() + columns.first, run,
                               sums.data() + m * sums_row + columns.first * packet_size<T>, sums_row);
              });
            });
          }
        }
      }
    }
  }
  for (Index j = 0; j < g.outputs * k; ++j) {
    dw[j] += Eigen::internal::predux(Eigen::internal::ploadu<Packet<T>>(sums.data() + j * packet_size<T>));
  }
}

}  // namespace

template <class T>
void convolve(const ConvolutionSizes& sizes, Index images, const T* x, const T* weight, T* y) {
  const Layout<T> g(sizes);
  const RecycledVector<Index> taps = g.taps(), rows = every(g.wide(), g.group_outputs());
  const Index k = g.tap_count(), o = g.group_outputs();
  RecycledVector<Product<T>> products;
  for (Index group = 0; group < g.groups; ++group) {
    products.emplace_back(taps, rows, [&](Index d, Index m) { return weight[(group * o + m) * k + d]; });
  }
  RecycledVector<T> spread = g.image_scratch(), wide = g.output_scratch();
  for (Index i = 0; i < images; ++i) {
    g.spread(x + i * g.image_size(), spread.data());
    for (Index group = 0; group < g.groups; ++group) {
      products[static_cast<std::size_t>(group)].set(wide.data() + group * o * g.wide(),
                                                    spread.data() + group * g.group_channels() * g.channel,
                                                    g.positions);
    }
    g.narrow(wide.data(), y + i * g.output_size());
  }
}

// The same with input and output swapped.
template <class T>
void convolve_back(const ConvolutionSizes& sizes, Index images, const T* dy, const T* weight, T* dx) {
  const Layout<T> g(sizes);
  const RecycledVector<Index> taps = g.taps(), rows = every(g.wide(), g.group_outputs());
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
  RecycledVector<T> spread = g.image_scratch(), wide = g.output_scratch();
  const bool is_finite = are_finite(weight, g.outputs * k);
  for (Index i = 0; i < images; ++i) {
    std::fill(spread.begin(), spread.end(), T(0));
    if (!is_finite) {
      for_rows_met(g, taps, [&](Index at, Index first, Index met) {
        for (Index j = 0; j < g.count.cols; ++j)
          spread[static_cast<std::size_t>(met + j)] += weight[at] * dy[i * g.output_size() + first + j];
      });
      g.collect(spread.data(), dx + i * g.image_size());
      continue;
    }
    g.widen(dy + i * g.output_size(), wide.data());
    for (Index group = 0; group < g.groups; ++group) {
      products[static_cast<std::size_t>(group)].add_to(spread.data() + group * g.group_channels() * g.channel,
                                                       wide.data() + group * o * g.wide(), g.positions);
    }
    g.collect(spread.data(), dx + i * g.image_size());
  }
}

// In fixed parts, whose sums are then added in order: it does not matter who computes which.
template <class T>
void convolve_weight(const ConvolutionSizes& sizes, Index images, const T* dy, const T* x, T* dw) {
  const Layout<T> g(sizes);
  constexpr Index part = 16;
  const Index size = g.outputs * g.tap_count(), parts = (images + part - 1) / part;
  const auto add_part = [&](Index k, T* to) {
    const Index first = k * part;
    add_weight_gradient(sizes, std::min(part, images - first), dy + first * g.output_size(),
                        x + first * g.image_size(), to);
  };
  std::fill_n(dw, size, T(0));
  if (parts <= 1) return parts == 1 ? add_part(0, dw) : void();
  const Ref<Storage> sums = allocate_storage(static_cast<std::size_t>(parts * size) * sizeof(T));
  T* const first_sum = reinterpret_cast<T*>(sums->data);
  std::fill_n(first_sum, parts * size, T(0));
  const Index cost = std::max<Index>(part * g.image_cost(), 1);
  parallel_for(parts, min_task_ns / cost + 1, [&](Index first, Index last) {
    for (Index k = first; k < last; ++k) add_part(k, first_sum + k * size);
  });
  for (Index k = 0; k < parts; ++k) {
    for (Index j = 0; j < size; ++j) dw[j] += first_sum[k * size + j];
  }
}

template void convolve(const ConvolutionSizes&, Index, const float*, const float*, float*);
template void convolve_back(const ConvolutionSizes&, Index, const float*, const float*, float*);
template void convolve_weight(const ConvolutionSizes&, Index, const float*, const float*, float*);
template void convolve(const ConvolutionSizes&, Index, const double*, const double*, double*);
template void convolve_back(const ConvolutionSizes&, Index, const double*, const double*, double*);
template void convolve_weight(const ConvolutionSizes&, Index, const double*, const double*, double*);

}  // namespace gradweave
