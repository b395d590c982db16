// Random tensors of further distributions: functions of `random_uniform` and `random_normal`, by their names
// in PyTorch or NumPy. Where a parameter is a tensor, gradients flow through it (reparametrised), but for
// draws that are counts or choices. In compiled functions they draw anew at each run, as those do.
#pragma once
#include <gradweave/ops/random.hpp>

namespace gradweave {

/// 1 with probability p, else 0, for each element of p, in its dtype. Throws ValueError, when evaluated, for
/// none.
Tensor bernoulli(const Tensor& p, Generator& generator);
/// Whole numbers from low to high - 1, all as likely (of ranges beyond 2^53, as nearly as float64 can tell).
/// Throws ValueError unless low < high.
Tensor randint(Index low, Index high, const Shape& shape, Generator& generator);
/// 0 to count - 1 in random order.
Tensor permutation(Index count, Generator& generator);
/// Indices of the last axis of `weights` (not negative, with a positive sum), as likely as their weights:
/// `count` of them for each row, and without `replacement` no two alike (then ValueError unless count fits).
Tensor multinomial(const Tensor& weights, Index count, Generator& generator, bool replacement = false);

/// Of rate 1, Gumbel's, Cauchy's and Laplace's standard distributions; scale and shift them by * and +.
Tensor random_exponential(const Shape& shape, Generator& generator, DType dtype = default_dtype());
Tensor random_gumbel(const Shape& shape, Generator& generator, DType dtype = default_dtype());
Tensor random_cauchy(const Shape& shape, Generator& generator, DType dtype = default_dtype());
Tensor random_laplace(const Shape& shape, Generator& generator, DType dtype = default_dtype());
/// The exponential of a normal number.
Tensor random_log_normal(const Shape& shape, Generator& generator, double mean = 0, double std = 1,
                         DType dtype = default_dtype());
/// A normal number between low and high (in the same units as mean and std). Throws ValueError unless low <
/// high.
Tensor truncated_normal(const Shape& shape, Generator& generator, double mean = 0, double std = 1,
                        double low = -2, double high = 2, DType dtype = default_dtype());

}  // namespace gradweave
