// Functions of every family, with first and second derivatives, in every mode of evaluation: the same bits.
#include <cstring>
#include <vector>

#include <gradweave/graph/compile.hpp>
#include <gradweave/nn/nn.hpp>

#include "support.hpp"

namespace gradweave {
namespace {

using Function = Tensor (*)(const Tensor& a, const Tensor& b, const Tensor& c);

// Of three inputs: (32, 720), (720, 10) and (720,).
struct Family {
  const char* name;
  Function function;
};
const Family families[] = {
    {"elementwise", [](const Tensor& a, const Tensor&,
                       const Tensor& c) { return exp(-square(a)) * tanh(c) + sin(a) / (2 + cos(c)); }},
    {"powers and logarithms",
     [](const Tensor& a, const Tensor&, const Tensor& c) {
       return pow(abs(a) + 0.5, c) + log1p(square(a)) * sqrt(abs(c) + 1);
     }},
    {"choices", [](const Tensor& a, const Tensor&,
                   const Tensor& c) { return where(a > c, maximum(a, 0.25) * c, clamp(a * a, -0.5, 0.5)); }},
    {"activations", [](const Tensor& a, const Tensor&,
                       const Tensor& c) { return gelu(a) * sigmoid(c) + silu(a) * softplus(c) + erf(a); }},
    {"reductions",
     [](const Tensor& a, const Tensor&, const Tensor& c) {
       return sum(square(a), {0}) * c + mean(a) + max(a, {0}) + logsumexp(a * c) + sum(var(a, {1}));
     }},
    {"softmax",
     [](const Tensor& a, const Tensor&, const Tensor& c) { return softmax(a * c) * log_softmax(a); }},
    {"normalization",
     [](const Tensor& a, const Tensor&, const Tensor& c) { return layer_norm(a) * square(c); }},
    {"products", [](const Tensor& a, const Tensor& b,
                    const Tensor& c) { return matmul(tanh(matmul(a, b)), transpose(b)) * c; }},
    {"shapes",
     [](const Tensor& a, const Tensor&, const Tensor& c) {
       const Tensor parts = concat({slice(a, 1, 0, 300), slice(a * c, 1, 100, 520, 2)}, 1);
       return stack({square(parts), reshape(permute(reshape(parts, {2, 16, 510}), {1, 0, 2}), {32, 510})});
     }},
    {"indices",
     [](const Tensor& a, const Tensor& b, const Tensor& c) {
       const Tensor rows = constant(std::vector<Index>{5, 0, 719, 5});
       return sum(square(take(b, rows))) * take(c, rows) + sum(take(a, rows, 1) * take(c, rows), {0});
     }},
    {"convolution and pooling",
     [](const Tensor& a, const Tensor& b, const Tensor&) {
       const Tensor kernel = reshape(slice(b, 0, 0, 9), {10, 1, 3, 3});
       return max_pool2d(tanh(conv2d(reshape(a, {32, 1, 24, 30}), kernel, {.padding = 1})), 2);
     }},
    {"attention",
     [](const Tensor& a, const Tensor&, const Tensor& c) {
       const Tensor q = reshape(a, {32, 9, 80});
       return scaled_dot_product_attention(q, q * reshape(c, {9, 80}), tanh(q));
     }},
    {"a network's loss",
     [](const Tensor& a, const Tensor& b, const Tensor& c) {
       std::vector<Index> labels;
       for (Index row = 0; row < 32; ++row) labels.push_back(row % 10);
       return nn::cross_entropy(matmul(relu(a + c), b), constant(labels)) + 0.01 * mean(square(b));
     }},
};

Tensor numbers(const Shape& shape, std::uint64_t seed) {
  Generator generator(seed);
  return variable(random_uniform(shape, generator, -1, 1));
}

// The function, its gradients, and those of their squares.
std::vector<Tensor> with_derivatives(Function f, bool checkpointed, const Tensor& a, const Tensor& b,
                                     const Tensor& c) {
  std::vector<Tensor> all{checkpointed ? checkpoint(f, a, b, c) : f(a, b, c)};
  const auto first = gradients(sum(square(all[0])), {a, b, c}, {}, Unconnected::zeros);
  all.insert(all.end(), first.begin(), first.end());
  const Tensor slope = sum(square(first[0])) + sum(square(first[1])) + sum(square(first[2]));
  const auto second = gradients(slope, {a, b, c}, {}, Unconnected::zeros);
  all.insert(all.end(), second.begin(), second.end());
  return all;
}

bool equal_bits(const std::vector<float>& x, const std::vector<float>& y) {
  return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0;
}

TEST_CASE("functions have the same bits in every mode", "[modes]") {
  const Tensor a = numbers({32, 720}, 1), b = numbers({720, 10}, 2), c = numbers({720}, 3);
  for (const Family& family : families) {
    INFO(family.name);
    std::vector<std::vector<float>> expected;
    for_each_mode([&](const Mode& mode) {
      const auto f = [&](const Tensor& x, const Tensor& y, const Tensor& z) {
        return with_derivatives(family.function, mode.checkpointed, x, y, z);
      };
      std::vector<Tensor> results;
      if (mode.compiled) {
        auto compiled = compile(f);
        compiled(a, b, c);
        results = compiled(a, b, c);  // also when it runs again
      } else {
        results = f(a, b, c);
        eval(std::span<const Tensor>(results));
      }
      if (expected.empty()) {
        for (const Tensor& result : results) expected.push_back(values(result));
      }
      REQUIRE(results.size() == expected.size());
      for (std::size_t i = 0; i < results.size(); ++i) {
        INFO("result " << i);
        CHECK(equal_bits(values(results[i]), expected[i]));
      }
    });
  }
}

TEST_CASE("training has the same bits in every mode", "[modes]") {
  std::vector<std::vector<float>> expected;
  for_each_mode([&](const Mode& mode) {
    const nn::Sequential net(nn::Dense(720, 40, {.seed = 1}), nn::Sigmoid(), nn::Dense(40, 10, {.seed = 2}));
    nn::Adam optimizer(net.parameters());
    const Tensor x = detach(numbers({32, 720}, 1));
    std::vector<Index> labels(32, 3);
    const Tensor y = constant(labels);
    const auto step = [&](const Tensor& in, const Tensor& target) {
      Tensor loss = nn::cross_entropy(
          mode.checkpointed ? checkpoint([&](const Tensor& t) { return net(t); }, in) : net(in), target);
      optimizer.minimize(loss);
      return loss;
    };
    auto compiled = compile(step);
    std::vector<std::vector<float>> found;
    for (int k = 0; k < 4; ++k) found.push_back(values(mode.compiled ? compiled(x, y) : step(x, y)));
    for (const nn::Parameter& p : net.parameters()) found.push_back(values(p.value()));
    if (expected.empty()) expected = found;
    CHECK(std::equal(found.begin(), found.end(), expected.begin(), expected.end(), equal_bits));
  });
}

}  // namespace
}  // namespace gradweave
