// A user's first program: a tensor, a gradient, a number; and the same when static objects are destroyed.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <gradweave/graph/tensor.hpp>
#include <gradweave/ops/ops.hpp>

namespace {

bool is_right() {
  using namespace gradweave;
  const Tensor x = variable({{1, 2}, {3, 4}});
  const auto [slope] = gradients(sum(x * x), {x});
  return slope.to_vector<float>() == std::vector<float>{2, 4, 6, 8};
}

struct AtExit {
  ~AtExit() {
    if (!is_right()) std::_Exit(1);
  }
} at_exit;

}  // namespace

int main() {
  const bool right = is_right();
  std::puts(right ? "consumer: ok" : "consumer: wrong gradient");
  return right ? 0 : 1;
}
