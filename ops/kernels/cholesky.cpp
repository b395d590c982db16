#include <Eigen/Cholesky>

#include <gradweave/ops/kernels/decompositions.hpp>

namespace gradweave::dense {

template <class T>
bool cholesky(Index n, const T* a, T* l) {
  Eigen::Map<Rows<T>> to(l, n, n);
  to = Eigen::Map<const Rows<T>>(a, n, n);
  // Above the diagonal the input may hold anything.
  for (Index i = 0; i < n; ++i) to.row(i).tail(n - i - 1).setZero();
  if (!to.allFinite()) return false;
  return Eigen::internal::llt_inplace<T, Eigen::Lower>::blocked(to) == -1;
}

template <class T>
void solve_triangular(Index n, Index columns, bool upper, bool unitriangular, const T* a, T* x) {
  const Eigen::Map<const Rows<T>> matrix(a, n, n);
  Eigen::Map<Rows<T>> to(x, n, columns);
  if (upper && unitriangular) {
    matrix.template triangularView<Eigen::UnitUpper>().solveInPlace(to);
  } else if (upper) {
    matrix.template triangularView<Eigen::Upper>().solveInPlace(to);
  } else if (unitriangular) {
    matrix.template triangularView<Eigen::UnitLower>().solveInPlace(to);
  } else {
    matrix.template triangularView<Eigen::Lower>().solveInPlace(to);
  }
}

template bool cholesky(Index, const float*, float*);
template bool cholesky(Index, const double*, double*);
template void solve_triangular(Index, Index, bool, bool, const float*, float*);
template void solve_triangular(Index, Index, bool, bool, const double*, double*);

}  // namespace gradweave::dense
