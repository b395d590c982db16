// How long vectors are, and how far apart: plain functions of norms. The gradient of a distance 0 is 0.
#pragma once
#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// x / max(norm of order p along the axis, epsilon).
Tensor normalize(const Operand& x, double p = 2, Index axis = 1, double epsilon = 1e-12);
/// The cosine of the angle between vectors along an axis, which broadcast; norms are at least epsilon.
Tensor cosine_similarity(const Operand& a, const Operand& b, Index axis = -1, double epsilon = 1e-8);
/// The norm of a - b + epsilon along the last axis, which broadcast.
Tensor pairwise_distance(const Operand& a, const Operand& b, double p = 2, double epsilon = 1e-6,
                         bool keepdims = false);
/// The distances between all rows of a (..., n, width) and all of b (..., m, width), whose leading axes
/// broadcast: (..., n, m). Differences are summed, never squares subtracted. Throws ShapeError for less than
/// two axes or widths that differ, ValueError for a negative p.
Tensor cdist(const Operand& a, const Operand& b, double p = 2);
/// The distances between rows of x (n, width), each pair i < j once, in order: n (n - 1) / 2. Throws as
/// `cdist`.
Tensor pdist(const Operand& x, double p = 2);

}  // namespace gradweave
