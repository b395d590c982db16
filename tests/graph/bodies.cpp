// Graphs as values: equality, hash, print, and building and running them again.
#include <gradweave/graph/body.hpp>

#include <cmath>
#include <string>
#include <vector>

#include <gradweave/graph/memory.hpp>
#include <gradweave/nn/nn.hpp>

#include "support.hpp"

namespace gradweave {
namespace {

using List = std::span<const Tensor>;

Body body_of(const Body::Function& f, const std::vector<Tensor>& like) {
  std::vector<Tensor> captured;
  return Body::trace(f, like, captured);
}
std::vector<Tensor> one(const Tensor& t) { return {t}; }

TEST_CASE("bodies are equal if they have the same structure", "[bodies]") {
  const Tensor x = constant({1, 2, 3}), y = constant({4, 5, 6});
  const auto f = [](List in) { return one(sin(in[0]) * in[1] + 2); };
  const Body a = body_of(f, {x, y}), b = body_of([](List in) { return one(2 + in[1] * sin(in[0])); }, {y, x});
  CHECK(a == body_of(f, {y, x}));
  CHECK(a.hash() == body_of(f, {y, x}).hash());
  CHECK_FALSE(a == b);  // the operands of a sum stand in another order
  CHECK_FALSE(a == body_of([](List in) { return one(sin(in[0]) * in[1] + 3); }, {x, y}));
  CHECK_FALSE(a == body_of([](List in) { return one(cos(in[0]) * in[1] + 2); }, {x, y}));
  CHECK_FALSE(a == body_of([](List in) { return one(sin(in[1]) * in[0] + 2); }, {x, y}));
  CHECK_FALSE(a == body_of(f, {constant({1, 2}), constant({1, 2})}));
  CHECK_FALSE(a == body_of(f, {cast(x, f64), cast(y, f64)}));
  CHECK_FALSE(a == body_of([&](List in) { return std::vector{f(in)[0], in[0]}; }, {x, y}));
  CHECK_FALSE(a == body_of(f, {x, y, x}));
  CHECK_FALSE(a == Body());
  CHECK(Body() == Body());
  const Tensor twice = a(std::vector{x, y})[0];
  CHECK(twice.to_vector() == (sin(x) * y + 2).to_vector());
}

TEST_CASE("bodies inside of bodies count", "[bodies]") {
  const Tensor x = constant({1, 2, 3});
  const auto with = [&](double number) {
    return body_of(
        [=](List in) {
          return one(cond(
              sum(in[0]) > 0, [=](const Tensor& t) { return t * number; }, [](const Tensor& t) { return t; },
              in[0]));
        },
        {x});
  };
  CHECK(with(2) == with(2));
  CHECK(with(2).hash() == with(2).hash());
  CHECK_FALSE(with(2) == with(3));
  CHECK(with(2).nesting() == 2);
  CHECK(with(2)(std::vector{x})[0].to_vector() == std::vector<float>{2, 4, 6});
}

TEST_CASE("layouts, values and unused nodes are no part of a body's structure", "[bodies]") {
  const Tensor square = constant({{1, 2}, {3, 4}});
  const auto f = [](List in) { return one(matmul(in[0], in[0])); };
  const auto g = [](List in) {
    const Tensor unused = exp(in[0]);
    return one(matmul(in[0], in[0]));
  };
  const Tensor turned = transpose(square);
  eval(turned);
  CHECK(body_of(f, {square}) == body_of(g, {turned}));
}

TEST_CASE("what a function reads beside its arguments becomes an input", "[bodies]") {
  const Tensor w = variable({2.0, 3.0}), x = constant({1.0, 1.0}), pending = exp(w) * 0 + 5;
  std::vector<Tensor> captured;
  const Body body =
      Body::trace([&](List in) { return one(w * in[0] + pending + w); }, std::vector{x}, captured);
  REQUIRE(captured.size() == 2);
  CHECK(is_same(captured[0], w));
  CHECK(is_same(captured[1], pending));
  CHECK(body.inputs().size() == 3);
  CHECK(body.node_count() == 3);  // of `pending` nothing
  const Body other = Body::trace([&](List in) { return one(in[0] + w); }, std::vector{x}, captured);
  CHECK(captured.size() == 2);
  CHECK(other.inputs().size() == 3);  // the same list for both
  CHECK_FALSE(pending.is_evaluated());
}

TEST_CASE("a body in print", "[bodies]") {
  const Body body = body_of(
      [](List in) {
        return std::vector{sum(in[0] * in[1]), in[0]};
      },
      {constant({1, 2}), constant(2.0)});
  CHECK(to_string(body) ==
        "body of %0: float32 (2,), %1: float32 ()\n"
        "  %2 = multiply of %0, %1\n"
        "  %3 = sum(axes=(-1,), keepdims=false) of %2\n"
        "  gives %3, %0");
  CHECK(print_member(body) == "{multiply, sum}");
  CHECK(to_string(Body()) == "an empty body");
}

TEST_CASE("a body's nodes are built again with line and module", "[bodies]") {
  const nn::Dense layer(2, 2);
  std::vector<Tensor> captured;
  const auto line = __LINE__ + 1;
  const auto f = [&](List in) { return one(take(in[0], constant(std::vector<Index>{7}))); };
  const Body body = Body::trace(f, std::vector{constant({1, 2})}, captured);
  std::vector<Tensor> inputs{constant({3, 4})};
  inputs.insert(inputs.end(), captured.begin(), captured.end());
  CHECK_THROWS_WITH(body(inputs)[0].to_vector(),
                    Catch::Matchers::ContainsSubstring("bodies.cpp:" + std::to_string(line)) &&
                        Catch::Matchers::ContainsSubstring("take"));
  CHECK_THROWS_AS(body(std::vector{constant({1, 2})}), GraphError);
  inputs[0] = constant({1, 2, 3});
  CHECK_THROWS_AS(body(inputs), ShapeError);
  inputs[0] = constant({1, 2}, f64);
  CHECK_THROWS_AS(body(inputs), DTypeError);
}

TEST_CASE("a body runs as a kernel does, and gives only what is wanted", "[bodies]") {
  const Body body = body_of(
      [](List in) {
        return std::vector{in[0] * 2, in[0], transpose(in[0]), in[0] * 2, full({2}, 7)};
      },
      {constant({{1, 2}, {3, 4}})});
  std::vector<float> x{1, 2, 3, 4}, y(18, -1);
  const Shape square{2, 2}, two{2};
  for (int round = 0; round < 3; ++round) {
    const std::vector<ArrayView> outputs{{y.data(), f32, square, {}},
                                         {round == 1 ? nullptr : y.data() + 4, f32, square, {}},
                                         {y.data() + 8, f32, square, {}},
                                         {y.data() + 12, f32, square, {}},
                                         {y.data() + 16, f32, two, {}}};
    y[4] = -5;
    x[0] = static_cast<float>(round);
    body.run(std::vector<ArrayView>{{x.data(), f32, square, {}}}, outputs);
    const auto r = static_cast<float>(round);
    CHECK(y ==
          std::vector<float>{2 * r, 4, 6, 8, round == 1 ? -5 : r, 2, 3, 4, r, 3, 2, 4, 2 * r, 4, 6, 8, 7, 7});
  }
}

TEST_CASE("a function that is only looked at must not ask for what depends on its arguments", "[bodies]") {
  const Tensor x = constant({1, 2}), w = variable(3.0);
  CHECK_THROWS_WITH(body_of([](List in) { return one(in[0] * sum(in[0]).item()); }, {x}),
                    Catch::Matchers::ContainsSubstring("sum of float32 (2,): its value is asked for"));
  CHECK_THROWS_AS(body_of([](List) { return one(Tensor()); }, {x}), GraphError);
  // Of the rest it may.
  const Body body = body_of([&](List in) { return one(in[0] * (w * 2).item()); }, {x});
  CHECK(body(std::vector{x})[0].to_vector() == std::vector<float>{6, 12});
  Tensor leaked;
  body_of([&](List in) { return one(leaked = in[0] * 2); }, {x});
  CHECK_THROWS_WITH(leaked.to_vector(), Catch::Matchers::ContainsSubstring("belongs to a body"));
  const nn::Parameter p("p", x);
  nn::SGD optimizer({p});
  CHECK_THROWS_WITH(body_of(
                        [&](List in) {
                          optimizer.minimize(sum(p.value()));
                          return one(in[0]);
                        },
                        {x}),
                    Catch::Matchers::ContainsSubstring("an optimizer takes a step inside"));
  CHECK(optimizer.steps() == 0);
  CHECK_FALSE(is_tracing());
}

TEST_CASE("gradients inside of a body, with respect to arguments and to what it reads", "[bodies]") {
  const Tensor x = variable({1.0, 2.0}, f64), w = variable({3.0, 4.0}, f64);
  std::vector<Tensor> captured;
  const Body body = Body::trace(
      [&](List in) {
        const auto [gx, gw] = gradients(sum(in[0] * in[0] * w), {in[0], w});
        return std::vector{gx, gw};
      },
      std::vector{x}, captured);
  const std::vector<Tensor> y = body(std::vector{x, captured[0]});
  check_values(y[0], {6, 16});
  check_values(y[1], {1, 4});
  check_values(gradients(sum(y[0] * y[1]), {w})[0], {2, 16});  // 2 x w x^2
}

TEST_CASE("a body of a hundred thousand nodes", "[bodies]") {
  constexpr int depth = 100'000;
  double value = 0, slope = 0;
  on_small_stack<std::size_t{512} * 1024>([&] {
    const auto chain = [](const Tensor& x) {
      Tensor y = x;
      for (int k = 0; k < depth; ++k) y = -y;
      return y;
    };
    const Tensor x = variable(1.5, f64);
    const Tensor y = cond(
        x > 0, chain, [&](const Tensor& t) { return chain(t) * 2; }, x);
    const auto [g] = gradients(y, {x});
    eval(y, g);
    value = y.item<double>(), slope = g.item<double>();
  });
  CHECK(value == 1.5);
  CHECK(slope == 1);
}

TEST_CASE("bodies nest so deep and no deeper", "[bodies]") {
  double value = 0;
  std::string error;
  on_small_stack<std::size_t{512} * 1024>([&] {
    const Tensor x = variable(1.0, f64);
    Body body = body_of([](List in) { return one(in[0] + 1); }, {x});
    const auto around = [&x](const Body& inner) {
      return body_of(
          [&](List in) {
            return one(cond(
                in[0] > 0, [&](const Tensor& t) { return inner(std::vector{t})[0] * 1.5; },
                [](const Tensor& t) { return t; }, in[0]));
          },
          {x});
    };
    for (std::size_t k = 1; k < Body::most_nested; ++k) body = around(body);
    value = body(std::vector{x})[0].item<double>();
    try {
      around(body);
    } catch (const GraphError& e) {
      error = e.what();
    }
  });
  CHECK(value == Approx(2 * std::pow(1.5, Body::most_nested - 1)));
  CHECK_THAT(error, Catch::Matchers::ContainsSubstring("nest more than 64 deep"));
}

}  // namespace
}  // namespace gradweave
