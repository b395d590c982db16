// Every op on tensors without elements: the right shape, no crash, and gradients of the right shape.
#include <cmath>

#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave {
namespace {

void check_empty(const char* name, const Tensor& x, const Tensor& y, const Shape& shape) {
  INFO(name);
  REQUIRE(y.shape() == shape);
  CHECK(y.to_vector<double>().size() == static_cast<std::size_t>(numel(shape)));
  if (!y.is_tracked()) return;
  const auto [g] = gradients(y, {x}, ones(y.shape(), y.dtype()), Unconnected::zeros);
  CHECK(g.shape() == x.shape());
  CHECK(g.to_vector().empty());
}

TEST_CASE("functions of each element of nothing", "[empty]") {
  const Tensor x = variable(zeros({0, 3}));
  const std::vector<std::pair<const char*, Tensor (*)(const Operand&)>> functions{
      {"negative", negative}, {"sign", sign}, {"abs", abs},           {"exp", exp},
      {"expm1", expm1},       {"log", log},   {"log1p", log1p},       {"sqrt", sqrt},
      {"square", square},     {"sin", sin},   {"cos", cos},           {"tanh", tanh},
      {"sigmoid", sigmoid},   {"relu", relu}, {"softplus", softplus}, {"erf", erf},
      {"silu", silu}};
  for (const auto& [name, function] : functions) check_empty(name, x, function(x), {0, 3});
  check_empty("gelu", x, gelu(x), {0, 3});
  check_empty("clamp", x, clamp(x, 0, 1), {0, 3});
  check_empty("pow", x, pow(x, 3), {0, 3});
  check_empty("cast", x, cast(x, DType::float64), {0, 3});
  check_empty("detach", x, detach(x), {0, 3});
  check_empty("contiguous", x, contiguous(x), {0, 3});
}

TEST_CASE("functions of two, broadcast to nothing", "[empty]") {
  const Tensor x = variable(zeros({0, 3})), row = variable({1, 2, 3}), column = variable(zeros({0, 1}));
  const std::vector<std::pair<const char*, Tensor (*)(const Operand&, const Operand&)>> functions{
      {"add", add},
      {"subtract", subtract},
      {"multiply", multiply},
      {"divide", divide},
      {"pow", pow},
      {"maximum", maximum},
      {"minimum", minimum},
      {"equal", equal},
      {"not_equal", not_equal},
      {"less", less},
      {"less_equal", less_equal},
      {"greater", greater},
      {"greater_equal", greater_equal}};
  for (const auto& [name, function] : functions) {
    check_empty(name, x, function(x, row), {0, 3});
    check_empty(name, x, function(2, x), {0, 3});
    check_empty(name, column, function(column, row), {0, 3});
  }
  check_empty("where", x, where(x > 0, x, row), {0, 3});
  // What was repeated zero times gets nothing.
  CHECK(gradients(sum(x * row), {row})[0].to_vector() == std::vector<float>{0, 0, 0});
}

TEST_CASE("reductions of nothing", "[empty]") {
  const Tensor x = variable(zeros({0, 3}));
  CHECK(sum(x).item() == 0);
  CHECK(sum(x, {0}).to_vector() == std::vector<float>{0, 0, 0});
  check_empty("sum", x, sum(x, {1}), {0});
  check_empty("max", x, max(x, {1}), {0});
  check_empty("min", x, min(x, {1}), {0});
  check_empty("mean", x, mean(x, {1}), {0});
  check_empty("var", x, var(x, {1}), {0});
  check_empty("logsumexp", x, logsumexp(x, {1}), {0});
  check_empty("argmax", x, argmax(x, 1), {0});
  check_empty("softmax", x, softmax(x), {0, 3});
  check_empty("log_softmax", x, log_softmax(x), {0, 3});
  CHECK(std::isnan(mean(x).item()));
  CHECK_THROWS_AS(max(x, {0}), ShapeError);
  CHECK_THROWS_AS(argmax(x, 0), ShapeError);
  CHECK(gradients(sum(x), {x})[0].shape() == Shape{0, 3});
}

TEST_CASE("shapes of nothing", "[empty]") {
  const Tensor x = variable(zeros({0, 3}));
  check_empty("reshape", x, reshape(x, {3, 0}), {3, 0});
  check_empty("transpose", x, transpose(x), {3, 0});
  check_empty("permute", x, permute(x, {1, 0}), {3, 0});
  check_empty("slice", x, slice(x, 1, 1, 3), {0, 2});
  check_empty("slice of a full axis", x, slice(x, 0, 0, 5), {0, 3});
  check_empty("select", x, select(x, 1, 2), {0});
  check_empty("expand_dims", x, expand_dims(x, 1), {0, 1, 3});
  check_empty("squeeze", x, squeeze(expand_dims(x, 1), 1), {0, 3});
  check_empty("broadcast_to", x, broadcast_to(x, {2, 0, 3}), {2, 0, 3});
  check_empty("concat", x, concat({x, x}), {0, 3});
  check_empty("stack", x, stack({x, x}), {2, 0, 3});
  CHECK(concat({x, ones({2, 3})}).shape() == Shape{2, 3});
  CHECK(concat({x, ones({1, 3})}).to_vector() == std::vector<float>{1, 1, 1});
  const Tensor full_slice = variable({1, 2, 3});
  CHECK(slice(full_slice, 0, 2, 1).shape() == Shape{0});
  CHECK(gradients(sum(slice(full_slice, 0, 3, 3)), {full_slice})[0].to_vector() ==
        std::vector<float>{0, 0, 0});
}

TEST_CASE("products and look-ups of nothing", "[empty]") {
  const Tensor x = variable(zeros({0, 3})), w = variable(ones({3, 2}));
  check_empty("matmul", x, matmul(x, w), {0, 2});
  check_empty("batched matmul", x, matmul(reshape(x, {0, 1, 3}), w), {0, 1, 2});
  CHECK(matmul(zeros({2, 0}), zeros({0, 3})).to_vector() == std::vector<float>(6, 0));
  CHECK(gradients(sum(matmul(x, w)), {w})[0].to_vector() == std::vector<float>(6, 0));

  const Tensor none = zeros({0}, DType::int64);
  CHECK(take(w, none).shape() == Shape{0, 2});
  CHECK(gradients(sum(take(w, none)), {w})[0].to_vector() == std::vector<float>(6, 0));
  CHECK(one_hot(none, 4).shape() == Shape{0, 4});
  CHECK(arange(0).to_vector<Index>().empty());
  Generator generator;
  CHECK(random_uniform({0, 2}, generator).to_vector().empty());
  CHECK(random_normal({0}, generator).to_vector().empty());
}

TEST_CASE("products over an axis without elements are zero", "[empty]") {
  for (const Index n : {1, 2, 7}) {
    for (const Index m : {1, 3, 40}) {
      // Memory that holds other numbers, for the product to be given.
      eval(constant(std::vector<float>(static_cast<std::size_t>(n * m), 7), {n, m}) + 1);
      const std::vector<float> nothing(static_cast<std::size_t>(n * m), 0);
      CHECK(matmul(zeros({n, 0}), zeros({0, m})).to_vector() == nothing);
      CHECK(matmul(transpose(zeros({0, n})), zeros({0, m})).to_vector() == nothing);
      CHECK(matmul(zeros({n, 0}), transpose(zeros({m, 0}))).to_vector() == nothing);
    }
  }
}

TEST_CASE("nothing is done for however many empty rows", "[empty]") {
  const Index many = Index{1} << 40;
  const Tensor x = variable(zeros({many, 0})), rows = variable(zeros({0, many}));
  check_empty("slice", x, slice(x, 0, 1, many, 2), {many / 2, 0});
  check_empty("slice of columns", x, slice(x, 1, 0, 0), {many, 0});
  check_empty("slice of rows", rows, slice(rows, 1, 1, many), {0, many - 1});
  check_empty("concat", x, concat({x, x}, 0), {2 * many, 0});
  check_empty("concat of columns", x, concat({x, x}, 1), {many, 0});
  check_empty("stack", x, stack({x, x}), {2, many, 0});
  check_empty("transpose", x, contiguous(transpose(x)), {0, many});
  check_empty("sum", x, sum(x, {0}), {0});
  check_empty("max", rows, max(rows, {1}), {0});
  check_empty("softmax", x, softmax(x, 0), {many, 0});
  check_empty("softmax of rows", x, softmax(x), {many, 0});
  check_empty("layer_norm", x, layer_norm(x), {many, 0});
  check_empty("take", x, take(x, constant(std::vector<Index>{0, 5})), {2, 0});
  check_empty("matmul", x, matmul(transpose(x), ones({many, 1})), {0, 1});
}

}  // namespace
}  // namespace gradweave
