#include <gradweave/ops/joining.hpp>

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/indexing.hpp>
#include <gradweave/ops/integer.hpp>
#include <gradweave/ops/pad.hpp>
#include <gradweave/ops/rearrange.hpp>
#include <gradweave/ops/scatter.hpp>

namespace gradweave {
namespace {

Operand on_line_of(const Tensor& tensor, const Operand& like) { return {tensor, like.where()}; }

template <class Change>
std::vector<Tensor> each(std::span<const Tensor> parts, std::source_location where, const Change& change) {
  std::vector<Tensor> all;
  all.reserve(parts.size());
  for (const Tensor& part : parts) all.push_back(change(Operand(part, where)));
  return all;
}

// Where the pieces of `tensor_split` end.
std::vector<Index> ends_of_pieces(Index size, Index count) {
  std::vector<Index> ends;
  for (Index k = 1; k < count; ++k) ends.push_back(size / count * k + std::min(k, size % count));
  return ends;
}
Index even_axis(const Operand& x, Index count, Index axis, std::string_view op) {
  const Index size = tensor_of(x, op).size(static_cast<Index>(axis_of(x, axis, op)));
  if (count <= 0 || size % count != 0)
    refuse<ValueError>(op, {x}, fmt::format("{} pieces of an axis of {}", count, size));
  return axis;
}
Index side_axis(const Operand& x) { return tensor_of(x, "hsplit").rank() == 1 ? 0 : 1; }

Tensor replaced(const Operand& x, const Operand& src, const Tensor& places, std::string_view op) {
  const Tensor value = tensor_of(src, op);
  if (value.shape() != places.shape())
    refuse<ShapeError>(op, {x, src}, fmt::format("expected the shape {}", to_string(places.shape())));
  const Tensor flat = flatten(x);
  return reshape(scatter(on_line_of(flat, x), 0, flatten(places), flatten(src)), Dims(x.tensor()->shape()));
}
// The number of each element, in row-major order.
Tensor places_in(const Operand& x, std::string_view op) {
  const Shape shape = tensor_of(x, op).shape();
  return reshape(arange(numel(shape)), Dims(shape));
}

Tensor triangle_indices(const Tensor& inside) { return transpose(nonzero(inside)); }

}  // namespace

Tensor atleast_1d(const Operand& x) {
  return tensor_of(x, "atleast_1d").rank() == 0 ? reshape(x, {1}) : *x.tensor();
}
Tensor atleast_2d(const Operand& x) {
  const std::size_t rank = tensor_of(x, "atleast_2d").rank();
  return rank < 2 ? reshape(x, {1, x.tensor()->numel()}) : *x.tensor();
}
Tensor atleast_3d(const Operand& x) {
  const std::size_t rank = tensor_of(x, "atleast_3d").rank();
  if (rank > 2) return *x.tensor();
  return rank == 2 ? expand_dims(x, 2) : reshape(x, {1, x.tensor()->numel(), 1});
}

Tensor hstack(std::span<const Tensor> parts, std::source_location where) {
  const auto all = each(parts, where, atleast_1d);
  return concat(all, !all.empty() && all[0].rank() == 1 ? 0 : 1, where);
}
Tensor vstack(std::span<const Tensor> parts, std::source_location where) {
  return concat(each(parts, where, atleast_2d), 0, where);
}
Tensor dstack(std::span<const Tensor> parts, std::source_location where) {
  return concat(each(parts, where, atleast_3d), 2, where);
}
Tensor column_stack(std::span<const Tensor> parts, std::source_location where) {
  const auto column = [](const Operand& x) {
    return tensor_of(x, "column_stack").rank() < 2 ? reshape(x, {x.tensor()->numel(), 1}) : *x.tensor();
  };
  return concat(each(parts, where, column), 1, where);
}
Tensor block_diag(std::span<const Tensor> blocks, std::source_location where) {
  const auto matrices = each(blocks, where, atleast_2d);
  Index columns = 0;
  for (const Tensor& matrix : matrices) {
    if (matrix.rank() > 2) refuse<ShapeError>("block_diag", {{matrix, where}}, "expected at most two axes");
    columns += matrix.size(1);
  }
  if (matrices.empty()) return zeros({1, 0});
  std::vector<Tensor> rows;
  rows.reserve(matrices.size());
  Index left = 0;
  for (const Tensor& matrix : matrices) {
    const Index right = columns - left - matrix.size(1);
    rows.push_back(pad(Operand(matrix, where), {left, right}));
    left += matrix.size(1);
  }
  return concat(rows, 0, where);
}

std::vector<Tensor> tensor_split(const Operand& x, Dims positions, Index axis) {
  const auto at = static_cast<Index>(axis_of(x, axis, "tensor_split"));
  std::vector<Tensor> pieces;
  pieces.reserve(positions.size() + 1);
  Index start = 0;
  for (const Index end : positions) {
    pieces.push_back(slice(x, at, start, end));
    start = end;
  }
  pieces.push_back(slice(x, at, start, std::max(x.tensor()->size(at), start)));
  return pieces;
}
std::vector<Tensor> tensor_split(const Operand& x, Index count, Index axis) {
  const auto at = static_cast<Index>(axis_of(x, axis, "tensor_split"));
  if (count <= 0) refuse<ValueError>("tensor_split", {x}, fmt::format("{} pieces", count));
  return tensor_split(x, ends_of_pieces(x.tensor()->size(at), count), at);
}
std::vector<Tensor> hsplit(const Operand& x, Index count) {
  return tensor_split(x, count, even_axis(x, count, side_axis(x), "hsplit"));
}
std::vector<Tensor> hsplit(const Operand& x, Dims positions) {
  return tensor_split(x, positions, side_axis(x));
}
std::vector<Tensor> vsplit(const Operand& x, Index count) {
  return tensor_split(x, count, even_axis(x, count, 0, "vsplit"));
}
std::vector<Tensor> vsplit(const Operand& x, Dims positions) { return tensor_split(x, positions, 0); }
std::vector<Tensor> dsplit(const Operand& x, Index count) {
  return tensor_split(x, count, even_axis(x, count, 2, "dsplit"));
}
std::vector<Tensor> dsplit(const Operand& x, Dims positions) { return tensor_split(x, positions, 2); }

Tensor narrow(const Operand& x, Index axis, Index start, Index length) {
  const auto at = static_cast<Index>(axis_of(x, axis, "narrow"));
  const Index size = x.tensor()->size(at), first = start < 0 ? start + size : start;
  if (first < 0 || length < 0 || first > size || length > size - first)
    refuse<ValueError>("narrow", {x}, fmt::format("{} elements from {} on, of {}", length, start, size));
  return slice(x, at, first, first + length);
}

Tensor select_scatter(const Operand& x, const Operand& src, Index axis, Index index) {
  return replaced(x, src, select(on_line_of(places_in(x, "select_scatter"), x), axis, index),
                  "select_scatter");
}
Tensor slice_scatter(const Operand& x, const Operand& src, Index axis, Index start, Index stop, Index step) {
  return replaced(x, src, slice(on_line_of(places_in(x, "slice_scatter"), x), axis, start, stop, step),
                  "slice_scatter");
}
Tensor diagonal_scatter(const Operand& x, const Operand& src, Index offset, Index axis0, Index axis1) {
  return replaced(x, src, diagonal(on_line_of(places_in(x, "diagonal_scatter"), x), offset, axis0, axis1),
                  "diagonal_scatter");
}

Tensor diagflat(const Operand& x, Index offset) { return diag_embed(on_line_of(flatten(x), x), offset); }

Tensor tril_indices(Index rows, Index columns, Index offset) {
  return triangle_indices(arange(columns) <= reshape(arange(rows), {-1, 1}) + offset);
}
Tensor triu_indices(Index rows, Index columns, Index offset) {
  return triangle_indices(arange(columns) >= reshape(arange(rows), {-1, 1}) + offset);
}
std::vector<Tensor> unravel_index(const Operand& indices, const Shape& shape) {
  std::vector<Tensor> all(shape.rank());
  Tensor rest = tensor_of(indices, "unravel_index");
  for (std::size_t axis = shape.rank(); axis-- > 0;) {
    all[axis] = remainder(on_line_of(rest, indices), shape[axis]);
    rest = floor_divide(on_line_of(rest, indices), shape[axis]);
  }
  return all;
}
Tensor vander(const Operand& x, Index columns) {
  if (columns < 0) refuse<ValueError>("vander", {x}, fmt::format("{} columns", columns));
  if (tensor_of(x, "vander").rank() == 0) return vander(on_line_of(reshape(x, {1}), x), columns);
  std::vector<Tensor> powers{ones(x.tensor()->shape(), x.tensor()->dtype())};
  for (Index k = 1; k < columns; ++k) powers.push_back(powers.back() * x);
  if (columns == 0) return slice(on_line_of(expand_dims(x, -1), x), -1, 0, 0);
  return stack(powers, -1, x.where());
}
Tensor cartesian_prod(std::span<const Tensor> vectors, std::source_location where) {
  if (vectors.size() == 1) return vectors[0];
  std::vector<Tensor> columns;
  for (const Tensor& grid : meshgrid(vectors)) columns.push_back(flatten(Operand(grid, where)));
  return stack(columns, 1, where);
}
Tensor combinations(const Operand& x, Index count, bool with_replacement) {
  if (tensor_of(x, "combinations").rank() != 1) refuse<ShapeError>("combinations", {x}, "expected a vector");
  if (count < 0) refuse<ValueError>("combinations", {x}, fmt::format("choices of {}", count));
  const Index size = x.tensor()->numel();
  if (count == 0) return slice(x, 0, 0, 0);
  std::vector<Index> places;
  std::vector<Index> choice(static_cast<std::size_t>(count));
  if (!with_replacement) std::iota(choice.begin(), choice.end(), Index{0});
  const auto highest = [&](std::size_t k) {  // that the choice number k may be
    return with_replacement ? size - 1 : size - count + static_cast<Index>(k);
  };
  while (choice.back() <= highest(choice.size() - 1) && size > 0 && choice[0] <= highest(0)) {
    places.insert(places.end(), choice.begin(), choice.end());
    std::size_t k = choice.size();
    while (k > 0 && choice[k - 1] == highest(k - 1)) --k;
    if (k == 0) break;
    Index next = choice[k - 1] + 1;
    for (; k <= choice.size(); ++k) {
      choice[k - 1] = next;
      if (!with_replacement) ++next;
    }
  }
  const Index rows = static_cast<Index>(places.size()) / count;
  return take(x, constant(places, {rows, count}));
}

}  // namespace gradweave
