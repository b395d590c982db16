// Random tensors of further distributions, by their names in PyTorch or NumPy. Where a parameter is a tensor,
// gradients flow through it (reparametrised), but for draws that are counts or choices. Without a generator
// they draw from the thread's own (`seed`); in compiled functions anew at each run.
#pragma once
#include <gradweave/ops/random.hpp>

namespace gradweave {

/// 1 with probability p, else 0, for each element of p, in its dtype. Throws DTypeError unless floating.
Tensor bernoulli(const Tensor& p, Generator& generator = default_generator());
/// Whole numbers from low to high - 1, all as likely (of ranges beyond 2^53, as nearly as float64 can tell).
/// Throws ValueError unless low < high.
Tensor randint(Index low, Index high, const Shape& shape, Generator& generator = default_generator());
/// 0 to count - 1 in random order.
Tensor permutation(Index count, Generator& generator = default_generator());
/// Indices of the last axis of `weights` (not negative, with a positive sum), as likely as their weights:
/// `count` of them for each row, and without `replacement` no two alike (then ValueError unless count fits).
Tensor multinomial(const Tensor& weights, Index count, bool replacement = false,
                   Generator& generator = default_generator());
/// How often something happens that happens `rate` times on average, in the rate's dtype. Throws ValueError,
/// when evaluated, for a negative rate or one that is not finite.
Tensor random_poisson(const Tensor& rate, Generator& generator = default_generator());
/// Which trial is the first that succeeds, as it does with probability p: 1, 2, ..., in the dtype of p.
Tensor random_geometric(const Tensor& p, Generator& generator = default_generator());

/// Of rate 1, Gumbel's, Cauchy's and Laplace's standard distributions; scale and shift them by * and +.
Tensor random_exponential(const Shape& shape, Generator& generator, DType dtype = default_dtype());
Tensor random_gumbel(const Shape& shape, Generator& generator, DType dtype = default_dtype());
Tensor random_cauchy(const Shape& shape, Generator& generator, DType dtype = default_dtype());
Tensor random_laplace(const Shape& shape, Generator& generator, DType dtype = default_dtype());
inline Tensor random_exponential(const Shape& shape, DType dtype = default_dtype()) {
  return random_exponential(shape, default_generator(), dtype);
}
inline Tensor random_gumbel(const Shape& shape, DType dtype = default_dtype()) {
  return random_gumbel(shape, default_generator(), dtype);
}
inline Tensor random_cauchy(const Shape& shape, DType dtype = default_dtype()) {
  return random_cauchy(shape, default_generator(), dtype);
}
inline Tensor random_laplace(const Shape& shape, DType dtype = default_dtype()) {
  return random_laplace(shape, default_generator(), dtype);
}
/// Normal with these means and standard deviations, which broadcast.
Tensor normal(const Tensor& mean, const Tensor& std, Generator& generator = default_generator());
/// The exponential of a normal number.
Tensor random_log_normal(const Shape& shape, Generator& generator, double mean = 0, double std = 1,
                         DType dtype = default_dtype());
inline Tensor random_log_normal(const Shape& shape, double mean = 0, double std = 1,
                                DType dtype = default_dtype()) {
  return random_log_normal(shape, default_generator(), mean, std, dtype);
}
/// A normal number between low and high (in the same units as mean and std). Throws ValueError unless low <
/// high.
Tensor truncated_normal(const Shape& shape, Generator& generator, double mean = 0, double std = 1,
                        double low = -2, double high = 2, DType dtype = default_dtype());
inline Tensor truncated_normal(const Shape& shape, double mean = 0, double std = 1, double low = -2,
                               double high = 2, DType dtype = default_dtype()) {
  return truncated_normal(shape, default_generator(), mean, std, low, high, dtype);
}

/// Of the gamma distribution with scale 1, of the beta distribution, of Dirichlet's along the last axis (a
/// sum of 1), of chi square and of Student's t, in the parameters' dtype and shape. First derivatives are
/// implicit ones (M. Figurnov, S. Mohamed, A. Mnih, "Implicit reparameterization gradients", 2018); asking
/// for second ones is an error. Throws ValueError, when evaluated, for parameters that are not positive and
/// finite. Gamma numbers below the smallest normal number of the dtype become that.
Tensor random_gamma(const Tensor& concentration, Generator& generator = default_generator());
Tensor random_beta(const Tensor& a, const Tensor& b, Generator& generator = default_generator());
Tensor random_dirichlet(const Tensor& concentration, Generator& generator = default_generator());
Tensor random_chi_square(const Tensor& freedom, Generator& generator = default_generator());
Tensor random_student_t(const Tensor& freedom, Generator& generator = default_generator());

std::vector<const Operation*> distribution_operations();

}  // namespace gradweave
