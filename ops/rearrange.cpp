#include <gradweave/ops/rearrange.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/reduction.hpp>
#include <gradweave/ops/shape.hpp>

namespace gradweave {
namespace {

Operand at_line_of(const Tensor& tensor, const Operand& like) { return {tensor, like.where()}; }

std::vector<Index> sizes_list(const Tensor& x) {
  const Shape shape = x.shape();
  return {shape.begin(), shape.end()};
}

// Whether row i and column j of the last two axes are on or below a diagonal.
Tensor is_below(const Tensor& x, Index diagonal) {
  const Tensor rows = reshape(arange(x.size(-2)), {-1, 1}), columns = arange(x.size(-1));
  return columns <= rows + diagonal;
}
void require_matrix(const Operand& x, std::string_view op) {
  if (tensor_of(x, op).rank() < 2) refuse<ShapeError>(op, {x}, "expected at least two axes");
}

}  // namespace

std::vector<Tensor> split(const Operand& x, std::span<const Index> sizes, Index axis) {
  const auto at = static_cast<Index>(axis_of(x, axis, "split"));
  const Index size = x.tensor()->size(at);
  if (std::ranges::any_of(sizes, [](Index s) { return s < 0; }) ||
      std::accumulate(sizes.begin(), sizes.end(), Index{0}) != size)
    refuse<ValueError>("split", {x}, fmt::format("sizes {} of an axis of {}", to_string(sizes), size));
  std::vector<Tensor> pieces;
  Index start = 0;
  for (const Index count : sizes) {
    pieces.push_back(slice(x, at, start, start + count));
    start += count;
  }
  return pieces;
}
std::vector<Tensor> split(const Operand& x, Index size, Index axis) {
  const auto at = static_cast<Index>(axis_of(x, axis, "split"));
  if (size <= 0) refuse<ValueError>("split", {x}, fmt::format("pieces of {}", size));
  const Index whole = x.tensor()->size(at);
  std::vector<Tensor> pieces;
  for (Index start = 0; start < std::max<Index>(whole, 1); start += size)
    pieces.push_back(slice(x, at, start, std::min(start + size, whole)));
  return pieces;
}
std::vector<Tensor> chunk(const Operand& x, Index count, Index axis) {
  if (count <= 0) refuse<ValueError>("chunk", {x}, fmt::format("{} pieces", count));
  const Index size = tensor_of(x, "chunk").size(static_cast<Index>(axis_of(x, axis, "chunk")));
  return split(x, std::max<Index>((size + count - 1) / count, 1), axis);
}
std::vector<Tensor> unbind(const Operand& x, Index axis) {
  const auto at = static_cast<Index>(axis_of(x, axis, "unbind"));
  std::vector<Tensor> all;
  for (Index k = 0; k < x.tensor()->size(at); ++k) all.push_back(select(x, at, k));
  return all;
}

Tensor flip(const Operand& x, const Axes& axes) {
  Tensor y = tensor_of(x, "flip");
  for (const Index axis : axes) {
    const auto at = static_cast<Index>(axis_of(x, axis, "flip"));
    y = take(at_line_of(y, x), y.size(at) - 1 - arange(y.size(at)), at);
  }
  return y;
}

Tensor fliplr(const Operand& x) { return flip(x, 1); }
Tensor flipud(const Operand& x) { return flip(x, 0); }

Tensor roll(const Operand& x, Index shift, Index axis) {
  const auto at = static_cast<Index>(axis_of(x, axis, "roll"));
  const Index size = x.tensor()->size(at);
  if (size == 0) return *x.tensor();
  const Index cut = (size - shift % size) % size;
  if (cut == 0) return *x.tensor();
  return concat({slice(x, at, cut, size), slice(x, at, 0, cut)}, at);
}
Tensor roll(const Operand& x, Dims shifts, const Axes& axes) {
  if (shifts.size() != axes.size())
    refuse<ValueError>("roll", {x}, fmt::format("{} shifts of {} axes", shifts.size(), axes.size()));
  Tensor y = tensor_of(x, "roll");
  for (std::size_t k = 0; k < shifts.size(); ++k) y = roll(at_line_of(y, x), shifts[k], axes.begin()[k]);
  return y;
}
Tensor roll(const Operand& x, Index shift) {
  const Tensor flat = reshape(x, {tensor_of(x, "roll").numel()});
  return reshape(roll(at_line_of(flat, x), shift, 0), Dims(x.tensor()->shape()));
}

Tensor rot90(const Operand& x, Index quarters, Index axis0, Index axis1) {
  const auto a = static_cast<Index>(axis_of(x, axis0, "rot90"));
  const auto b = static_cast<Index>(axis_of(x, axis1, "rot90"));
  if (a == b) refuse<ValueError>("rot90", {x}, "the two axes are one");
  switch ((quarters % 4 + 4) % 4) {
    case 1:
      return transpose(flip(x, {b}), a, b);
    case 2:
      return flip(x, {a, b});
    case 3:
      return flip(transpose(x, a, b), {b});
    default:
      return *x.tensor();
  }
}

Tensor tile(const Operand& x, Dims counts) {
  std::vector<Index> sizes = sizes_list(tensor_of(x, "tile")), times(counts.begin(), counts.end());
  if (sizes.size() < times.size()) sizes.insert(sizes.begin(), times.size() - sizes.size(), 1);
  if (times.size() < sizes.size()) times.insert(times.begin(), sizes.size() - times.size(), 1);
  // Axis by axis, so that no more than one is new at a time.
  Tensor y = reshape(x, Dims(sizes));
  for (std::size_t k = 0; k < sizes.size(); ++k) {
    if (times[k] < 0) refuse<ValueError>("tile", {x}, fmt::format("{} times", times[k]));
    if (times[k] == 1) continue;
    const Index outer = numel(Dims(sizes).first(k)), inner = numel(Dims(sizes).subspan(k));
    const Tensor repeated =
        broadcast_to(reshape(at_line_of(y, x), {outer, 1, inner}), {outer, times[k], inner});
    sizes[k] *= times[k];
    y = reshape(repeated, Dims(sizes));
  }
  return y;
}
Tensor repeat(const Operand& x, Dims counts) {
  if (counts.size() < tensor_of(x, "repeat").rank())
    refuse<ShapeError>("repeat", {x}, fmt::format("{} counts", counts.size()));
  return tile(x, counts);
}
Tensor repeat_interleave(const Operand& x, Index count, Index axis) {
  const std::size_t at = axis_of(x, axis, "repeat_interleave");
  if (count < 0) refuse<ValueError>("repeat_interleave", {x}, fmt::format("{} times", count));
  std::vector<Index> sizes = sizes_list(*x.tensor());
  const Index outer = numel(Dims(sizes).first(at + 1)), inner = numel(Dims(sizes).subspan(at + 1));
  sizes[at] *= count;
  return reshape(broadcast_to(reshape(x, {outer, 1, inner}), {outer, count, inner}), Dims(sizes));
}

Tensor repeat_interleave(const Operand& x, const Tensor& counts, Index axis) {
  const std::size_t at = axis_of(x, axis, "repeat_interleave");
  if (!is_integral(tensor_of(counts, "repeat_interleave").dtype()) || counts.rank() != 1 ||
      counts.numel() != x.tensor()->shape()[at])
    refuse<ShapeError>("repeat_interleave", {x, counts}, "expected a whole number for each slice");
  std::vector<Index> places;
  const auto times = counts.to_vector<Index>();
  for (std::size_t k = 0; k < times.size(); ++k) {
    if (times[k] < 0) refuse<ValueError>("repeat_interleave", {x, counts}, fmt::format("{} times", times[k]));
    places.insert(places.end(), static_cast<std::size_t>(times[k]), static_cast<Index>(k));
  }
  return take(x, constant(places), static_cast<Index>(at));
}
Tensor full_like(const Tensor& x, double value, std::optional<DType> dtype) {
  return full(tensor_of(x, "full_like").shape(), value, dtype.value_or(x.dtype()));
}

Tensor expand(const Operand& x, Dims sizes) {
  const Shape from = tensor_of(x, "expand").shape();
  if (sizes.size() < from.rank()) refuse<ShapeError>("expand", {x}, fmt::format("{} sizes", sizes.size()));
  Shape shape;
  for (std::size_t k = 0; k < sizes.size(); ++k) {
    const std::size_t added = sizes.size() - from.rank();
    if (sizes[k] == -1 && k < added) refuse<ShapeError>("expand", {x}, "a new axis needs a size");
    shape.push_back(sizes[k] == -1 ? from[k - added] : sizes[k]);
  }
  return broadcast_to(x, shape);
}

Tensor movedim(const Operand& x, Index from, Index to) {
  const auto first = static_cast<Index>(axis_of(x, from, "movedim"));
  const auto last = static_cast<Index>(axis_of(x, to, "movedim"));
  Tensor y = *x.tensor();
  for (Index k = first; k != last; k += first < last ? 1 : -1)
    y = transpose(at_line_of(y, x), k, first < last ? k + 1 : k - 1);
  return y;
}

Tensor movedim(const Operand& x, Dims from, Dims to) {
  if (from.size() != to.size())
    refuse<ValueError>("movedim", {x}, fmt::format("{} axes to {} places", from.size(), to.size()));
  const std::size_t rank = tensor_of(x, "movedim").rank();
  std::vector<Index> order(rank, -1);
  std::vector<bool> moved(rank);
  for (std::size_t k = 0; k < from.size(); ++k) {
    const std::size_t axis = axis_of(x, from[k], "movedim"), place = axis_of(x, to[k], "movedim");
    if (moved[axis] || order[place] >= 0) refuse<ValueError>("movedim", {x}, "an axis is named twice");
    moved[axis] = true;
    order[place] = static_cast<Index>(axis);
  }
  std::size_t next = 0;
  for (Index& axis : order) {
    if (axis >= 0) continue;
    while (moved[next]) ++next;
    axis = static_cast<Index>(next++);
  }
  return permute(x, order);
}

Tensor flatten(const Operand& x, Index first, Index last) {
  if (tensor_of(x, "flatten").rank() == 0) return reshape(x, {1});
  const std::size_t from = axis_of(x, first, "flatten"), to = axis_of(x, last, "flatten");
  if (from > to) refuse<ShapeError>("flatten", {x}, fmt::format("axes {} to {}", first, last));
  std::vector<Index> sizes = sizes_list(*x.tensor());
  const Index joined = numel(Dims(sizes).subspan(from, to - from + 1));
  sizes.erase(sizes.begin() + static_cast<std::ptrdiff_t>(from),
              sizes.begin() + static_cast<std::ptrdiff_t>(to));
  sizes[from] = joined;
  return reshape(x, Dims(sizes));
}
Tensor unflatten(const Operand& x, Index axis, Dims parts) {
  const std::size_t at = axis_of(x, axis, "unflatten");
  std::vector<Index> sizes = sizes_list(*x.tensor()), inner(parts.begin(), parts.end());
  const Index size = sizes[at];
  Index known = 1;
  for (const Index part : inner) known *= part < 0 ? 1 : part;
  for (Index& part : inner) {
    if (part == -1 && known > 0) part = size / known;
  }
  if (inner.empty() || numel(Dims(inner)) != size ||
      std::ranges::any_of(inner, [](Index p) { return p < 0; }))
    refuse<ShapeError>("unflatten", {x},
                       fmt::format("axis {} does not make {}", axis, to_string(Dims(inner))));
  const auto place = sizes.erase(sizes.begin() + static_cast<std::ptrdiff_t>(at));
  sizes.insert(place, inner.begin(), inner.end());
  return reshape(x, Dims(sizes));
}

Tensor tril(const Operand& x, Index diagonal) {
  require_matrix(x, "tril");
  return where(is_below(*x.tensor(), diagonal), x, full({}, 0, x.tensor()->dtype()));
}
Tensor triu(const Operand& x, Index diagonal) {
  require_matrix(x, "triu");
  return where(is_below(*x.tensor(), diagonal - 1), full({}, 0, x.tensor()->dtype()), x);
}

// In a row-major matrix the diagonal is every (columns + 1)-th element.
Tensor diagonal(const Operand& x, Index offset, Index axis0, Index axis1) {
  require_matrix(x, "diagonal");
  const auto a = static_cast<Index>(axis_of(x, axis0, "diagonal"));
  const auto b = static_cast<Index>(axis_of(x, axis1, "diagonal"));
  if (a == b) refuse<ValueError>("diagonal", {x}, "the two axes are one");
  const auto last = static_cast<Index>(x.tensor()->rank()) - 1;
  Tensor y = movedim(x, a, last);  // to (..., axis0, axis1)
  y = movedim(y, a < b ? b - 1 : b, last);
  const Index rows = y.size(-2), columns = y.size(-1);
  const Index first_row = std::max<Index>(-offset, 0), first_column = std::max<Index>(offset, 0);
  const Index count = std::max<Index>(std::min(rows - first_row, columns - first_column), 0);
  std::vector<Index> sizes = sizes_list(y);
  sizes.pop_back();
  sizes.back() = rows * columns;
  const Index start = count == 0 ? 0 : first_row * columns + first_column;
  return slice(reshape(at_line_of(y, x), Dims(sizes)), -1, start,
               start + (count == 0 ? 0 : (count - 1) * (columns + 1) + 1), columns + 1);
}

Tensor diag_embed(const Operand& x, Index offset, Index axis0, Index axis1) {
  if (tensor_of(x, "diag_embed").rank() == 0) refuse<ShapeError>("diag_embed", {x}, "expected an axis");
  const auto a = static_cast<Index>(axis_of(x, axis0, "diag_embed", 1));
  const auto b = static_cast<Index>(axis_of(x, axis1, "diag_embed", 1));
  if (a == b) refuse<ValueError>("diag_embed", {x}, "the two axes are one");
  const Index count = x.tensor()->size(-1), size = count + std::abs(offset);
  const Index above = std::max<Index>(offset, 0), below = std::max<Index>(-offset, 0);
  std::vector<Index> in_front = sizes_list(*x.tensor());
  in_front.pop_back();
  const auto zeros_of = [&](Index rows, Index columns) {
    std::vector<Index> sizes = in_front;
    sizes.insert(sizes.end(), {rows, columns});
    return zeros(Shape(Dims(sizes)), x.tensor()->dtype());
  };
  // Elements and what lies between them: `size` zeros after each.
  const Tensor column = concat({expand_dims(x, -1), zeros_of(count, size)}, -1);
  std::vector<Index> flat = in_front, square = in_front;
  flat.push_back(count * (size + 1));
  square.insert(square.end(), {size, size});
  Tensor line = reshape(at_line_of(column, x), Dims(flat));
  const auto padded = [&](Index n) {
    std::vector<Index> sizes = in_front;
    sizes.push_back(n);
    return zeros(Shape(Dims(sizes)), x.tensor()->dtype());
  };
  const Index start = below * size + above, total = size * size;
  line = concat({padded(start), line}, -1);
  const Index missing = total - line.size(-1);
  line = missing >= 0 ? concat({line, padded(missing)}, -1) : slice(line, -1, 0, total);
  const Index axes[] = {a, b};
  return movedim(reshape(line, Dims(square)), Dims({{-2, -1}}), axes);
}
Tensor diag(const Operand& x, Index offset) {
  const std::size_t rank = tensor_of(x, "diag").rank();
  if (rank != 1 && rank != 2) refuse<ShapeError>("diag", {x}, "expected one axis or two");
  return rank == 1 ? diag_embed(x, offset) : diagonal(x, offset);
}
Tensor trace(const Operand& x) {
  if (tensor_of(x, "trace").rank() != 2) refuse<ShapeError>("trace", {x}, "expected a matrix");
  return sum(at_line_of(diagonal(x), x));
}
Tensor eye(Index rows, Index columns, DType dtype) {
  return cast(reshape(arange(rows), {-1, 1}) == arange(columns), dtype);
}
Tensor eye(Index rows, DType dtype) { return eye(rows, rows, dtype); }

Tensor arange(double start, double stop, double step, DType dtype) {
  if (step == 0 || !std::isfinite(step) || !std::isfinite(start) || !std::isfinite(stop))
    throw ValueError(fmt::format("arange: from {} to {} by {}", start, stop, step));
  const double count = std::ceil((stop - start) / step);
  if (!(count < 0x1p62)) throw ValueError(fmt::format("arange: from {} to {} by {}", start, stop, step));
  const Tensor steps = arange(std::max<Index>(static_cast<Index>(count), 0), DType::float64);
  return cast(steps * step + start, dtype);
}
Tensor arange(Index start, Index stop, Index step, DType dtype) {
  if (step == 0) throw ValueError(fmt::format("arange: from {} to {} by 0", start, stop));
  const Index span = step > 0 ? stop - start : start - stop, by = std::abs(step);
  const Index count = span <= 0 ? 0 : (span - 1) / by + 1;
  const Tensor steps = arange(count);
  return cast(step == 1 && start == 0 ? steps : steps * step + start, dtype);
}
Tensor linspace(double start, double stop, Index count, DType dtype) {
  if (count < 0) throw ValueError(fmt::format("linspace: {} numbers", count));
  if (count == 0) return zeros({0}, dtype);
  if (count == 1) return full({1}, start, dtype);
  const Tensor k = arange(count, DType::float64);
  const double step = (stop - start) / static_cast<double>(count - 1);
  // From the nearer end, so that both ends are exact.
  const Tensor from_stop = stop - (static_cast<double>(count - 1) - k) * step;
  return cast(where(k < static_cast<double>(count) / 2, start + k * step, from_stop), dtype);
}
Tensor logspace(double start, double stop, Index count, double base, DType dtype) {
  return cast(pow(full({}, base, DType::float64), linspace(start, stop, count, DType::float64)), dtype);
}

std::vector<Tensor> meshgrid(std::span<const Tensor> axes, GridIndexing indexing) {
  if (indexing == GridIndexing::xy && axes.size() > 1) {
    std::vector<Tensor> all = meshgrid(axes);
    for (Tensor& grid : all) grid = transpose(grid, 0, 1);
    return all;
  }
  Shape shape;
  for (const Tensor& axis : axes) {
    if (axis.is_empty() || axis.rank() > 1) throw ShapeError("meshgrid: expected axes of one dimension");
    shape.push_back(axis.numel());
  }
  std::vector<Tensor> all;
  for (std::size_t k = 0; k < axes.size(); ++k) {
    std::vector<Index> sizes(axes.size(), 1);
    sizes[k] = axes[k].numel();
    all.push_back(broadcast_to(reshape(axes[k], Dims(sizes)), shape));
  }
  return all;
}

}  // namespace gradweave
