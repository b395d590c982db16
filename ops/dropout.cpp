#include <gradweave/ops/dropout.hpp>

#include <cmath>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/elementwise.hpp>

namespace gradweave {
namespace {

// Whether there is anything to drop.
bool drops(const Operand& x, double p, bool training, std::string_view op) {
  if (!is_floating(tensor_of(x, op).dtype())) refuse<DTypeError>(op, {x}, "expected a floating dtype");
  const bool is_probability = p >= 0 && p <= 1;
  if (!is_probability) refuse<ValueError>(op, {x}, fmt::format("p = {} is no probability", p));
  return training && p > 0;
}

// What stays: true with probability 1 - p for each place of the first axes, `axes` of them.
Tensor drawn(const Operand& x, std::size_t axes, double p, Generator& generator) {
  Shape shape;
  for (std::size_t k = 0; k < x.tensor()->rank(); ++k) shape.push_back(k < axes ? x.tensor()->shape()[k] : 1);
  return random_uniform(shape, generator, 0, 1, DType::float32, x.where()) >= p;
}

Tensor dropped(const Operand& x, std::size_t axes, double p, bool training, Generator& generator,
               std::string_view op) {
  if (!drops(x, p, training, op)) return *x.tensor();
  if (p == 1) return zeros(x.tensor()->shape(), x.tensor()->dtype());
  return where(drawn(x, axes, p, generator), x * (1 / (1 - p)), 0);
}

Tensor channels_dropped(const Operand& x, std::size_t least, std::size_t channel_axes, double p,
                        bool training, Generator& generator, std::string_view op) {
  const std::size_t rank = tensor_of(x, op).rank();
  if (rank != least && rank != least + 1)
    refuse<ShapeError>(op, {x}, fmt::format("expected {} or {} axes", least, least + 1));
  return dropped(x, channel_axes, p, training, generator, op);
}

Tensor alpha_dropped(const Operand& x, std::size_t axes, double p, bool training, Generator& generator,
                     std::string_view op) {
  if (!drops(x, p, training, op)) return *x.tensor();
  if (p == 1) return zeros(x.tensor()->shape(), x.tensor()->dtype());
  constexpr double limit = -1.7580993408473766;  // of selu
  const double scale = 1 / std::sqrt((limit * limit * p + 1) * (1 - p));
  return where(drawn(x, axes, p, generator), x, limit) * scale - limit * p * scale;
}

}  // namespace

Tensor dropout(const Operand& x, Generator& generator, double p, bool training) {
  return dropped(x, max_rank, p, training, generator, "dropout");
}
Tensor dropout1d(const Operand& x, Generator& generator, double p, bool training) {
  const std::size_t rank = tensor_of(x, "dropout1d").rank();
  return channels_dropped(x, 2, rank - 1, p, training, generator, "dropout1d");
}
Tensor dropout2d(const Operand& x, Generator& generator, double p, bool training) {
  return channels_dropped(x, 3, 2, p, training, generator, "dropout2d");
}
Tensor dropout3d(const Operand& x, Generator& generator, double p, bool training) {
  const std::size_t rank = tensor_of(x, "dropout3d").rank();
  return channels_dropped(x, 4, rank - 3, p, training, generator, "dropout3d");
}
Tensor alpha_dropout(const Operand& x, Generator& generator, double p, bool training) {
  return alpha_dropped(x, max_rank, p, training, generator, "alpha_dropout");
}
Tensor feature_alpha_dropout(const Operand& x, Generator& generator, double p, bool training) {
  return alpha_dropped(x, 2, p, training, generator, "feature_alpha_dropout");
}

}  // namespace gradweave
