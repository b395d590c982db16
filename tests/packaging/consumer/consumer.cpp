// A user's first program: a tensor, a gradient, a number.
#include <cstdio>
#include <vector>

#include <gradweave/graph/tensor.hpp>
#include <gradweave/ops/ops.hpp>

int main() {
  using namespace gradweave;
  const Tensor x = variable({{1, 2}, {3, 4}});
  const auto [slope] = gradients(sum(x * x), {x});
  const bool right = slope.to_vector<float>() == std::vector<float>{2, 4, 6, 8};
  std::puts(right ? "consumer: ok" : "consumer: wrong gradient");
  return right ? 0 : 1;
}
