#include <gradweave/ops/positions.hpp>

#include <bit>
#include <cmath>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/rearrange.hpp>
#include <gradweave/ops/shape.hpp>

namespace gradweave {
namespace {

// Of positions (...), the angles (..., width / 2), in float64.
Tensor angles(const Tensor& positions, Index width, double base) {
  std::vector<double> rates;
  for (Index i = 0; i < width; i += 2)
    rates.push_back(std::pow(base, -static_cast<double>(i) / static_cast<double>(width)));
  return expand_dims(cast(positions, DType::float64), -1) * constant(rates);
}

}  // namespace

Tensor rotary_embedding(const Operand& x, const RotaryOptions& options) {
  constexpr std::string_view op = "rotary_embedding";
  const Tensor& rows = tensor_of(x, op);
  if (rows.rank() < 2 || rows.size(-1) % 2 != 0)
    refuse<ShapeError>(op, {x}, "expected (..., length, width) of an even width");
  const Index width = rows.size(-1), length = rows.size(-2);
  const Tensor positions =
      options.positions.is_empty() ? arange(options.offset, options.offset + length) : options.positions;
  const Tensor turn = angles(positions, width, options.base);
  const Tensor c = cast(cos(turn), rows.dtype()), s = cast(sin(turn), rows.dtype());
  const Shape shape = rows.shape();
  Tensor pairs;  // the first of all pairs, then the second ones, along one axis
  const Index axis = options.interleaved ? -1 : -2;
  pairs = unflatten(x, -1, {options.interleaved ? width / 2 : 2, options.interleaved ? 2 : width / 2});
  const Tensor a = select(pairs, axis, 0), b = select(pairs, axis, 1);
  return reshape(stack({a * c - b * s, b * c + a * s}, axis), Dims(shape));
}

Tensor sinusoidal_positions(Index length, Index width, double base, DType dtype) {
  if (width % 2 != 0) throw ShapeError(fmt::format("sinusoidal_positions: the width {} is odd", width));
  const Tensor turn = angles(arange(Index{0}, length), width, base);
  return cast(reshape(stack({sin(turn), cos(turn)}, -1), {length, width}), dtype);
}

Tensor alibi_mask(Index heads, Index keys, DType dtype) {
  if (heads <= 0) throw ValueError(fmt::format("alibi_mask: {} heads", heads));
  // Powers of 2^(-8 / n) for n heads, a power of two; further heads get those between, of twice as many.
  const auto whole = static_cast<Index>(std::bit_floor(static_cast<std::size_t>(heads)));
  std::vector<double> slopes;
  for (Index i = 0; i < heads; ++i) {
    const auto step = static_cast<double>(i < whole ? 2 * (i + 1) : 2 * (i - whole) + 1);
    slopes.push_back(std::exp2(-4 * step / static_cast<double>(whole)));
  }
  const Tensor distance = cast(arange(Index{1} - keys, Index{1}), DType::float64);
  return cast(constant(slopes, {heads, 1, 1}) * distance, dtype);
}

}  // namespace gradweave
