// Trilinos's Sacado, reverse mode: a tape of scalars.
#include <Sacado_trad.hpp>

#include "scalar.hpp"

namespace {

struct Rad {
  static void gradient(std::span<const double> x, const auto& f, std::span<double> g) {
    using Variable = Sacado::Rad::ADvar<double>;
    const std::vector<Variable> leaves(x.begin(), x.end());
    const Variable y = f(leaves.data());
    Variable::Gradcomp();
    for (std::size_t i = 0; i < x.size(); ++i) g[i] = leaves[i].adj();
  }
};
BENCHMARK(chain<Rad>)->Name("sacado/chain1000/n1/forward_backward_t1");
BENCHMARK(moons_step<Rad>)->Name("sacado/moons2-16-16-1/b1/step_t1");

}  // namespace
