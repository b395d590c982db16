#include <gradweave/ops/index.hpp>

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/shape.hpp>

namespace gradweave {
namespace {

Tensor at_label_vjp(const Tensor& g, const Tensor& labels, Index classes);

// Indices that were looked at: an op of its own, which runs before anything is overwritten, so that the
// kernels of a reverse pass meet none that they would have to refuse.
struct CheckIndex {
  Index size;
  static constexpr std::string_view name = "check_index";
  static constexpr DTypes dtypes = only(DType::int64);
  static Spec infer(const Spec& indices) { return indices; }
  void forward(const ArrayView& y, const ArrayView& indices) const;
  static SamplesOf<CheckIndex> samples() { return {{{4}, {integers(0, 4, {3})}}}; }
};
Tensor checked(const Tensor& indices, Index size) { return apply(CheckIndex{size}, {indices}); }

void check_index(Index index, Index size, Index position) {
  if (index < 0 || index >= size)
    throw ValueError(fmt::format("index {} at position {} is outside [0, {})", index, position, size));
}

void CheckIndex::forward(const ArrayView& y, const ArrayView& indices) const {
  const std::span<const Index> from = indices.span<const Index>();
  for (std::size_t i = 0; i < from.size(); ++i) check_index(from[i], size, static_cast<Index>(i));
  std::ranges::copy(from, y.as<Index>());
}

// The axes of `indices` stand for one axis of x.
struct Take {
  Index axis;
  static constexpr std::string_view name = "take";
  static constexpr bool as_stored = true;
  static constexpr DTypes dtypes = any_dtype;
  static constexpr std::size_t shared_inputs = 1;
  static constexpr std::array<std::optional<DType>, 2> fixed{std::nullopt, DType::int64};
  Spec infer(const Spec& x, const Spec& indices) const {
    const auto at = static_cast<std::ptrdiff_t>(axis_from_last(axis, x.shape.rank()));
    std::vector<Index> sizes(x.shape.begin(), x.shape.begin() + at);
    sizes.insert(sizes.end(), indices.shape.begin(), indices.shape.end());
    sizes.insert(sizes.end(), x.shape.begin() + at + 1, x.shape.end());
    return {Shape(Dims(sizes)), x.dtype};
  }
  // A row is what lies behind one index.
  void forward(const RowRange& rows, const ArrayView&, const ArrayView& x, const ArrayView& indices) const {
    const Index size = x.shape[normalize_axis(axis, x.shape.size())], count = indices.size();
    const Index bytes = rows.width * static_cast<Index>(size_of(x.dtype));
    for (Index row = 0; row < rows.count; ++row) {
      const Index outer = (rows.first + row) / count, i = (rows.first + row) % count;
      const Index index = indices.as<Index>()[i];
      check_index(index, size, i);
      std::copy_n(x.as<std::byte>() + (outer * size + index) * bytes, bytes,
                  rows.as<std::byte>() + row * bytes);
    }
  }
  Index row_width(const ArrayView&, const ArrayView& x, const ArrayView&) const {
    return numel(x.shape.last(static_cast<std::size_t>(-1 - axis)));
  }
  Tensor vjp(std::size_t, const Tensor& g, const Tensor& x, const Tensor& indices, const Tensor&) const {
    return take_vjp(g, indices, axis, x.size(axis));
  }
  static SamplesOf<Take> samples() {
    return {{{-2}, {uniform(-2, 2, {4, 2}), integers(0, 4, {3})}},
            {{-1}, {uniform(-2, 2), integers(0, 3, {2, 2})}}};
  }
};

// Zeros, plus g at the places it was taken from, which were checked.
struct TakeVjp {
  Index axis, size;
  static constexpr std::string_view name = "take_vjp";
  static constexpr bool throws = false;
  static constexpr std::size_t shared_inputs = 1;
  static constexpr std::array<std::optional<DType>, 2> fixed{std::nullopt, DType::int64};
  Spec infer(const Spec& g, const Spec& indices) const {
    const auto behind = static_cast<std::size_t>(-1 - axis), taken = indices.shape.rank() + behind;
    if (axis >= 0 || taken > g.shape.rank()) throw ShapeError(fmt::format("no axis {} was taken from", axis));
    std::vector<Index> sizes(g.shape.begin(), g.shape.end() - static_cast<std::ptrdiff_t>(taken));
    sizes.push_back(size);
    sizes.insert(sizes.end(), g.shape.end() - static_cast<std::ptrdiff_t>(behind), g.shape.end());
    return {Shape(Dims(sizes)), g.dtype};
  }
  void forward(const ArrayView& y, const ArrayView& g, const ArrayView& indices) const {
    const std::size_t at = normalize_axis(axis, y.shape.size());
    const Index outer = numel(y.shape.first(at)), inner = numel(y.shape.subspan(at + 1)),
                count = indices.size();
    dispatch<numeric>(y.dtype, [&]<class T>() {
      std::fill_n(y.as<T>(), y.size(), T(0));
      if (g.size() == 0) return;
      for (Index o = 0; o < outer; ++o) {
        for (Index i = 0; i < count; ++i) {
          const T* from = g.as<T>() + (o * count + i) * inner;
          T* to = y.as<T>() + (o * size + indices.as<Index>()[i]) * inner;
          std::transform(from, from + inner, to, to, std::plus<>());
        }
      }
    });
  }
  Tensor vjp(std::size_t, const Tensor& h, const Tensor&, const Tensor& indices, const Tensor&) const {
    return take(h, indices, axis);
  }
  static SamplesOf<TakeVjp> samples() { return {{{-2, 4}, {uniform(-2, 2, {3, 2}), integers(0, 4, {3})}}}; }
};

// x[row, label of row], the term of the cross-entropy that is not the same for all labels.
struct AtLabel {
  static constexpr std::string_view name = "at_label";
  static constexpr DTypes dtypes = floating;
  static constexpr std::array<std::optional<DType>, 2> fixed{std::nullopt, DType::int64};
  static Spec infer(const Spec& x, const Spec& labels) {
    if (x.shape.rank() == 0 || !same(Dims(x.shape).first(x.shape.rank() - 1), labels.shape)) {
      throw ShapeError("expected logits (n, classes) and n labels");
    }
    return {labels.shape, x.dtype};
  }
  static void forward(const ArrayView& y, const ArrayView& x, const ArrayView& labels) {
    const Index classes = x.shape.back();
    const std::span<const Index> label = labels.span<const Index>();
    for (std::size_t row = 0; row < label.size(); ++row) {
      if (label[row] < 0 || label[row] >= classes) {
        throw ValueError(fmt::format("label {} in row {} is outside [0, {}), the classes of the logits",
                                     label[row], row, classes));
      }
    }
    dispatch<floating>(y.dtype, [&]<class T>() {
      const T* at = x.as<T>();
      for (Index row = 0; row < y.size(); ++row, at += classes)
        y.as<T>()[row] = at[label[static_cast<std::size_t>(row)]];
    });
  }
  static Tensor vjp(std::size_t, const Tensor& g, const Tensor& x, const Tensor& labels, const Tensor&) {
    return at_label_vjp(g, checked(labels, x.size(-1)), x.size(-1));
  }
  static Samples samples() { return {{uniform(-2, 2), integers(0, 3, {2})}}; }
};

// Zeros, plus g at the labels, which were checked.
struct AtLabelVjp {
  Index classes;
  static constexpr std::string_view name = "at_label_vjp";
  static constexpr bool throws = false;
  static constexpr DTypes dtypes = floating;
  static constexpr std::array<std::optional<DType>, 2> fixed{std::nullopt, DType::int64};
  Spec infer(const Spec& g, const Spec&) const {
    Shape shape = g.shape;
    shape.push_back(classes);
    return {shape, g.dtype};
  }
  void forward(const RowRange& rows, const ArrayView& y, const ArrayView& g, const ArrayView& labels) const {
    dispatch<floating>(y.dtype, [&]<class T>() {
      std::fill_n(rows.as<T>(), rows.count * classes, T(0));
      for (Index row = 0; row < rows.count; ++row)
        rows.as<T>()[row * classes + labels.as<Index>()[rows.first + row]] = g.as<T>()[rows.first + row];
    });
  }
  static Tensor vjp(std::size_t, const Tensor& h, const Tensor&, const Tensor& labels, const Tensor&) {
    return at_label(h, labels);
  }
  static SamplesOf<AtLabelVjp> samples() { return {{{3}, {uniform(-2, 2, {2}), integers(0, 3, {2})}}}; }
};

Tensor at_label_vjp(const Tensor& g, const Tensor& labels, Index classes) {
  return apply(AtLabelVjp{classes}, {g, labels});
}

struct OneHot {
  Index classes;
  DType dtype;
  static constexpr std::string_view name = "one_hot";
  static constexpr bool not_differentiable = true;
  static constexpr DTypes dtypes = any_dtype;
  static constexpr std::array<std::optional<DType>, 1> fixed{DType::int64};
  Spec infer(const Spec& labels) const {
    std::vector<Index> sizes(labels.shape.begin(), labels.shape.end());
    sizes.push_back(classes);
    return {Shape(Dims(sizes)), dtype};
  }
  void forward(const ArrayView& y, const ArrayView& labels) const {
    for (Index i = 0; i < labels.size(); ++i) check_index(labels.as<Index>()[i], classes, i);
    dispatch(y.dtype, [&]<class T>() {
      std::fill_n(y.as<T>(), y.size(), T(0));
      for (Index i = 0; i < labels.size(); ++i) y.as<T>()[i * classes + labels.as<Index>()[i]] = T(1);
    });
  }
  static SamplesOf<OneHot> samples() { return {{{4, DType::float64}, {integers(0, 4, {3})}}}; }
};

struct Arange {
  Index count;
  DType dtype;
  static constexpr std::string_view name = "arange";
  static constexpr bool leading_axes = false;
  static constexpr bool throws = false;
  static constexpr DTypes dtypes = any_dtype;
  Spec infer() const { return {{count}, dtype}; }
  void forward(const ArrayView& y) const {
    dispatch(y.dtype, [&]<class T>() {
      for (Index i = 0; i < count; ++i) y.as<T>()[i] = static_cast<T>(i);
    });
  }
  static SamplesOf<Arange> samples() { return {{{5, DType::float64}, {}}}; }
};

}  // namespace

Tensor take(const Operand& x, const Operand& indices, Index axis) {
  const auto at = static_cast<Index>(axis_of(x, axis, "take"));
  return apply(Take{at - static_cast<Index>(x.tensor()->rank())}, {x, indices});
}
Tensor take_vjp(const Tensor& g, const Tensor& indices, Index axis, Index size) {
  return apply(TakeVjp{axis, size}, {g, checked(indices, size)});
}
Tensor one_hot(const Operand& labels, Index classes, DType dtype) {
  return apply(OneHot{classes, dtype}, {labels});
}
Tensor at_label(const Operand& x, const Operand& labels) { return apply<AtLabel>(x, labels); }
Tensor arange(Index count, DType dtype) { return apply(Arange{count, dtype}, {}); }

std::vector<const Operation*> index_operations() {
  return {&operation_of<CheckIndex>(), &operation_of<AtLabelVjp>(), &operation_of<Take>(),
          &operation_of<TakeVjp>(),    &operation_of<OneHot>(),     &operation_of<AtLabel>(),
          &operation_of<Arange>()};
}

}  // namespace gradweave
