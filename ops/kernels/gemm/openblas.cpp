// Products by OpenBLAS, or any library with the interface of CBLAS.
#include <gradweave/ops/kernels/gemm.hpp>

#include <cblas.h>

#include <algorithm>
#include <limits>

namespace gradweave {
namespace {

// Of a matrix whose rows or columns are contiguous, how a BLAS calls it: the transpose or not, and the other
// stride.
template <class T>
struct Layout {
  CBLAS_TRANSPOSE transpose;
  int stride = 0;
  bool ok = false;
  Layout(Strided<T> x, Index rows, Index cols) : transpose(x.col == 1 ? CblasNoTrans : CblasTrans) {
    const Index other = x.col == 1 ? x.row : x.col, least = x.col == 1 ? cols : rows;
    ok = (x.col == 1 || x.row == 1) && other >= std::max<Index>(least, 1) &&
         other <= std::numeric_limits<int>::max();
    stride = ok ? static_cast<int>(other) : 0;
  }
};

// Our own workers call it for their parts: it must not start threads of its own.
void stay_on_one_thread() {
  static const bool done = (openblas_set_num_threads(1), true);
  static_cast<void>(done);
}

template <class T>
bool product(auto function, Index n, Index k, Index m, Strided<T> a, Strided<T> b, T* out, Index out_row) {
  const Layout<T> left(a, n, k), right(b, k, m);
  if (!left.ok || !right.ok || std::max({n, k, out_row}) > std::numeric_limits<int>::max()) return false;
  stay_on_one_thread();
  function(CblasRowMajor, left.transpose, right.transpose, static_cast<int>(n), static_cast<int>(m),
           static_cast<int>(k), T(1), a.data, left.stride, b.data, right.stride, T(0), out,
           static_cast<int>(out_row));
  return true;
}

}  // namespace

bool detail::other_gemm(Index n, Index k, Index m, Strided<float> a, Strided<float> b, float* out,
                        Index out_row) {
  return product(cblas_sgemm, n, k, m, a, b, out, out_row);
}
bool detail::other_gemm(Index n, Index k, Index m, Strided<double> a, Strided<double> b, double* out,
                        Index out_row) {
  return product(cblas_dgemm, n, k, m, a, b, out, out_row);
}

}  // namespace gradweave
