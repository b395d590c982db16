#include <cmath>
#include <limits>

#include <Eigen/LU>

#include <gradweave/ops/kernels/decompositions.hpp>

namespace gradweave::dense {
namespace {

template <class T>
Eigen::PartialPivLU<Rows<T>> eliminated(Index n, const T* a) {
  return Eigen::PartialPivLU<Rows<T>>(Eigen::Map<const Rows<T>>(a, n, n));
}
template <class T>
Determinant<T> product_of_pivots(const Eigen::PartialPivLU<Rows<T>>& lu) {
  Determinant<T> all{static_cast<T>(lu.permutationP().determinant()), 0, 0};
  all.sign = all.value;
  for (const T pivot : lu.matrixLU().diagonal()) {
    all.value *= pivot;
    all.sign *= pivot == T(0) ? T(0) : std::copysign(T(1), pivot);
    all.logarithm += std::log(std::abs(pivot));
  }
  return all;
}

}  // namespace

template <class T>
bool solve(Index n, Index columns, const T* a, const T* b, T* x) {
  if (n == 0) return true;
  const auto lu = eliminated(n, a);
  if ((lu.matrixLU().diagonal().array() == T(0)).any()) return false;
  Eigen::Map<Rows<T>> to(x, n, columns);
  if (b == nullptr) {
    to.setZero();
    for (Index i = 0; i < n; ++i) to(lu.permutationP().indices()[i], i) = 1;
  } else {
    to.noalias() = lu.permutationP() * Eigen::Map<const Rows<T>>(b, n, columns);
  }
  solve_triangular(n, columns, false, true, lu.matrixLU().data(), x);
  solve_triangular(n, columns, true, false, lu.matrixLU().data(), x);
  return true;
}

template <class T>
Determinant<T> determinant(Index n, const T* a) {
  if (n == 0) return {1, 1, 0};
  return product_of_pivots<T>(eliminated(n, a));
}

template <class T>
void cofactors(Index n, const T* a, T* c) {
  if (n == 0) return;
  Eigen::Map<Rows<T>> to(c, n, n);
  const auto lu = eliminated(n, a);
  if (lu.rcond() > std::numeric_limits<T>::epsilon() && solve<T>(n, n, a, nullptr, c)) {
    to.transposeInPlace();
    to *= product_of_pivots<T>(lu).value;
    return;
  }
  // U diag(product of the other singular values) V', with the sign of both.
  Rows<T> u(n, n), vt(n, n);
  Eigen::Array<T, Eigen::Dynamic, 1> s(n);
  if (!svd(n, n, a, u.data(), s.data(), vt.data())) {
    to.setConstant(std::numeric_limits<T>::quiet_NaN());
    return;
  }
  for (Index i = 0; i < n; ++i) {
    T others = determinant(n, u.data()).sign * determinant(n, vt.data()).sign;
    for (Index j = 0; j < n; ++j) others *= j == i ? T(1) : s[j];
    vt.row(i) *= others;
  }
  to.noalias() = u * vt;
}

template bool solve(Index, Index, const float*, const float*, float*);
template bool solve(Index, Index, const double*, const double*, double*);
template Determinant<float> determinant(Index, const float*);
template Determinant<double> determinant(Index, const double*);
template void cofactors(Index, const float*, float*);
template void cofactors(Index, const double*, double*);

}  // namespace gradweave::dense
