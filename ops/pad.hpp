// Around images and sequences: padding, and channels exchanged for place.
#pragma once
#include <initializer_list>

#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// What stands in the new places: a number; the elements mirrored at the edge, without or with the edge
/// itself; the last element again; or what lies at the other end.
enum class PadMode { constant, reflect, symmetric, replicate, circular };
/// Elements before and behind the last axes: {left, right}, {left, right, top, bottom}, ... as in PyTorch.
/// Negative numbers cut off. Throws ValueError for an odd count or more than x has axes, and ShapeError where
/// `reflect` or `circular` would need more than there is.
Tensor pad(const Operand& x, Dims sizes, PadMode mode = PadMode::constant, double value = 0);
inline Tensor pad(const Operand& x, std::initializer_list<Index> sizes, PadMode mode = PadMode::constant,
                  double value = 0) {
  return pad(x, Dims(sizes.begin(), sizes.size()), mode, value);
}

/// (..., channels r^2, height, width) to (..., channels, height r, width r) (W. Shi et al.,
/// arXiv:1609.05158), and back. Throws ShapeError where the sizes are no multiples.
Tensor pixel_shuffle(const Operand& x, Index factor);
Tensor pixel_unshuffle(const Operand& x, Index factor);
/// (n, channels, ...) with the channels of each of `groups` groups dealt out: channel k of group g becomes
/// channel g of group k (X. Zhang et al., arXiv:1707.01083). Throws ShapeError where they do not make groups.
Tensor channel_shuffle(const Operand& x, Index groups);

}  // namespace gradweave
