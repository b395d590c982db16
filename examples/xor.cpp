// XOR: what a single neuron cannot learn (Minsky and Papert, 1969) and three can. Two hidden neurons, one
// output.
#include <cmath>

#include <fmt/format.h>

#include <gradweave/nn/nn.hpp>

using namespace gradweave;

struct Xor : nn::Module {
  nn::Dense hidden = child("hidden", nn::Dense(2, 2));
  nn::Dense output = child("output", nn::Dense(2, 1));
  Tensor operator()(const Tensor& x) const { return output(tanh(hidden(x))); }
};

int main() {
  const Tensor questions = constant({{0, 0}, {0, 1}, {1, 0}, {1, 1}});
  const Tensor answers = constant({{0}, {1}, {1}, {0}});

  nn::manual_seed(3);
  const Xor network;
  nn::Adam optimizer(network.parameters(), {.learning_rate = 0.05});
  for (int step = 0; step <= 500; ++step) {
    const Tensor loss = nn::binary_cross_entropy_with_logits(network(questions), answers);
    optimizer.minimize(loss);
    if (step % 100 == 0) fmt::print("step {:3}: loss {:.4f}\n", step, loss.item());
  }

  const auto x = questions.to_vector<int>(), truth = answers.to_vector<int>();
  const auto guess = sigmoid(network(questions)).to_vector();
  bool is_learned = true;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    fmt::print("{} xor {} = {:.3f}\n", x[2 * i], x[2 * i + 1], guess[i]);
    is_learned = is_learned && std::abs(guess[i] - static_cast<float>(truth[i])) < 0.1F;
  }
  return is_learned ? 0 : 1;
}
