// Decompositions of matrices, and what follows from them: pseudo-inverse, rank, condition and norms. The last
// two axes are matrices, any axes may stand in front; float32 and float64 (halves become float32). Throws
// ShapeError for what is no matrix and, when evaluated, ValueError for elements that are not finite, with the
// matrix's number in the stack. (Systems and determinants: linalg.hpp.)
#pragma once
#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// A = Q R, reduced: Q with min(m, n) orthonormal columns, R upper triangular. Gradients need as many
/// independent columns among the first min(m, n).
struct QR {
  Tensor q, r;
};
QR qr(const Operand& a);

/// Eigenvalues in ascending order and eigenvectors as columns of a symmetric A, of which the lower triangle
/// is read (`upper`: the upper one). The largest element of each vector is positive. A gradient through
/// eigenvectors is that of distinct eigenvalues: between equal ones it is not finite.
struct Eigh {
  Tensor eigenvalues, eigenvectors;
};
Eigh eigh(const Operand& a, bool upper = false);
Tensor eigvalsh(const Operand& a, bool upper = false);

/// A = U diag(S) Vh, reduced: min(m, n) singular values in descending order. The largest element of each
/// column of U is positive. Gradients as `eigh`'s, through the values alone always finite.
struct SVD {
  Tensor u, s, vh;
};
SVD svd(const Operand& a);
Tensor svdvals(const Operand& a);

/// Moore and Penrose's inverse; singular values up to `rtol` times the largest count as 0. Default: max(m, n)
/// times the dtype's epsilon. The gradient is that of a matrix whose rank does not change (Golub and Pereyra,
/// "The differentiation of pseudo-inverses and nonlinear least squares problems", 1973).
Tensor pinv(const Operand& a, double rtol = -1);
/// How many singular values count, as int64.
Tensor matrix_rank(const Operand& a, double rtol = -1);

enum class MatrixNorm { frobenius, nuclear };
/// The root of the sum of squares, or the sum of the singular values. (Of vectors: `norm`.)
Tensor matrix_norm(const Operand& a, MatrixNorm kind = MatrixNorm::frobenius, bool keepdims = false);
/// Order 2 and -2: the largest and smallest singular value; 1 and -1: the largest and smallest sum of
/// absolute values of a column; infinity and -infinity: of a row. Throws ValueError for another order.
Tensor matrix_norm(const Operand& a, double order, bool keepdims = false);
/// The condition number, matrix_norm(A, order) matrix_norm(inverse(A), order); infinite for a singular
/// matrix and order 2 or -2.
Tensor cond(const Operand& a, double order = 2);

std::vector<const Operation*> decomposition_operations();

}  // namespace gradweave
