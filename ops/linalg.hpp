// Linear algebra: systems of equations, determinants and functions of square matrices. The last two axes are
// matrices, any axes may stand in front; float32 and float64 (halves become float32). Throws ShapeError for
// shapes that do not fit and, when evaluated, ValueError for a matrix for which there is no result, with its
// number in the stack. (QR, eigenvalues, singular values and what follows from them: decompositions.hpp.)
#pragma once
#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// The lower triangular L of a symmetric positive definite A = L L', of which the lower triangle is read;
/// `upper`: the R of A = R' R, of which the upper one is. Throws ValueError, when evaluated, for a matrix
/// that is not positive definite.
Tensor cholesky(const Operand& a, bool upper = false);
/// X of A X = B, for L = cholesky(A, upper).
Tensor cholesky_solve(const Operand& b, const Operand& l, bool upper = false);
/// The inverse of A, for L = cholesky(A, upper).
Tensor cholesky_inverse(const Operand& l, bool upper = false);
/// X of A X = B for square A, or else of X A = B, by Gaussian elimination with partial pivoting. The axes in
/// front broadcast. B is a matrix, or a vector if A has one axis more. Throws ValueError, when evaluated,
/// for a singular A.
Tensor solve(const Operand& a, const Operand& b, bool left = true);
/// The same for a triangular A, of which the other triangle is not read; `unitriangular`: its diagonal is
/// taken to be 1. A zero on the diagonal divides as numbers do.
Tensor solve_triangular(const Operand& a, const Operand& b, bool upper, bool left = true,
                        bool unitriangular = false);
/// Throws ValueError, when evaluated, for a singular matrix.
Tensor inverse(const Operand& a);
/// The X that makes |A X - B| smallest, and of several the smallest X, for A of full rank (of another:
/// matmul(pinv(A), B)). Axes in front and vectors as in `solve`.
Tensor lstsq(const Operand& a, const Operand& b);

/// The determinant; that of a 0 x 0 matrix is 1. The gradient is the matrix of cofactors, also where A is
/// singular (of rank below n - 1: 0).
Tensor det(const Operand& a);
/// Its logarithm: NaN where it is negative.
Tensor logdet(const Operand& a);
/// Sign and logarithm of the absolute value of the determinant: 0 and -infinity for a singular matrix, which
/// has no gradient (ValueError, when evaluated).
struct SignAndLog {
  Tensor sign, logabsdet;
};
SignAndLog slogdet(const Operand& a);

/// exp(A) = I + A + A^2 / 2 + ..., by Pade's approximants with scaling and squaring; NaN where an element is
/// not finite.
Tensor matrix_exp(const Operand& a);
/// A multiplied by itself; a negative exponent takes the inverse.
Tensor matrix_power(const Operand& a, Index exponent);

std::vector<const Operation*> linalg_operations();

}  // namespace gradweave
