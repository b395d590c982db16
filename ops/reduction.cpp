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
#include <gradweave/ops/shape.hpp>

namespace gradweave {
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
    const Index count = x.shape.back();
    dispatch<floating>(y.dtype, [&]<class T>() {
      for (Index row = 0; row < rows.count; ++row) {
        const ConstBlock<T> values(x.as<T>() + (rows.first + row) * count, count);
        const T largest = count == 0 ? -std::numeric_limits<T>::infinity()
                                     : values.template maxCoeff<Eigen::PropagateNaN>();
        // Nothing to scale when all is -inf or something is +inf: the largest is the answer.
        rows.as<T>()[row] =
            std::isinf(largest) ? largest : largest + std::log(sum_of<T>(exp_of(values - largest)));
      }
    });
  }
  static Index row_cost(const ArrayView&, const ArrayView& x) { return x.shape.back() / 2 + 10; }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor& y) { return g * exp(x - y); }
  static Samples samples() { return {{uniform(-2, 2)}, {uniform(-30, 30, {2, 2, 4})}}; }
};

struct ArgMax {
  Index axis;
  static constexpr std::string_view name = "argmax";
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
          *best = first_largest(values, size);
        } else {
          largest_of_columns(values, size, inner, best);
        }
      }
    });
  }
  // The first NaN counts as largest.
  template <class T>
  static Index first_largest(const T* values, Index size) {
    T largest = Largest<T>::identity();
    for (Index i = 0; i < size; i += Pairwise<Largest<T>>::leaf)
      largest = Largest<T>::join(largest, Pairwise<Largest<T>>::join_leaf(
                                              values + i, std::min(size - i, Pairwise<Largest<T>>::leaf)));
    return std::find_if(values, values + size, [&](T v) { return v == largest || v != v; }) - values;
  }
  template <class T>
  static void largest_of_columns(const T* values, Index size, Index inner, Index* best) {
    std::fill_n(best, inner, 0);
    for (Index i = 1; i < size; ++i) {
      for (Index j = 0; j < inner; ++j) {
        const T value = values[i * inner + j], largest = values[best[j] * inner + j];
        if (largest == largest && !(value <= largest)) best[j] = i;
      }
    }
  }
  Index row_width(const ArrayView&, const ArrayView& x) const {
    return numel(x.shape.last(static_cast<std::size_t>(-1 - axis)));
  }
  Index row_cost(const ArrayView&, const ArrayView& x) const {
    return numel(x.shape.last(static_cast<std::size_t>(-axis)));
  }
  static SamplesOf<ArgMax> samples() { return {{{-1}, {uniform(-2, 2)}}, {{-2}, {uniform(-2, 2)}}}; }
};

// What an axis list means for one tensor.
struct Reduction {
  AxisSet axes;
  Shape result;
  Index count = 1;  // elements joined into one
};

Reduction resolve(std::string_view op, const Operand& x, Axes axes, bool keepdims) {
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

Tensor sum(const Operand& x, Axes axes, bool keepdims) {
  const Reduction r = resolve("sum", x, axes, keepdims);
  return sum_axes(x, r.axes, keepdims);
}

Tensor mean(const Operand& x, Axes axes, bool keepdims) {
  const Reduction r = resolve("mean", x, axes, keepdims);
  Tensor keep;
  const Tensor all = sum_axes(as_computed(x, keep), r.axes, keepdims);
  return as_result(Operand(all, x.where()) / static_cast<double>(r.count), x);
}

Tensor max(const Operand& x, Axes axes, bool keepdims) {
  const Reduction r = resolve("max", x, axes, keepdims);
  return apply(Max{r.axes, keepdims}, {x});
}

Tensor min(const Operand& x, Axes axes, bool keepdims) {
  const Reduction r = resolve("min", x, axes, keepdims);
  return apply(Min{r.axes, keepdims}, {x});
}

Tensor var(const Operand& x, Axes axes, bool keepdims, double correction) {
  const Reduction r = resolve("var", x, axes, keepdims);
  Tensor keep;
  const Operand values = as_computed(x, keep);
  const Tensor deviation = values - mean(values, axes, true);
  return as_result(sum_axes(square(deviation), r.axes, keepdims) /
                       std::max(static_cast<double>(r.count) - correction, 0.0),
                   x);
}

Tensor any(const Operand& x, Axes axes, bool keepdims) {
  tensor_of(x, "any");
  const Tensor counted = cast(not_equal(x, Operand(0, x.where())), DType::int64);
  return sum(Operand(counted, x.where()), axes, keepdims) != 0;
}

Tensor all(const Operand& x, Axes axes, bool keepdims) {
  tensor_of(x, "all");
  const Tensor counted = cast(equal(x, Operand(0, x.where())), DType::int64);
  return sum(Operand(counted, x.where()), axes, keepdims) == 0;
}

Tensor logsumexp(const Operand& x, Axes axes, bool keepdims) {
  const Reduction r = resolve("logsumexp", x, axes, keepdims);
  const Tensor& tensor = *x.tensor();
  const Shape shape = tensor.shape();
  if (r.axes == AxisSet{0b1}) return reshape(apply<LogSumExp>(x), Dims(r.result));
  // The reduced axes go last and become one.
  const unsigned front = r.axes.in_front_order(shape.rank());
  Tensor moved = tensor;
  std::size_t end = shape.rank();
  for (std::size_t axis = shape.rank(); axis-- > 0;) {
    if (((front >> axis) & 1U) == 0) continue;
    --end;
    for (std::size_t at = axis; at < end; ++at)
      moved = transpose(moved, static_cast<Index>(at), static_cast<Index>(at) + 1);
  }
  const Tensor rows = reshape(Operand(moved, x.where()), {numel(r.result), r.count});
  return reshape(apply<LogSumExp>(Operand(rows, x.where())), Dims(r.result));
}

Tensor argmax(const Operand& x, Index axis, bool keepdims) {
  const Reduction r = resolve("argmax", x, {axis}, keepdims);
  const auto rank = static_cast<Index>(x.tensor()->rank());
  return reshape(apply(ArgMax{axis < 0 ? axis : axis - rank}, {x}), Dims(r.result));
}

std::vector<const Operation*> reduction_operations() {
  return {&operation_of<Max>(), &operation_of<Min>(), &operation_of<LogSumExp>(), &operation_of<ArgMax>()};
}

}  // namespace gradweave
