#include <gradweave/ops/embedding.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/custom_vjp.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/index.hpp>
#include <gradweave/ops/reduction.hpp>
#include <gradweave/ops/scatter.hpp>
#include <gradweave/ops/shape.hpp>
#include <gradweave/ops/sort.hpp>

namespace gradweave {
namespace {

constexpr Index no_padding = -1;

// Which bag each index is in, from where bags start (and the last one ends).
Tensor bags_of(const Tensor& indices, const Tensor& starts) {
  return searchsorted(starts, arange(indices.numel()), true) - 1;
}

// How often each index is among them, with an axis behind.
Tensor frequency_of(const Tensor& indices, Index count, DType dtype) {
  const Tensor all = take_vjp(ones(indices.shape(), DType::int64), indices, -1, count);
  return cast(expand_dims(take(all, indices), -1), dtype);
}

// The inputs are a weight, indices, and where bags start, with the end of the last one behind; a bag is a
// row.
Spec bags(const Spec& weight, const Spec& indices, const Spec& starts, DType dtype) {
  if (weight.shape.rank() != 2 || indices.shape.rank() != 1 || starts.shape.rank() != 1 ||
      starts.shape[0] == 0)
    throw ShapeError("expected a weight (count, width), indices (n) and starts (bags + 1)");
  return {{starts.shape[0] - 1, weight.shape[1]}, dtype};
}

// Calls f(row of the result, position, row of the weight) for what is in the bags of `rows`; begin(row of the
// result) comes first.
template <class T, class R>
void for_bags(const RowRange& rows, std::span<const ArrayView> in, Index padding, const auto& begin,
              const auto& f) {
  const Index count = in[0].shape[0], width = rows.width, size = in[1].size();
  const auto* const index = in[1].as<const Index>();
  const auto* const start = in[2].as<const Index>() + rows.first;
  for (Index bag = 0; bag < rows.count; ++bag) {
    const Index first = start[bag], last = start[bag + 1], number = rows.first + bag;
    const bool is_first = number == 0, is_last = number + 2 == in[2].size();
    if (first < 0 || last < first || last > size || (is_first && first != 0) || (is_last && last != size)) {
      throw ValueError(fmt::format("bag {} is [{}, {}) of {} indices: bags follow one another from 0 on",
                                   number, first, last, size));
    }
    auto* y = rows.as<R>() + bag * rows.stride;
    begin(y);
    for (Index i = first; i < last; ++i) {
      if (index[i] < 0 || index[i] >= count)
        throw ValueError(fmt::format("index {} at position {} is outside [0, {})", index[i], i, count));
      if (index[i] != padding) f(y, i, in[0].as<const T>() + index[i] * width);
    }
  }
}

Index rows_of_bag(std::span<const ArrayView> in) {
  return in[1].size() / std::max<Index>(in[2].size(), 1) + 1;
}

// The sums of rows of bags, each times a number if there is a fourth input.
struct BagSum {
  Index padding = no_padding;
  bool scale_grad_by_freq = false;
  static constexpr std::string_view name = "bag_sum";
  static constexpr bool leading_axes = false;
  static constexpr DTypes dtypes = floating;
  static constexpr std::array<std::optional<DType>, 3> fixed{std::nullopt, DType::int64, DType::int64};
  static Spec infer(std::span<const Spec> in) { return bags(in[0], in[1], in[2], in[0].dtype); }
  void forward(const RowRange& rows, const ArrayView&, std::span<const ArrayView> in) const {
    dispatch<floating>(in[0].dtype, [&]<class T>() {
      const Index width = rows.width;
      const T* scale = in.size() > 3 ? in[3].as<const T>() : nullptr;
      for_bags<T, T>(
          rows, in, padding, [&](T* y) { std::fill_n(y, width, T(0)); },
          [&](T* y, Index i, const T* row) {
            const T factor = scale == nullptr ? T(1) : scale[i];
            for (Index j = 0; j < width; ++j) y[j] += factor * row[j];
          });
    });
  }
  static Index row_cost(const ArrayView& y, std::span<const ArrayView> in) {
    return rows_of_bag(in) * (y.shape.back() / 8 + 4);
  }
  Tensor vjp(std::size_t i, const Tensor& g, std::span<const Tensor> in, const Tensor&) const {
    const Tensor& indices = in[1];
    Tensor rows = take(g, bags_of(indices, in[2]));  // the cotangent of what each index adds
    if (padding != no_padding) rows = where(expand_dims(indices != padding, -1), rows, 0);
    if (i == 3) return sum(rows * take(in[0], indices), {-1});
    if (in.size() > 3) rows = rows * expand_dims(in[3], -1);
    if (scale_grad_by_freq) rows = rows / frequency_of(indices, in[0].size(0), rows.dtype());
    return take_vjp(rows, indices, -2, in[0].size(0));
  }
  static std::vector<Sample> samples();
};

std::vector<Sample> BagSum::samples() {
  const auto call = [](Index row) {
    return [row](std::span<const Tensor> in) {
      std::vector<Operand> all(in.begin(), in.end());
      const Tensor starts = constant(std::vector<Index>{0, 2, 2, 5});
      all.insert(all.begin() + 2, Operand(starts));
      return apply_all(BagSum{row, false}, all);
    };
  };
  const InputSpec weight = uniform(-2, 2, {4, 2}), indices = integers(0, 4, {5});
  return {{{weight, indices}, call(no_padding)}, {{weight, indices, uniform(-2, 2, {5})}, call(1)}};
}

// The row of the weight that has the largest element of a bag, for each column; -1 of an empty bag.
struct BagArgMax {
  Index padding = no_padding;
  static constexpr std::string_view name = "bag_argmax";
  static constexpr bool leading_axes = false;
  static constexpr bool not_differentiable = true;
  static constexpr DTypes dtypes = floating;
  static constexpr std::array<std::optional<DType>, 3> fixed{std::nullopt, DType::int64, DType::int64};
  static Spec infer(std::span<const Spec> in) { return bags(in[0], in[1], in[2], DType::int64); }
  void forward(const RowRange& rows, const ArrayView&, std::span<const ArrayView> in) const {
    dispatch<floating>(in[0].dtype, [&]<class T>() {
      const Index width = rows.width;
      const T* weight = in[0].as<const T>();
      for_bags<T, Index>(
          rows, in, padding, [&](Index* y) { std::fill_n(y, width, Index{-1}); },
          [&](Index* y, Index i, const T* row) {
            for (Index j = 0; j < width; ++j) {
              if (y[j] < 0 || !(row[j] <= weight[y[j] * width + j])) y[j] = in[1].as<const Index>()[i];
            }
          });
    });
  }
  static Index row_cost(const ArrayView& y, std::span<const ArrayView> in) {
    return rows_of_bag(in) * (y.shape.back() + 4);
  }
  static std::vector<Sample> samples() {
    const auto call = [](std::span<const Tensor> in) {
      return gradweave::apply(BagArgMax{2}, {in[0], in[1], constant(std::vector<Index>{0, 2, 2, 5})});
    };
    return {{{uniform(-2, 2, {4, 2}), integers(0, 4, {5})}, call}};
  }
};

// The number of the row that gets no gradient.
Index padding_of(const Operand& indices, const Operand& weight, std::optional<Index> padding_idx,
                 std::string_view op) {
  if (tensor_of(weight, op).rank() != 2)
    refuse<ShapeError>(op, {indices, weight}, "expected a weight (count, width)");
  if (!is_integral(tensor_of(indices, op).dtype()))
    refuse<DTypeError>(op, {indices, weight}, "indices are whole numbers");
  if (!padding_idx) return no_padding;
  const Index count = weight.tensor()->size(0);
  if (*padding_idx < -count || *padding_idx >= count)
    refuse<ValueError>(op, {indices, weight}, fmt::format("padding_idx {} of {} rows", *padding_idx, count));
  return *padding_idx < 0 ? *padding_idx + count : *padding_idx;
}

}  // namespace

Tensor embedding(const Operand& indices, const Operand& weight, std::optional<Index> padding_idx,
                 bool scale_grad_by_freq) {
  const Index padding = padding_of(indices, weight, padding_idx, "embedding");
  Tensor rows = take(weight, indices);
  if (scale_grad_by_freq) {
    const auto scaled =
        custom_vjp([](const Tensor& x, const Tensor&) { return x + 0; },
                   [](const Tensor& g, const Tensor&, const Tensor& frequency, const Tensor&) {
                     return std::array{g / frequency, Tensor()};
                   });
    rows = scaled(rows, frequency_of(*indices.tensor(), weight.tensor()->size(0), rows.dtype()));
  }
  if (padding == no_padding) return rows;
  return where(expand_dims(not_equal(indices, padding), -1), rows, detach(rows));
}

Tensor embedding_bag(const Operand& indices, const Operand& weight, const EmbeddingBagOptions& options) {
  constexpr std::string_view op = "embedding_bag";
  const Index padding = padding_of(indices, weight, options.padding_idx, op);
  Tensor places = cast(indices, DType::int64), starts = options.offsets, scale = options.per_sample_weights;
  if (!scale.is_empty() && options.mode != BagMode::sum)
    refuse<ValueError>(op, {indices, scale}, "per_sample_weights are for the mode sum");
  if (options.scale_grad_by_freq && options.mode == BagMode::max)
    refuse<ValueError>(op, {indices, weight}, "scale_grad_by_freq is for the modes sum and mean");
  if (!scale.is_empty() && scale.shape() != places.shape())
    refuse<ShapeError>(op, {indices, scale}, "expected a weight for each index");
  if (places.rank() == 2) {
    if (!starts.is_empty()) refuse<ShapeError>(op, {indices, starts}, "rows of indices are bags: no offsets");
    starts = arange(places.size(0) + 1) * places.size(1);
    places = reshape(places, {places.numel()});
    if (!scale.is_empty()) scale = reshape(scale, {places.numel()});
  } else if (places.rank() == 1 && !starts.is_empty() && starts.rank() == 1) {
    starts = cast(starts, DType::int64);
    if (!options.include_last_offset)
      starts = concat({starts, full({1}, static_cast<double>(places.numel()), DType::int64)});
  } else {
    refuse<ShapeError>(op, {indices}, "expected indices (bags, n), or (n) with offsets (bags)");
  }
  const std::source_location at = indices.where();
  const DType dtype = weight.tensor()->dtype();
  if (options.mode == BagMode::max) {
    const Tensor rows = apply(BagArgMax{padding}, {weight, Operand(places, at), starts});
    return where(rows < 0, zeros({}, dtype), take_along_axis(weight, rows, 0));
  }
  std::vector<Operand> inputs{weight, Operand(places, at), starts};
  if (!scale.is_empty()) inputs.emplace_back(scale);
  Tensor sums = apply_all(BagSum{padding, options.scale_grad_by_freq}, inputs);
  if (options.mode == BagMode::sum) return sums;
  const Index count = starts.numel() - 1;
  Tensor sizes = slice(starts, 0, 1, count + 1) - slice(starts, 0, 0, count);
  if (padding != no_padding)
    sizes = take_vjp(cast(places != padding, DType::int64), bags_of(places, starts), -1, count);
  return cast(sums / cast(expand_dims(maximum(sizes, 1), -1), computed_as(dtype)), dtype);
}

std::vector<const Operation*> embedding_operations() {
  return {&operation_of<BagSum>(), &operation_of<BagArgMax>()};
}

}  // namespace gradweave
