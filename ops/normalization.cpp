#include <gradweave/ops/normalization.hpp>

#include <cmath>

#include <fmt/format.h>

#include <gradweave/graph/define.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/kernels/row_kernels.hpp>
#include <gradweave/ops/reduction.hpp>

namespace gradweave {
namespace {

Tensor normalize(const Operand& x, bool centred, double epsilon);
Tensor normalize_vjp(const Operand& g, const Operand& x, bool centred, double epsilon);

Tensor row_mean(const Operand& x) { return mean(x, {-1}, true); }

template <class T, class Expression>
T mean_of(const Expression& x) {
  return sum_of<T>(x) / static_cast<T>(x.size());
}

// What a row is shifted and scaled by.
template <class T>
struct Moments {
  T mean, rate;
  Moments(ConstBlock<T> x, bool centred, double epsilon)
      : mean(centred ? mean_of<T>(x) : T(0)),
        rate(T(1) / std::sqrt(mean_of<T>((x - mean).square()) + static_cast<T>(epsilon))) {}
};

// y = r (x - mean), where r = 1 / sqrt(mean((x - mean)^2) + epsilon); not centred: the same with a mean of 0.
struct Normalize {
  bool centred;
  double epsilon;
  static constexpr std::string_view name = "normalize";
  static constexpr bool throws = false;
  static constexpr DTypes dtypes = floating;
  static Spec infer(const Spec& x) {
    if (x.shape.rank() == 0) throw ShapeError("a scalar has no axis to normalise over");
    return x;
  }
  void forward(const RowRange& rows, const ArrayView& y, const ArrayView& x) const {
    dispatch<floating>(y.dtype, [&]<class T>() {
      for (Index row = 0; row < rows.count; ++row) {
        const ConstBlock<T> from(x.as<T>() + (rows.first + row) * rows.width, rows.width);
        const Moments<T> moments(from, centred, epsilon);
        assign<T>(Block<T>(rows.as<T>() + row * rows.width, rows.width),
                  (from - moments.mean) * moments.rate);
      }
    });
  }
  static Index row_cost(const ArrayView& y, const ArrayView&) { return y.shape.back() / 2 + 20; }
  Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) const {
    return normalize_vjp(g, x, centred, epsilon);
  }
  static SamplesOf<Normalize> samples() {
    return {{{true, 0.1}, {uniform(-2, 2)}},
            {{false, 0.1}, {uniform(-2, 2)}},
            {{true, 1e-5}, {uniform(-2, 2, {2, 2, 20})}}};
  }
};

// The Jacobian r (1 - 1/n - y y'/n) is symmetric. The moments are computed again: a row is in the cache.
struct NormalizeVjp {
  bool centred;
  double epsilon;
  static constexpr std::string_view name = "normalize_vjp";
  static constexpr bool throws = false;
  static constexpr DTypes dtypes = floating;
  static Spec infer(const Spec&, const Spec& x) { return x; }
  static Index row_cost(const ArrayView& dx, const ArrayView&, const ArrayView&) {
    return dx.shape.back() + 20;
  }
  void forward(const RowRange& rows, const ArrayView& dx, const ArrayView& g, const ArrayView& x) const {
    dispatch<floating>(dx.dtype, [&]<class T>() {
      for (Index row = 0; row < rows.count; ++row) {
        const Index at = (rows.first + row) * rows.width;
        const ConstBlock<T> from(x.as<T>() + at, rows.width), slope(g.as<T>() + at, rows.width);
        const Moments<T> moments(from, centred, epsilon);
        const T shift = centred ? mean_of<T>(slope) : T(0);
        const T along = mean_of<T>(slope * (from - moments.mean)) * moments.rate * moments.rate;
        assign<T>(Block<T>(rows.as<T>() + row * rows.width, rows.width),
                  (slope - shift - (from - moments.mean) * along) * moments.rate);
      }
    });
  }
  // From f = h dx = n r (mean(h g) - mean(h) mean(g) - mean(h y) mean(g y)) and the derivative -r^2 y / n of
  // r.
  Tensor vjp(std::size_t i, const Tensor& h, const Tensor& g, const Tensor& x, const Tensor&) const {
    if (i == 0) return normalize_vjp(h, x, centred, epsilon);
    const Tensor y = normalize(x, centred, epsilon), gy = row_mean(g * y), hy = row_mean(h * y);
    const Tensor square_rate = 1 / (row_mean(square(centred ? x - row_mean(x) : x)) + epsilon);
    const Tensor f = row_mean(h * g) - hy * gy;
    return -(square_rate * y * (centred ? f - row_mean(h) * row_mean(g) : f)) -
           normalize_vjp(sqrt(square_rate) * (h * gy + g * hy), x, centred, epsilon);
  }
  static SamplesOf<NormalizeVjp> samples() {
    return {{{true, 0.1}, {uniform(-2, 2), uniform(-2, 2)}},
            {{false, 0.1}, {uniform(-2, 2), uniform(-2, 2)}}};
  }
};

Tensor normalize(const Operand& x, bool centred, double epsilon) {
  if (!(epsilon >= 0)) throw ValueError(fmt::format("normalize: epsilon {} is negative", epsilon));
  return apply(Normalize{centred, epsilon}, {x});
}
Tensor normalize_vjp(const Operand& g, const Operand& x, bool centred, double epsilon) {
  return apply(NormalizeVjp{centred, epsilon}, {g, x});
}

}  // namespace

Tensor layer_norm(const Operand& x, double epsilon) { return normalize(x, true, epsilon); }
Tensor layer_norm(const Operand& x, const Operand& weight, const Operand& bias, double epsilon) {
  const Tensor scaled = Operand(layer_norm(x, epsilon), x.where()) * weight;  // errors name the caller's line
  return Operand(scaled, x.where()) + bias;
}
Tensor rms_norm(const Operand& x, double epsilon) { return normalize(x, false, epsilon); }

std::vector<const Operation*> normalization_operations() {
  return {&operation_of<Normalize>(), &operation_of<NormalizeVjp>()};
}

}  // namespace gradweave
