// Special functions, computed by Boost.Math: error functions and their inverses, the gamma function and its
// kin, incomplete gamma and beta functions, and the normal distribution.
#pragma once
#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// 1 - erf(x), without cancellation; and the inverses of erf and erfc.
Tensor erfc(const Operand& x);
Tensor erfinv(const Operand& x);
Tensor erfcinv(const Operand& x);
/// log |gamma(x)|; infinity at 0 and at negative whole numbers.
Tensor lgamma(const Operand& x);
/// The derivative of lgamma: -infinity at 0, NaN at negative whole numbers.
Tensor digamma(const Operand& x);
/// The derivative number n of digamma. Throws ValueError for a negative n.
Tensor polygamma(Index n, const Operand& x);
/// log of the multivariate gamma function of order p: p (p - 1) / 4 log pi + the sum of lgamma(x - j / 2) for
/// j = 0 ... p - 1. Throws ValueError unless p > 0.
Tensor mvlgamma(const Operand& x, Index p);
/// -x log(x): 0 at 0, -infinity below.
Tensor entr(const Operand& x);
/// The regularised lower and upper incomplete gamma functions, for a > 0 and x >= 0, else NaN. Differentiable
/// in x; asking for the gradient in a is an error.
Tensor gammainc(const Operand& a, const Operand& x);
Tensor gammaincc(const Operand& a, const Operand& x);
/// The regularised incomplete beta function, for a > 0, b > 0 and 0 <= x <= 1, else NaN. Differentiable in x
/// only.
Tensor betainc(const Operand& a, const Operand& b, const Operand& x);
/// The normal distribution's cumulative function, and its inverse.
Tensor ndtr(const Operand& x);
Tensor ndtri(const Operand& p);

std::vector<const Operation*> special_operations();

}  // namespace gradweave
