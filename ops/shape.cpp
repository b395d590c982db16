#include <gradweave/ops/shape.hpp>

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include <gradweave/graph/define.hpp>
#include <gradweave/graph/kernels/parallel.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/graph/memory/storage.hpp>
#include <gradweave/graph/rewrite.hpp>

namespace gradweave {
namespace {

Shape strides_of(const ArrayView& x) {
  return x.row_major() ? row_major(x.shape) : Shape::of_strides(x.strides);
}

Tensor reordered(const Operand& x, const AxisOrder& order);

struct Permute {
  AxisOrder axes;
  static constexpr std::string_view name = "permute";
  Spec infer(const Spec& x) const {
    const std::size_t rank = x.shape.rank();
    if (rank < axes.rank) throw ShapeError(fmt::format("an order of {} axes", axes.rank));
    Shape shape;
    for (std::size_t axis = 0; axis < rank; ++axis) shape.push_back(x.shape[source_of(axis, rank)]);
    return {shape, x.dtype};
  }
  bool view(const ArrayView& x, ArrayView&, std::span<Index> strides) const {
    const Shape from = strides_of(x);
    for (std::size_t axis = 0; axis < from.rank(); ++axis) strides[axis] = from[source_of(axis, from.rank())];
    return true;
  }
  std::size_t source_of(std::size_t axis, std::size_t rank) const {
    const std::size_t kept = rank - axes.rank;
    return axis < kept ? axis : rank - static_cast<std::size_t>(-axes.axes[axis - kept]);
  }
  Tensor vjp(const Tensor& g, const Tensor&, const Tensor&) const { return reordered(g, axes.inverse()); }
  static SamplesOf<Permute> samples() {
    return {{{{{-1, -2}, 2}}, {uniform(-2, 2)}}, {{{{-1, -3, -2}, 3}}, {uniform(-2, 2, {2, 3, 2})}}};
  }
};

Tensor slice_vjp(const Tensor& g, Index axis, Index start, Index step, Index size);

// Attributes may come from a file.
void require_inside(Index start, Index step, Index count, Index size) {
  if (start < 0 || step < 1 || count < 0 || start > size ||
      (count > 0 && (count - 1) > (size - 1 - start) / step))
    throw ShapeError(fmt::format("{} elements from {} in steps of {} are not in an axis of size {}", count,
                                 start, step, size));
}

struct Slice {
  Index axis, start, count, step;
  static constexpr std::string_view name = "slice";
  Spec infer(const Spec& x) const {
    std::vector<Index> sizes(x.shape.begin(), x.shape.end());
    Index& size = sizes[normalize_axis(axis, sizes.size())];
    require_inside(start, step, count, size);
    size = count;
    return {Shape(Dims(sizes)), x.dtype};
  }
  bool view(const ArrayView& x, ArrayView& y, std::span<Index> strides) const {
    const Shape from = strides_of(x);
    std::ranges::copy(from, strides.begin());
    Index& stride = strides[normalize_axis(axis, strides.size())];
    if (count > 0) y.data = x.as<std::byte>() + start * stride * static_cast<Index>(size_of(x.dtype));
    stride *= step;
    return true;
  }
  Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) const {
    return slice_vjp(g, axis, start, step, x.size(axis));
  }
  static SamplesOf<Slice> samples() {
    return {{{-1, 1, 2, 1}, {uniform(-2, 2)}}, {{-2, 0, 2, 2}, {uniform(-2, 2, {4, 2})}}};
  }
};

// Zeros of the size that was sliced, with g where the slice was.
struct SliceVjp {
  Index axis, start, step, size;
  static constexpr std::string_view name = "slice_vjp";
  static constexpr bool as_stored = true;
  static constexpr bool throws = false;
  Spec infer(const Spec& g) const {
    std::vector<Index> sizes(g.shape.begin(), g.shape.end());
    Index& count = sizes[normalize_axis(axis, sizes.size())];
    require_inside(start, step, count, size);
    count = size;
    return {Shape(Dims(sizes)), g.dtype};
  }
  void forward(const ArrayView& y, const ArrayView& g) const {
    const std::size_t at = normalize_axis(axis, y.shape.size());
    const auto element = static_cast<Index>(size_of(y.dtype));
    const Index outer = numel(y.shape.first(at)), count = g.shape[at],
                row = numel(y.shape.subspan(at + 1)) * element;
    if (y.size() == 0) return;                // of however many empty rows
    const Index run = step == 1 ? count : 1;  // places that are copied as one
    for (Index o = 0; o < outer; ++o) {
      std::byte* to = y.as<std::byte>() + o * size * row;
      Index done = 0;
      const auto zero_until = [&](Index place) {
        std::fill_n(to + done * row, (place - done) * row, std::byte{0});
      };
      for (Index i = 0; i < count; i += run) {
        const Index place = start + i * step;
        zero_until(place);
        std::copy_n(g.as<std::byte>() + (o * count + i) * row, run * row, to + place * row);
        done = place + run;
      }
      zero_until(size);
    }
  }
  Tensor vjp(const Tensor& h, const Tensor& g, const Tensor&) const {
    return gradweave::apply(Slice{axis, start, g.size(axis), step}, {h});
  }
  static Term joined(const Term& y);
  static constexpr std::array rewrites{Rewrite{"slices joined", Rewrite::of_readers, joined}};
  static SamplesOf<SliceVjp> samples() {
    return {{{-1, 1, 1, 5}, {uniform(-2, 2)}}, {{-2, 1, 2, 4}, {uniform(-2, 2)}}};
  }
};

Tensor slice_vjp(const Tensor& g, Index axis, Index start, Index step, Index size) {
  return apply(SliceVjp{axis, start, step, size}, {g});
}

struct Concat {
  Index axis;
  static constexpr std::string_view name = "concat";
  static constexpr bool as_stored = true;
  static constexpr bool throws = false;
  static constexpr DTypes dtypes = any_dtype;
  Spec infer(std::span<const Spec> parts) const {
    std::vector<Index> sizes(parts[0].shape.begin(), parts[0].shape.end());
    const std::size_t at = normalize_axis(axis, sizes.size());
    for (const Spec& part : parts.subspan(1)) {
      if (part.shape.rank() != sizes.size()) throw ShapeError("the parts have different numbers of axes");
      for (std::size_t other = 0; other < sizes.size(); ++other) {
        if (other != at && part.shape[other] != parts[0].shape[other]) {
          throw ShapeError(fmt::format("sizes {} and {} at axis {} differ", parts[0].shape[other],
                                       part.shape[other], other));
        }
      }
      sizes[at] += part.shape[at];
    }
    return {Shape(Dims(sizes)), parts[0].dtype};
  }
  void forward(const ArrayView& y, std::span<const ArrayView> parts) const {
    if (y.size() == 0) return;
    const std::size_t at = normalize_axis(axis, y.shape.size());
    const auto element = static_cast<Index>(size_of(y.dtype));
    const Index outer = numel(y.shape.first(at)), row = numel(y.shape.subspan(at)) * element;
    RecycledVector<Index> offsets{0};
    for (const ArrayView& part : parts)
      offsets.push_back(offsets.back() + numel(part.shape.subspan(at)) * element);
    constexpr Index worth = Index{1} << 18U;  // bytes for each thread
    const auto count = static_cast<Index>(parts.size());
    parallel_for(count, worth * count / std::max<Index>(outer * row, 1) + 1, [&](Index first, Index last) {
      for (auto p = static_cast<std::size_t>(first); p < static_cast<std::size_t>(last); ++p) {
        const Index run = offsets[p + 1] - offsets[p];
        for (Index o = 0; o < outer; ++o)
          std::copy_n(parts[p].as<std::byte>() + o * run, run, y.as<std::byte>() + o * row + offsets[p]);
      }
    });
  }
  void vjp(Pullback& p) const {
    Index start = 0;
    for (std::size_t i = 0; i < p.input_count(); ++i) {
      const Index end = start + p.input(i).size(axis);
      if (p.wants(i)) p.give(i, slice(p.cotangent(), axis, start, end));
      start = end;
    }
  }
  static SamplesOf<Concat> samples() {
    return {{{-2}, {uniform(-2, 2), uniform(-2, 2, {1, 3})}},
            {{-1}, {uniform(-2, 2), uniform(-2, 2, {2, 1}), uniform(-2, 2)}}};
  }
};

// The sum of the cotangents of slices that share out a tensor, such as the gates of an LSTM: they only need
// joining.
Term SliceVjp::joined(const Term& y) {
  if (y.operation() != &add_operation() || !y.input(0).is<SliceVjp>()) return {};
  std::vector<Term> pieces;
  pieces.reserve(y.input_count());
  for (std::size_t i = 0; i < y.input_count(); ++i) pieces.push_back(y.input(i));
  std::ranges::stable_sort(pieces, {}, [](const Term& t) { return t.as<SliceVjp>()->start; });
  const SliceVjp& first = *pieces[0].as<SliceVjp>();
  const Shape shape = y.shape();
  Index end = 0;
  for (Term& piece : pieces) {
    const SliceVjp& op = *piece.as<SliceVjp>();
    if (op.axis != first.axis || op.step != 1 || op.start != end || !same(piece.shape(), shape)) return {};
    piece = piece.input(0);
    end += piece.shape()[normalize_axis(first.axis, shape.rank())];
  }
  if (end != first.size) return {};
  if (-first.axis != static_cast<Index>(shape.rank()) || shape.rank() < 3) return concat(pieces, first.axis);
  // The steps of a sequence: joined as the rows they are, as a matmul joins them.
  for (Term& piece : pieces) {
    const Shape steps = piece.shape();
    Shape rows{steps[0] * steps[1]};
    for (const Index size : Dims(steps).subspan(2)) rows.push_back(size);
    piece = reshape(piece, rows);
  }
  return reshape(concat(pieces, 1 - static_cast<Index>(shape.rank())), shape);
}

Tensor reordered(const Operand& x, const AxisOrder& order) { return apply(Permute{order}, {x}); }

Tensor drop_axis(const Operand& x, std::size_t axis) {
  const Shape shape = x.tensor()->shape();
  std::vector<Index> sizes(shape.begin(), shape.end());
  sizes.erase(sizes.begin() + static_cast<std::ptrdiff_t>(axis));
  return reshape(x, Dims(sizes));
}

}  // namespace

Tensor transpose(const Operand& x, Index axis0, Index axis1) {
  const std::size_t rank = tensor_of(x, "transpose").rank();
  std::array<Index, max_rank> axes{};
  std::iota(axes.begin(), axes.end(), 0);
  std::swap(axes[axis_of(x, axis0, "transpose")], axes[axis_of(x, axis1, "transpose")]);
  return reordered(x, AxisOrder::from_front(Dims(axes.data(), rank)));
}

Term untransposed(const Term& x) {
  constexpr AxisOrder last_two{{-1, -2}, 2};
  const auto* op = x.as<Permute>();
  return op != nullptr && op->axes == last_two ? x.input(0) : Term();
}

Tensor permute(const Operand& x, std::span<const Index> axes) {
  const std::size_t rank = tensor_of(x, "permute").rank();
  std::vector<Index> normalized;
  for (Index axis : axes) normalized.push_back(static_cast<Index>(axis_of(x, axis, "permute")));
  std::vector<Index> all(rank);
  std::iota(all.begin(), all.end(), 0);
  if (!std::is_permutation(all.begin(), all.end(), normalized.begin(), normalized.end())) {
    refuse<ShapeError>("permute", {x},
                       fmt::format("{} is not a permutation of its axes", to_string(normalized)));
  }
  return reordered(x, AxisOrder::from_front(Dims(normalized)));
}

Tensor slice(const Operand& x, Index axis, Index start, Index stop, Index step) {
  const Index at = axis_from_end(x, axis, "slice");
  const Index size = x.tensor()->size(axis);
  if (step <= 0) refuse<ValueError>("slice", {x}, fmt::format("step {} is not positive", step));
  const auto limit = [&](Index position) {
    return std::clamp(position < 0 ? position + size : position, Index{0}, size);
  };
  start = limit(start), stop = limit(stop);
  const Index count = stop > start ? (stop - start - 1) / step + 1 : 0;
  return apply(Slice{at, start, count, count > 1 ? step : 1}, {x});
}

Tensor select(const Operand& x, Index axis, Index index) {
  const std::size_t at = axis_of(x, axis, "select");
  const Index size = x.tensor()->size(axis);
  if (index < -size || index >= size) {
    refuse<ValueError>("select", {x},
                       fmt::format("index {} is outside axis {} of size {}", index, axis, size));
  }
  const Index start = index < 0 ? index + size : index;
  return drop_axis(Operand(slice(x, axis, start, start + 1), x.where()), at);
}

Tensor expand_dims(const Operand& x, Index axis) {
  const auto at = static_cast<std::ptrdiff_t>(axis_of(x, axis, "expand_dims", 1));
  const Shape shape = x.tensor()->shape();
  std::vector<Index> sizes(shape.begin(), shape.end());
  sizes.insert(sizes.begin() + at, 1);
  return reshape(x, Dims(sizes));
}

Tensor squeeze(const Operand& x, Index axis) {
  const std::size_t at = axis_of(x, axis, "squeeze");
  const Index size = x.tensor()->size(axis);
  if (size != 1) refuse<ShapeError>("squeeze", {x}, fmt::format("axis {} has size {}, not 1", axis, size));
  return drop_axis(x, at);
}

Tensor squeeze(const Operand& x) {
  const Shape shape = tensor_of(x, "squeeze").shape();
  std::vector<Index> sizes;
  std::ranges::copy_if(shape, std::back_inserter(sizes), [](Index size) { return size != 1; });
  return reshape(x, Dims(sizes));
}

Tensor concat(std::span<const Tensor> parts, Index axis, std::source_location where) {
  std::vector<Operand> operands;
  for (const Tensor& part : parts) operands.emplace_back(part, where);
  if (operands.empty()) throw ShapeError(situated("concat", {}, "there are no parts"));
  const auto is_flat = [](const Operand& part) { return tensor_of(part, "concat").rank() == 1; };
  const auto takes_no_part = [&](const Operand& part) {
    return is_flat(part) && part.tensor()->numel() == 0;
  };
  if (std::ranges::all_of(operands, is_flat))
    return apply_all(Concat{axis_from_end(operands[0], axis, "concat")}, operands);
  DType dtype = operands[0].tensor()->dtype();  // of all of them
  for (const Operand& part : operands) dtype = promote(dtype, part.tensor()->dtype());
  std::erase_if(operands, takes_no_part);
  const Tensor y = apply_all(Concat{axis_from_end(operands[0], axis, "concat")}, operands);
  return y.dtype() == dtype ? y : cast(Operand(y, where), dtype);
}
Tensor concat(std::initializer_list<Tensor> parts, Index axis, std::source_location where) {
  return concat(std::span(parts.begin(), parts.size()), axis, where);
}

Term concat(std::span<const Term> parts, Index axis) { return term_of(Concat{axis}, parts); }

Tensor stack(std::span<const Tensor> parts, Index axis, std::source_location where) {
  if (parts.empty()) throw ShapeError(situated("stack", {}, "there are no parts"));
  std::vector<Tensor> expanded;
  expanded.reserve(parts.size());
  for (const Tensor& part : parts) {
    const Operand first(parts[0], where), operand(part, where);
    if (!same(tensor_of(first, "stack").shape(), tensor_of(operand, "stack").shape()))
      refuse<ShapeError>("stack", {first, operand}, "the parts have different shapes");
  }
  for (const Tensor& part : parts) expanded.push_back(expand_dims(Operand(part, where), axis));
  return concat(expanded, axis, where);
}
Tensor stack(std::initializer_list<Tensor> parts, Index axis, std::source_location where) {
  return stack(std::span(parts.begin(), parts.size()), axis, where);
}

std::vector<const Operation*> shape_operations() {
  return {&operation_of<Permute>(), &operation_of<Slice>(), &operation_of<SliceVjp>(),
          &operation_of<Concat>()};
}

}  // namespace gradweave
