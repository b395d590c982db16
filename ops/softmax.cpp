#include <gradweave/ops/softmax.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <gradweave/graph/define.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/kernels/elementary.hpp>
#include <gradweave/ops/kernels/row_kernels.hpp>
#include <gradweave/ops/reduction.hpp>
#include <gradweave/ops/shape.hpp>

namespace gradweave {
namespace {

Tensor softmax_vjp(const Operand& g, const Operand& y, double scale);
Tensor log_softmax_vjp(const Operand& g, const Operand& y);

// f(row of y, row of each x) for the rows along the last axis that are asked for.
template <class T, class F, class... Arrays>
void for_rows(const F& f, const RowRange& rows, const Arrays&... x) {
  const Index count = rows.width;
  for (Index row = 0; row < rows.count; ++row) {
    f(Block<T>(rows.as<T>() + row * count, count),
      ConstBlock<T>(x.template as<T>() + (rows.first + row) * count, count)...);
  }
}

// exp(scale * x) / sum, of a row that is not empty.
template <class T>
void softmax_row(Block<T> y, ConstBlock<T> x, T scale) {
  assign<T>(y, x * scale);
  const T largest = y.template maxCoeff<Eigen::PropagateNaN>();
  assign<T>(y, exp_of(y - largest));
  assign<T>(y, y * (T(1) / sum_of<T>(y)));
}

struct Softmax {
  static constexpr std::string_view name = "softmax";
  static constexpr bool throws = false;
  static constexpr DTypes dtypes = floating;
  static Spec infer(const Spec& x) { return x; }
  static void forward(const RowRange& rows, const ArrayView& y, const ArrayView& x) {
    dispatch<floating>(y.dtype, [&]<class T>() {
      for_rows<T>([](Block<T> to, ConstBlock<T> from) { softmax_row<T>(to, from, T(1)); }, rows, x);
    });
  }
  static Tensor vjp(const Tensor& g, const Tensor&, const Tensor& y) { return softmax_vjp(g, y, 1); }
  static Samples samples() { return {{uniform(-2, 2)}, {uniform(-5, 5, {2, 2, 20})}}; }
};

// What is masked has y = 0, so its derivative comes out as 0 from the rule without a mask.
struct CausalSoftmax {
  double scale;
  static constexpr std::string_view name = "causal_softmax";
  static constexpr bool throws = false;
  static constexpr DTypes dtypes = floating;
  static Spec infer(const Spec& x) {
    if (x.shape.rank() < 2) throw ShapeError("expected (..., rows, columns)");
    return x;
  }
  void forward(const RowRange& rows, const ArrayView& y, const ArrayView& x) const {
    const Index square = y.shape[y.shape.size() - 2], count = rows.width;
    dispatch<floating>(y.dtype, [&]<class T>() {
      Index row = rows.first % square;
      for_rows<T>(
          [&](Block<T> to, ConstBlock<T> from) {
            const Index seen = std::min(row + 1, count);
            softmax_row<T>(Block<T>(to.data(), seen), ConstBlock<T>(from.data(), seen),
                           static_cast<T>(scale));
            std::fill(to.data() + seen, to.data() + count, T(0));
            row = row + 1 == square ? 0 : row + 1;
          },
          rows, x);
    });
  }
  Tensor vjp(const Tensor& g, const Tensor&, const Tensor& y) const { return softmax_vjp(g, y, scale); }
  static SamplesOf<CausalSoftmax> samples() {
    return {{{0.5}, {uniform(-2, 2, {2, 3, 3})}}, {{2}, {uniform(-2, 2, {3, 2})}}};
  }
};

// scale * y (g - sum(g y)).
struct SoftmaxVjp {
  double scale;
  static constexpr std::string_view name = "softmax_vjp";
  static constexpr bool throws = false;
  static constexpr DTypes dtypes = floating;
  static Spec infer(const Spec&, const Spec& y) { return y; }
  void forward(const RowRange& rows, const ArrayView& dx, const ArrayView& g, const ArrayView& y) const {
    dispatch<floating>(dx.dtype, [&]<class T>() {
      for_rows<T>(
          [&](Block<T> to, ConstBlock<T> slope, ConstBlock<T> value) {
            assign<T>(to, slope * value);
            assign<T>(to, (slope - sum_of<T>(to)) * value * static_cast<T>(scale));
          },
          rows, g, y);
    });
  }
  Tensor vjp(std::size_t i, const Tensor& h, const Tensor& g, const Tensor& y, const Tensor&) const {
    if (i == 0) return softmax_vjp(h, y, scale);
    return (h * (g - sum(g * y, {-1}, true)) - g * sum(h * y, {-1}, true)) * scale;
  }
  static SamplesOf<SoftmaxVjp> samples() { return {{{0.5}, {uniform(-2, 2), uniform(0.1, 0.9)}}}; }
};

struct LogSoftmax {
  static constexpr std::string_view name = "log_softmax";
  static constexpr bool throws = false;
  static constexpr DTypes dtypes = floating;
  static Spec infer(const Spec& x) { return x; }
  static void forward(const RowRange& rows, const ArrayView& y, const ArrayView& x) {
    dispatch<floating>(y.dtype, [&]<class T>() {
      for_rows<T>(
          [](Block<T> to, ConstBlock<T> from) {
            const T largest = from.template maxCoeff<Eigen::PropagateNaN>();
            assign<T>(to, from - largest);
            assign<T>(to, to - std::log(sum_of<T>(exp_of(to))));
          },
          rows, x);
    });
  }
  static Tensor vjp(const Tensor& g, const Tensor&, const Tensor& y) { return log_softmax_vjp(g, y); }
  static Samples samples() { return {{uniform(-2, 2)}, {uniform(-5, 5, {2, 2, 20})}}; }
};

// g - exp(y) sum(g).
struct LogSoftmaxVjp {
  static constexpr std::string_view name = "log_softmax_vjp";
  static constexpr bool throws = false;
  static constexpr DTypes dtypes = floating;
  static Spec infer(const Spec&, const Spec& y) { return y; }
  static void forward(const RowRange& rows, const ArrayView& dx, const ArrayView& g, const ArrayView& y) {
    dispatch<floating>(dx.dtype, [&]<class T>() {
      for_rows<T>([](Block<T> to, ConstBlock<T> slope,
                     ConstBlock<T> value) { assign<T>(to, slope - exp_of(value) * sum_of<T>(slope)); },
                  rows, g, y);
    });
  }
  static Tensor vjp(std::size_t i, const Tensor& h, const Tensor& g, const Tensor& y, const Tensor&) {
    const Tensor p = exp(y);
    return i == 0 ? h - sum(h * p, {-1}, true) : -(h * p * sum(g, {-1}, true));
  }
  static Samples samples() { return {{uniform(-2, 2), uniform(-3, -0.1)}}; }
};

Tensor softmax_vjp(const Operand& g, const Operand& y, double scale) {
  return apply(SoftmaxVjp{scale}, {g, y});
}
Tensor log_softmax_vjp(const Operand& g, const Operand& y) { return apply<LogSoftmaxVjp>(g, y); }

// The kernels run along the last axis: another one is swapped with it.
template <class Op>
Tensor along(const Operand& x, Index axis) {
  if (axis_of(x, axis, Op::name) + 1 == x.tensor()->rank()) return apply<Op>(x);
  return transpose(apply<Op>(Operand(transpose(x, axis, -1), x.where())), axis, -1);
}

}  // namespace

Tensor softmax(const Operand& x, Index axis) { return along<Softmax>(x, axis); }
Tensor log_softmax(const Operand& x, Index axis) { return along<LogSoftmax>(x, axis); }
Tensor causal_softmax(const Operand& x, double scale) { return apply(CausalSoftmax{scale}, {x}); }

std::vector<const Operation*> softmax_operations() {
  return {&operation_of<Softmax>(), &operation_of<CausalSoftmax>(), &operation_of<SoftmaxVjp>(),
          &operation_of<LogSoftmax>(), &operation_of<LogSoftmaxVjp>()};
}

}  // namespace gradweave
