// Linear algebra of square and rectangular matrices by Eigen's decompositions: the last two axes are
// matrices, any axes may stand in front. float32 and float64 (halves become float32). Throws
// ShapeError for shapes that do not fit and, when evaluated, ValueError for a matrix that has no such
// decomposition.
#pragma once
#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// The lower triangular L of a symmetric positive definite A = L L'; its lower triangle is read. Throws
/// ValueError, when evaluated, for a matrix that is not positive definite.
Tensor cholesky(const Operand& a);
/// X of A X = B, for L = cholesky(A).
Tensor cholesky_solve(const Operand& b, const Operand& l);
/// X of A X = B for square A, by Gaussian elimination with partial pivoting. B is a matrix, or a vector if A
/// has one axis more. Throws ValueError, when evaluated, for a singular A.
Tensor solve(const Operand& a, const Operand& b);
/// The same for a triangular A, of which the other triangle is not read; `unitriangular`: its diagonal is
/// taken to be 1.
Tensor solve_triangular(const Operand& a, const Operand& b, bool upper, bool unitriangular = false);
Tensor inverse(const Operand& a);
/// The determinant; that of a 0 x 0 matrix is 1. The gradient is the matrix of cofactors, also where A is
/// singular (for one of rank below n - 1 it is 0).
Tensor det(const Operand& a);
/// Sign and logarithm of the absolute value of the determinant: 0 and -infinity for a singular matrix, which
/// then has no gradient (ValueError, when evaluated).
struct SignAndLog {
  Tensor sign, logabsdet;
};
SignAndLog slogdet(const Operand& a);

/// A = Q R: Q with min(m, n) orthonormal columns, R upper triangular. Gradients need m >= n, or Q's first m
/// columns alone (ValueError otherwise), and an R without zeros on its diagonal.
struct QR {
  Tensor q, r;
};
QR qr(const Operand& a);
/// Eigenvalues in ascending order and eigenvectors as columns of a symmetric A, of which the lower triangle
/// is read. The gradient through eigenvectors is that of distinct eigenvalues: between equal ones it is
/// infinite.
struct Eigh {
  Tensor eigenvalues, eigenvectors;
};
Eigh eigh(const Operand& a);
/// A = U diag(S) Vh, reduced: min(m, n) singular values in descending order; the largest element of each
/// column of U is positive. Gradients as `eigh`'s.
struct SVD {
  Tensor u, s, vh;
};
SVD svd(const Operand& a);

/// The X that makes |A X - B| smallest, for A of full column rank, by `qr`.
Tensor lstsq(const Operand& a, const Operand& b);
/// Moore and Penrose's inverse; singular values below rcond times the largest count as 0 (default: max(m, n)
/// times the machine epsilon).
Tensor pinv(const Operand& a, double rcond = -1);
/// exp(A) = I + A + A^2 / 2 + ..., by Pade's approximants with scaling and squaring.
Tensor matrix_exp(const Operand& a);
/// A multiplied by itself; a negative exponent takes the inverse.
Tensor matrix_power(const Operand& a, Index exponent);

std::vector<const Operation*> linalg_operations();

}  // namespace gradweave
