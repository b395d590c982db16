#include <gradweave/ops/sort.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/graph/memory/storage.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/index.hpp>
#include <gradweave/ops/integer.hpp>
#include <gradweave/ops/reduction.hpp>
#include <gradweave/ops/scatter.hpp>
#include <gradweave/ops/shape.hpp>

namespace gradweave {
namespace {

// An element and where it was: sorting by both is stable.
template <class T>
struct Keyed {
  T key;
  Index at;
};
template <class T>
bool is_less(T a, T b) {
  if constexpr (std::floating_point<T>)
    return a < b || (b != b && a == a);
  else
    return a < b;
}
template <class T>
bool ascends(const Keyed<T>& a, const Keyed<T>& b) {
  return is_less(a.key, b.key) || (!is_less(b.key, a.key) && a.at < b.at);
}
template <class T>
bool descends(const Keyed<T>& a, const Keyed<T>& b) {
  return is_less(b.key, a.key) || (!is_less(a.key, b.key) && a.at < b.at);
}

// The first `count` of the order along the last axis; all if that is negative.
struct ArgSort {
  Index count;
  bool descending;
  static constexpr std::string_view name = "argsort";
  static constexpr bool ordered = true;
  static constexpr bool throws = false;
  static constexpr bool not_differentiable = true;
  static constexpr DTypes dtypes = any_dtype;
  Spec infer(const Spec& x) const {
    if (x.shape.rank() == 0) throw ShapeError("a single number has no axis");
    Shape shape;
    for (std::size_t k = 0; k + 1 < x.shape.rank(); ++k) shape.push_back(x.shape[k]);
    const Index size = x.shape[x.shape.rank() - 1];
    if (count > size) throw ValueError(fmt::format("the first {} of {}", count, size));
    shape.push_back(count < 0 ? size : count);
    return {shape, DType::int64};
  }
  void forward(const RowRange& rows, const ArrayView&, const ArrayView& x) const {
    const Index size = x.shape.back();
    dispatch(x.dtype, [&]<class T>() {
      RecycledVector<Keyed<T>> order(static_cast<std::size_t>(size));
      for (Index row = 0; row < rows.count; ++row) {
        const T* from = x.as<T>() + (rows.first + row) * size;
        for (Index i = 0; i < size; ++i) order[static_cast<std::size_t>(i)] = {from[i], i};
        if (descending) {
          sort_first(order, rows.width, descends<T>);
        } else {
          sort_first(order, rows.width, ascends<T>);
        }
        std::ranges::transform(order.begin(), order.begin() + rows.width, rows.as<Index>() + row * rows.width,
                               &Keyed<T>::at);
      }
    });
  }
  template <class T>
  static void sort_first(RecycledVector<Keyed<T>>& all, Index wanted,
                         bool (*before)(const Keyed<T>&, const Keyed<T>&)) {
    const auto compare = [before](const Keyed<T>& a, const Keyed<T>& b) { return before(a, b); };
    const auto end = all.begin() + wanted;
    if (end != all.end()) std::nth_element(all.begin(), end, all.end(), compare);
    std::sort(all.begin(), end, compare);
  }
  static Index row_cost(const ArrayView&, const ArrayView& x) { return 20 * x.shape.back(); }
  static Index workspace(const ArrayView&, const ArrayView& x) { return 16 * x.shape.back(); }
  static SamplesOf<ArgSort> samples() {
    return {{{-1, false}, {uniform(-2, 2)}}, {{2, true}, {uniform(-2, 2, {2, 4})}}};
  }
};

struct SearchSorted {
  bool right;
  static constexpr std::string_view name = "searchsorted";
  static constexpr bool ordered = true;
  static constexpr bool throws = false;
  static constexpr bool not_differentiable = true;
  static constexpr DTypes dtypes = any_dtype;
  static Spec infer(const Spec& sorted, const Spec& values) {
    if (sorted.shape.rank() == 0) throw ShapeError("what is sorted has no axis");
    if (sorted.shape.rank() > 1) {
      const Dims rows = Dims(sorted.shape).first(sorted.shape.rank() - 1);
      if (values.shape.rank() != sorted.shape.rank() ||
          !same(rows, Dims(values.shape).first(values.shape.rank() - 1)))
        throw ShapeError("expected one sorted row for each row of values");
    }
    return {values.shape, DType::int64};
  }
  void forward(const ArrayView& y, const ArrayView& sorted, const ArrayView& values) const {
    const Index size = sorted.shape.back();
    const Index width = sorted.shape.size() == 1 ? y.size() : y.shape.back();
    dispatch(sorted.dtype, [&]<class T>() {
      for (Index i = 0; i < y.size(); ++i) {
        const T* row = sorted.as<T>() + (width == 0 ? 0 : i / width) * size;
        const T value = values.as<T>()[i];
        const T* at = right ? std::upper_bound(row, row + size, value, is_less<T>)
                            : std::lower_bound(row, row + size, value, is_less<T>);
        y.as<Index>()[i] = at - row;
      }
    });
  }
  static constexpr bool leading_axes = false;
  static SamplesOf<SearchSorted> samples() { return {{{false}, {uniform(-2, 2, {4}), uniform(-2, 2)}}}; }
};

Tensor drop(const Tensor& x, Index axis, bool keepdims) { return keepdims ? x : squeeze(x, axis); }

ValuesAndIndices first_of_order(const Operand& x, Index count, Index axis, bool descending,
                                std::string_view op) {
  if (tensor_of(x, op).rank() == 0 && (axis == 0 || axis == -1) && count != 0)  // a number has one place
    return {*x.tensor(), zeros({}, DType::int64)};
  const Index at = axis_from_end(x, axis, op);
  const Tensor last = at == -1 ? *x.tensor() : transpose(x, at, -1);
  Tensor indices = apply(ArgSort{count, descending}, {Operand(last, x.where())});
  if (at != -1) indices = transpose(indices, at, -1);
  return {take_along_axis(x, indices, at), indices};
}

Tensor all_in_one(const Operand& x, std::string_view op) { return reshape(x, {tensor_of(x, op).numel()}); }

// Of what `sort` gave, the one at a place along the axis, perhaps another place for each row.
ValuesAndIndices at_place(const Tensor& values, const Tensor& indices, const Tensor& place, Index axis,
                          bool keepdims) {
  return {drop(take_along_axis(values, place, axis), axis, keepdims),
          drop(take_along_axis(indices, place, axis), axis, keepdims)};
}

}  // namespace

Tensor argsort(const Operand& x, Index axis, bool descending) { return sort(x, axis, descending).indices; }
ValuesAndIndices sort(const Operand& x, Index axis, bool descending) {
  return first_of_order(x, -1, axis, descending, "sort");
}
ValuesAndIndices topk(const Operand& x, Index k, Index axis, bool largest) {
  const Index size = tensor_of(x, "topk").size(axis_from_end(x, axis, "topk"));
  if (k < 0 || k > size) refuse<ValueError>("topk", {x}, fmt::format("the first {} of {}", k, size));
  return first_of_order(x, k, axis, largest, "topk");
}
ValuesAndIndices kthvalue(const Operand& x, Index k, Index axis, bool keepdims) {
  const Index at = axis_from_end(x, axis, "kthvalue"), size = x.tensor()->size(at);
  if (k < 1 || k > size) refuse<ValueError>("kthvalue", {x}, fmt::format("number {} of {}", k, size));
  const auto [values, indices] = topk(x, k, at, false);
  return {drop(slice(values, at, k - 1, k), at, keepdims), drop(slice(indices, at, k - 1, k), at, keepdims)};
}

ValuesAndIndices median(const Operand& x, Index axis, bool keepdims) {
  const Index at = axis_from_end(x, axis, "median"), size = x.tensor()->size(at);
  if (size == 0) refuse<ShapeError>("median", {x}, "no elements to choose from");
  const auto [values, indices] = sort(x, at);
  // The middle one, or the last if that is NaN, which is where such are.
  const Tensor last = slice(values, at, size - 1, size);
  const Index middle = (size - 1) / 2;
  const Tensor place = where(last != last, size - 1, constant(std::vector<Index>{middle}, {}));
  return at_place(values, indices, place, at, keepdims);
}
Tensor median(const Operand& x) {
  const Tensor all = all_in_one(x, "median");
  return median(Operand(all, x.where()), 0).values;
}

ValuesAndIndices nanmedian(const Operand& x, Index axis, bool keepdims) {
  const Index at = axis_from_end(x, axis, "nanmedian");
  if (x.tensor()->size(at) == 0) refuse<ShapeError>("nanmedian", {x}, "no elements to choose from");
  const auto [values, indices] = sort(x, at);  // NaN behind all others
  const Tensor count = sum(Operand(cast(values == values, DType::int64), x.where()), {at}, true);
  return at_place(values, indices, floor_divide(maximum(count - 1, 0), 2), at, keepdims);
}
Tensor nanmedian(const Operand& x) {
  const Tensor all = all_in_one(x, "nanmedian");
  return nanmedian(Operand(all, x.where()), 0).values;
}
ValuesAndIndices mode(const Operand& x, Index axis, bool keepdims) {
  const Index at = axis_from_end(x, axis, "mode"), size = x.tensor()->size(at);
  if (size == 0) refuse<ShapeError>("mode", {x}, "no elements to choose from");
  const auto [values, indices] = sort(x, at);
  // Where each element's run of equals begins, and which run is the longest when it ends.
  Shape along{size};
  for (Index k = at; k < -1; ++k) along.push_back(1);
  const Tensor places = broadcast_to(reshape(arange(size), Dims(along)), values.shape());
  const Tensor is_first = concat({ones(slice(values, at, 0, 1).shape(), DType::bool_),
                                  slice(values, at, 1, size) != slice(values, at, 0, size - 1)},
                                 at, x.where());
  const Tensor length = places - cummax(where(is_first, places, 0), at).values;
  return at_place(values, indices, argmax(length, at, true), at, keepdims);
}

Tensor quantile(const Operand& x, const std::vector<double>& q, Index axis, bool keepdims,
                Interpolation interpolation) {
  const Index at = axis_from_end(x, axis, "quantile"), size = x.tensor()->size(at);
  if (!is_floating(x.tensor()->dtype())) refuse<DTypeError>("quantile", {x}, "expected a floating dtype");
  if (size == 0) refuse<ShapeError>("quantile", {x}, "no elements to choose from");
  const Tensor sorted = sort(x, at).values;
  const Tensor last = slice(sorted, at, size - 1, size);
  std::vector<Tensor> all;
  for (const double share : q) {
    const bool is_share = share >= 0 && share <= 1;
    if (!is_share) refuse<ValueError>("quantile", {x}, fmt::format("q = {}", share));
    const double place = share * static_cast<double>(size - 1);
    const auto below = static_cast<Index>(place), above = std::min<Index>(below + 1, size - 1);
    const double rest = place - static_cast<double>(below);
    const auto value = [&](Index k) { return slice(sorted, at, k, k + 1); };
    const bool is_exact = rest == 0;
    Tensor y;
    switch (interpolation) {
      case Interpolation::linear:
        y = is_exact ? value(below) : value(below) + (value(above) - value(below)) * rest;
        break;
      case Interpolation::lower:
        y = value(below);
        break;
      case Interpolation::higher:
        y = value(is_exact ? below : above);
        break;
      case Interpolation::midpoint:
        y = is_exact ? value(below) : (value(below) + value(above)) * 0.5;
        break;
      case Interpolation::nearest:  // to even, as NumPy and PyTorch
        y = value(static_cast<Index>(std::nearbyint(place)));
        break;
    }
    all.push_back(drop(where(last != last, last, y), at, keepdims));
  }
  if (all.empty()) refuse<ValueError>("quantile", {x}, "no quantile is asked for");
  return stack(all);
}
Tensor quantile(const Operand& x, double q, Index axis, bool keepdims, Interpolation interpolation) {
  return squeeze(quantile(x, std::vector<double>{q}, axis, keepdims, interpolation), 0);
}
Tensor quantile(const Operand& x, double q, Interpolation interpolation) {
  const Tensor all = all_in_one(x, "quantile");
  return quantile(Operand(all, x.where()), q, 0, false, interpolation);
}

Tensor searchsorted(const Operand& sorted, const Operand& values, bool right, DType dtype,
                    const Tensor& sorter) {
  if (!sorter.is_empty()) {
    const Tensor ordered = take_along_axis(sorted, sorter, -1);
    return searchsorted(Operand(ordered, sorted.where()), values, right, dtype);
  }
  Tensor keep;
  if (values.tensor() == nullptr) keep = full({}, values.number(), tensor_of(sorted, "searchsorted").dtype());
  return cast(apply(SearchSorted{right},
                    {sorted, values.tensor() == nullptr ? Operand(keep, values.where()) : values}),
              dtype);
}
Tensor bucketize(const Operand& values, const Operand& boundaries, bool right, DType dtype) {
  return searchsorted(boundaries, values, right, dtype);
}

Tensor isin(const Operand& x, const Operand& among) {
  const Tensor all = sort(all_in_one(among, "isin"), 0).values;
  if (all.numel() == 0) return zeros(tensor_of(x, "isin").shape(), DType::bool_);
  const Tensor place = minimum(searchsorted(all, x), all.numel() - 1);
  return equal(take(all, place), x);
}

std::vector<const Operation*> sort_operations() {
  return {&operation_of<ArgSort>(), &operation_of<SearchSorted>()};
}

}  // namespace gradweave
