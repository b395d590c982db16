#include <gradweave/ops/pad.hpp>

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/index.hpp>
#include <gradweave/ops/shape.hpp>

namespace gradweave {
namespace {

// Which element of an axis stands at each new place, from -before to size + behind.
std::vector<Index> sources(const Operand& x, Index size, Index before, Index behind, PadMode mode) {
  const Index most = mode == PadMode::reflect     ? size - 1
                     : mode == PadMode::replicate ? (size > 0 ? before + behind : 0)
                                                  : size;
  if (before > most || behind > most)
    refuse<ShapeError>("pad", {x}, fmt::format("{} and {} more of an axis of {}", before, behind, size));
  std::vector<Index> all;
  for (Index i = -before; i < size + behind; ++i) {
    switch (mode) {
      case PadMode::reflect:
        all.push_back(i < 0 ? -i : i < size ? i : 2 * size - 2 - i);
        break;
      case PadMode::symmetric:
        all.push_back(i < 0 ? -i - 1 : i < size ? i : 2 * size - 1 - i);
        break;
      case PadMode::circular:
        all.push_back((i + size) % size);
        break;
      case PadMode::replicate:
      case PadMode::constant:
        all.push_back(i < 0 ? 0 : i < size ? i : size - 1);
        break;
    }
  }
  return all;
}

Tensor padded(const Operand& x, Index axis, Index before, Index behind, PadMode mode, double value) {
  Tensor y = *x.tensor();
  const Index size = y.size(axis);
  if (mode == PadMode::circular && (before < 0 || behind < 0)) {  // as PyTorch's: what is left goes round
    const Tensor left =
        padded(x, axis, std::min<Index>(before, 0), std::min<Index>(behind, 0), PadMode::constant, 0);
    return padded(Operand(left, x.where()), axis, std::max<Index>(before, 0), std::max<Index>(behind, 0),
                  mode, value);
  }
  if (before < 0 || behind < 0) {  // cut off at last, for what is cut may be what stands behind it
    if (size + before + behind < 0)
      refuse<ShapeError>("pad", {x}, fmt::format("{} and {} of an axis of {}", before, behind, size));
    y = padded(x, axis, std::max<Index>(before, 0), std::max<Index>(behind, 0), mode, value);
    return slice(Operand(y, x.where()), axis, std::max<Index>(-before, 0),
                 y.size(axis) - std::max<Index>(-behind, 0));
  }
  if (before == 0 && behind == 0) return y;
  if (mode != PadMode::constant) return take(x, constant(sources(x, size, before, behind, mode)), axis);
  const auto edge = [&](Index count) {
    Shape shape;
    for (Index k = -static_cast<Index>(y.rank()); k < 0; ++k) shape.push_back(k == axis ? count : y.size(k));
    return full(shape, value, y.dtype());
  };
  std::vector<Tensor> parts;
  if (before > 0) parts.push_back(edge(before));
  parts.push_back(y);
  if (behind > 0) parts.push_back(edge(behind));
  return concat(parts, axis, x.where());
}

}  // namespace

Tensor pad(const Operand& x, Dims sizes, PadMode mode, double value) {
  if (sizes.size() % 2 != 0 || sizes.size() / 2 > tensor_of(x, "pad").rank())
    refuse<ValueError>("pad", {x}, fmt::format("{} sizes", sizes.size()));
  Tensor y = *x.tensor();
  const Index* size = sizes.data();
  for (Index axis = -1; size != sizes.data() + sizes.size(); --axis, size += 2)
    y = padded(Operand(y, x.where()), axis, size[0], size[1], mode, value);
  return y;
}

Tensor pixel_shuffle(const Operand& x, Index factor) {
  const Tensor& from = tensor_of(x, "pixel_shuffle");
  if (from.rank() < 3 || factor < 1 || from.size(-3) % (factor * factor) != 0)
    refuse<ShapeError>("pixel_shuffle", {x},
                       fmt::format("expected channels that are a multiple of {} squared", factor));
  const Index channels = from.size(-3) / (factor * factor), height = from.size(-2), width = from.size(-1);
  const Index stack = channels == 0 ? 0 : from.numel() / std::max<Index>(from.size(-3) * height * width, 1);
  const Tensor apart = reshape(x, {stack, channels, factor, factor, height, width});
  std::vector<Index> shape;
  for (Index k = -static_cast<Index>(from.rank()); k < -3; ++k) shape.push_back(from.size(k));
  shape.insert(shape.end(), {channels, height * factor, width * factor});
  return reshape(permute(apart, {0, 1, 4, 2, 5, 3}), Dims(shape));
}
Tensor pixel_unshuffle(const Operand& x, Index factor) {
  const Tensor& from = tensor_of(x, "pixel_unshuffle");
  if (from.rank() < 3 || factor < 1 || from.size(-2) % factor != 0 || from.size(-1) % factor != 0)
    refuse<ShapeError>("pixel_unshuffle", {x},
                       fmt::format("expected an image whose sizes are multiples of {}", factor));
  const Index channels = from.size(-3), height = from.size(-2) / factor, width = from.size(-1) / factor;
  const Index stack = from.numel() / std::max<Index>(channels * from.size(-2) * from.size(-1), 1);
  const Tensor apart = reshape(x, {stack, channels, height, factor, width, factor});
  std::vector<Index> shape;
  for (Index k = -static_cast<Index>(from.rank()); k < -3; ++k) shape.push_back(from.size(k));
  shape.insert(shape.end(), {channels * factor * factor, height, width});
  return reshape(permute(apart, {0, 1, 3, 5, 2, 4}), Dims(shape));
}

Tensor channel_shuffle(const Operand& x, Index groups) {
  const Tensor& from = tensor_of(x, "channel_shuffle");
  if (from.rank() < 2 || groups < 1 || from.size(1) % groups != 0)
    refuse<ShapeError>("channel_shuffle", {x}, fmt::format("expected channels that make {} groups", groups));
  const Shape shape = from.shape();
  std::vector<Index> apart(shape.begin(), shape.end());
  apart[1] = groups;
  apart.insert(apart.begin() + 2, from.size(1) / groups);
  return reshape(transpose(reshape(x, Dims(apart)), 1, 2), Dims(shape));
}

}  // namespace gradweave
