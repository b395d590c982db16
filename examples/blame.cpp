// Who is to blame for an error? A network made of one rule: every output hands its error back to the neurons
// it listens to, each by its share of the weights that arrive there. Said as a graph, a layer whose weights
// are divided by the sum of their row, the rule needs no formula: the reverse traversal of that layer is the
// rule. Then the same weights in a sigmoid network, where the chain rule gives the gradient of the cost, and
// a central difference, which knows neither rule, tells which of the two to follow.
#include <cmath>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <gradweave/graph/report/dot.hpp>
#include <gradweave/graph/scope.hpp>
#include <gradweave/ops/ops.hpp>

using namespace gradweave;

constexpr DType f64 = DType::float64;
using Numbers = std::vector<double>;

// Row = to, column = from: each output divides its row among the neurons it listens to.
Tensor share_layer(const Tensor& weights, const Tensor& x) {
  return matmul(weights / sum(weights, {1}, true), x);
}

Tensor sigmoid_layer(const Tensor& weights, const Tensor& x) { return sigmoid(matmul(weights, x)); }

bool near(const Numbers& a, const Numbers& b, double tolerance = 1e-9) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!(std::abs(a[i] - b[i]) <= tolerance)) return false;
  }
  return true;
}

void require(bool holds, const std::string& claim) {
  if (!holds) throw std::runtime_error("not so: " + claim);
}

Numbers rounded(Numbers values) {
  for (double& v : values) v = std::round(v * 1e6) / 1e6 + 0.0;  // + 0.0: no minus zero
  return values;
}

// The central difference of `f` in every direction, without any derivative.
template <class F>
Numbers central_difference(const F& f, const Numbers& at) {
  constexpr double step = 1e-5;
  Numbers slopes;
  for (std::size_t i = 0; i < at.size(); ++i) {
    Numbers up = at, down = at;
    up[i] += step;
    down[i] -= step;
    slopes.push_back((f(constant(up)).template item<double>() - f(constant(down)).template item<double>()) /
                     (2 * step));
  }
  return slopes;
}

void one_output() {
  const Tensor weights = constant({{0.2, 0.1}}, f64);
  const Tensor hidden = variable({0.5, 0.5}, f64);  // any values: the layer is linear
  const Tensor output = share_layer(weights, hidden);
  const auto [blame] = gradients(output, {hidden}, constant({0.3}, f64));

  fmt::print("One output: weights 0.2 and 0.1, error 0.3\n  hidden errors: {}\n\n",
             rounded(blame.to_vector<double>()));
  require(near(blame.to_vector<double>(), {0.2, 0.1}), "hidden errors are 0.2 and 0.1");
}

void two_layers(const std::string& picture) {
  const Tensor to_hidden = constant({{0.1, 0.3}, {0.3, 0.1}}, f64);
  const Tensor to_output = constant({{0.2, 0.1}, {0.1, 0.3}}, f64);
  const Tensor errors = constant({0.3, -0.4}, f64);

  // The share rule: the same traversal, however many outputs and layers.
  const Tensor input = variable({0.9, 0.4}, f64);
  Tensor hidden, output;
  {
    const Scope scope("hidden");
    hidden = share_layer(to_hidden, input);
  }
  {
    const Scope scope("output");
    output = share_layer(to_output, hidden);
  }
  const auto [hidden_blame, input_blame] = gradients(output, {hidden, input}, errors);
  write_dot(picture,
            std::vector{output, input_blame});  // both ways, before values let go of what they came from

  fmt::print("Two outputs: weights {{0.2, 0.1}} and {{0.1, 0.3}}, errors 0.3 and -0.4\n");
  fmt::print("  hidden errors: {}, each the sum over both outputs\n",
             rounded(hidden_blame.to_vector<double>()));
  fmt::print("  one more layer back: {}\n\n", rounded(input_blame.to_vector<double>()));
  require(near(hidden_blame.to_vector<double>(), {0.2 - 0.1, 0.1 - 0.3}),
          "contributions are summed for each neuron");
  require(near(input_blame.to_vector<double>(), {0.025 - 0.15, 0.075 - 0.05}),
          "and so they are one layer further back");

  // The chain rule: the same weights with sigmoids, and a cost with the same two errors, target - output.
  const Tensor real_hidden = sigmoid_layer(to_hidden, input);
  const Tensor real_output = sigmoid_layer(to_output, real_hidden);
  const Tensor target = detach(real_output + errors);
  const auto cost = [&](const Tensor& y) { return 0.5 * sum(square(target - y)); };
  const auto [hidden_slope, input_slope] = gradients(cost(real_output), {real_hidden, input});

  const auto cost_of_hidden = [&](const Tensor& h) { return cost(sigmoid_layer(to_output, h)); };
  const auto cost_of_input = [&](const Tensor& x) { return cost_of_hidden(sigmoid_layer(to_hidden, x)); };
  Numbers measured = central_difference(cost_of_hidden, real_hidden.to_vector<double>());
  const Numbers further = central_difference(cost_of_input, input.to_vector<double>());
  measured.insert(measured.end(), further.begin(), further.end());

  const Numbers shares = concat({hidden_blame, input_blame}).to_vector<double>();
  const Numbers downhill = concat({-hidden_slope, -input_slope}).to_vector<double>();
  for (double& slope : measured) slope = -slope;

  fmt::print("How much less it costs when a neuron gives more (minus the slope of the cost)\n");
  fmt::print("  {:<10}{:>14}{:>14}{:>22}\n", "neuron", "share rule", "chain rule", "central difference");
  const std::vector<std::string> names = {"hidden 1", "hidden 2", "input 1", "input 2"};
  for (std::size_t i = 0; i < names.size(); ++i) {
    fmt::print("  {:<10}{:>14.6f}{:>14.6f}{:>22.6f}{}\n", names[i], shares[i], downhill[i], measured[i],
               std::signbit(shares[i]) == std::signbit(measured[i])
                   ? ""
                   : "   <- the share rule points the wrong way");
  }
  fmt::print(
      "\nThe chain rule is the gradient of the cost. The share rule sends the same errors along the same "
      "weights,\n"
      "so mostly it agrees on the direction; but it divides the weights by their sum and leaves out the "
      "slopes of\n"
      "the sigmoids, so its sizes are off, and where contributions nearly cancel, its signs as well.\n"
      "Where the rows already add up to 1 and nothing bends, both are the same:\n");
  require(near(downhill, measured, 1e-9), "the central difference agrees with the chain rule");
  require(!near(shares, measured, 1e-2), "and differs from the share rule");

  const Tensor fair = constant({{0.75, 0.25}, {0.5, 0.5}}, f64);
  const auto [by_share] = gradients(share_layer(fair, hidden), {hidden}, errors);
  const auto [by_chain] = gradients(matmul(fair, hidden), {hidden}, errors);
  fmt::print("  share rule {}, chain rule {}\n", rounded(by_share.to_vector<double>()),
             rounded(by_chain.to_vector<double>()));
  require(near(by_share.to_vector<double>(), by_chain.to_vector<double>()),
          "they agree in a linear network of shares");
}

int main(int argc, char** argv) {
  try {
    const std::string picture = argc > 1 ? argv[1] : "blame.dot";
    one_output();
    two_layers(picture);
    fmt::print("\nThe graph, its reverse part in red: {0} (dot -Tsvg {0} -o blame.svg)\n", picture);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
