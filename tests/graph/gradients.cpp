#include <gradweave/graph/gradients.hpp>

#include <algorithm>
#include <array>
#include <cmath>

#include <gradweave/graph/boost_graph.hpp>
#include <gradweave/graph/report/explain.hpp>
#include <gradweave/graph/traverse.hpp>
#include <gradweave/ops/ops.hpp>

#include "catch.hpp"
#include "gradcheck_matcher.hpp"
#include "support.hpp"

namespace gradweave {
namespace {

using Catch::Matchers::ContainsSubstring;

std::size_t count_nodes(const Tensor& y) { return topological_order<FollowAll>(std::span(&y, 1)).size(); }

TEST_CASE("the gradient of a line", "[gradients]") {
  const Tensor x = constant({1, 2, 3}), w = variable({0.5}), b = variable({1});
  const Tensor loss = mean(square(w * x + b));
  const auto [dw, db] = gradients(loss, {w, b});
  CHECK(dw.item() == Approx(2.0 / 3 * (1 * 1.5 + 2 * 2 + 3 * 2.5)));
  CHECK(db.item() == Approx(2.0 / 3 * (1.5 + 2 + 2.5)));
}

TEST_CASE("what meets at a node is summed", "[gradients]") {
  const Tensor x = variable({3}, f64);
  CHECK(gradients(x + x, {x})[0].item() == 2.0F);
  CHECK(gradients(x * x * x, {x})[0].item() == 27.0F);
  const Tensor y = x * x;
  CHECK(gradients(y * y + y, {x})[0].item() == 4 * 27.0F + 6);
}

TEST_CASE("a gradient with respect to something in the middle", "[gradients]") {
  const Tensor x = variable({3}, f64);
  const Tensor y = x * x, z = exp(y) * x;
  const auto [dy, dx] = gradients(z, {y, x});
  CHECK(dy.item<double>() == Approx(3 * std::exp(9.0)));            // x beside it is held
  CHECK(dx.item<double>() == Approx((1 + 2 * 9) * std::exp(9.0)));  // all the ways
  CHECK(gradients(z, {z})[0].item() == 1.0F);
}

TEST_CASE("broadcasting is undone by summing", "[gradients]") {
  const Tensor column = variable({{1}, {2}}), row = variable({1, 2, 3}), number = variable(5);
  const auto [dc, dr, dn] = gradients(sum(column * row + number), {column, row, number});
  CHECK(dc.shape() == Shape{2, 1});
  CHECK(dc.to_vector() == std::vector<float>{6, 6});
  CHECK(dr.to_vector() == std::vector<float>{3, 3, 3});
  CHECK(dn.shape() == Shape{});
  CHECK(dn.item() == 6.0F);
}

TEST_CASE("a ladder of a thousand diamonds costs linear work", "[gradients]") {
  const auto built = [](int depth) {
    const Tensor x = variable(1.0, f64);
    Tensor y = x;
    for (int k = 0; k < depth; ++k) y = y * 0.5 + y * 0.5;  // two ways through each of them
    const auto [g] = gradients(y, {x});
    CHECK(g.item<double>() == 1);
    return count_nodes(gradients(y, {x})[0]);
  };
  const std::size_t hundred = built(100), thousand = built(1000);
  CHECK(thousand < 11 * hundred);
  CHECK(thousand < 20'000);
}

TEST_CASE("derivatives of any order", "[gradients]") {
  const Tensor x = variable(2, f64);
  Tensor y = pow(x, 4);
  for (double expected : {32.0, 48.0, 48.0, 24.0}) {  // 4x^3, 12x^2, 24x, 24
    y = gradients(y, {x}, {}, Unconnected::zeros)[0];
    CHECK(y.item<double>() == Approx(expected));
  }
  // The derivatives of sin turn in a circle.
  Tensor s = sin(x);
  for (int order = 1; order <= 8; ++order) {
    s = gradients(s, {x})[0];
    CHECK(s.item<double>() == Approx(std::sin(2 + order * std::acos(0.0))));
  }
}

TEST_CASE("derivatives at nice points are finite", "[gradients]") {
  const Tensor zero = variable(0, f64), one = variable(1, f64);
  const auto second = [](const Tensor& y, const Tensor& x) {
    const auto [g] = gradients(y, {x});
    return gradients(g, {x}, {}, Unconnected::zeros)[0].item<double>();
  };
  CHECK(second(pow(zero, 2), zero) == 2);
  CHECK(second(pow(zero, 3), zero) == 0);
  CHECK(second(pow(one, 2), one) == 2);
  CHECK(second(square(zero), zero) == 2);
  CHECK(second(tanh(zero), zero) == 0);
  CHECK(second(sigmoid(zero), zero) == 0);
  CHECK(second(softplus(zero), zero) == Approx(0.25));
  CHECK(second(logsumexp(zero * constant({1, -1}, f64)), zero) == Approx(1));
  CHECK(second(maximum(one * one, one), one) == Approx(1));  // a tie: half of either
  CHECK(gradients(abs(zero), {zero})[0].item() == 0.0F);
  CHECK(gradients(relu(zero), {zero})[0].item() == 0.0F);
}

TEST_CASE("gradients of something not connected", "[gradients]") {
  const Tensor x = variable({1, 2}), other = variable({3, 4, 5}), data = constant({6, 7});
  const Tensor y = sum(x * data);
  CHECK_THROWS_AS(gradients(y, {other}), GraphError);
  CHECK_THROWS_WITH(gradients(y, {other}),
                    ContainsSubstring("variable float32 (3,)") && ContainsSubstring("zeros"));
  CHECK_THROWS_AS(gradients(y, {data}), GraphError);
  CHECK_THROWS_WITH(gradients(y, {data}), ContainsSubstring("is it a variable?"));
  CHECK_THROWS_AS(gradients(sum(data), {x}), GraphError);
  CHECK_THROWS_AS(gradients(sum(detach(x)), {x}), GraphError);
  const auto [dx, zero] = gradients(y, {x, other}, {}, Unconnected::zeros);
  CHECK(dx.to_vector() == std::vector<float>{6, 7});
  CHECK(zero.to_vector() == std::vector<float>{0, 0, 0});
}

TEST_CASE("a result of several elements needs a cotangent", "[gradients]") {
  const Tensor x = variable({1, 2});
  const Tensor y = x * x;
  CHECK_THROWS_AS(gradients(y, {x}), GraphError);
  CHECK_THROWS_WITH(gradients(y, {x}), ContainsSubstring("2 elements") && ContainsSubstring("sum"));
  CHECK_THROWS_AS(gradients(y, {x}, ones({3})), ShapeError);
  CHECK(gradients(y, {x}, constant({1, 10}))[0].to_vector() == std::vector<float>{2, 40});
}

TEST_CASE("ops that are not differentiable stop gradients", "[gradients]") {
  const Tensor x = variable({1, 2});
  CHECK_FALSE((x > 1).is_tracked());
  CHECK_FALSE(argmax(x).is_tracked());
  CHECK_FALSE(cast(x, DType::int64).is_tracked());
  CHECK_THROWS_AS(gradients(sum(cast(x > 1, DType::float32)), {x}), GraphError);
}

// f(x, y) = (x^2 y, 5x + sin y), whose Jacobian is ((2xy, x^2), (5, cos y)).
Tensor example(const Tensor& v) {
  const Tensor x = select(v, 0, 0), y = select(v, 0, 1);
  return stack({x * x * y, 5 * x + sin(y)});
}

TEST_CASE("jacobian, forward mode and reverse mode of a known function", "[gradients]") {
  const Tensor v = variable({2, 3}, f64);
  const double c = std::cos(3.0);
  const Tensor y = example(v);
  const Tensor j = jacobian(y, v);
  CHECK(j.shape() == Shape{2, 2});
  check_values(j, {12, 4, 5, c});
  check_values(jvp(y, v, constant({1, 10}, f64)), {12 + 40, 5 + 10 * c});
  check_values(gradients(y, {v}, constant({1, 10}, f64))[0], {12 + 50, 4 + 10 * c});
  CHECK_THROWS_AS(jvp(y, v, ones({3}, f64)), ShapeError);
}

TEST_CASE("hessian and hessian-vector product of Rosenbrock's function", "[gradients]") {
  const Tensor v = variable({-1.2, 1}, f64);
  const Tensor x = select(v, 0, 0), y = select(v, 0, 1);
  const Tensor f = square(1 - x) + 100 * square(y - square(x));
  const double xx = 1200 * 1.44 - 400 + 2, xy = 480, yy = 200;  // 1200x^2 - 400y + 2, -400x, 200
  check_values(gradients(f, {v})[0], {-2 * 2.2 + 480 * (1 - 1.44), 200 * (1 - 1.44)});
  check_values(hessian(f, v), {xx, xy, xy, yy});
  check_values(hessian_vector_product(f, v, constant({2, -1}, f64)), {2 * xx - xy, 2 * xy - yy});
}

TEST_CASE("the hessian of a linear function is zero", "[gradients]") {
  const Tensor v = variable({1, 2}, f64);
  check_values(hessian(sum(v * 3), v), {0, 0, 0, 0});
  check_values(jacobian(v * 3, v), {3, 0, 0, 3});
}

TEST_CASE("a gradient can be learnt from: the derivative of a gradient's norm", "[gradients]") {
  const Tensor x = variable({1, 2}, f64);
  const auto [g] = gradients(sum(x * x * x), {x});              // 3x^2
  check_values(gradients(sum(g * g), {x})[0], {36, 36 * 8.0});  // of 9x^4
}

TEST_CASE("zeros for what is not connected, when asked for", "[gradients]") {
  const Tensor x = variable({1, 2}), y = variable({3});
  for (const Tensor& z : {sum(constant({1, 2})), y, sum(y), sum(cast(x, DType::int64))}) {
    CHECK_THROWS_AS(gradients(z, {x}), GraphError);
    CHECK(gradients(z, {x}, {}, Unconnected::zeros)[0].to_vector() == std::vector<float>{0, 0});
  }
}

// That a plan computes.
std::ptrdiff_t count_ops(const Tensor& y, std::string_view name) {
  std::ptrdiff_t all = 0;
  for (const PlanReport::Step& step : explain_plan(y).steps)
    all +=
        std::ranges::count_if(step.ops, [&](const PlanReport::Op& op) { return op.name.starts_with(name); });
  return all;
}

TEST_CASE("cotangents of slices that share out a tensor are joined", "[gradients]") {
  const Tensor x = variable({{1, 2, 3, 4}, {5, 6, 7, 8}}, f64);
  const auto parts = [&](std::initializer_list<std::array<Index, 2>> ranges) {
    Tensor y;
    Index factor = 1;
    for (const auto& [start, stop] : ranges) {
      const Tensor term = sum(pow(slice(x, 1, start, stop), 3)) * factor;
      y = y.is_empty() ? term : y + term;
      factor *= 10;
    }
    return gradients(y, {x})[0];
  };
  const Tensor joined = parts({{2, 4}, {0, 1}, {1, 2}});  // in any order
  CHECK(count_ops(joined, "slice_vjp") == 0);
  CHECK(count_ops(joined, "concat") == 1);
  check_values(joined, {30, 1200, 27, 48, 750, 10800, 147, 192});
  check_values(gradients(sum(joined), {x})[0], {60, 1200, 18, 24, 300, 3600, 42, 48});  // and again
  check_values(gradients(sum(gradients(sum(joined), {x})[0]), {x})[0], {60, 600, 6, 6, 60, 600, 6, 6});

  const Tensor gap = parts({{2, 4}, {0, 1}}), overlap = parts({{0, 3}, {2, 4}}),
               twice = parts({{0, 4}, {0, 4}});
  CHECK(count_ops(gap, "concat") + count_ops(overlap, "concat") + count_ops(twice, "concat") == 0);
  check_values(gap, {30, 0, 27, 48, 750, 0, 147, 192});
  check_values(overlap, {3, 12, 297, 480, 75, 108, 1617, 1920});
  check_values(twice, {33, 132, 297, 528, 825, 1188, 1617, 2112});

  // Every other element is not a piece of its own; a slice of another axis does not belong to the rest.
  const Tensor evens = slice(x, 1, 0, 4, 2), row = slice(x, 0, 0, 1);
  check_values(gradients(sum(evens) + 2 * sum(slice(x, 1, 1, 4, 2)) + 5 * sum(row), {x})[0],
               {6, 7, 6, 7, 1, 2, 1, 2});
}

TEST_CASE("a weight's gradients over the steps of a sequence become one product", "[gradients]") {
  Generator generator(4);
  const Tensor w = variable(random_normal({6, 6}, generator, 0, 1, f64));
  const Tensor a = random_normal({2, 6}, generator, 0, 1, f64),
               b = random_normal({1, 6}, generator, 0, 1, f64);
  const Tensor y = sum(sin(linear(a, w))) + sum(exp(linear(b, w)));
  const auto [joined] = gradients(y, {w});
  CHECK(count_ops(joined, "concat") == 2);
  const auto [one] = gradients(sum(sin(linear(a, w))), {w});
  const auto [other] = gradients(sum(exp(linear(b, w))), {w});
  const auto expected = (one + other).to_vector<double>(), found = joined.to_vector<double>();
  for (std::size_t i = 0; i < found.size(); ++i) CHECK(found[i] == Approx(expected[i]).epsilon(1e-14));
  CHECK_THAT(
      [&](std::span<const Tensor> in) { return sum(sin(linear(a, in[0]))) + sum(exp(linear(b, in[0]))); },
      HasRightGradients({w}));
}

}  // namespace
}  // namespace gradweave
