// Activations, by their formulas at a few points and PyTorch's values at their kinks.
#include <gradweave/ops/activation.hpp>

#include <cmath>

#include <gradweave/graph/check/gradcheck.hpp>
#include <gradweave/ops/ops.hpp>

#include "catch.hpp"
#include "support.hpp"

namespace gradweave::activation_tests {
namespace {

using Doubles = std::vector<double>;
Tensor points() { return constant({-4, -1, 0, 0.25, 2, 7}, DType::float64); }
void check(const Tensor& y, const Doubles& expected) {
  const Doubles found = y.to_vector<double>();
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) CHECK(found[i] == Approx(expected[i]).margin(1e-15));
}

TEST_CASE("activations", "[ops][activation]") {
  const Tensor x = points();
  const double e4 = std::expm1(-4), e1 = std::expm1(-1);
  check(leaky_relu(x, 0.1), {-0.4, -0.1, 0, 0.25, 2, 7});
  check(prelu(x, constant({1, 2, 3, 4, 5, 6}, DType::float64)), {-4, -2, 0, 0.25, 2, 7});
  check(elu(x, 2), {2 * e4, 2 * e1, 0, 0.25, 2, 7});
  check(celu(x, 2), {2 * std::expm1(-2), 2 * std::expm1(-0.5), 0, 0.25, 2, 7});
  check(slice(selu(x), 0, 2, 6), {0, 0.26267524683887, 2.101401974710961, 7.3549069114883635});
  check(softsign(x), {-0.8, -0.5, 0, 0.2, 2.0 / 3, 0.875});
  check(hardtanh(x), {-1, -1, 0, 0.25, 1, 1});
  check(relu6(x), {0, 0, 0, 0.25, 2, 6});
  check(hardsigmoid(x), {0, 1.0 / 3, 0.5, 3.25 / 6, 5.0 / 6, 1});
  check(hardswish(x), {0, -1.0 / 3, 0, 0.25 * 3.25 / 6, 10.0 / 6, 7});
  check(hardshrink(x), {-4, -1, 0, 0, 2, 7});
  check(softshrink(x), {-3.5, -0.5, 0, 0, 1.5, 6.5});
  check(threshold(x, 1, -9), {-9, -9, -9, -9, 2, 7});
  check(glu(x), {-4 / (1 + std::exp(-0.25)), -1 / (1 + std::exp(-2.0)), 0});
  check(softmin(constant({0, std::log(3)}, DType::float64)), {0.75, 0.25});
  CHECK_THROWS_AS(glu(constant({1, 2, 3})), ShapeError);
}

TEST_CASE("activations neither overflow nor lose their gradient far out", "[ops][activation]") {
  const Tensor x = variable({-1000, 1000}, DType::float64);
  CHECK(logsigmoid(x).to_vector<double>() == Doubles{-1000, 0});
  CHECK(mish(x).to_vector<double>() == Doubles{0, 1000});
  CHECK(gradients(sum(elu(x)), {x})[0].to_vector<double>() == Doubles{0, 1});
  CHECK(gradients(sum(logsigmoid(x)), {x})[0].to_vector<double>() == Doubles{1, 0});
}

TEST_CASE("activations away from their kinks pass the gradient check", "[ops][activation]") {
  const Tensor x = variable({-2.2, -0.3, 0.2, 1.7}, DType::float64);
  using Function = Tensor (*)(const Operand&);
  const Function functions[] = {[](const Operand& v) { return leaky_relu(v); },
                                [](const Operand& v) { return elu(v); },
                                [](const Operand& v) { return celu(v, 0.7); },
                                selu,
                                mish,
                                softsign,
                                tanhshrink,
                                logsigmoid,
                                hardsigmoid,
                                hardswish,
                                [](const Operand& v) { return softshrink(v, 0.1); },
                                [](const Operand& v) { return glu(v); }};
  for (const Function f : functions)
    CHECK(gradcheck([f](std::span<const Tensor> in) { return f(in[0]); }, {x}));
}

TEST_CASE("activations of large numbers and of whole ones", "[ops][activation]") {
  const Tensor x = variable({1e20, -1e20});
  check_values(gradients(sum(gelu(x, GeluForm::tanh)), {x})[0], {1, 0});
  CHECK(silu(constant(std::vector<Index>{1, 2})).dtype() == DType::float32);
  CHECK_THROWS_AS(prelu(ones({2, 3}), ones({2})), ShapeError);
}

}  // namespace
}  // namespace gradweave::activation_tests
