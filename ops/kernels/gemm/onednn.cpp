// Products of float by oneDNN, which has none of double.
#include <gradweave/ops/kernels/gemm.hpp>

#include <omp.h>
#include <oneapi/dnnl/dnnl.h>

#include <algorithm>

namespace gradweave {
namespace {

bool readable(Strided<float> x, Index rows, Index cols) {
  return (x.col == 1 && x.row >= std::max<Index>(cols, 1)) ||
         (x.row == 1 && x.col >= std::max<Index>(rows, 1));
}

// Our own workers call it for their parts: it must not start threads of its own.
struct OneThread {
  OneThread() { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;
  int before = omp_get_max_threads();
};

}  // namespace

bool detail::other_gemm(Index n, Index k, Index m, Strided<float> a, Strided<float> b, float* out,
                        Index out_row) {
  if (!readable(a, n, k) || !readable(b, k, m)) return false;
  const OneThread here;
  return dnnl_sgemm(a.col == 1 ? 'N' : 'T', b.col == 1 ? 'N' : 'T', n, m, k, 1, a.data,
                    a.col == 1 ? a.row : a.col, b.data, b.col == 1 ? b.row : b.col, 0, out,
                    out_row) == dnnl_success;
}
bool detail::other_gemm(Index, Index, Index, Strided<double>, Strided<double>, double*, Index) {
  return false;
}

}  // namespace gradweave
