#include <gradweave/ops/distributions.hpp>

#include <cmath>
#include <numbers>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/reduction.hpp>
#include <gradweave/ops/scalar_math.hpp>
#include <gradweave/ops/scan.hpp>
#include <gradweave/ops/shape.hpp>
#include <gradweave/ops/sort.hpp>
#include <gradweave/ops/special.hpp>

namespace gradweave {
namespace {

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

Tensor multinomial(const Tensor& weights, Index count, Generator& generator, bool replacement) {
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

}  // namespace gradweave
