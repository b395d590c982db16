#include <gradweave/ops/kernels/max_windows.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

#include <gradweave/ops/kernels/row_kernels.hpp>

namespace gradweave {
namespace {

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
// Each element in turn takes what is left of the cotangent if it is the largest, or NaN.
template <class T>
void scatter_to_pairs(const Windows& w, const T* g, const T* x, T* dx) {
  in_pieces<most_lanes<T>>(w.count.rows, w.count.cols, [&]<Index lanes>(Index i, Index j) {
    using P = Pairs<T, lanes>;
    const Index corner = 2 * (i * w.size.cols + j), below = corner + w.size.cols;
    const P a = P::load(x + corner), b = P::load(x + below);
    const auto largest = larger(larger(a.even, a.odd), larger(b.even, b.odd));
    auto left = P::lane(g + i * w.count.cols + j);
    const auto taken_by = [&](auto element) {
      const auto is_largest = (element == largest) | (element != element);
      const auto none = decltype(left){}, taken = is_largest ? left : none;
      left = is_largest ? none : left;
      return taken;
    };
    P above{}, under{};
    above.even = taken_by(a.even), above.odd = taken_by(a.odd);
    under.even = taken_by(b.even), under.odd = left;
    above.store(dx + corner), under.store(dx + below);
  });
}

bool halves(const Windows& w) {
  return !w.shares_out() && w.window == Pair(2) && w.stride == Pair(2) && w.padding == Pair(0) &&
         w.dilation == Pair(1) && 2 * w.count.rows <= w.size.rows && 2 * w.count.cols <= w.size.cols;
}

// Calls f(j, column) for the windows j of a row of them that hold element s of their columns, and where in
// the image's row that is. `I` is as wide as the elements, so that all of it vectorises.
template <class I, class F>
void for_windows_with(const Windows& w, Index s, const F& f) {
  const auto stride = static_cast<I>(w.stride.cols);
  const auto offset = static_cast<I>(s * w.dilation.cols - w.padding.cols);
  const auto room = static_cast<I>(w.size.cols - 1 - offset), count = static_cast<I>(w.count.cols);
  const I begin = offset < 0 ? (stride - 1 - offset) / stride : 0;
  const I end = room < 0 ? 0 : std::min(room / stride + 1, count);
  if (stride == 1) {
    for (I j = begin; j < end; ++j) f(j, offset + j);
  } else {
    for (I j = begin; j < end; ++j) f(j, offset + j * stride);
  }
}
template <class T>
using Place = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;

// Calls f(window, element) with where each window's first largest element is, NaN being larger than all.
template <class T, class F>
void for_largest(const Windows& w, const T* x, const F& f) {
  const auto takes = [](T value, T largest) {
    return (value > largest) | ((value != value) & (largest == largest));
  };
  if (!w.shares_out() && w.elements() <= std::numeric_limits<Place<T>>::max()) {
    RecycledVector<T> largest(static_cast<std::size_t>(w.count.cols));
    RecycledVector<Place<T>> places(static_cast<std::size_t>(w.count.cols));
    T* const values = largest.data();
    Place<T>* const best = places.data();
    for (Index i = 0; i < w.count.rows; ++i) {
      const Reach rows = w.rows[static_cast<std::size_t>(i)];
      std::fill_n(values, w.count.cols, -std::numeric_limits<T>::infinity());
      for (Index j = 0; j < w.count.cols; ++j)
        best[j] = static_cast<Place<T>>(rows.first * w.size.cols + w.cols[static_cast<std::size_t>(j)].first);
      for (Index r = rows.first; r < rows.end; r += w.dilation.rows) {
        const T* from = x + r * w.size.cols;
        const auto first = static_cast<Place<T>>(r * w.size.cols);
        for (Index s = 0; s < w.window.cols; ++s) {
          for_windows_with<Place<T>>(w, s, [&](Place<T> j, Place<T> column) {
            const T value = from[column];
            const bool better = takes(value, values[j]);
            best[j] = better ? first + column : best[j];
            values[j] = better ? value : values[j];
          });
        }
      }
      for (Index j = 0; j < w.count.cols; ++j) f(i * w.count.cols + j, Index{best[j]});
    }
    return;
  }
  for (Index i = 0; i < w.count.rows; ++i) {
    const Reach rows = w.rows[static_cast<std::size_t>(i)];
    for (Index j = 0; j < w.count.cols; ++j) {
      const Reach cols = w.cols[static_cast<std::size_t>(j)];
      Index best = rows.first * w.size.cols + cols.first;
      for (Index r = rows.first; r < rows.end; r += w.dilation.rows) {
        for (Index s = cols.first; s < cols.end; s += w.dilation.cols) {
          const Index at = r * w.size.cols + s;
          best = takes(x[at], x[best]) ? at : best;
        }
      }
      f(i * w.count.cols + j, best);
    }
  }
}

}  // namespace

Pair Sliding::count(Pair size) const {
  if (shares_out()) {
    if (shares.rows < 1 || shares.cols < 1) throw ValueError(fmt::format("{} windows", to_string(shares)));
    if (size.rows < 1 || size.cols < 1) throw ShapeError("no elements to choose from");
    return shares;
  }
  const Pair windows = window_count(size, window, stride, padding, dilation, ceil_mode);
  const auto is_wide = [&](Index Pair::*axis) {
    return 2 * (padding.*axis) > dilation.*axis * (window.*axis - 1) + 1;
  };
  if (is_wide(&Pair::rows) || is_wide(&Pair::cols)) {
    throw ValueError(
        fmt::format("padding {} is more than half of the window {}", to_string(padding), to_string(window)));
  }
  return windows;
}

Windows::Windows(const Sliding& sliding, Pair of_size)
    : Sliding(sliding),
      size(of_size),
      count(sliding.count(of_size)),
      rows(reaches(&Pair::rows)),
      cols(reaches(&Pair::cols)) {}

RecycledVector<Reach> Windows::reaches(Index Pair::*axis) const {
  const Index n = size.*axis, windows = count.*axis, step = dilation.*axis;
  RecycledVector<Reach> all;
  all.reserve(static_cast<std::size_t>(windows));
  for (Index i = 0; i < windows; ++i) {
    if (shares_out()) {
      all.push_back({i * n / windows, ((i + 1) * n + windows - 1) / windows});
      continue;
    }
    const Index first = i * stride.*axis - padding.*axis, end = first + step * (window.*axis - 1) + 1;
    all.push_back({first < 0 ? first + (step - 1 - first) / step * step : first, std::min(end, n)});
    if (all.back().first >= all.back().end) throw ShapeError("a window holds nothing but padding");
  }
  return all;
}

template <class T>
void max_of_windows(const Windows& w, const T* x, T* y) {
  if (halves(w)) return max_of_pairs(w, x, y);
  if (w.shares_out()) return for_largest(w, x, [&](Index window, Index element) { y[window] = x[element]; });
  std::fill_n(y, w.windows(), -std::numeric_limits<T>::infinity());
  for (Index i = 0; i < w.count.rows; ++i, y += w.count.cols) {
    const Reach rows = w.rows[static_cast<std::size_t>(i)];
    for (Index r = rows.first; r < rows.end; r += w.dilation.rows) {
      const T* from = x + r * w.size.cols;
      for (Index s = 0; s < w.window.cols; ++s) {
        for_windows_with<Index>(w, s, [&](Index j, Index column) { y[j] = larger(y[j], from[column]); });
      }
    }
  }
}

template <class T>
void scatter_to_largest(const Windows& w, const T* g, const T* x, T* dx) {
  if (!halves(w)) {
    std::fill_n(dx, w.elements(), T(0));
    return for_largest(w, x, [&](Index window, Index element) { dx[element] += g[window]; });
  }
  scatter_to_pairs(w, g, x, dx);
  for (Index i = 0; w.size.cols % 2 == 1 && i < w.size.rows; ++i) dx[(i + 1) * w.size.cols - 1] = 0;
  if (w.size.rows % 2 == 1) std::fill_n(dx + (w.size.rows - 1) * w.size.cols, w.size.cols, T(0));
}

template <class T>
void find_largest(const Windows& w, const T* x, Index* places) {
  for_largest(w, x, [&](Index window, Index element) { places[window] = element; });
}
template <class T>
void take_largest(const Windows& w, const T* h, const T* x, T* y) {
  for_largest(w, x, [&](Index window, Index element) { y[window] = h[element]; });
}

template void max_of_windows(const Windows&, const float*, float*);
template void find_largest(const Windows&, const float*, Index*);
template void take_largest(const Windows&, const float*, const float*, float*);
template void scatter_to_largest(const Windows&, const float*, const float*, float*);
template void max_of_windows(const Windows&, const double*, double*);
template void find_largest(const Windows&, const double*, Index*);
template void take_largest(const Windows&, const double*, const double*, double*);
template void scatter_to_largest(const Windows&, const double*, const double*, double*);

}  // namespace gradweave
