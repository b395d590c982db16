// The smallest program with a gradient: how long it takes to compile and to start, and what has to be
// shipped.
#include <cstdio>

#include <gradweave/nn/nn.hpp>

int main() {
  using namespace gradweave;
  const nn::Dense layer(2, 1);
  const auto [slope] = gradients(sum(sigmoid(layer(constant({{1, 1}})))), {layer.parameters()[0].value()});
  std::printf("%g\n", sum(slope).item());
}
