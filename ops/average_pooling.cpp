// Means over windows: linear maps along each axis, one after the other.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/axis_map.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/pooling.hpp>
#include <gradweave/ops/reduction.hpp>

namespace gradweave {
namespace {

std::vector<Index> along_axes(Index size) { return {size}; }
std::vector<Index> along_axes(Pair size) { return {size.rows, size.cols}; }
std::vector<Index> along_axes(Triple size) { return {size.depth, size.rows, size.cols}; }

void require_tensor(const Operand& x, std::size_t axes, std::string_view op) {
  if (x.tensor() == nullptr || x.tensor()->is_empty()) throw GraphError(fmt::format("{} takes a tensor", op));
  if (x.tensor()->rank() < axes)
    refuse<ShapeError>(op, {x}, fmt::format("expected at least {} ax{}", axes, axes == 1 ? "is" : "es"));
}

// Times the size of a whole window if they are sums.
template <class Extent>
Tensor averaged(const Operand& x, Extent extent, const PoolOptionsOf<Extent>& options, std::string_view op,
                bool are_sums = false) {
  const std::vector<Index> windows = along_axes(extent),
                           strides = along_axes(options.stride.value_or(extent)),
                           paddings = along_axes(options.padding);
  require_tensor(x, windows.size(), op);
  if (options.dilation != Extent(1)) refuse<ValueError>(op, {x}, "windows of an average are not dilated");
  if (options.divisor_override && *options.divisor_override == 0)
    refuse<ValueError>(op, {x}, "a divisor of 0");
  Tensor y = *x.tensor();
  double scale = options.divisor_override ? 1 / *options.divisor_override : 1;
  for (std::size_t k = 0; k < windows.size(); ++k) {
    const Index axis = static_cast<Index>(k) - static_cast<Index>(windows.size());
    const Index size = y.size(axis), window = windows[k], stride = strides[k], padding = paddings[k];
    const Index count = [&] {
      try {
        return window_count({size, 1}, {window, 1}, {stride, 1}, {padding, 0}, 1, options.ceil_mode).rows;
      } catch (const Error&) {
        rethrow_situated(op, std::array{x});
      }
    }();
    if (2 * padding > window) {
      refuse<ValueError>(op, {x},
                         fmt::format("padding {} is more than half of the window {}", padding, window));
    }
    if (window == 1 && stride == 1 && padding == 0 && scale == 1) continue;
    AxisMap map;
    for (Index i = 0; i < count; ++i) {
      const Index start = i * stride - padding, end = std::min(start + window, size + padding);
      const Index first = std::max<Index>(start, 0), held = std::min(end, size) - first;
      const Index divisor = options.divisor_override    ? 1
                            : options.count_include_pad ? end - start
                                                        : std::max<Index>(held, 1);
      map.add_row(first, std::max<Index>(held, 0),
                  scale * static_cast<double>(are_sums ? window : 1) / static_cast<double>(divisor));
    }
    y = map.apply(Operand(y, x.where()), axis);
    scale = 1;
  }
  return y;
}

template <class Extent>
Tensor shared_out(const Operand& x, Extent extent, std::string_view op) {
  const std::vector<Index> counts = along_axes(extent);
  require_tensor(x, counts.size(), op);
  Tensor y = *x.tensor();
  for (std::size_t k = 0; k < counts.size(); ++k) {
    const Index axis = static_cast<Index>(k) - static_cast<Index>(counts.size());
    const Index size = y.size(axis), count = counts[k];
    if (count < 1) refuse<ValueError>(op, {x}, fmt::format("{} windows", count));
    if (size < 1) refuse<ShapeError>(op, {x}, "the mean of nothing");
    if (count == 1) {
      y = mean(Operand(y, x.where()), axis, true);
      continue;
    }
    if (count == size) continue;
    AxisMap map;
    for (Index i = 0; i < count; ++i) {
      const Index first = i * size / count, end = ((i + 1) * size + count - 1) / count;
      map.add_row(first, end - first, 1 / static_cast<double>(end - first));
    }
    y = map.apply(Operand(y, x.where()), axis);
  }
  return y;
}

template <class Extent>
Tensor normed(const Operand& x, double norm, Extent window, const PoolOptionsOf<Extent>& options,
              std::string_view op) {
  require_tensor(x, 1, op);
  const Tensor powers = pow(x, norm);
  const Tensor sums = averaged(Operand(powers, x.where()), window,
                               {.stride = options.stride, .ceil_mode = options.ceil_mode}, op, true);
  const Tensor is_zero = sums == 0;
  return where(is_zero, 0, pow(where(is_zero, 1, sums), 1 / norm));
}

}  // namespace

Tensor avg_pool1d(const Operand& x, Index window, const PoolOptions1d& options) {
  return averaged(x, window, options, "avg_pool1d");
}
Tensor avg_pool2d(const Operand& x, Pair window, const PoolOptions& options) {
  return averaged(x, window, options, "avg_pool2d");
}
Tensor avg_pool3d(const Operand& x, Triple window, const PoolOptions3d& options) {
  return averaged(x, window, options, "avg_pool3d");
}

Tensor lp_pool1d(const Operand& x, double norm, Index window, const PoolOptions1d& options) {
  return normed(x, norm, window, options, "lp_pool1d");
}
Tensor lp_pool2d(const Operand& x, double norm, Pair window, const PoolOptions& options) {
  return normed(x, norm, window, options, "lp_pool2d");
}
Tensor lp_pool3d(const Operand& x, double norm, Triple window, const PoolOptions3d& options) {
  return normed(x, norm, window, options, "lp_pool3d");
}

Tensor adaptive_avg_pool1d(const Operand& x, Index size) {
  return shared_out(x, size, "adaptive_avg_pool1d");
}
Tensor adaptive_avg_pool2d(const Operand& x, Pair size) { return shared_out(x, size, "adaptive_avg_pool2d"); }
Tensor adaptive_avg_pool3d(const Operand& x, Triple size) {
  return shared_out(x, size, "adaptive_avg_pool3d");
}

}  // namespace gradweave
