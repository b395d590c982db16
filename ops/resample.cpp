// Resizing is one sparse linear map for each axis; sampling on a grid reads the elements around each place,
// as rows of all their channels, and weighs them.
#include <gradweave/ops/resample.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/axis_map.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/index.hpp>
#include <gradweave/ops/matmul.hpp>
#include <gradweave/ops/scalar_math.hpp>
#include <gradweave/ops/shape.hpp>

namespace gradweave {
namespace {

// Keys' kernel, of the distance from a place, and the triangle.
template <class T>
T cubic(T x, T a) {
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : T(0);
}
template <class T>
T triangle(T x) {
  return std::max(T(0), 1 - std::abs(x));
}

// Which elements of an axis of `from` each of `to` elements is made of. Computed in the precision of the
// tensor, so that a place which is rounded down is rounded down as in PyTorch.
template <class T>
AxisMap resizing(Index from, Index to, std::optional<double> factor, const InterpolateOptions& options) {
  const bool aligns = options.align_corners, is_cubic = options.mode == Resampling::cubic;
  const T scale = aligns   ? (to > 1 ? static_cast<T>(from - 1) / static_cast<T>(to - 1) : T(0))
                  : factor ? static_cast<T>(1 / *factor)
                           : static_cast<T>(from) / static_cast<T>(to);
  AxisMap map;
  // Row i has weight(j) at the places from first to last; those that are not there count for the nearest.
  const auto add_row = [&](Index first, Index last, const auto& weight, bool normalises) {
    const Index begin = std::clamp(first, Index{0}, from - 1), end = std::clamp(last, Index{0}, from - 1);
    std::vector<double> weights(static_cast<std::size_t>(end - begin + 1));
    T total = 0;
    for (Index j = first; j <= last; ++j) {
      const T w = weight(j);
      total += w;
      weights[static_cast<std::size_t>(std::clamp(j, begin, end) - begin)] += static_cast<double>(w);
    }
    if (normalises && total != 0) {
      for (double& w : weights) w /= static_cast<double>(total);
    }
    map.add_row(begin, weights);
  };
  for (Index i = 0; i < to; ++i) {
    const T centre = (static_cast<T>(i) + T(0.5)) * scale;
    const T place = aligns ? static_cast<T>(i) * scale : centre - T(0.5);
    if (options.antialias) {
      const T stretch = std::max(scale, T(1)), reach = (is_cubic ? 2 : 1) * stretch;
      const auto first = std::max(static_cast<Index>(centre - reach + T(0.5)), Index{0});
      const auto last = std::min(static_cast<Index>(centre + reach + T(0.5)), from) - 1;
      add_row(
          first, last,
          [&](Index j) {
            const T distance = (static_cast<T>(j) + T(0.5) - centre) / stretch;
            return is_cubic ? cubic(distance, T(-0.5)) : triangle(distance);
          },
          true);
      continue;
    }
    switch (options.mode) {
      case Resampling::nearest:
      case Resampling::nearest_exact: {
        const T at =
            options.mode == Resampling::nearest ? static_cast<T>(i) * scale : std::max(place, T(0)) + T(0.5);
        map.add_row(std::min(static_cast<Index>(at), from - 1), 1, 1);
        break;
      }
      case Resampling::linear: {
        const T limited = std::max(place, T(0));
        const Index first = std::min(static_cast<Index>(std::floor(limited)), from - 1);
        const T rest = std::min(limited - static_cast<T>(first), T(1));
        add_row(
            first, first + 1, [&](Index j) { return j == first ? 1 - rest : rest; }, false);
        break;
      }
      case Resampling::cubic: {
        const auto first = static_cast<Index>(std::floor(place));
        const T rest = place - static_cast<T>(first);
        add_row(
            first - 1, first + 2, [&](Index j) { return cubic(rest - static_cast<T>(j - first), T(-0.75)); },
            false);
        break;
      }
      case Resampling::area: {
        const Index first = i * from / to, end = ((i + 1) * from + to - 1) / to;
        map.add_row(first, end - first, 1 / static_cast<double>(end - first));
        break;
      }
    }
  }
  return map;
}

// What becomes of an axis.
struct Resize {
  Index axis, from, to;
  std::optional<double> factor;
};

std::vector<Resize> resizes(const Operand& x, const InterpolateOptions& options) {
  constexpr std::string_view op = "interpolate";
  const Tensor& image = tensor_of(x, op);
  if (image.rank() < 3 || image.rank() > 5)
    refuse<ShapeError>(op, {x}, "expected (n, channels, ...) with one to three axes more");
  const std::size_t axes = image.rank() - 2, sizes = options.size.size(),
                    factors = options.scale_factor.size();
  if ((sizes == 0) == (factors == 0)) refuse<ValueError>(op, {x}, "expected one of size and scale_factor");
  if ((sizes != 0 && sizes != axes) || (factors > 1 && factors != axes))
    refuse<ValueError>(op, {x}, fmt::format("{} sizes or factors of {} axes", sizes + factors, axes));
  const bool blends = options.mode == Resampling::linear || options.mode == Resampling::cubic;
  if ((options.align_corners || options.antialias) && !blends)
    refuse<ValueError>(op, {x}, "align_corners and antialias are for linear and cubic");
  std::vector<Resize> all;
  for (std::size_t k = 0; k < axes; ++k) {
    const Index axis = static_cast<Index>(k) - static_cast<Index>(axes), from = image.size(axis);
    Resize one{axis, from, 0, std::nullopt};
    if (factors == 0) {
      one.to = options.size[k];
    } else {
      const double factor = options.scale_factor[factors == 1 ? 0 : k],
                   to = static_cast<double>(from) * factor;
      if (!(factor > 0) || to > 1e15) refuse<ValueError>(op, {x}, fmt::format("a factor of {}", factor));
      one.to = static_cast<Index>(std::floor(to));
      if (!options.recompute_scale_factor && options.mode != Resampling::area) one.factor = factor;
    }
    if (one.to < 1) refuse<ValueError>(op, {x}, fmt::format("a size of {}", one.to));
    if (from < 1) refuse<ShapeError>(op, {x}, "an axis is empty");
    all.push_back(one);
  }
  return all;
}

// ---- Grids

// Coordinates from -1 to 1 as places among `size` elements.
Tensor unnormalized(const Tensor& grid, Index size, bool align_corners) {
  const auto n = static_cast<double>(size);
  return align_corners ? (grid + 1) * ((n - 1) / 2) : ((grid + 1) * n - 1) / 2;
}
Tensor limited(const Tensor& place, Index size) {
  const auto last = static_cast<double>(size - 1);
  return where(place <= 0, 0, where(place >= last, last, place));
}
// Folded into [low, low + span].
Tensor reflected(const Tensor& place, double low, double span) {
  if (span == 0) return zeros(place.shape(), place.dtype());
  const Tensor distance = where(place < low, low - place, place - low);
  const Tensor flips = detach(floor(distance / span));
  const Tensor rest = distance - flips * span;
  return low + where(flips == 2 * floor(flips / 2), rest, span - rest);
}
Tensor inside(const Tensor& place, Index size, const GridSampleOptions& options) {
  const auto n = static_cast<double>(size);
  switch (options.padding_mode) {
    case GridPadding::border:
      return limited(place, size);
    case GridPadding::reflection:
      return limited(options.align_corners ? reflected(place, 0, n - 1) : reflected(place, -0.5, n), size);
    default:
      return place;
  }
}

// An element that takes part, along one axis: a whole number, perhaps outside, and its weight (empty: 1).
struct Tap {
  Tensor place, weight;
};
std::vector<Tap> taps(const Tensor& coordinates, Index size, const GridSampleOptions& options) {
  const Tensor place = unnormalized(coordinates, size, options.align_corners);
  std::vector<Tap> all;
  if (options.mode == Resampling::nearest) {
    all.push_back({round(inside(place, size, options)), Tensor()});
    return all;
  }
  if (options.mode == Resampling::linear) {
    const Tensor at = inside(place, size, options), first = detach(floor(at)), rest = at - first;
    all.push_back({first, 1 - rest});
    all.push_back({first + 1, rest});
    return all;
  }
  const Tensor first = detach(floor(place)), rest = place - first;
  constexpr double a = -0.75;
  const auto near = [&](const Tensor& d) { return ((a + 2) * d - (a + 3)) * d * d + 1; };
  const auto far = [&](const Tensor& d) { return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a; };
  const std::array<Tensor, 4> weights{far(1 + rest), near(rest), near(1 - rest), far(2 - rest)};
  for (std::size_t k = 0; k < 4; ++k)
    all.push_back({inside(first + (static_cast<double>(k) - 1), size, options), weights[k]});
  return all;
}

}  // namespace

Tensor interpolate(const Operand& x, const InterpolateOptions& options) {
  std::vector<Resize> all = resizes(x, options);
  // What shrinks comes first, the contiguous axis last among these and first among those that grow.
  std::ranges::stable_partition(all, [](const Resize& one) { return one.to <= one.from; });
  const auto growing = std::ranges::find_if(all, [](const Resize& one) { return one.to > one.from; });
  std::reverse(growing, all.end());
  Tensor y = *x.tensor();
  const bool picks = options.mode == Resampling::nearest || options.mode == Resampling::nearest_exact;
  for (const Resize& one : all) {
    if (one.from == one.to && (!one.factor || (options.mode == Resampling::linear && !options.antialias)))
      continue;
    const AxisMap map = y.dtype() == DType::float64 ? resizing<double>(one.from, one.to, one.factor, options)
                                                    : resizing<float>(one.from, one.to, one.factor, options);
    const Operand operand(y, x.where());
    if (picks && !is_floating(y.dtype())) {  // whole numbers stay what they are
      y = take(operand, cast(map.apply(arange(one.from, DType::float64), 0), DType::int64), one.axis);
    } else {
      y = map.apply(operand, one.axis);
    }
  }
  return y;
}

Tensor affine_grid(const Operand& theta, const Shape& size, bool align_corners) {
  constexpr std::string_view op = "affine_grid";
  const Tensor& maps = tensor_of(theta, op);
  const std::size_t axes = size.rank() > 2 ? size.rank() - 2 : 0;
  const auto coordinates = static_cast<Index>(axes);
  if (axes < 2 || axes > 3 || maps.shape() != Shape{size[0], coordinates, coordinates + 1}) {
    refuse<ShapeError>(op, {theta},
                       fmt::format("expected maps (n, 2, 3) or (n, 3, 4) for images of {}", to_string(size)));
  }
  std::vector<double> base;  // of each place: its coordinates, the last axis first, and 1
  const Index places = numel(Dims(size).subspan(2));
  base.reserve(static_cast<std::size_t>(places * (coordinates + 1)));
  for (Index place = 0; place < places; ++place) {
    Index rest = place;
    for (std::size_t k = size.rank(); k-- > 2; rest /= size[k]) {
      const auto i = static_cast<double>(rest % size[k]), n = static_cast<double>(size[k]);
      base.push_back(align_corners ? (n > 1 ? 2 * i / (n - 1) - 1 : 0) : (2 * i + 1) / n - 1);
    }
    base.push_back(1);
  }
  const Tensor points = cast(constant(base, {places, coordinates + 1}), maps.dtype());
  const Tensor grid = matmul(points, Operand(transpose(theta), theta.where()));
  Shape shape{size[0]};
  for (std::size_t k = 2; k < size.rank(); ++k) shape.push_back(size[k]);
  shape.push_back(coordinates);
  return reshape(grid, Dims(shape));
}

Tensor grid_sample(const Operand& x, const Operand& grid, const GridSampleOptions& options) {
  constexpr std::string_view op = "grid_sample";
  const Tensor &image = tensor_of(x, op), &at = tensor_of(grid, op);
  const std::size_t rank = image.rank(), axes = rank > 2 ? rank - 2 : 0;
  if (axes < 2 || axes > 3 || at.rank() != rank || at.size(-1) != static_cast<Index>(axes) ||
      at.size(0) != image.size(0)) {
    refuse<ShapeError>(op, {x, grid},
                       "expected images (n, channels, height, width) or volumes, and a grid (n, "
                       "..., 2) or (n, ..., 3)");
  }
  const bool is_known = options.mode == Resampling::nearest || options.mode == Resampling::linear ||
                        (options.mode == Resampling::cubic && axes == 2);
  if (!is_known) refuse<ValueError>(op, {x, grid}, "modes are nearest, linear, and cubic for images");
  if (image.dtype() != at.dtype()) refuse<DTypeError>(op, {x, grid}, "expected two tensors of one dtype");
  const Index images = image.size(0), channels = image.size(1);
  const Index elements = numel(Dims(image.shape()).subspan(2));
  if (elements == 0) refuse<ShapeError>(op, {x, grid}, "the images are empty");
  const Index places = numel(Dims(at.shape()).subspan(1).first(axes));

  // Rows of all channels, and what is read of these for each place: one row for each choice of taps.
  Shape flat{images, channels, elements};
  const Tensor by_place = transpose(reshape(x, Dims(flat)));
  const Tensor rows = reshape(Operand(by_place, x.where()), {images * elements, channels});
  struct Choice {
    Tensor row, weight, is_there;
  };
  const Tensor first_row = reshape(arange(images) * elements, {images, 1});
  std::vector<Choice> choices{{first_row, {}, {}}};
  Index stride = elements;
  for (std::size_t k = 0; k < axes; ++k) {  // from the outermost axis on
    const Index size = image.size(static_cast<Index>(k) + 2);
    stride /= size;
    const auto coordinate = static_cast<Index>(axes - 1 - k);
    const Tensor along = reshape(select(grid, -1, coordinate), {images, places});
    std::vector<Choice> next;
    for (const Tap& tap : taps(along, size, options)) {
      const Tensor is_there = logical_and(tap.place >= 0, tap.place <= static_cast<double>(size - 1));
      const Tensor step = cast(where(is_there, tap.place, 0), DType::int64) * stride;
      for (const Choice& choice : choices) {
        Choice one{choice.row + step, choice.weight, is_there};
        if (one.weight.is_empty()) {
          one.weight = tap.weight;
        } else if (!tap.weight.is_empty()) {
          one.weight = one.weight * tap.weight;
        }
        if (!choice.is_there.is_empty()) one.is_there = logical_and(choice.is_there, is_there);
        next.push_back(std::move(one));
      }
    }
    choices = std::move(next);
  }
  std::vector<Tensor> terms;
  terms.reserve(choices.size());
  for (const Choice& choice : choices) {
    const auto column = [&](const Tensor& t) { return reshape(t, {images * places, 1}); };
    const Tensor value =
        where(column(choice.is_there), take(rows, reshape(choice.row, {images * places}), 0), 0);
    terms.push_back(choice.weight.is_empty() ? value : value * column(choice.weight));
  }
  const Tensor sum = terms.size() == 1 ? terms[0] : add(terms);
  Shape shape{images, channels};
  for (std::size_t k = 1; k <= axes; ++k) shape.push_back(at.size(static_cast<Index>(k)));
  return reshape(transpose(reshape(sum, {images, places, channels})), Dims(shape));
}

}  // namespace gradweave
