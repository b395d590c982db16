#include <gradweave/nn/layers/layers.hpp>

#include <cmath>
#include <string>
#include <vector>

#include <gradweave/nn/losses.hpp>
#include <gradweave/ops/ops.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace gradweave;

namespace {

TEST_CASE("Dense: row = to, column = from", "[nn][layers]") {
  nn::Dense layer(2, 3);
  layer.weight.assign(constant({{1, 2}, {3, 4}, {5, 6}}));
  layer.bias.assign(constant({0.5, 0, -0.5}));
  CHECK(values(layer(constant({{1, 10}, {2, 0}}))) == std::vector<float>{21.5F, 43, 64.5F, 2.5F, 6, 9.5F});
  CHECK(layer(constant({1, 10})).shape() == Shape{3});
  CHECK(layer(zeros({4, 5, 2})).shape() == Shape{4, 5, 3});
  CHECK_THROWS_AS(nn::Dense(0, 3), ValueError);
  CHECK_THROWS_AS(nn::Dense(3, -1), ValueError);

  const nn::Dense wide(2, 1, {.bias = false, .weight_init = nn::ones, .dtype = DType::float64});
  CHECK(wide(constant({{0.1, 0.2}}, DType::float64)).item<double>() == Approx(0.3).epsilon(1e-15));
}

TEST_CASE("activations are modules without parameters", "[nn][layers]") {
  const Tensor x = constant({-1, 0, 2});
  CHECK(values(nn::ReLU()(x)) == std::vector<float>{0, 0, 2});
  CHECK(values(nn::Sigmoid()(x))[1] == 0.5F);
  CHECK(values(nn::Tanh()(x))[2] == Approx(std::tanh(2.0)));
  CHECK(nn::ReLU().parameters().empty());
}

TEST_CASE("Sequential runs its layers in order and names them by number", "[nn][layers]") {
  const nn::Sequential net(nn::Dense(2, 3), nn::ReLU(), sigmoid,
                           nn::Sequential(nn::Dense(3, 1, {.bias = false})));
  CHECK(net.size() == 4);
  std::vector<std::string> names;
  for (const nn::Parameter& p : net.parameters()) names.push_back(p.name());
  CHECK(names == std::vector<std::string>{"0/weight", "0/bias", "3/0/weight"});

  nn::Sequential loop;
  CHECK(values(loop(constant({1, 2}))) == std::vector<float>{1, 2});  // no layers: the identity
  for (Index width : {2, 5, 4})
    loop.add(nn::Dense(width == 2 ? 2 : width + (width == 4 ? 1 : -3), width)).add(nn::Tanh());
  CHECK(loop(zeros({7, 2})).shape() == Shape{7, 4});
}

TEST_CASE("Sequential: a copy shares, a clone does not", "[nn][layers]") {
  nn::Sequential net(nn::Dense(2, 2), nn::Sigmoid(), nn::Dense(2, 1));
  const nn::Sequential copy = net;
  const nn::Sequential other = nn::clone(net);
  const Tensor x = constant({{1, 2}});
  const float before = net(x).item();
  net.parameters()[3].assign(constant({100}));
  CHECK(copy(x).item() > 90);
  CHECK(other(x).item() == before);
  other.parameters()[3].assign(constant({50}));
  CHECK(other(x).item() > 40);
}

TEST_CASE("the same seed gives the same layer", "[nn][layers]") {
  const auto weights = [](const nn::DenseOptions& options) {
    return values(nn::Dense(20, 10, options).weight);
  };
  CHECK(weights({.seed = 7}) == weights({.seed = 7}));
  CHECK(weights({.seed = 7}) != weights({.seed = 8}));

  nn::manual_seed(5);
  const std::vector<float> first = weights({}), second = weights({});
  CHECK(first != second);
  nn::manual_seed(5);
  CHECK(weights({}) == first);
  CHECK(weights({}) == second);

  Generator generator(5);
  CHECK(weights({.generator = &generator}) == first);
  CHECK(weights({.generator = &generator}) == second);
  nn::manual_seed(0);
}

struct Moments {
  double mean, std, largest;
};
Moments moments_of(const nn::Initializer& init, const Shape& shape) {
  Generator generator(3);
  const std::vector<double> x = init(shape, DType::float64, generator).to_vector<double>();
  Moments m{};
  for (double v : x) m.mean += v / static_cast<double>(x.size());
  for (double v : x)
    m.std += (v - m.mean) * (v - m.mean) / static_cast<double>(x.size()),
        m.largest = std::max(m.largest, std::abs(v));
  m.std = std::sqrt(m.std);
  return m;
}

TEST_CASE("initialisers have the published spread", "[nn][init]") {
  const Shape shape{200, 300};  // fan_in 300, fan_out 200; 60,000 draws: std within 1 % by far
  const auto check = [&](const nn::Initializer& init, double std) {
    const Moments m = moments_of(init, shape);
    CHECK(m.std == Approx(std).epsilon(0.02));
    CHECK(std::abs(m.mean) < 0.02 * std);
    return m.largest;
  };
  CHECK(check(nn::xavier_uniform, std::sqrt(2.0 / 500)) <= std::sqrt(6.0 / 500));
  check(nn::xavier_normal, std::sqrt(2.0 / 500));
  CHECK(check(nn::he_uniform, std::sqrt(2.0 / 300)) <= std::sqrt(6.0 / 300));
  check(nn::he_normal, std::sqrt(2.0 / 300));
  CHECK(check(nn::lecun_uniform, std::sqrt(1.0 / 300)) <= std::sqrt(3.0 / 300));
  check(nn::lecun_normal, std::sqrt(1.0 / 300));
  check(nn::normal(0, 0.25), 0.25);
  check(nn::uniform(-3, 3), std::sqrt(3.0));
  // A convolution's window counts to the fans.
  CHECK(moments_of(nn::he_normal, {50, 20, 5, 5}).std == Approx(std::sqrt(2.0 / 500)).epsilon(0.02));

  Generator generator;
  CHECK(values(nn::ones({2}, DType::float32, generator)) == std::vector<float>{1, 1});
  CHECK(values(nn::zeros({2}, DType::float32, generator)) == std::vector<float>{0, 0});
  CHECK_THROWS_AS(nn::he_normal({5}, DType::float32, generator), ShapeError);
}

}  // namespace
