#include <algorithm>

#include <Eigen/QR>

#include <gradweave/ops/kernels/decompositions.hpp>

namespace gradweave::dense {

template <class T>
void qr(Index m, Index n, const T* a, T* q, T* r) {
  const Index k = std::min(m, n);
  if (k == 0) return;
  const Eigen::HouseholderQR<Rows<T>> all(Eigen::Map<const Rows<T>>(a, m, n));
  if (r != nullptr) {
    Eigen::Map<Rows<T>> to(r, k, n);
    to.setZero();
    for (Index i = 0; i < k; ++i) to.row(i).tail(n - i) = all.matrixQR().row(i).tail(n - i);
  }
  if (q == nullptr) return;
  Rows<T> to = Rows<T>::Identity(m, k);
  all.householderQ().applyThisOnTheLeft(to, m == k);
  Eigen::Map<Rows<T>>(q, m, k) = to;
}

template void qr(Index, Index, const float*, float*, float*);
template void qr(Index, Index, const double*, double*, double*);

}  // namespace gradweave::dense
