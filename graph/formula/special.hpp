// Special functions of single numbers, computed by Boost.Math.
#pragma once

namespace gradweave::special {

/// Outside of their domains NaN; see ops/special.hpp.
double erfinv(double x);
double erfcinv(double x);
double lgamma(double x);
double digamma(double x);
double polygamma(double n, double x);
double gammainc(double a, double x);
double gammaincc(double a, double x);
double betainc(double a, double b, double x);
/// How the x moves with a for which gammainc(a, x) stays as it is: the derivative of a number drawn from the
/// gamma distribution (M. Figurnov, S. Mohamed, A. Mnih, "Implicit reparameterization gradients", 2018).
double gamma_gradient(double a, double x);

}  // namespace gradweave::special
