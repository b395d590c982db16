// first_gradient/gradweave.cpp in libtorch.
#include <cstdio>

#include <torch/torch.h>

int main() {
  torch::nn::Linear layer(2, 1);
  torch::sigmoid(layer(torch::ones({1, 2}))).sum().backward();
  std::printf("%g\n", layer->weight.grad().sum().item<double>());
}
