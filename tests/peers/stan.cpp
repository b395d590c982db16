// Stan Math, reverse mode: a tape of scalars in an arena.
#include <stan/math.hpp>

#include "scalar.hpp"

namespace {

struct Stan {
  static void gradient(std::span<const double> x, const auto& f, std::span<double> g) {
    const std::vector<stan::math::var> leaves(x.begin(), x.end());
    f(leaves.data()).grad();
    for (std::size_t i = 0; i < x.size(); ++i) g[i] = leaves[i].adj();
    stan::math::recover_memory();
  }
};
BENCHMARK(chain<Stan>)->Name("stan/chain1000/n1/forward_backward_t1");
BENCHMARK(moons_step<Stan>)->Name("stan/moons2-16-16-1/b1/step_t1");

}  // namespace
