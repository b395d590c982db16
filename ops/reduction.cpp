#include <gradweave/ops/reduction.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/graph/kernels/reduce.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/kernels/elementary.hpp>
#include <gradweave/ops/kernels/row_kernels.hpp>
#include <gradweave/ops/scan.hpp>
#include <gradweave/ops/shape.hpp>
#include <gradweave/ops/softmax.hpp>

namespace gradweave {

Axes::Axes(std::span<const Index> axes) : count_(axes.size()) {
  if (axes.size() > max_rank)
    throw ShapeError(fmt::format("{} axes; there are at most {}", axes.size(), max_rank));
  std::ranges::copy(axes, axes_.begin());
}

namespace {

template <class T>
struct Largest {
  using Value = T;
  static constexpr std::string_view name = "max";
  static constexpr T identity() {
    return std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity()
                                                : std::numeric_limits<T>::lowest();
  }
  template <class V>
  static V join(V a, V b) {  // a NaN stays
    return ((a != a) | (b <= a)) ? a : b;
  }
};
template <class T>
struct Smallest {
  using Value = T;
  static constexpr std::string_view name = "min";
  static constexpr T identity() {
    return std::numeric_limits<T>::has_infinity ? std::numeric_limits<T>::infinity()
                                                : std::numeric_limits<T>::max();
  }
  template <class V>
  static V join(V a, V b) {
    return ((a != a) | (b >= a)) ? a : b;
  }
};

template <class T>
struct PlaceOfLargest : Largest<T> {
  static constexpr std::string_view name = "argmax";
};
template <class T>
struct PlaceOfSmallest : Smallest<T> {
  static constexpr std::string_view name = "argmin";
};

void require_elements(const Spec& x, AxisSet axes) {
  const unsigned chosen = axes.in_front_order(x.shape.rank());
  for (std::size_t axis = 0; axis < x.shape.rank(); ++axis) {
    if (((chosen >> axis) & 1U) != 0 && x.shape[axis] == 0) throw ShapeError("no elements to choose from");
  }
}

// What `max` and `min` have in common.
template <template <class> class Monoid>
struct Extremum {
  template <class T>
  using Tree = Pairwise<Monoid<T>>;
  AxisSet axes;
  bool keepdims;
  static constexpr std::string_view name = Monoid<float>::name;
  static constexpr bool ordered = true;
  static constexpr bool throws = false;
  Spec infer(const Spec& x) const {
    require_elements(x, axes);
    return {reduced_shape(x.shape, axes, keepdims), x.dtype};
  }
  void forward(const RowRange& rows, const ArrayView&, const ArrayView& x) const {
    dispatch<numeric>(x.dtype, [&]<class T>() {
      reduce_rows<Monoid<T>>(x.as<T>(), x.shape, axes, rows.first, rows.count, rows.as<T>());
    });
  }
  Index row_width(const ArrayView& y, const ArrayView& x) const {
    return reduced_width(x.shape, axes, y.size());
  }
  Index row_cost(const ArrayView& y, const ArrayView& x) const {
    return x.size() / std::max<Index>(y.size(), 1) * row_width(y, x) / 8;
  }
  // The cotangent of whichever elements equal the result, shared evenly among them.
  Tensor vjp(const Tensor& g, const Tensor& x, const Tensor& y) const {
    const Shape kept = reduced_shape(x.shape(), axes, true);
    const Tensor chosen = cast(x == reshape(y, kept), x.dtype());
    return chosen * (reshape(g, kept) / sum_axes(chosen, axes, true));
  }
  static SamplesOf<Extremum> samples() {
    return {{{{0b01}, false}, {uniform(-2, 2)}}, {{{0b10}, true}, {uniform(-2, 2)}}};
  }
};
using Max = Extremum<Largest>;
using Min = Extremum<Smallest>;

// log(sum(exp(x - center))) of each row. The centers may be left out; where they are as large as the rows,
// what is left of the difference is exact.
template <class T>
void logsumexp_rows(const RowRange& rows, const ArrayView& x, const T* centers) {
  const Index count = x.shape.back();
  for (Index row = 0; row < rows.count; ++row) {
    const ConstBlock<T> values(x.as<T>() + (rows.first + row) * count, count);
    const T largest =
        count == 0 ? -std::numeric_limits<T>::infinity() : values.template maxCoeff<Eigen::PropagateNaN>();
    const T center = centers == nullptr ? T(0) : centers[rows.first + row];
    const T apart = largest == center ? T(0) : largest - center;  // also of two infinities
    // Nothing to scale when all is -inf or something is +inf: the largest is the answer.
    rows.as<T>()[row] = std::isinf(largest) ? apart : apart + std::log(sum_of<T>(exp_of(values - largest)));
  }
}

// Along the last axis, which is kept with size 1.
struct LogSumExp {
  static constexpr std::string_view name = "logsumexp";
  static constexpr bool throws = false;
  static constexpr DTypes dtypes = floating;
  static Spec infer(const Spec& x) {
    std::vector<Index> sizes(x.shape.begin(), x.shape.end());
    sizes.back() = 1;
    return {Shape(Dims(sizes)), x.dtype};
  }
  static void forward(const RowRange& rows, const ArrayView& y, const ArrayView& x) {
    dispatch<floating>(y.dtype, [&]<class T>() { logsumexp_rows<T>(rows, x, nullptr); });
  }
  static Index row_cost(const ArrayView&, const ArrayView& x) { return x.shape.back() / 2 + 10; }
  // Not exp(x - y): of large x, y is rounded more coarsely than that.
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return g * softmax(x); }
  static Samples samples() { return {{uniform(-2, 2)}, {uniform(-30, 30, {2, 2, 4})}}; }
};

struct LogSumExpAbout {
  static constexpr std::string_view name = "logsumexp_about";
  static constexpr bool throws = false;
  static constexpr DTypes dtypes = floating;
  static Spec infer(const Spec& x, const Spec& center) {
    const Spec y = LogSumExp::infer(x);
    if (center.shape != y.shape) throw ShapeError("expected one center for each row");
    return y;
  }
  static void forward(const RowRange& rows, const ArrayView& y, const ArrayView& x, const ArrayView& center) {
    dispatch<floating>(y.dtype, [&]<class T>() { logsumexp_rows<T>(rows, x, center.as<T>()); });
  }
  static Index row_cost(const ArrayView& y, const ArrayView& x, const ArrayView&) {
    return LogSumExp::row_cost(y, x);
  }
  static Tensor vjp(std::size_t i, const Tensor& g, const Tensor& x, const Tensor& center, const Tensor& y) {
    return i == 0 ? g * exp(x - center - y) : -g;
  }
  static Samples samples() {
    return {{uniform(-2, 2), uniform(-2, 2, {2, 1})},
            {uniform(-30, 30, {2, 2, 4}), uniform(-5, 5, {2, 2, 1})}};
  }
};

// What `argmax` and `argmin` have in common.
template <template <class> class Monoid>
struct ArgExtremum {
  Index axis;
  static constexpr std::string_view name = Monoid<float>::name;
  static constexpr bool ordered = true;
  static constexpr bool throws = false;
  static constexpr bool not_differentiable = true;
  AxisSet axes() const { return {1U << static_cast<unsigned>(-1 - axis)}; }
  Spec infer(const Spec& x) const {
    axis_from_last(axis, x.shape.rank());
    require_elements(x, axes());
    return {reduced_shape(x.shape, axes(), true), DType::int64};
  }
  void forward(const RowRange& rows, const ArrayView&, const ArrayView& x) const {
    const Index inner = rows.width, size = x.shape[normalize_axis(axis, x.shape.size())];
    dispatch<numeric>(x.dtype, [&]<class T>() {
      for (Index row = 0; row < rows.count; ++row) {
        const T* values = x.as<T>() + (rows.first + row) * inner * size;
        Index* best = rows.as<Index>() + row * inner;
        if (inner == 1) {
          *best = first_best(values, size);
        } else {
          best_of_columns(values, size, inner, best);
        }
      }
    });
  }
  // The first NaN is the best.
  template <class T>
  static Index first_best(const T* values, Index size) {
    using Tree = Pairwise<Monoid<T>>;
    T best = Monoid<T>::identity();
    for (Index i = 0; i < size; i += Tree::leaf)
      best = Monoid<T>::join(best, Tree::join_leaf(values + i, std::min(size - i, Tree::leaf)));
    return std::find_if(values, values + size, [&](T v) { return v == best || v != v; }) - values;
  }
  template <class T>
  static void best_of_columns(const T* values, Index size, Index inner, Index* best) {
    std::fill_n(best, inner, 0);
    for (Index i = 1; i < size; ++i) {
      for (Index j = 0; j < inner; ++j) {
        const T value = values[i * inner + j], so_far = values[best[j] * inner + j];
        if (so_far == so_far && Monoid<T>::join(so_far, value) != so_far) best[j] = i;
      }
    }
  }
  Index row_width(const ArrayView&, const ArrayView& x) const {
    return numel(x.shape.last(static_cast<std::size_t>(-1 - axis)));
  }
  Index row_cost(const ArrayView&, const ArrayView& x) const {
    return numel(x.shape.last(static_cast<std::size_t>(-axis)));
  }
  static SamplesOf<ArgExtremum> samples() { return {{{-1}, {uniform(-2, 2)}}, {{-2}, {uniform(-2, 2)}}}; }
};
using ArgMax = ArgExtremum<PlaceOfLargest>;
using ArgMin = ArgExtremum<PlaceOfSmallest>;

template <class T>
struct Multiplying {
  using Value = T;
  static constexpr T identity() { return T(1); }
  template <class V>
  static V join(V a, V b) {
    return a * b;
  }
};

// Along the last axis.
struct Prod {
  static constexpr std::string_view name = "prod";
  static constexpr bool throws = false;
  static Spec infer(const Spec& x) {
    if (x.shape.rank() == 0) throw ShapeError("a single number has no axis");
    const DType widest = about(x.dtype).is_signed ? DType::int64 : DType::uint64;
    return {reduced_shape(x.shape, {0b1}, false), is_integral(x.dtype) ? widest : x.dtype};
  }
  static void forward(const RowRange& rows, const ArrayView&, const ArrayView& x) {
    dispatch<numeric>(x.dtype, [&]<class T>() {
      reduce_rows<Multiplying<T>>(x.as<T>(), x.shape, {0b1}, rows.first, rows.count, rows.as<T>());
    });
  }
  static Index row_width(const ArrayView& y, const ArrayView& x) {
    return reduced_width(x.shape, {0b1}, y.size());
  }
  static Index row_cost(const ArrayView& y, const ArrayView& x) {
    return x.size() / std::max<Index>(y.size(), 1) * row_width(y, x) / 8;
  }
  // For each factor the product of those before it and of those behind it.
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) {
    const auto others = [&](bool reverse) {
      const Index size = x.size(-1);
      Shape edge = reduced_shape(x.shape(), {0b1}, true);
      const Tensor one = ones(edge, x.dtype()), none = zeros(edge, x.dtype());
      if (size == 0) return x;
      const Tensor rest = reverse ? slice(x, -1, 1, size) : slice(x, -1, 0, size - 1);
      const Tensor factors = reverse ? concat({rest, one}, -1) : concat({one, rest}, -1);
      const Tensor start = zeros(rest.shape(), x.dtype());
      return linear_scan(factors, reverse ? concat({start, one}, -1) : concat({one, start}, -1), -1, reverse);
    };
    return expand_dims(g, -1) * others(false) * others(true);
  }
  static Samples samples() { return {{uniform(-2, 2)}, {uniform(0.5, 2, {4})}}; }
};

// What an axis list means for one tensor.
struct Reduction {
  AxisSet axes;
  Shape result;
  Index count = 1;  // elements joined into one
};

Reduction resolve(std::string_view op, const Operand& x, const Axes& axes, bool keepdims) {
  const Shape shape = tensor_of(x, op).shape();
  unsigned front = 0;
  for (Index axis : axes) {
    const unsigned bit = 1U << axis_of(x, axis, op);
    if ((front & bit) != 0) refuse<ShapeError>(op, {x}, fmt::format("axis {} is named twice", axis));
    front |= bit;
  }
  if (axes.size() == 0) front = (1U << shape.rank()) - 1;
  Reduction r{.axes = AxisSet::from_front(front, shape.rank()), .result = {}};
  r.result = reduced_shape(shape, r.axes, keepdims);
  for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
    if (((front >> axis) & 1U) != 0) r.count *= shape[axis];
  }
  return r;
}

// The reduced axes, moved last and made one, behind one axis for all others.
Tensor rows_of(const Operand& x, const Reduction& r) {
  const std::size_t rank = x.tensor()->rank();
  const unsigned front = r.axes.in_front_order(rank);
  Tensor moved = *x.tensor();
  std::size_t end = rank;
  for (std::size_t axis = rank; axis-- > 0;) {
    if (((front >> axis) & 1U) == 0) continue;
    --end;
    for (std::size_t at = axis; at < end; ++at)
      moved = transpose(moved, static_cast<Index>(at), static_cast<Index>(at) + 1);
  }
  return reshape(Operand(moved, x.where()), {numel(r.result), r.count});
}

// A tensor of whole numbers as the default dtype, of halves as float32: their sum, which is divided or
// squared, may be too large for a half.
Operand as_computed(const Operand& x, Tensor& keep) {
  if (x.tensor() == nullptr || x.tensor()->is_empty()) return x;
  const DType dtype = x.tensor()->dtype();
  const DType computed = computed_as(is_floating(dtype) ? dtype : default_dtype());
  if (dtype == computed) return x;
  keep = cast(x, computed);
  return Operand(keep, x.where());
}
Tensor as_result(const Tensor& y, const Operand& x) {
  const DType dtype = x.tensor()->dtype();
  return cast(Operand(y, x.where()), is_floating(dtype) ? dtype : default_dtype());
}

}  // namespace

Tensor sum(const Operand& x, const Axes& axes, bool keepdims) {
  const Reduction r = resolve("sum", x, axes, keepdims);
  return sum_axes(x, r.axes, keepdims);
}

Tensor mean(const Operand& x, const Axes& axes, bool keepdims) {
  const Reduction r = resolve("mean", x, axes, keepdims);
  Tensor keep;
  const Tensor all = sum_axes(as_computed(x, keep), r.axes, keepdims);
  return as_result(Operand(all, x.where()) / static_cast<double>(r.count), x);
}

Tensor max(const Operand& x, const Axes& axes, bool keepdims) {
  const Reduction r = resolve("max", x, axes, keepdims);
  return apply(Max{r.axes, keepdims}, {x});
}

Tensor min(const Operand& x, const Axes& axes, bool keepdims) {
  const Reduction r = resolve("min", x, axes, keepdims);
  return apply(Min{r.axes, keepdims}, {x});
}

Tensor var(const Operand& x, const Axes& axes, bool keepdims, double correction) {
  const Reduction r = resolve("var", x, axes, keepdims);
  Tensor keep;
  const Operand values = as_computed(x, keep);
  const Tensor deviation = values - mean(values, axes, true);
  return as_result(sum_axes(square(deviation), r.axes, keepdims) /
                       std::max(static_cast<double>(r.count) - correction, 0.0),
                   x);
}

Tensor any(const Operand& x, const Axes& axes, bool keepdims) {
  tensor_of(x, "any");
  const Tensor counted = cast(not_equal(x, Operand(0, x.where())), DType::int64);
  return sum(Operand(counted, x.where()), axes, keepdims) != 0;
}

Tensor all(const Operand& x, const Axes& axes, bool keepdims) {
  tensor_of(x, "all");
  const Tensor counted = cast(equal(x, Operand(0, x.where())), DType::int64);
  return sum(Operand(counted, x.where()), axes, keepdims) == 0;
}

Tensor logsumexp(const Operand& x, const Axes& axes, bool keepdims) {
  const Reduction r = resolve("logsumexp", x, axes, keepdims);
  if (r.axes == AxisSet{0b1}) return reshape(apply<LogSumExp>(x), Dims(r.result));
  const Tensor rows = rows_of(x, r);
  return reshape(apply<LogSumExp>(Operand(rows, x.where())), Dims(r.result));
}

Tensor logsumexp_about(const Operand& x, const Operand& center) { return apply<LogSumExpAbout>(x, center); }

Tensor prod(const Operand& x, const Axes& axes, bool keepdims) {
  const Reduction r = resolve("prod", x, axes, keepdims);
  const Tensor rows = r.axes == AxisSet{0b1} ? *x.tensor() : rows_of(x, r);
  return reshape(apply<Prod>(Operand(rows, x.where())), Dims(r.result));
}

Tensor argmax(const Operand& x, Index axis, bool keepdims) {
  const Reduction r = resolve("argmax", x, {axis}, keepdims);
  const auto rank = static_cast<Index>(x.tensor()->rank());
  return reshape(apply(ArgMax{axis < 0 ? axis : axis - rank}, {x}), Dims(r.result));
}
Tensor argmin(const Operand& x, Index axis, bool keepdims) {
  const Reduction r = resolve("argmin", x, {axis}, keepdims);
  const auto rank = static_cast<Index>(x.tensor()->rank());
  return reshape(apply(ArgMin{axis < 0 ? axis : axis - rank}, {x}), Dims(r.result));
}

std::vector<const Operation*> reduction_operations() {
  return {&operation_of<Max>(),       &operation_of<Min>(),
          &operation_of<LogSumExp>(), &operation_of<LogSumExpAbout>(),
          &operation_of<ArgMax>(),    &operation_of<ArgMin>(),
          &operation_of<Prod>()};
}

}  // namespace gradweave
