#include <gradweave/ops/scan.hpp>

#include <limits>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/graph/memory/storage.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/reduction.hpp>
#include <gradweave/ops/scatter.hpp>
#include <gradweave/ops/shape.hpp>

namespace gradweave {
namespace {

// What scans have in common: an axis, and the way. A row is all from the axis on, `inner` elements a place.
struct Way {
  Index axis;
  bool reverse = false;

  Index row_width(Dims shape) const { return numel(shape.last(static_cast<std::size_t>(-axis))); }
  /// f(i) for each place, in order; `i` counts elements of a row.
  void walk(Dims shape, const auto& f) const {
    const Index count = shape[normalize_axis(axis, shape.size())], inner = row_width(shape) / count;
    for (Index k = 0; k < count; ++k) f((reverse ? count - 1 - k : k) * inner, inner);
  }
};
template <class T>
using Wide = std::conditional_t<std::is_same_v<T, float>, double, T>;

struct CumSum {
  Index axis;
  bool reverse;
  static constexpr std::string_view name = "cumsum";
  static constexpr bool throws = false;
  static constexpr DTypes dtypes = numeric;
  Spec infer(const Spec& x) const {
    axis_from_last(axis, x.shape.rank());
    const DType widest = about(x.dtype).is_signed ? DType::int64 : DType::uint64;
    return {x.shape, is_integral(x.dtype) ? widest : x.dtype};
  }
  void forward(const RowRange& rows, const ArrayView&, const ArrayView& x) const {
    dispatch<numeric>(x.dtype, [&]<class T>() {
      RecycledVector<Wide<T>> sum;
      for (Index row = 0; row < rows.count; ++row) {
        const T* from = x.as<T>() + (rows.first + row) * rows.width;
        T* to = rows.as<T>() + row * rows.width;
        Wide<T> total = 0;
        sum.clear();
        Way{axis, reverse}.walk(x.shape, [&](Index at, Index inner) {
          if (inner == 1) {
            to[at] = static_cast<T>(total += static_cast<Wide<T>>(from[at]));
            return;
          }
          sum.resize(static_cast<std::size_t>(inner));
          for (Index j = 0; j < inner; ++j)
            to[at + j] =
                static_cast<T>(sum[static_cast<std::size_t>(j)] += static_cast<Wide<T>>(from[at + j]));
        });
      }
    });
  }
  Index row_width(const ArrayView& y, const ArrayView&) const { return Way{axis}.row_width(y.shape); }
  Index row_cost(const ArrayView& y, const ArrayView&) const { return row_width(y, y); }
  Index workspace(const ArrayView& y, const ArrayView&) const { return 8 * row_width(y, y); }
  Tensor vjp(const Tensor& g, const Tensor&, const Tensor&) const {
    return gradweave::apply(CumSum{axis, !reverse}, {g});
  }
  static SamplesOf<CumSum> samples() {
    return {{{-1, false}, {uniform(-2, 2)}}, {{-2, true}, {uniform(-2, 2, {3, 2})}}};
  }
};

// Zeros, or `first`, and then all but the last along an axis; with `reverse` all but the first, and then
// those.
Tensor next_to(const Tensor& x, Index axis, bool reverse, double first = 0) {
  const Index size = x.size(axis);
  if (size == 0) return x;
  Shape edge;
  const std::size_t at = normalize_axis(axis, x.rank());
  for (std::size_t k = 0; k < x.rank(); ++k) edge.push_back(k == at ? 1 : x.size(static_cast<Index>(k)));
  const Tensor start = full(edge, first, x.dtype());
  return reverse ? concat({slice(x, axis, 1, size), start}, axis)
                 : concat({start, slice(x, axis, 0, size - 1)}, axis);
}

struct LinearScan {
  Index axis;
  bool reverse;
  static constexpr std::string_view name = "linear_scan";
  static constexpr bool throws = false;
  static constexpr DTypes dtypes = numeric;
  Spec infer(const Spec& a, const Spec& b) const {
    axis_from_last(axis, a.shape.rank());
    if (a.shape != b.shape) throw ShapeError("expected factors and terms of one shape");
    return a;
  }
  void forward(const RowRange& rows, const ArrayView&, const ArrayView& a, const ArrayView& b) const {
    dispatch<numeric>(a.dtype, [&]<class T>() {
      RecycledVector<Wide<T>> last;
      for (Index row = 0; row < rows.count; ++row) {
        const T* factor = a.as<T>() + (rows.first + row) * rows.width;
        const T* term = b.as<T>() + (rows.first + row) * rows.width;
        T* to = rows.as<T>() + row * rows.width;
        bool is_first = true;  // whose factor, which may be infinite, does not count
        Way{axis, reverse}.walk(a.shape, [&](Index at, Index inner) {
          last.resize(static_cast<std::size_t>(inner));
          for (Index j = 0; j < inner; ++j) {
            Wide<T>& y = last[static_cast<std::size_t>(j)];
            const auto b_j = static_cast<Wide<T>>(term[at + j]);
            y = is_first ? b_j : static_cast<Wide<T>>(factor[at + j]) * y + b_j;
            to[at + j] = static_cast<T>(y);
          }
          is_first = false;
        });
      }
    });
  }
  Index row_width(const ArrayView& y, const ArrayView&, const ArrayView&) const {
    return Way{axis}.row_width(y.shape);
  }
  Index row_cost(const ArrayView& y, const ArrayView&, const ArrayView&) const {
    return 2 * row_width(y, y, y);
  }
  Index workspace(const ArrayView& y, const ArrayView&, const ArrayView&) const {
    return 8 * row_width(y, y, y);
  }
  // s[i] = g[i] + a[i + 1] s[i + 1] is what reaches y[i] from all that comes later.
  Tensor vjp(std::size_t i, const Tensor& g, const Tensor& a, const Tensor&, const Tensor& y) const {
    const Tensor s = gradweave::apply(LinearScan{axis, !reverse}, {next_to(a, axis, !reverse), g});
    return i == 1 ? s : s * next_to(y, axis, reverse);
  }
  static SamplesOf<LinearScan> samples() {
    return {{{-1, false}, {uniform(-1, 1), uniform(-2, 2)}},
            {{-2, true}, {uniform(-1, 1, {3, 2}), uniform(-2, 2, {3, 2})}}};
  }
};

// Where the largest, or the smallest, so far is.
struct CumArgMax {
  Index axis;
  bool smallest;
  static constexpr std::string_view name = "cumargmax";
  static constexpr bool ordered = true;
  static constexpr bool throws = false;
  static constexpr bool not_differentiable = true;
  static constexpr DTypes dtypes = numeric;
  Spec infer(const Spec& x) const {
    axis_from_last(axis, x.shape.rank());
    return {x.shape, DType::int64};
  }
  void forward(const RowRange& rows, const ArrayView&, const ArrayView& x) const {
    dispatch<numeric>(x.dtype, [&]<class T>() {
      for (Index row = 0; row < rows.count; ++row) {
        const T* from = x.as<T>() + (rows.first + row) * rows.width;
        Index* to = rows.as<Index>() + row * rows.width;
        Way{axis}.walk(x.shape, [&](Index at, Index inner) {
          for (Index j = 0; j < inner; ++j) {
            const Index before = at == 0 ? 0 : to[at - inner + j];
            const T value = from[at + j], best = from[before * inner + j];
            const bool beats = value != value || (best == best && (smallest ? value <= best : value >= best));
            to[at + j] = beats ? at / inner : before;
          }
        });
      }
    });
  }
  Index row_width(const ArrayView& y, const ArrayView&) const { return Way{axis}.row_width(y.shape); }
  Index row_cost(const ArrayView& y, const ArrayView&) const { return 2 * row_width(y, y); }
  static SamplesOf<CumArgMax> samples() { return {{{-1, false}, {uniform(-2, 2)}}}; }
};

ValuesAndIndices extreme_so_far(const Operand& x, Index axis, bool smallest, std::string_view op) {
  const Index at = axis_from_end(x, axis, op);
  const Tensor indices = apply(CumArgMax{at, smallest}, {x});
  return {take_along_axis(x, indices, at), indices};
}

// The areas of trapezoids of width 1, doubled; and of those between places.
Tensor twice_areas(const Operand& y, Index axis) {
  const Index size = y.tensor()->size(axis);
  return slice(y, axis, 1, size) + slice(y, axis, 0, std::max<Index>(size - 1, 0));
}
Tensor twice_areas(const Operand& y, const Tensor& x, Index axis) {
  if (x.rank() != 1) return twice_areas(y, axis) * diff(x, 1, axis);
  Shape shape{x.size(0)};
  for (Index k = axis; k < -1; ++k) shape.push_back(1);
  return twice_areas(y, axis) * diff(reshape(x, Dims(shape)), 1, axis);
}

}  // namespace

Tensor cumsum(const Operand& x, Index axis) {
  return apply(CumSum{axis_from_end(x, axis, "cumsum"), false}, {x});
}

Tensor linear_scan(const Operand& a, const Operand& b, Index axis, bool reverse) {
  Operand factors = a, terms = b;
  Tensor keep_a, keep_b;
  const auto broadcast_like = [](const Operand& from, const Operand& like, Tensor& keep) {
    const Shape shape = tensor_of(like, "linear_scan").shape();
    keep = from.tensor() == nullptr ? full(shape, from.number(), like.tensor()->dtype())
                                    : broadcast_to(from, broadcast(from.tensor()->shape(), shape));
    return Operand(keep, from.where());
  };
  if (b.tensor() == nullptr) refuse<GraphError>("linear_scan", {a, b}, "the terms are a number");
  factors = broadcast_like(a, b, keep_a);
  terms = broadcast_like(b, factors, keep_b);
  return apply(LinearScan{axis_from_end(terms, axis, "linear_scan"), reverse}, {factors, terms});
}

// Factors all, and the first as the term from which on.
Tensor cumprod(const Operand& x, Index axis) {
  const Index at = axis_from_end(x, axis, "cumprod");
  Tensor values = is_integral(x.tensor()->dtype()) || x.tensor()->dtype() == DType::bool_
                      ? cast(x, DType::int64)
                      : *x.tensor();
  const Index size = values.size(at);
  if (size == 0) return values;
  Tensor first = slice(Operand(values, x.where()), at, 0, 1);
  if (size == 1) return first;
  const Tensor rest = slice(Operand(values, x.where()), at, 1, size);
  const Tensor terms = concat({first, zeros(rest.shape(), values.dtype())}, at);
  return apply(LinearScan{at, false}, {Operand(values, x.where()), terms});
}

ValuesAndIndices cummax(const Operand& x, Index axis) { return extreme_so_far(x, axis, false, "cummax"); }
ValuesAndIndices cummin(const Operand& x, Index axis) { return extreme_so_far(x, axis, true, "cummin"); }

// The sum of exp(x - largest so far): where the largest moves, what was summed shrinks, a recurrence.
Tensor logcumsumexp(const Operand& x, Index axis) {
  const Index at = axis_from_end(x, axis, "logcumsumexp");
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const Tensor largest = detach(cummax(x, at).values);
  const Tensor base = where(abs(largest) == infinity, 0, largest);
  const Tensor shrinks = exp(next_to(largest, at, false, -infinity) - base);
  const Tensor sums = linear_scan(shrinks, exp(x - Operand(base, x.where())), at);
  return log(sums) + base;
}

Tensor diff(const Operand& x, Index n, Index axis) {
  const Index at = axis_from_end(x, axis, "diff");
  if (n < 0) refuse<ValueError>("diff", {x}, fmt::format("{} differences", n));
  Tensor y = *x.tensor();
  for (Index k = 0; k < n && y.size(at) > 0; ++k) {
    const Index size = y.size(at);
    const Tensor later = slice(Operand(y, x.where()), at, 1, size), earlier = slice(y, at, 0, size - 1);
    y = y.dtype() == DType::bool_ ? logical_xor(later, earlier) : later - earlier;
  }
  return y;
}

Tensor diff(const Operand& x, Index n, Index axis, const Tensor& prepend, const Tensor& append) {
  if (n == 0) return tensor_of(x, "diff");
  std::vector<Tensor> parts;
  if (!prepend.is_empty()) parts.push_back(prepend);
  parts.push_back(tensor_of(x, "diff"));
  if (!append.is_empty()) parts.push_back(append);
  const Tensor whole = concat(parts, axis, x.where());
  return diff(Operand(whole, x.where()), n, axis);
}

Tensor trapezoid(const Operand& y, double dx, Index axis) {
  const Index at = axis_from_end(y, axis, "trapezoid");
  return sum(twice_areas(y, at), {at}) * (dx / 2);
}
Tensor trapezoid(const Operand& y, const Tensor& x, Index axis) {
  const Index at = axis_from_end(y, axis, "trapezoid");
  return sum(twice_areas(y, x, at), {at}) / 2;
}
Tensor cumulative_trapezoid(const Operand& y, double dx, Index axis) {
  const Index at = axis_from_end(y, axis, "cumulative_trapezoid");
  return cumsum(twice_areas(y, at), at) * (dx / 2);
}
Tensor cumulative_trapezoid(const Operand& y, const Tensor& x, Index axis) {
  const Index at = axis_from_end(y, axis, "cumulative_trapezoid");
  return cumsum(twice_areas(y, x, at), at) / 2;
}

std::vector<const Operation*> scan_operations() {
  return {&operation_of<CumSum>(), &operation_of<LinearScan>(), &operation_of<CumArgMax>()};
}

}  // namespace gradweave
