// Error: Holder
#include <gradweave/ops/ops.hpp>

namespace gradweave {

struct Holder {
  Tensor kept;
#ifdef MISTAKE
  operator Tensor() const { return kept; }  // a new one each time, which the operand would outlive
#else
  operator const Tensor&() const { return kept; }
#endif
};
Tensor doubled(const Holder& holder) { return exp(holder); }

}  // namespace gradweave
