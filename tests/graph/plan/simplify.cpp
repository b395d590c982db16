// The table of rewrites: what each saves, that all of them leave the values as they are, and how an op says
// one of its own.
#include <array>
#include <cmath>
#include <set>

#include <gradweave/graph/define.hpp>
#include <gradweave/graph/node.hpp>
#include <gradweave/graph/report/explain.hpp>
#include <gradweave/graph/rewrite.hpp>
#include <gradweave/nn/nn.hpp>

#include "support.hpp"

namespace gradweave {
namespace {

std::size_t times(const PlanReport& report, std::string_view name) {
  const auto at = std::ranges::find(report.rewrites, name, &PlanReport::Rewrites::name);
  return at == report.rewrites.end() ? 0 : at->count;
}
std::size_t count_ops(const PlanReport& report, std::string_view name) {
  std::size_t all = 0;
  for (const PlanReport::Step& step : report.steps)
    all += static_cast<std::size_t>(
        std::ranges::count_if(step.ops, [&](const PlanReport::Op& op) { return op.name.starts_with(name); }));
  return all;
}
Tensor random(const Shape& shape, std::uint64_t seed = 1, DType dtype = f32) {
  Generator generator(seed);
  const Tensor x = random_uniform(shape, generator, -1, 1, dtype);
  eval(x);
  return x;
}

TEST_CASE("x for x * 1, x + 0 and views that are undone", "[simplify]") {
  const Tensor x = random({2, 3});
  const auto only_exp = [&](const Tensor& y, std::string_view rewrite) {
    const PlanReport report = explain_plan(exp(y));
    INFO(to_string(report));
    CHECK(report.values == 1);
    CHECK(times(report, rewrite) == 1);
    CHECK(values(y) == values(x));
  };
  only_exp(x * ones({2, 3}), "identity");
  only_exp(x + full({}, -0.0), "identity");
  only_exp(reshape(reshape(x, {6}), {2, 3}), "view undone");
  only_exp(transpose(transpose(x)), "view undone");
  CHECK(explain_plan(exp(x + zeros({2, 3}))).values == 2);  // -0 + 0 is 0
  const Tensor half = cast(x, DType::float16);
  eval(half);
  CHECK(explain_plan(exp(half * ones({2, 3}, DType::float16))).values ==
        explain_plan(exp(half)).values);  // no conversion to float32 and back in between
  const Tensor strided = detach(transpose(x));
  eval(strided);
  only_exp(transpose(transpose(detach(transpose(strided)))), "view undone");
}

TEST_CASE("what is equal is computed once, views by what they show", "[simplify]") {
  const Tensor x = random({2, 3});
  const PlanReport report = explain_plan(exp(reshape(x, {6})) + exp(reshape(reshape(x, {3, 2}), {6})));
  CHECK(report.values == 2);
  CHECK(times(report, "equal value") == 2);  // the view, and exp
}

TEST_CASE("products read transposed matrices as they lie, and give transposed ones", "[simplify]") {
  const Tensor x = random({5, 4}), w = variable(random({3, 4})), a = random({4, 5});
  const Tensor y = matmul(x, transpose(w));
  const auto [dw] = gradients(sum(square(y)), {w});
  const PlanReport report = explain_plan(y, dw);
  INFO(to_string(report));
  CHECK(times(report, "matmul of transposed") == 1);
  CHECK(times(report, "matmul transposed") == 1);
  CHECK(count_ops(report, "matmul(transpose_a=false, transpose_b=true)") == 1);
  CHECK(count_ops(report, "matmul(transpose_a=true, transpose_b=false)") == 1);
  CHECK(count_ops(report, "copy") == 0);
  CHECK(values(dw) == values(gradients(sum(square(linear(x, w))), {w})[0]));
  check_values(transpose(matmul(transpose(a), transpose(x))), matmul(x, a).to_vector<double>(), 1e-6);
  // A product that somebody else reads is not computed again.
  const Tensor product = matmul(x, a);
  CHECK(times(explain_plan(product, exp(transpose(product))), "matmul transposed") == 0);
}

TEST_CASE("the gradient of a weight that serves many times is one long product", "[simplify]") {
  const Tensor w = variable(random({16, 8}, 1, f64));
  Tensor y;
  std::vector<double> expected(16 * 8, 0.0);
  for (std::uint64_t t = 0; t < 6; ++t) {
    const Tensor x = random({2, 8}, t, f64), u = random({2, 16}, 10 + t, f64), term = sum(linear(x, w) * u);
    y = y.is_empty() ? term : y + term;
    const std::vector<double> one = matmul(transpose(u), x).to_vector<double>();
    for (std::size_t i = 0; i < one.size(); ++i) expected[i] += one[i];
  }
  const Tensor dw = gradients(y, {w})[0];
  CHECK(dw.node()->operation->name == "add");  // the chain rule only adds
  const PlanReport report = explain_plan(dw);
  INFO(to_string(report));
  CHECK(times(report, "one long matmul") == 1);
  CHECK(count_ops(report, "matmul") == 1);
  check_values(dw, expected, 1e-12);
}

TEST_CASE("the gradients of slices that share out a tensor are joined", "[simplify]") {
  const Tensor x = variable(random({2, 6}));
  const Tensor y = sum(exp(slice(x, 1, 0, 2)) * 2) + sum(square(slice(x, 1, 2, 6)));
  const Tensor dx = gradients(y, {x})[0];
  const PlanReport report = explain_plan(dx);
  INFO(to_string(report));
  CHECK(times(report, "slices joined") == 1);
  CHECK(count_ops(report, "concat") == 1);
  CHECK(count_ops(report, "slice_vjp") == 0);
  const std::vector<double> from = x.to_vector<double>();
  std::vector<double> expected;
  for (std::size_t i = 0; i < 12; ++i) expected.push_back(i % 6 < 2 ? 2 * std::exp(from[i]) : 2 * from[i]);
  check_values(dx, expected, 1e-6);
}

Tensor flipped(const Operand& x);

// A user's op with a rewrite.
struct Flipped {
  static constexpr std::string_view name = "flipped";
  static auto forward(const auto& x) noexcept { return -x; }
  static Tensor vjp(const Tensor& g, const Tensor&, const Tensor&) { return flipped(g); }
  static Term undone(const Term& y) { return y.input(0).is<Flipped>() ? y.input(0).input(0) : Term(); }
  static constexpr std::array rewrites{Rewrite{"flipped twice", Rewrite::of_op, undone}};
};
Tensor flipped(const Operand& x) { return apply<Flipped>(x); }

TEST_CASE("a user's op says how it is undone", "[simplify]") {
  const Tensor x = random({4}), y = exp(flipped(flipped(flipped(flipped(flipped(x))))));
  const PlanReport report = explain_plan(y);
  CHECK(report.values == 2);
  CHECK(to_string(report).find("rewritten: flipped twice (2), equal value (2)\n") != std::string::npos);
  check_values(y, exp(-x).to_vector<double>());
  const WithPasses without({.without = "flipped twice"});
  CHECK(explain_plan(exp(flipped(flipped(x)))).values == 3);
}

// A graph in which every rewrite has something to do.
std::vector<Tensor> graph() {
  const Tensor w = variable(random({16, 8})), b = variable(random({16}, 2)), x = random({6, 2, 8}, 3);
  Tensor h, y;
  for (Index t = 0; t < 6; ++t) {
    const Tensor gates =
        matmul(select(x, 0, t), transpose(w)) * ones({2, 16}) + b + linear(select(x, 0, t) * 2, w);
    h = tanh(slice(gates, 1, 0, 8)) * sigmoid(slice(gates, 1, 8, 16));
    const Tensor part = sum(square(h));
    y = y.is_empty() ? part : y + part;
  }
  const std::array wanted{w, b};
  std::vector<Tensor> all = gradients(y, std::span<const Tensor>(wanted));
  all.push_back(exp(reshape(transpose(transpose(h)), {16})) + exp(reshape(h, {16})));
  all.push_back(y + sum(exp(full({2}, 0.5) + full({2}, 3.0))));
  return all;
}
std::vector<std::vector<double>> results() {
  const std::vector<Tensor> all = graph();
  eval(std::span<const Tensor>(all));
  std::vector<std::vector<double>> values;
  for (const Tensor& tensor : all) values.push_back(tensor.to_vector<double>());
  return values;
}

TEST_CASE("the same values without each of the rewrites", "[simplify]") {
  std::set<std::string> names;
  const std::vector<Tensor> all = graph();
  for (const PlanReport::Rewrites& r : explain_plan(std::span<const Tensor>(all)).rewrites)
    names.insert(r.name);
  CHECK(names == std::set<std::string>{"equal value", "identity", "known value", "matmul of transposed",
                                       "matmul transposed", "one long matmul", "slices joined",
                                       "view undone"});
  const auto expected = results();
  for (const std::string& name : names) {
    const WithPasses without({.without = name});
    INFO(name);
    CHECK(times(explain_plan(std::span<const Tensor>(all)), name) == 0);
    const auto found = results();
    const bool rounds = name == "one long matmul" || name.starts_with("matmul");
    for (std::size_t i = 0; i < found.size(); ++i) {
      for (std::size_t k = 0; k < found[i].size(); ++k) {
        if (rounds) {  // another order of the same sums
          REQUIRE(found[i][k] == Approx(expected[i][k]).epsilon(1e-5).margin(1e-6));
        } else {
          REQUIRE(found[i][k] == expected[i][k]);
        }
      }
    }
  }
}

TEST_CASE("a sum of many terms is planned in a time that is linear in them", "[simplify]") {
  // 20,000 products of one weight: a quadratic pass would take minutes.
  const Tensor w = variable(random({4, 4}));
  std::vector<Tensor> terms;
  const Tensor u = random({1, 4});
  for (int k = 0; k < 20'000; ++k) terms.push_back(sum(linear(u * static_cast<double>(k), w)));
  const Tensor dw = gradients(add(terms), {w})[0];
  CHECK(explain_plan(dw).nodes > 20'000);
}

}  // namespace
}  // namespace gradweave
