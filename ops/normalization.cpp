#include <gradweave/ops/normalization.hpp>

#include <cmath>

#include <fmt/format.h>

#include <gradweave/graph/define.hpp>
#include <gradweave/graph/gradients.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/kernels/row_kernels.hpp>
#include <gradweave/ops/reduction.hpp>
#include <gradweave/ops/shape.hpp>

namespace gradweave {
namespace {

Tensor normalized(const Operand& x, bool centred, double epsilon);
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
    const Tensor y = normalized(x, centred, epsilon), gy = row_mean(g * y), hy = row_mean(h * y);
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

Tensor normalized(const Operand& x, bool centred, double epsilon) {
  if (!(epsilon >= 0)) throw ValueError(fmt::format("normalize: epsilon {} is negative", epsilon));
  return apply(Normalize{centred, epsilon}, {x});
}
Tensor normalize_vjp(const Operand& g, const Operand& x, bool centred, double epsilon) {
  return apply(NormalizeVjp{centred, epsilon}, {g, x});
}

// The last axes of x, which are these, as one; normalised along it.
Tensor over_last(const Operand& x, Dims normalized_shape, bool centred, double epsilon, std::string_view op) {
  const Shape shape = tensor_of(x, op).shape();
  const std::size_t count = normalized_shape.size();
  if (count == 0 || count > shape.rank() || !same(Dims(shape).last(count), normalized_shape)) {
    refuse<ShapeError>(op, {x}, fmt::format("its last axes are not {}", to_string(normalized_shape)));
  }
  if (count == 1) return normalized(x, centred, epsilon);
  Shape rows(Dims(shape).first(shape.rank() - count));
  rows.push_back(numel(normalized_shape));
  const Tensor y = normalized(Operand(reshape(x, Dims(rows)), x.where()), centred, epsilon);
  return reshape(y, Dims(shape));
}

// y times a weight plus a bias, if there are any; errors name the caller's line.
Tensor affine(Tensor y, const Tensor& weight, const Tensor& bias, std::source_location where) {
  if (!weight.is_empty()) y = Operand(y, where) * weight;
  if (!bias.is_empty()) y = Operand(y, where) + bias;
  return y;
}

// Numbers of the channels, which are axis 1 of x, so that they broadcast.
Tensor by_channel(const Tensor& values, const Operand& x, std::string_view what, std::string_view op) {
  if (values.is_empty()) return values;
  const Index channels = x.tensor()->size(1);
  if (values.shape() != Shape{channels})
    refuse<ShapeError>(op, {x, values}, fmt::format("expected a {} for each of {} channels", what, channels));
  Shape shape{channels};
  for (std::size_t k = 2; k < x.tensor()->rank(); ++k) shape.push_back(1);
  return reshape(values, Dims(shape));
}

void require_channels(const Operand& x, std::string_view op) {
  if (tensor_of(x, op).rank() < 2) refuse<ShapeError>(op, {x}, "expected (batch, channels, ...)");
  if (!is_floating(x.tensor()->dtype())) refuse<DTypeError>(op, {x}, "expected a floating dtype");
}

}  // namespace

Tensor layer_norm(const Operand& x, double epsilon) { return normalized(x, true, epsilon); }
Tensor layer_norm(const Operand& x, const Operand& weight, const Operand& bias, double epsilon) {
  const Tensor scaled = Operand(layer_norm(x, epsilon), x.where()) * weight;  // errors name the caller's line
  return Operand(scaled, x.where()) + bias;
}
Tensor layer_norm(const Operand& x, Dims normalized_shape, const AffineOptions& options) {
  const Tensor y = over_last(x, normalized_shape, true, options.epsilon, "layer_norm");
  return affine(y, options.weight, options.bias, x.where());
}

Tensor rms_norm(const Operand& x, double epsilon) { return normalized(x, false, epsilon); }
Tensor rms_norm(const Operand& x, Dims normalized_shape, const AffineOptions& options) {
  const Tensor y = over_last(x, normalized_shape, false, options.epsilon, "rms_norm");
  return affine(y, options.weight, options.bias, x.where());
}

Tensor group_norm(const Operand& x, Index groups, const AffineOptions& options) {
  constexpr std::string_view op = "group_norm";
  require_channels(x, op);
  const Shape shape = x.tensor()->shape();
  if (groups <= 0 || shape[1] % groups != 0)
    refuse<ValueError>(op, {x}, fmt::format("{} channels in {} groups", shape[1], groups));
  const Index of_group = shape[1] / groups * numel(Dims(shape).subspan(2));
  const Tensor rows = reshape(x, {shape[0], groups, of_group});
  const Tensor y = reshape(normalized(Operand(rows, x.where()), true, options.epsilon), Dims(shape));
  return affine(y, by_channel(options.weight, x, "weight", op), by_channel(options.bias, x, "bias", op),
                x.where());
}

Tensor instance_norm(const Operand& x, const AffineOptions& options) {
  constexpr std::string_view op = "instance_norm";
  require_channels(x, op);
  if (numel(Dims(x.tensor()->shape()).subspan(2)) == 1)
    refuse<ValueError>(op, {x}, "one element of a channel has no variance");
  return group_norm(x, std::max<Index>(x.tensor()->size(1), 1), options);
}

BatchNorm batch_norm(const Operand& x, const BatchNormOptions& options) {
  constexpr std::string_view op = "batch_norm";
  require_channels(x, op);
  if (!(options.epsilon >= 0)) refuse<ValueError>(op, {x}, "epsilon is negative");
  const DType dtype = x.tensor()->dtype(), computed = computed_as(dtype);
  const Tensor values = dtype == computed ? *x.tensor() : cast(x, computed);  // of halves, as float32
  const Tensor weight = by_channel(options.weight, x, "weight", op),
               bias = by_channel(options.bias, x, "bias", op);
  BatchNorm result{.output = {}, .mean = options.running_mean, .var = options.running_var};
  const Tensor of_mean = by_channel(result.mean, x, "mean", op),
               of_var = by_channel(result.var, x, "var", op);
  Tensor deviation, variance;
  if (options.training) {
    std::vector<Index> axes{0};
    for (std::size_t k = 2; k < values.rank(); ++k) axes.push_back(static_cast<Index>(k));
    const Index channels = values.size(1), count = channels == 0 ? 0 : values.numel() / channels;
    if (count == 1) refuse<ValueError>(op, {x}, "one element of a channel has no variance");
    const Tensor of_batch = mean(values, axes, true);
    deviation = values - of_batch;
    variance = mean(square(deviation), axes, true);
    const auto moved = [&](Tensor& running, const Tensor& of_this_batch) {
      if (running.is_empty()) return;
      const Tensor now = cast(reshape(detach(of_this_batch), {channels}), running.dtype());
      running = running + (now - running) * options.momentum;
    };
    const auto n = static_cast<double>(count);
    moved(result.mean, of_batch);
    moved(result.var, variance * (n / (n - 1)));
  } else {
    if (of_mean.is_empty() || of_var.is_empty())
      refuse<ValueError>(op, {x}, "without training, running_mean and running_var are needed");
    deviation = values - of_mean;
    variance = of_var;
  }
  Tensor rate = 1 / sqrt(variance + options.epsilon);
  if (!weight.is_empty()) rate = rate * weight;
  const Tensor y = affine(deviation * rate, {}, bias, x.where());
  result.output = y.dtype() == computed && computed != dtype ? cast(y, dtype) : y;
  return result;
}

// The squares of so many channels around each, summed.
Tensor local_response_norm(const Operand& x, Index size, double alpha, double beta, double k) {
  constexpr std::string_view op = "local_response_norm";
  require_channels(x, op);
  if (size <= 0) refuse<ValueError>(op, {x}, fmt::format("{} channels", size));
  const Shape shape = x.tensor()->shape();
  const Index before = size / 2;
  const auto zeros_of = [&](Index channels) {
    Shape s;
    for (std::size_t axis = 0; axis < shape.rank(); ++axis) s.push_back(axis == 1 ? channels : shape[axis]);
    return zeros(s, x.tensor()->dtype());
  };
  const Tensor squares = concat({zeros_of(before), square(x), zeros_of(size - 1 - before)}, 1);
  std::vector<Tensor> terms;
  terms.reserve(static_cast<std::size_t>(size));
  for (Index i = 0; i < size; ++i) terms.push_back(slice(squares, 1, i, i + shape[1]));
  const Tensor mean_square = add(terms) / static_cast<double>(size);
  return x / pow(mean_square * alpha + k, beta);
}

std::vector<const Operation*> normalization_operations() {
  return {&operation_of<Normalize>(), &operation_of<NormalizeVjp>()};
}

}  // namespace gradweave
