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

}  // namespace gradweave::special
