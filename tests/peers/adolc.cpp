// ADOL-C 2.7: a tape of scalars that can be replayed.
#include <adolc/adolc.h>

#include "scalar.hpp"

namespace {

struct AdolC {
  static void gradient(std::span<const double> x, const auto& f, std::span<double> g) {
    trace_on(1);
    std::vector<adouble> leaves(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) leaves[i] <<= x[i];
    adouble y = f(leaves.data());
    double value = 0;
    y >>= value;
    trace_off();
    ::gradient(1, static_cast<int>(x.size()), x.data(), g.data());
  }
};
BENCHMARK(chain<AdolC>)->Name("adolc/chain1000/n1/forward_backward_t1");
BENCHMARK(moons_step<AdolC>)->Name("adolc/moons2-16-16-1/b1/step_t1");

}  // namespace
