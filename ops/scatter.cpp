#include <gradweave/ops/scatter.hpp>

#include <algorithm>
#include <cstdint>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/index.hpp>
#include <gradweave/ops/reduction.hpp>
#include <gradweave/ops/shape.hpp>

namespace gradweave {
namespace {

// A tensor around one of its axes: `outer` times `size` places of `inner` elements each.
struct Around {
  Index outer, size, inner;
  Around(Dims shape, Index axis) {
    const std::size_t at = axis_from_last(axis, shape.size());
    outer = numel(shape.first(at)), size = shape[at], inner = numel(shape.subspan(at + 1));
  }
};

void require_same_but(const Spec& x, const Spec& index, Index axis) {
  const std::size_t at = axis_from_last(axis, x.shape.rank());
  bool fits = x.shape.rank() == index.shape.rank();
  for (std::size_t k = 0; fits && k < x.shape.rank(); ++k) fits = k == at || x.shape[k] == index.shape[k];
  if (!fits) {
    throw ShapeError(fmt::format("indices {} for a tensor {} along axis {}", to_string(index.shape),
                                 to_string(x.shape), axis));
  }
}

[[noreturn]] void refuse_index(Index index, Index size, Index position) {
  throw ValueError(fmt::format("index {} at position {} is outside [{}, {})", index, position, -size, size));
}
Index counted(Index index, Index size, Index position) {
  if (index < -size || index >= size) [[unlikely]]
    refuse_index(index, size, position);
  return index < 0 ? index + size : index;
}

// Indices that were looked at and count from the front, so that kernels need not refuse any.
struct CheckedIndex {
  Index size;
  static constexpr std::string_view name = "checked_index";
  static constexpr DTypes dtypes = only(DType::int64);
  static Spec infer(const Spec& indices) { return indices; }
  void forward(const ArrayView& y, const ArrayView& indices) const {
    for (Index i = 0; i < y.size(); ++i) y.as<Index>()[i] = counted(indices.as<Index>()[i], size, i);
  }
  static SamplesOf<CheckedIndex> samples() { return {{{4}, {integers(-4, 4, {3})}}}; }
};

Tensor scattered(const Tensor& x, const Tensor& indices, const Tensor& src, Index axis, bool adds);

// Calls f with an unsigned type of the size of the elements, which are only moved.
void with_words(DType dtype, const auto& f) {
  switch (size_of(dtype)) {
    case 1:
      return f.template operator()<std::uint8_t>();
    case 2:
      return f.template operator()<std::uint16_t>();
    case 4:
      return f.template operator()<std::uint32_t>();
    default:
      return f.template operator()<std::uint64_t>();
  }
}

// Indices were checked.
struct TakeAlongAxis {
  Index axis;
  static constexpr std::string_view name = "take_along_axis";
  static constexpr bool as_stored = true;
  static constexpr bool throws = false;
  static constexpr DTypes dtypes = any_dtype;
  static constexpr std::array<std::optional<DType>, 2> fixed{std::nullopt, DType::int64};
  Spec infer(const Spec& x, const Spec& indices) const {
    require_same_but(x, indices, axis);
    return {indices.shape, x.dtype};
  }
  // A row is all that one place of `outer` gives.
  void forward(const RowRange& rows, const ArrayView&, const ArrayView& x, const ArrayView& indices) const {
    const Around from(x.shape, axis);
    with_words(x.dtype, [&]<class T>() {
      for (Index row = 0; row < rows.count; ++row) {
        const T* values = x.as<T>() + (rows.first + row) * from.size * from.inner;
        const Index* index = indices.as<Index>() + (rows.first + row) * rows.width;
        T* to = rows.as<T>() + row * rows.stride;
        if (from.inner == 1) {
          for (Index i = 0; i < rows.width; ++i) to[i] = values[index[i]];
          continue;
        }
        for (Index i = 0; i < rows.width; i += from.inner) {
          for (Index j = 0; j < from.inner; ++j) to[i + j] = values[index[i + j] * from.inner + j];
        }
      }
    });
  }
  Index row_width(const ArrayView& y, const ArrayView&, const ArrayView&) const {
    return numel(y.shape.last(static_cast<std::size_t>(-axis)));
  }
  Index row_cost(const ArrayView& y, const ArrayView& x, const ArrayView&) const {
    return row_width(y, x, x);
  }
  Tensor vjp(std::size_t, const Tensor& g, const Tensor& x, const Tensor& indices, const Tensor&) const {
    return scattered(zeros(x.shape(), g.dtype()), indices, g, axis, true);
  }
  static SamplesOf<TakeAlongAxis> samples() {
    return {{{-1}, {uniform(-2, 2), integers(0, 3, {2, 4})}},
            {{-2}, {uniform(-2, 2), integers(0, 2, {3, 3})}}};
  }
};

// x with what src has at places of an axis, or plus that. Indices were checked.
struct Scatter {
  Index axis;
  bool adds;
  static constexpr std::string_view name = "scatter";
  static constexpr bool throws = false;
  static constexpr DTypes dtypes = any_dtype;
  static constexpr std::array<std::optional<DType>, 2> fixed{std::nullopt, DType::int64};
  Spec infer(const Spec& x, const Spec& indices, const Spec& src) const {
    require_same_but(x, indices, axis);
    if (src.shape != indices.shape) {
      throw ShapeError(
          fmt::format("indices {} and values {}", to_string(indices.shape), to_string(src.shape)));
    }
    return x;
  }
  void forward(const RowRange& rows, const ArrayView&, std::span<const ArrayView> in) const {
    const Around to(in[0].shape, axis);
    const Index count = Around(in[1].shape, axis).size;
    dispatch(in[0].dtype, [&]<class T>() {
      for (Index row = 0; row < rows.count; ++row) {
        T* y = rows.as<T>() + row * rows.stride;
        const Index* index = in[1].as<Index>() + (rows.first + row) * count * to.inner;
        const T* src = in[2].as<T>() + (rows.first + row) * count * to.inner;
        std::copy_n(in[0].as<T>() + (rows.first + row) * rows.width, rows.width, y);
        for (Index i = 0; i < count; ++i) {
          for (Index j = 0; j < to.inner; ++j, ++index, ++src) {
            T& place = y[*index * to.inner + j];
            place = adds ? static_cast<T>(place + *src) : *src;
          }
        }
      }
    });
  }
  Index row_width(const ArrayView& y, std::span<const ArrayView>) const {
    return numel(y.shape.last(static_cast<std::size_t>(-axis)));
  }
  Index row_cost(const ArrayView& y, std::span<const ArrayView> in) const {
    return row_width(y, in) / 4 + numel(in[1].shape.last(static_cast<std::size_t>(-axis)));
  }
  Tensor vjp(std::size_t i, const Tensor& g, std::span<const Tensor> in, const Tensor&) const {
    if (i == 2) return gradweave::apply(TakeAlongAxis{axis}, {g, in[1]});
    return adds ? g : scattered(g, in[1], zeros(in[2].shape(), g.dtype()), axis, false);
  }
  // Places of one row all differ: of several values for one, the derivative is that of the place.
  static std::vector<Sample> samples();
};

Tensor scattered(const Tensor& x, const Tensor& indices, const Tensor& src, Index axis, bool adds) {
  return apply(Scatter{axis, adds}, {x, indices, src});
}

std::vector<Sample> Scatter::samples() {
  const auto sample = [](bool is_sum, Index along) {
    const auto call = [along, is_sum](std::span<const Tensor> in) {
      const Tensor places = constant(std::vector<Index>{2, 0}, along == -1 ? Shape{2} : Shape{2, 1});
      return scattered(in[0], broadcast_to(places, in[1].shape()), in[1], along, is_sum);
    };
    const Shape x = along == -1 ? Shape{2, 3} : Shape{3, 2};
    return Sample{{uniform(-2, 2, x), uniform(-2, 2, {2, 2})}, call};
  };
  return {sample(true, -1), sample(true, -2), sample(false, -1), sample(false, -2)};
}

Tensor index_of(const Operand& index, std::string_view op) {
  const Tensor& tensor = tensor_of(index, op);
  if (!is_integral(tensor.dtype())) refuse<DTypeError>(op, {index}, "indices are whole numbers");
  return cast(index, DType::int64);
}

// What PyTorch allows: `index` may be smaller than x along other axes, where only the start of x takes part.
struct Fitted {
  Tensor x, indices;  // one shape but along the axis
  Index axis;
  bool is_whole = true;  // all of x
};
Fitted fit(const Operand& x, Index axis, const Operand& index, std::string_view op) {
  Fitted all{tensor_of(x, op), index_of(index, op), axis_from_end(x, axis, op)};
  const auto rank = static_cast<Index>(all.x.rank());
  if (static_cast<Index>(all.indices.rank()) != rank)
    refuse<ShapeError>(op, {x, index}, "they differ in rank");
  const Index size = all.x.size(all.axis);
  for (Index k = -rank; k < 0; ++k) {
    const Index wanted = all.indices.size(k);
    if (k == all.axis || wanted == all.x.size(k)) continue;
    if (wanted > all.x.size(k))
      refuse<ShapeError>(op, {x, index}, fmt::format("the index is larger along axis {}", k + rank));
    all.x = slice(Operand(all.x, x.where()), k, 0, wanted);
    all.is_whole = false;
  }
  all.indices = checked_index(Operand(all.indices, index.where()), size);
  return all;
}

Tensor scatter_into(const Operand& x, Index axis, const Operand& index, const Operand& src, bool adds,
                    std::string_view op) {
  Fitted all = fit(x, axis, index, op);
  const DType dtype = x.tensor()->dtype();
  Tensor values;
  if (src.tensor() == nullptr) {
    values = full(all.indices.shape(), src.number(), dtype);
  } else {
    values = tensor_of(src, op);
    if (values.dtype() != dtype) refuse<DTypeError>(op, {x, src}, "the values have another dtype");
    if (values.rank() != all.indices.rank()) refuse<ShapeError>(op, {x, index, src}, "they differ in rank");
    for (Index k = 0; k < static_cast<Index>(values.rank()); ++k) {
      const Index wanted = all.indices.size(k);
      if (values.size(k) < wanted)
        refuse<ShapeError>(op, {x, index, src}, "there are more indices than values");
      if (values.size(k) > wanted) values = slice(values, k, 0, wanted);
    }
  }
  Tensor y = scattered(all.x, all.indices, values, all.axis, adds);
  if (all.is_whole) return y;
  // Put back into the whole, axis by axis, by the ops at hand: what was cut off follows.
  Tensor whole = *x.tensor();
  std::vector<Tensor> behind;
  std::vector<Index> axes;
  for (Index k = -static_cast<Index>(whole.rank()); k < 0; ++k) {
    const Index kept = y.size(k), size = whole.size(k);
    if (kept == size) continue;
    behind.push_back(slice(whole, k, kept, size));
    axes.push_back(k);
    whole = slice(whole, k, 0, kept);
  }
  for (std::size_t k = axes.size(); k-- > 0;) y = concat({y, behind[k]}, axes[k]);
  return y;
}

// A one-dimensional index along an axis, as one of the shape of `src`.
Tensor index_like(const Operand& x, Index axis, const Operand& index, const Tensor& src,
                  std::string_view op) {
  const Tensor places = index_of(index, op);
  if (places.rank() > 1) refuse<ShapeError>(op, {x, index}, "the index is not one-dimensional");
  const Index at = axis_from_end(x, axis, op);
  if (src.rank() != x.tensor()->rank()) refuse<ShapeError>(op, {x, src}, "they differ in rank");
  Shape shape;
  for (Index k = -static_cast<Index>(src.rank()); k < 0; ++k) shape.push_back(k == at ? places.numel() : 1);
  return broadcast_to(reshape(Operand(places, index.where()), Dims(shape)), src.shape());
}

}  // namespace

Tensor checked_index(const Operand& indices, Index size) { return apply(CheckedIndex{size}, {indices}); }

Tensor take_along_axis(const Operand& x, const Operand& indices, Index axis) {
  constexpr std::string_view op = "take_along_axis";
  const Tensor& from = tensor_of(x, op);
  const Index at = axis_from_end(x, axis, op);
  Tensor places = index_of(indices, op);
  if (places.rank() != from.rank()) refuse<ShapeError>(op, {x, indices}, "they differ in rank");
  Shape shape = from.shape(), wanted = places.shape();
  const std::size_t k = normalize_axis(at, from.rank());
  const Index size = shape[k], count = wanted[k];
  shape = [&] {
    Shape others;
    for (std::size_t j = 0; j < from.rank(); ++j) others.push_back(j == k ? 1 : from.shape()[j]);
    Shape asked;
    for (std::size_t j = 0; j < from.rank(); ++j) asked.push_back(j == k ? 1 : wanted[j]);
    return broadcast(others, asked);
  }();
  const auto with = [&](Index along) {
    Shape result;
    for (std::size_t j = 0; j < shape.rank(); ++j) result.push_back(j == k ? along : shape[j]);
    return result;
  };
  const Tensor checked = checked_index(Operand(places, indices.where()), size);
  return apply(TakeAlongAxis{at}, {broadcast_to(x, with(size)), broadcast_to(checked, with(count))});
}

Tensor gather(const Operand& x, Index axis, const Operand& index) {
  const Fitted all = fit(x, axis, index, "gather");
  return apply(TakeAlongAxis{all.axis}, {Operand(all.x, x.where()), all.indices});
}

Tensor index_select(const Operand& x, Index axis, const Operand& index) {
  const Tensor places = index_of(index, "index_select");
  if (places.rank() > 1) refuse<ShapeError>("index_select", {x, index}, "the index is not one-dimensional");
  const Index size = tensor_of(x, "index_select").size(axis_from_end(x, axis, "index_select"));
  const Tensor checked = checked_index(Operand(places, index.where()), size);
  return take(x, reshape(checked, {places.numel()}), axis);
}

Tensor scatter(const Operand& x, Index axis, const Operand& index, const Operand& src) {
  return scatter_into(x, axis, index, src, false, "scatter");
}
Tensor scatter_add(const Operand& x, Index axis, const Operand& index, const Operand& src) {
  return scatter_into(x, axis, index, src, true, "scatter_add");
}
Tensor index_add(const Operand& x, Index axis, const Operand& index, const Operand& src, double alpha) {
  const Tensor& values = tensor_of(src, "index_add");
  const Tensor scaled = alpha == 1 ? values : cast(values * alpha, values.dtype());
  return scatter_into(x, axis, index_like(x, axis, index, values, "index_add"), scaled, true, "index_add");
}
Tensor index_copy(const Operand& x, Index axis, const Operand& index, const Operand& src) {
  const Tensor& values = tensor_of(src, "index_copy");
  return scatter_into(x, axis, index_like(x, axis, index, values, "index_copy"), values, false, "index_copy");
}
Tensor index_fill(const Operand& x, Index axis, const Operand& index, const Operand& value) {
  const Tensor& from = tensor_of(x, "index_fill");
  Shape shape;
  const auto at = axis_of(x, axis, "index_fill");
  for (std::size_t k = 0; k < from.rank(); ++k)
    shape.push_back(k == at ? index_of(index, "index_fill").numel() : from.shape()[k]);
  if (value.tensor() == nullptr) return index_copy(x, axis, index, full(shape, value.number(), from.dtype()));
  if (value.tensor()->numel() != 1) refuse<ShapeError>("index_fill", {x, index, value}, "expected one value");
  return index_copy(x, axis, index, broadcast_to(reshape(value, Dims{}), shape));
}

Tensor masked_fill(const Operand& x, const Operand& mask, const Operand& value) {
  if (tensor_of(mask, "masked_fill").dtype() != DType::bool_)
    refuse<DTypeError>("masked_fill", {x, mask}, "the mask is not bool");
  const DType dtype = tensor_of(x, "masked_fill").dtype();
  if (value.tensor() == nullptr) return where(mask, full({}, value.number(), dtype), x);
  if (value.tensor()->numel() != 1)
    refuse<ShapeError>("masked_fill", {x, value}, "the value is not one element");
  return where(mask, cast(reshape(value, Dims()), dtype), x);
}

Tensor bincount(const Tensor& x, Index minlength) {
  return bincount(x, ones({x.is_empty() ? 0 : x.numel()}, DType::int64), minlength);
}
Tensor bincount(const Tensor& x, const Operand& weights, Index minlength) {
  if (x.is_empty() || x.rank() != 1 || !is_integral(x.dtype()))
    refuse<ShapeError>("bincount", {x}, "expected whole numbers along one axis");
  const Index size = x.numel() == 0 ? 0 : max(x).item<Index>() + 1;
  if (x.numel() > 0 && min(x).item<Index>() < 0) refuse<ValueError>("bincount", {x}, "a number is negative");
  return scatter_add(zeros({std::max(size, minlength)}, tensor_of(weights, "bincount").dtype()), 0, x,
                     weights);
}

std::vector<const Operation*> scatter_operations() {
  return {&operation_of<CheckedIndex>(), &operation_of<TakeAlongAxis>(), &operation_of<Scatter>()};
}

}  // namespace gradweave
