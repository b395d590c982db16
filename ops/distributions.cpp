#include <gradweave/ops/distributions.hpp>

#include <array>
#include <cmath>
#include <limits>
#include <numbers>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/graph/formula/special.hpp>
#include <gradweave/graph/kernels/parallel.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/custom_vjp.hpp>
#include <gradweave/ops/draw.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/kernels/rejection.hpp>
#include <gradweave/ops/reduction.hpp>
#include <gradweave/ops/scalar_math.hpp>
#include <gradweave/ops/scan.hpp>
#include <gradweave/ops/shape.hpp>
#include <gradweave/ops/sort.hpp>
#include <gradweave/ops/special.hpp>

namespace gradweave {
namespace {

// Numbers of a distribution with one parameter each: data.
template <class Self>
struct Drawn {
  static constexpr DTypes dtypes = only(DType::float32) | only(DType::float64);
  static constexpr std::array<std::optional<DType>, 2> fixed{std::nullopt, DType::int64};
  static constexpr bool leading_axes = false;
  static constexpr bool stops_gradient = true;
  static Spec infer(const Spec& parameter, const Spec&) { return parameter; }
  static void forward(const ArrayView& y, const ArrayView& parameter, const ArrayView& state) {
    const auto seed = static_cast<std::uint64_t>(state.as<const Index>()[0]),
               offset = static_cast<std::uint64_t>(state.as<const Index>()[1]);
    dispatch<floating>(y.dtype, [&]<class T>() {
      parallel_for(y.size(), min_task_ns / 20, [&](Index first, Index last) {
        for (Index i = first; i < last; ++i) {
          const auto value = static_cast<double>(parameter.as<const T>()[i]);
          y.as<T>()[i] = Self::template draw<T>(seed, offset + static_cast<std::uint64_t>(i), value);
        }
      });
    });
  }
  static std::vector<Sample> samples() {
    return {{{uniform(0.5, 3), integers(0, 100, {2})}, [](std::span<const Tensor> in) {
               return gradweave::apply(Self{}, {in[0], in[1]});
             }}};
  }
};

struct RandomGamma : Drawn<RandomGamma> {
  static constexpr std::string_view name = "random_gamma";
  template <class T>
  static T draw(std::uint64_t seed, std::uint64_t position, double concentration) {
    if (!(concentration > 0) || !std::isfinite(concentration))
      throw ValueError(fmt::format("the concentration {} is not positive and finite", concentration));
    return std::max(static_cast<T>(draw_gamma(seed, position, concentration)), std::numeric_limits<T>::min());
  }
};

struct RandomPoisson : Drawn<RandomPoisson> {
  static constexpr std::string_view name = "random_poisson";
  template <class T>
  static T draw(std::uint64_t seed, std::uint64_t position, double rate) {
    if (!(rate >= 0) || !std::isfinite(rate))
      throw ValueError(fmt::format("the rate {} is negative or not finite", rate));
    return static_cast<T>(draw_poisson(seed, position, rate));
  }
};

// How a gamma number moves with its concentration.
struct GammaGradient {
  static constexpr std::string_view name = "gamma_gradient";
  static constexpr DTypes dtypes = only(DType::float32) | only(DType::float64);
  static constexpr bool not_differentiable = true;
  static Spec infer(const Spec& concentration, const Spec&) { return concentration; }
  static void forward(const ArrayView& y, const ArrayView& concentration, const ArrayView& x) {
    dispatch<floating>(y.dtype, [&]<class T>() {
      parallel_for(y.size(), min_task_ns / 400, [&](Index first, Index last) {
        for (Index i = first; i < last; ++i) {
          y.as<T>()[i] = static_cast<T>(special::gamma_gradient(static_cast<double>(concentration.as<T>()[i]),
                                                                static_cast<double>(x.as<T>()[i])));
        }
      });
    });
  }
  static Samples samples() { return {{uniform(0.5, 3), uniform(0.5, 3)}}; }
};

template <class Op>
Tensor drawn(const Tensor& parameter, Generator& generator) {
  const DType dtype = tensor_of(parameter, Op::name).dtype();
  if (!is_floating(dtype)) refuse<DTypeError>(Op::name, {parameter}, "expected a floating dtype");
  const Draw numbers(generator, parameter.shape());
  Tensor y = apply(Op{}, {parameter, numbers.state()});
  numbers.take();
  return cast(y, dtype);
}

// In (0, 1], so that a logarithm is finite.
Tensor above_zero(const Shape& shape, Generator& generator, DType dtype) {
  return 1 - random_uniform(shape, generator, 0, 1, dtype);
}

}  // namespace

Tensor bernoulli(const Tensor& p, Generator& generator) {
  const DType dtype = tensor_of(p, "bernoulli").dtype();
  if (!is_floating(dtype)) refuse<DTypeError>("bernoulli", {p}, "probabilities are floating");
  return cast(random_uniform(p.shape(), generator, 0, 1, DType::float64) < detach(p), dtype);
}

Tensor randint(Index low, Index high, const Shape& shape, Generator& generator) {
  if (low >= high) throw ValueError(fmt::format("randint: from {} to {}", low, high));
  const double count = static_cast<double>(high) - static_cast<double>(low);
  const Tensor steps =
      cast(floor(random_uniform(shape, generator, 0, 1, DType::float64) * count), DType::int64);
  return minimum(steps + constant(std::vector<Index>{low}, {}), constant(std::vector<Index>{high - 1}, {}));
}

Tensor permutation(Index count, Generator& generator) {
  if (count < 0) throw ValueError(fmt::format("permutation: of {}", count));
  return argsort(random_uniform({count}, generator, 0, 1, DType::float64));
}

Tensor multinomial(const Tensor& weights, Index count, bool replacement, Generator& generator) {
  if (tensor_of(weights, "multinomial").rank() == 0)
    refuse<ShapeError>("multinomial", {weights}, "expected an axis");
  const Index size = weights.size(-1);
  if (count < 0 || size == 0 || (!replacement && count > size))
    refuse<ValueError>("multinomial", {weights}, fmt::format("{} of {} without replacement", count, size));
  const Tensor known = cast(detach(weights), DType::float64);
  std::vector<Index> shape;
  for (std::size_t k = 0; k < weights.rank(); ++k) shape.push_back(weights.size(static_cast<Index>(k)));
  if (!replacement) {  // the largest of log(weight) plus Gumbel's noise (Kool, van Hoof, Welling, 2019)
    const Tensor noise = random_gumbel(Shape(Dims(shape)), generator, DType::float64);
    return topk(log(known) + noise, count).indices;
  }
  shape.back() = count;
  const Tensor sums = cumsum(known, -1);
  const Tensor total = slice(sums, -1, size - 1, size);
  const Tensor places = random_uniform(Shape(Dims(shape)), generator, 0, 1, DType::float64) * total;
  return minimum(searchsorted(sums, places, true), size - 1);
}

Tensor random_exponential(const Shape& shape, Generator& generator, DType dtype) {
  return -log(above_zero(shape, generator, dtype));
}
Tensor random_gumbel(const Shape& shape, Generator& generator, DType dtype) {
  const double least = dtype == DType::float64 ? 0x1p-53 : 0x1p-24;  // an exponential number that is not 0
  return -log(maximum(random_exponential(shape, generator, dtype), least));
}
Tensor random_cauchy(const Shape& shape, Generator& generator, DType dtype) {
  return tan((random_uniform(shape, generator, 0, 1, dtype) - 0.5) * std::numbers::pi);
}
Tensor random_laplace(const Shape& shape, Generator& generator, DType dtype) {
  const Tensor u = random_uniform(shape, generator, -1, 1, dtype);
  return -sign(u) * log1p(-abs(u));
}
Tensor normal(const Tensor& mean, const Tensor& std, Generator& generator) {
  const DType dtype = promote(tensor_of(mean, "normal").dtype(), tensor_of(std, "normal").dtype());
  const Shape shape = broadcast(mean.shape(), std.shape());
  return mean + std * random_normal(shape, generator, 0, 1, dtype);
}
Tensor random_log_normal(const Shape& shape, Generator& generator, double mean, double std, DType dtype) {
  return exp(random_normal(shape, generator, mean, std, dtype));
}
Tensor truncated_normal(const Shape& shape, Generator& generator, double mean, double std, double low,
                        double high, DType dtype) {
  if (!(low < high) || !(std > 0) || !std::isfinite(mean) || !std::isfinite(std))
    throw ValueError(fmt::format("truncated_normal: from {} to {} around {} by {}", low, high, mean, std));
  const auto below = [&](double x) { return 0.5 * std::erfc((mean - x) / (std * std::numbers::sqrt2)); };
  // Of the upper tail by its mirror image, whose probabilities are not so close to 1.
  const bool mirrored = low > mean;
  const double from = mirrored ? below(2 * mean - high) : below(low),
               to = mirrored ? below(2 * mean - low) : below(high);
  const Tensor p = random_uniform(shape, generator, 0, 1, DType::float64) * (to - from) + from;
  const Tensor x = ndtri(p) * std;
  return cast(clamp(mirrored ? mean - x : x + mean, low, high), dtype);
}

Tensor random_poisson(const Tensor& rate, Generator& generator) {
  return drawn<RandomPoisson>(rate, generator);
}
Tensor random_geometric(const Tensor& p, Generator& generator) {
  const DType dtype = tensor_of(p, "random_geometric").dtype();
  if (!is_floating(dtype)) refuse<DTypeError>("random_geometric", {p}, "probabilities are floating");
  const Tensor failure = log1p(-cast(detach(p), DType::float64));
  return cast(maximum(ceil(log(above_zero(p.shape(), generator, DType::float64)) / failure), 1), dtype);
}

Tensor random_gamma(const Tensor& concentration, Generator& generator) {
  const auto moving = custom_vjp([](const Tensor&, const Tensor& x) { return x; },
                                 [](const Tensor& g, const Tensor& a, const Tensor& x, const Tensor&) {
                                   return std::array{g * gradweave::apply(GammaGradient{}, {a, x}), Tensor()};
                                 });
  return moving(concentration, drawn<RandomGamma>(concentration, generator));
}
Tensor random_beta(const Tensor& a, const Tensor& b, Generator& generator) {
  const Shape shape = broadcast(tensor_of(a, "random_beta").shape(), tensor_of(b, "random_beta").shape());
  const Tensor x = random_gamma(broadcast_to(a, shape), generator);
  return x / (x + random_gamma(broadcast_to(b, shape), generator));
}
Tensor random_dirichlet(const Tensor& concentration, Generator& generator) {
  if (tensor_of(concentration, "random_dirichlet").rank() == 0)
    refuse<ShapeError>("random_dirichlet", {concentration}, "expected an axis");
  const Tensor x = random_gamma(concentration, generator);
  return x / sum(x, -1, true);
}
Tensor random_chi_square(const Tensor& freedom, Generator& generator) {
  return 2 * random_gamma(freedom / 2, generator);
}
Tensor random_student_t(const Tensor& freedom, Generator& generator) {
  const Tensor normal = random_normal(freedom.shape(), generator, 0, 1, freedom.dtype());
  return normal * sqrt(freedom / random_chi_square(freedom, generator));
}

std::vector<const Operation*> distribution_operations() {
  return {&operation_of<RandomGamma>(), &operation_of<RandomPoisson>(), &operation_of<GammaGradient>()};
}

}  // namespace gradweave
