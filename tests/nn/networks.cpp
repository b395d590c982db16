// Layers for images, sequences and text. Known answers are libtorch 1.13's, in float64 on the numbers of
// pattern.hpp, unless they are worked out here.
#include <cmath>

#include <gradweave/nn/nn.hpp>

#include "gradcheck_matcher.hpp"
#include "pattern.hpp"
#include "support.hpp"

using namespace gradweave;

namespace {

// Every parameter set to the pattern that the reference was computed with.
void fill_parameters(const nn::Module& module, double scale) {
  for (nn::Parameter p : module.parameters()) p.assign(pattern(p.shape(), 5, 7, scale));
}

TEST_CASE("Conv2d adds a bias to each channel", "[nn][convolution]") {
  nn::Conv2d layer(2, 3, {2, 1}, {.stride = 2, .weight_init = nn::ones});
  CHECK(layer.weight.shape() == Shape{3, 2, 2, 1});
  layer.bias.assign(constant({0, 10, 20}));
  const Tensor x = reshape(arange(12, DType::float32), {1, 2, 2, 3});
  CHECK(layer(x).to_vector() == std::vector<float>{18, 26, 28, 36, 38, 46});
  CHECK(nn::Conv2d(4, 6, 3, {.padding = 1, .groups = 2, .bias = false})(ones({2, 4, 5, 5})).shape() ==
        Shape{2, 6, 5, 5});
  CHECK(nn::Conv2d(4, 6, 3, {.groups = 2}).weight.shape() == Shape{6, 2, 3, 3});
  CHECK_THROWS_AS(nn::Conv2d(4, 6, 3, {.groups = 3}), ValueError);
  CHECK_THROWS_AS(nn::Conv2d(0, 6, 3), ValueError);
  CHECK_THROWS_AS(layer(ones({2, 2, 3})), ShapeError);
}

TEST_CASE("pools and Flatten", "[nn][convolution]") {
  const Tensor x = reshape(arange(16, DType::float32), {1, 1, 4, 4});
  CHECK(nn::MaxPool2d(2)(x).to_vector() == std::vector<float>{5, 7, 13, 15});
  CHECK(nn::AvgPool2d(2)(x).to_vector() == std::vector<float>{2.5, 4.5, 10.5, 12.5});
  CHECK(nn::MaxPool2d({1, 3}, {.stride = 1})(x).shape() == Shape{1, 1, 4, 2});
  CHECK(nn::Flatten()(zeros({5, 2, 3, 4})).shape() == Shape{5, 24});
  CHECK(nn::Flatten()(zeros({0, 2, 3})).shape() == Shape{0, 6});
  CHECK(nn::Flatten()(zeros({5})).shape() == Shape{5, 1});
  CHECK_THROWS_AS(nn::Flatten()(constant(1)), ShapeError);
}

TEST_CASE("GELU and SiLU as modules", "[nn][layers]") {
  const Tensor x = constant({-1, 2}, f64);
  check_values(nn::GELU()(x), {-0.158655254, 1.95449974});
  check_values(nn::GELU(GeluForm::tanh)(x), {-0.158808009, 1.95459769});
  check_values(nn::SiLU()(x), {-0.268941421, 1.76159416});
}

TEST_CASE("LayerNorm and RMSNorm begin as the plain norm", "[nn][normalization]") {
  const nn::LayerNorm layer(4, {.dtype = f64});
  const Tensor x = constant({{1, 2, 4, 8}}, f64);
  check_values(layer(x), layer_norm(x).to_vector<double>());
  CHECK(layer.parameter_count() == 8);
  CHECK(nn::LayerNorm(4, {.affine = false}).parameters().empty());
  nn::RMSNorm rms(2, {.epsilon = 0, .dtype = f64});
  rms.weight.assign(constant({1, 2}, f64));
  check_values(rms(constant({3, -4}, f64)), {3 / std::sqrt(12.5), -8 / std::sqrt(12.5)});
  CHECK_THROWS_AS(layer(constant({1, 2, 3})), ShapeError);
  CHECK_THROWS_AS(layer(constant({1})), ShapeError);  // would broadcast
  CHECK_THROWS_AS(nn::LayerNorm(0), ValueError);
}

TEST_CASE("Embedding looks up rows", "[nn][attention]") {
  nn::Embedding table(3, 2);
  table.weight.assign(constant({{1, 2}, {3, 4}, {5, 6}}));
  const Tensor y = table(constant(std::vector<Index>{2, 0, 2}));
  CHECK(y.to_vector() == std::vector<float>{5, 6, 1, 2, 5, 6});
  CHECK(gradients(sum(y), {table.weight})[0].to_vector() == std::vector<float>{1, 1, 0, 0, 2, 2});
  CHECK_THROWS_AS(table(constant(std::vector<Index>{3})).to_vector(), ValueError);
  CHECK_THROWS_AS(nn::Embedding(0, 2), ValueError);
}

TEST_CASE("MultiHeadAttention of two heads", "[nn][attention]") {
  const Tensor x =
      transpose(pattern({3, 2, 4}, 7, 11, 0.25), 0, 1);  // the reference has (rows, batch, width)
  const nn::MultiHeadAttention full(4, 2, {.dtype = f64}), causal(4, 2, {.causal = true, .dtype = f64});
  fill_parameters(full, 0.2);
  fill_parameters(causal, 0.2);
  check_values(full(x), {-0.991788581, 0.56125106,   0.454538053,  0.258321736, -0.887202629, 0.334422522,
                         0.313255541,  0.0189555346, -0.901864677, 0.345521332, 0.322022852,  0.0299751969,
                         -1.08759072,  0.268161065,  0.874213648,  0.118456013, -1.08597108,  0.285198142,
                         0.898248415,  0.12812408,   -1.18630722,  0.155499288, 1.09435412,   0.357099425});
  check_values(causal(x), {-0.02,       -0.27,        -0.17,        -0.56,       -0.651520335, 0.139485543,
                           0.154153459, -0.173594009, -0.901864677, 0.345521332, 0.322022852,  0.0299751969,
                           -1.44,       -0.28,        1.3,          0.78,        -1.43233173,  -0.291801881,
                           1.34169604,  0.80222589,   -1.18630722,  0.155499288, 1.09435412,   0.357099425});
  CHECK_THROWS_AS(full(zeros({3, 4})), ShapeError);
  CHECK_THROWS_AS(full(zeros({2, 3, 5})), ShapeError);
  CHECK_THROWS_AS(nn::MultiHeadAttention(4, 3), ValueError);
}

const Doubles lstm_outputs{-0.13465039,  0.297636679,  0.127131906,  0.0313696191, 0.0324337883, 0.14247457,
                           0.174568714,  0.0828969414, 0.0582254106, 0.0884603122, 0.136235051,  0.0503005564,
                           0.0887681981, 0.0565792753, 0.138443613,  0.0320670988};

TEST_CASE("LSTM: outputs, states and gradients", "[nn][recurrent]") {
  const nn::LSTM layer(3, 2, {.dtype = f64});
  fill_parameters(layer, 0.1);
  const Tensor x = variable(pattern({4, 2, 3}, 7, 11, 0.25));
  const nn::LSTMState start{pattern({2, 2}, 3, 5, 0.5), pattern({2, 2}, 5, 7, 0.5)};
  const auto [outputs, state] = layer(x, start);
  REQUIRE(outputs.shape() == Shape{4, 2, 2});
  check_values(outputs, lstm_outputs);
  check_values(state.hidden, {0.0887681981, 0.0565792753, 0.138443613, 0.0320670988});
  check_values(state.cell, {0.221887418, 0.184537103, 0.369676341, 0.104225381});

  const auto [w_ih, w_hh, b_ih, b_hh, dx] =
      gradients(sum(outputs * pattern(outputs.shape(), 3, 7)),
                {layer.weight_ih, layer.weight_hh, layer.bias_ih, layer.bias_hh, x});
  check_values(slice(w_ih, 0, 0, 2),
               {0.413126632, 0.342462935, -0.446092388, -0.157588368, -0.0293644921, 0.18395783});
  check_values(w_hh, {-0.115826545, 0.204409533, 0.0439599054, -0.0988875258, -0.238761312, 0.0749209246,
                      -0.0462089989, 0.136214115, 0.0503396618, 0.0872340142, 0.109422725, 0.00945690669,
                      -0.403626878, 0.296263468, 0.0370054522, -0.0467259295});
  const Doubles bias{-0.0752314513, -0.126520747, -0.0578546088, 0.298243876,
                     -0.776880806,  0.763043122,  0.0989243756,  -0.0818118633};
  check_values(b_ih, bias);
  check_values(b_hh, bias);
  check_values(select(dx, 0, 3),
               {-0.00633346074, 0.00566237924, 0.0380697137, -0.0568315043, -0.0013704011, 0.078899334});

  // Without a state it starts from zeros.
  check_values(slice(layer(x).outputs, 0, 0, 2), {0.0914957291, 0.0159002758, 0.115870787, 0.0797503205,
                                                  0.172643674, 0.0795195102, 0.167058438, 0.101578096});
  // In two parts it is the same as in one.
  const auto first = layer(slice(x, 0, 0, 1), start);
  const auto rest = layer(slice(x, 0, 1, 4), first.state);
  check_values(concat({first.outputs, rest.outputs}), lstm_outputs);
}

TEST_CASE("LSTM with the batch first", "[nn][recurrent]") {
  const nn::LSTM layer(3, 2, {.batch_first = true, .dtype = f64});
  fill_parameters(layer, 0.1);
  const nn::LSTMState start{pattern({2, 2}, 3, 5, 0.5), pattern({2, 2}, 5, 7, 0.5)};
  const Tensor y = layer(transpose(pattern({4, 2, 3}, 7, 11, 0.25), 0, 1), start).outputs;
  REQUIRE(y.shape() == Shape{2, 4, 2});
  check_values(transpose(y, 0, 1), lstm_outputs);
}

TEST_CASE("LSTM: what does not fit", "[nn][recurrent]") {
  const nn::LSTM layer(3, 2);
  CHECK_THROWS_AS(layer(zeros({4, 2, 5})), ShapeError);
  CHECK_THROWS_AS(layer(zeros({2, 3})), ShapeError);
  CHECK_THROWS_AS(layer(zeros({0, 2, 3})), ShapeError);
  CHECK_THROWS_AS(layer(zeros({4, 2, 3}), {.hidden = zeros({3, 2}), .cell = {}}), ShapeError);
  CHECK_THROWS_AS(nn::LSTM(3, 0), ValueError);
  CHECK(layer(zeros({4, 0, 3})).outputs.shape() == Shape{4, 0, 2});
  // One step trains every parameter.
  nn::SGD optimizer(layer.parameters());
  CHECK_NOTHROW(optimizer.minimize(sum(layer(ones({1, 2, 3})).outputs)));
  CHECK(nn::LSTM(3, 2, {.bias = false}).parameters().size() == 2);
}

// ---- Whole networks: the checker moves the input, to second order; central differences move every
// parameter.

template <class Net>
void check_network(const Net& net, const Tensor& x) {
  REQUIRE_THAT([&](std::span<const Tensor> in) { return net(in[0]); }, HasRightGradients({variable(x)}));

  const auto loss = [&] { return sum(net(x) * pattern(net(x).shape(), 3, 7)); };
  for (nn::Parameter p : net.parameters()) {
    INFO(p.name());
    const Tensor value = p.value();
    const Doubles g = gradients(loss(), {value})[0].template to_vector<double>();
    constexpr double step = 1e-5;
    const auto moved = [&](std::size_t i, double by) {
      Doubles numbers = value.to_vector<double>();
      numbers[i] += by;
      p.assign(constant(numbers, value.shape()));
      return loss().template item<double>();
    };
    for (std::size_t i = 0; i < g.size(); ++i) {
      CHECK(g[i] == Approx((moved(i, step) - moved(i, -step)) / (2 * step)).epsilon(1e-6).margin(1e-8));
    }
    p.assign(value);
  }
}

struct ConvNet : nn::Module {
  nn::Conv2d conv1 = child("conv1", nn::Conv2d(1, 2, 3, {.padding = 1, .dtype = f64}));
  nn::Conv2d conv2 = child("conv2", nn::Conv2d(2, 4, 2, {.groups = 2, .dtype = f64}));
  nn::Dense output = child("output", nn::Dense(4, 2, {.dtype = f64}));
  Tensor operator()(const Tensor& x) const {
    const Tensor y = max_pool2d(gelu(conv1(x)), 2);
    return output(nn::Flatten()(avg_pool2d(silu(conv2(y)), 2)));
  }
};

struct Block : nn::Module {
  nn::LayerNorm norm1 = child("norm1", nn::LayerNorm(4, {.dtype = f64}));
  nn::MultiHeadAttention attention =
      child("attention", nn::MultiHeadAttention(4, 2, {.causal = true, .dtype = f64}));
  nn::RMSNorm norm2 = child("norm2", nn::RMSNorm(4, {.dtype = f64}));
  nn::Dense up = child("up", nn::Dense(4, 6, {.dtype = f64}));
  nn::Dense down = child("down", nn::Dense(6, 4, {.dtype = f64}));
  Tensor operator()(Tensor x) const {
    x = x + attention(norm1(x));
    return x + down(gelu(up(norm2(x))));
  }
};

struct Recurrent : nn::Module {
  nn::LSTM lstm = child("lstm", nn::LSTM(2, 3, {.batch_first = true, .dtype = f64}));
  Tensor operator()(const Tensor& x) const {
    const auto [outputs, state] = lstm(x);
    return sum(outputs, {1}) + state.cell;
  }
};

TEST_CASE("a whole convolutional network has right gradients", "[nn][convolution]") {
  check_network(ConvNet(), pattern({1, 1, 6, 6}, 7, 11, 0.21));
}
TEST_CASE("a whole transformer block has right gradients", "[nn][attention]") {
  check_network(Block(), pattern({2, 3, 4}, 7, 11, 0.2));
}
TEST_CASE("a whole LSTM has right gradients", "[nn][recurrent]") {
  check_network(Recurrent(), pattern({2, 3, 2}, 7, 11, 0.2));
}

}  // namespace
