// Decompositions of one matrix of float or double, row-major and dense, after Eigen's. Each source behind
// this header instantiates one of them, once: they take long to compile.
#pragma once
#include <Eigen/Core>

#include <gradweave/graph/types/dtype.hpp>

namespace gradweave::dense {

/// A matrix as it lies in memory here.
template <class T>
using Rows = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// A = L L' of an n x n matrix whose lower triangle is read; L has zeros above its diagonal. False unless A
/// is positive definite.
template <class T>
bool cholesky(Index n, const T* a, T* l);

/// X of A X = B for a triangular A whose other triangle is not read; `x`, n x columns, comes as B.
/// `unitriangular`: the diagonal is not read either, it is 1.
template <class T>
void solve_triangular(Index n, Index columns, bool upper, bool unitriangular, const T* a, T* x);

/// X of A X = B, by elimination with partial pivoting; without `b` the inverse of A. False where A is
/// singular.
template <class T>
bool solve(Index n, Index columns, const T* a, const T* b, T* x);

template <class T>
struct Determinant {
  T value, sign, logarithm;  ///< of the absolute value
};
template <class T>
Determinant<T> determinant(Index n, const T* a);
/// The derivative of the determinant, also where A is singular.
template <class T>
void cofactors(Index n, const T* a, T* c);

/// A = Q R of an m x n matrix: with k = min(m, n), q is m x k and r k x n; either may be null.
template <class T>
void qr(Index m, Index n, const T* a, T* q, T* r);

/// Eigenvalues, ascending, of an n x n matrix whose lower triangle is read, and eigenvectors as columns of v
/// unless that is null. False where an element is not finite.
template <class T>
bool eigh(Index n, const T* a, T* w, T* v);

/// A = U diag(s) V' of an m x n matrix, k = min(m, n): u is m x k, vt k x n, s descending; u and vt may both
/// be null. False where an element is not finite.
template <class T>
bool svd(Index m, Index n, const T* a, T* u, T* s, T* vt);

/// exp(A), NaN where an element is not finite.
template <class T>
void matrix_exp(Index n, const T* a, T* y);

}  // namespace gradweave::dense
