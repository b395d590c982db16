// Error: deleted
#include <gradweave/ops/ops.hpp>

namespace gradweave {

float first(const Tensor& x) {
#ifdef MISTAKE
  return exp(x).data<float>()[0];  // of a tensor that is gone
#else
  const Tensor y = exp(x);
  return y.data<float>()[0];
#endif
}

}  // namespace gradweave
