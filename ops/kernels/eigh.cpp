#include <algorithm>

#include <Eigen/Eigenvalues>

#include <gradweave/ops/kernels/decompositions.hpp>

namespace gradweave::dense {

template <class T>
bool eigh(Index n, const T* a, T* w, T* v) {
  if (n == 0) return true;
  using Columns = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>;
  // Row by row, the lower triangle is the upper one of the transpose.
  const Columns matrix = Eigen::Map<const Columns>(a, n, n).template selfadjointView<Eigen::Upper>();
  if (!matrix.allFinite()) return false;
  const Eigen::SelfAdjointEigenSolver<Columns> solver(
      matrix, v != nullptr ? Eigen::ComputeEigenvectors : Eigen::EigenvaluesOnly);
  std::ranges::copy(solver.eigenvalues(), w);
  if (v != nullptr) Eigen::Map<Columns>(v, n, n) = solver.eigenvectors().transpose();
  return solver.info() == Eigen::Success;
}

template bool eigh(Index, const float*, float*, float*);
template bool eigh(Index, const double*, double*, double*);

}  // namespace gradweave::dense
