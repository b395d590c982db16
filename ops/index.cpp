#include <gradweave/ops/index.hpp>

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/graph/memory/storage.hpp>
#include <gradweave/graph/node.hpp>
#include <gradweave/graph/rewrite.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/reduction.hpp>
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

// Of rows that belong to indices, the sum of all of the same index, in their order, as `TakeVjp` adds them
// up: what is named twice is then the same twice. Indices were checked.
struct CoalesceRows {
  static constexpr std::string_view name = "coalesce_rows";
  static constexpr bool throws = false;
  static constexpr bool leading_axes = false;
  static constexpr std::array<std::optional<DType>, 2> fixed{std::nullopt, DType::int64};
  static Spec infer(const Spec& rows, const Spec& indices) {
    const std::size_t rank = indices.shape.rank();
    if (rows.shape.rank() < rank || !same(Dims(rows.shape).first(rank), indices.shape))
      throw ShapeError("expected a row for each index");
    return rows;
  }
  static void forward(const ArrayView& y, const ArrayView& rows, const ArrayView& indices) {
    const Index count = indices.size(), inner = count == 0 ? 0 : y.size() / count;
    const auto* const index = indices.as<const Index>();
    RecycledVector<Index> order(static_cast<std::size_t>(count));
    std::iota(order.begin(), order.end(), Index{0});
    std::ranges::sort(order,
                      [&](Index a, Index b) { return index[a] != index[b] ? index[a] < index[b] : a < b; });
    dispatch<numeric>(y.dtype, [&]<class T>() {
      for (auto first = order.begin(), last = first; first != order.end(); first = last) {
        T* const total = y.as<T>() + *first * inner;
        std::fill_n(total, inner, T(0));
        for (; last != order.end() && index[*last] == index[*first]; ++last) {
          const T* from = rows.as<const T>() + *last * inner;
          std::transform(from, from + inner, total, total, std::plus<>());
        }
        std::for_each(first + 1, last, [&](Index k) { std::copy_n(total, inner, y.as<T>() + k * inner); });
      }
    });
  }
  static Index workspace(const ArrayView&, const ArrayView&, const ArrayView& indices) {
    return 8 * indices.size();
  }
  static Tensor vjp(std::size_t, const Tensor& g, const Tensor&, const Tensor& indices, const Tensor&) {
    return gradweave::apply(CoalesceRows{}, {g, indices});
  }
  static Samples samples() { return {{uniform(-2, 2, {5, 2}), integers(0, 3, {5})}}; }
};

// `Take` along the first axis, of indices that were checked.
struct TakeRows {
  static constexpr std::string_view name = "take_rows";
  static constexpr bool as_stored = true;
  static constexpr bool throws = false;
  static constexpr bool leading_axes = false;
  static constexpr DTypes dtypes = any_dtype;
  static constexpr std::array<std::optional<DType>, 2> fixed{std::nullopt, DType::int64};
  static Spec infer(const Spec& x, const Spec& indices) {
    return Take{-static_cast<Index>(x.shape.rank())}.infer(x, indices);
  }
  static void forward(const RowRange& rows, const ArrayView&, const ArrayView& x, const ArrayView& indices) {
    const auto bytes = static_cast<std::size_t>(rows.width) * size_of(x.dtype);
    for (Index row = 0; row < rows.count; ++row) {
      const auto index = static_cast<std::size_t>(indices.as<Index>()[rows.first + row]);
      std::copy_n(x.as<std::byte>() + index * bytes, bytes,
                  rows.as<std::byte>() + static_cast<std::size_t>(row) * bytes);
    }
  }
  static Index row_width(const ArrayView&, const ArrayView& x, const ArrayView&) {
    return numel(x.shape.subspan(1));
  }
  static Tensor vjp(std::size_t, const Tensor& g, const Tensor& x, const Tensor& indices, const Tensor&) {
    return take_vjp(g, indices, -static_cast<Index>(x.rank()), x.size(0));
  }
  static Samples samples() { return {{uniform(-2, 2, {4, 2}), integers(0, 4, {3})}}; }
};

// x with these rows in place of those that checked indices name; rows of one index are all the same.
struct PutRows {
  static constexpr std::string_view name = "put_rows";
  static constexpr std::size_t in_place = 0;
  static constexpr bool as_stored = true;
  static constexpr bool throws = false;
  static constexpr bool leading_axes = false;
  static constexpr bool stops_gradient = true;
  static constexpr DTypes dtypes = any_dtype;
  static constexpr std::array<std::optional<DType>, 3> fixed{std::nullopt, std::nullopt, DType::int64};
  static Spec infer(const Spec& x, const Spec& rows, const Spec& indices) {
    if (TakeRows::infer(x, indices).shape != rows.shape) throw ShapeError("expected a row for each index");
    return x;
  }
  static void forward(const ArrayView& y, const ArrayView&, const ArrayView& rows, const ArrayView& indices) {
    const auto bytes = static_cast<std::size_t>(numel(y.shape.subspan(1))) * size_of(y.dtype);
    for (std::size_t i = 0; i < static_cast<std::size_t>(indices.size()); ++i) {
      std::copy_n(rows.as<std::byte>() + i * bytes, bytes,
                  y.as<std::byte>() + static_cast<std::size_t>(indices.as<Index>()[i]) * bytes);
    }
  }
  static std::vector<Sample> samples() {
    const auto call = [](std::span<const Tensor> in) {
      return gradweave::apply(PutRows{}, {in[0], in[1], constant(std::vector<Index>{2, 0})});
    };
    return {{{uniform(-2, 2, {4, 2}), uniform(-2, 2, {2, 2})}, call}};
  }
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
std::optional<GradientRows> gradient_rows(const Tensor& g) {
  Node& node = *g.node();
  if (node.operation != &operation_of<TakeVjp>()) return {};
  const TakeVjp& op = *static_cast<const TakeVjp*>(node.attributes());
  if (op.axis != -static_cast<Index>(g.rank())) return {};
  const Tensor &rows = node.inputs()[0], &indices = node.inputs()[1];
  return GradientRows{apply(CoalesceRows{}, {rows, indices}), indices};
}
Tensor take_rows(const Tensor& x, const Tensor& indices) { return apply(TakeRows{}, {x, indices}); }
Tensor put_rows(const Tensor& x, const Tensor& rows, const Tensor& indices) {
  return apply(PutRows{}, {x, rows, indices});
}
Term updated_rows(const Term& y) {
  const Term p = y.input(0), g = y.input(1);
  const auto* op = g.as<TakeVjp>();
  if (op == nullptr || op->axis != -static_cast<Index>(p.shape().rank())) return {};
  const Term indices = g.input(1);
  if (numel(indices.shape()) >= op->size) return {};  // not worth it
  std::vector<Term> inputs{term_of(TakeRows{}, {p, indices}), term_of(CoalesceRows{}, {g.input(0), indices})};
  for (std::size_t i = 2; i < y.input_count(); ++i) {
    const Term x = y.input(i);
    inputs.push_back(same(x.shape(), p.shape()) ? term_of(TakeRows{}, {x, indices}) : x);
  }
  const Term rows = Term::of(*y.operation(), y.attributes(), inputs);
  return term_of(PutRows{}, {p, rows, indices});
}

Tensor one_hot(const Operand& labels, Index classes, DType dtype) {
  if (classes == -1) classes = tensor_of(labels, "one_hot").numel() == 0 ? 0 : max(labels).item<Index>() + 1;
  return apply(OneHot{classes, dtype}, {labels});
}
Tensor at_label(const Operand& x, const Operand& labels) { return apply<AtLabel>(x, labels); }
Tensor arange(Index count, DType dtype) { return apply(Arange{count, dtype}, {}); }

std::vector<const Operation*> index_operations() {
  return {&operation_of<CheckIndex>(), &operation_of<AtLabelVjp>(),   &operation_of<Take>(),
          &operation_of<TakeVjp>(),    &operation_of<OneHot>(),       &operation_of<AtLabel>(),
          &operation_of<Arange>(),     &operation_of<CoalesceRows>(), &operation_of<TakeRows>(),
          &operation_of<PutRows>()};
}

}  // namespace gradweave
