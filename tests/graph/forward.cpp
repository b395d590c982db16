// Forward mode: tangents that walk through the graph, and ops that bring a jvp of their own.
#include <array>
#include <cmath>

#include <gradweave/graph/check/gradcheck.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/ops/ops.hpp>

#include "catch.hpp"
#include "sin_cos.hpp"

namespace gradweave {
namespace {

using Catch::Matchers::ContainsSubstring;
using Floats = std::vector<float>;

// x sin(x), whose tangent is one op instead of the several that follow from its vjp.
struct XSinX {
  static constexpr std::string_view name = "x_sin_x";
  static auto forward(const auto& x) noexcept { return x * x.sin(); }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return g * (sin(x) + x * cos(x)); }
  static Tensor jvp(const Tensor& dx, const Tensor& x, const Tensor&) {
    ++calls;
    return dx * (sin(x) + x * cos(x));
  }
  static Samples samples() { return {{uniform(-3, 3)}}; }
  static inline int calls = 0;
};
Tensor x_sin_x(const Operand& x) { return apply<XSinX>(x); }

// a - 2 b, with tangents that may be missing.
struct MinusTwice {
  static constexpr std::string_view name = "minus_twice";
  static auto forward(const auto& a, const auto& b) noexcept { return a - b * 2; }
  static Tensor vjp(std::size_t i, const Tensor& g, const Tensor&, const Tensor&, const Tensor&) {
    return i == 0 ? g : g * -2;
  }
  static Tensor jvp(std::span<const Tensor> tangents, std::span<const Tensor>, const Tensor&) {
    if (tangents[1].is_empty()) return tangents[0];
    const Tensor b = tangents[1] * -2;
    return tangents[0].is_empty() ? b : tangents[0] + b;
  }
  static Samples samples() {
    return {{uniform(-2, 2), uniform(-2, 2, {3})}, {uniform(-2, 2, {}), uniform(-2, 2)}};
  }
};

// A jvp with a planted mistake.
struct WrongJvp {
  static constexpr std::string_view name = "wrong_jvp";
  static auto forward(const auto& x) noexcept { return x.square(); }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return g * x * 2; }
  static Tensor jvp(const Tensor& dx, const Tensor& x, const Tensor&) { return dx * x; }
  static Samples samples() { return {{uniform(1, 2)}}; }
};

TEST_CASE("one walk moves several tensors and gives the tangents of several results", "[forward]") {
  const Tensor x = variable({2}), y = variable({3});
  const std::array results{x * y, x + sum(y * y), exp(y) * 0};
  const std::vector<Tensor> tangents =
      jvp(results, std::array{x, y}, std::array{constant({10}), constant({1})});
  CHECK(tangents[0].to_vector() == Floats{2 * 1 + 3 * 10});
  CHECK(tangents[1].to_vector() == Floats{10 + 2 * 3});
  CHECK(tangents[2].to_vector() == Floats{0});
  // What the first does not depend on does not matter, but what it depends on does.
  CHECK(jvp(x * x * 0.5, x, constant({4})).to_vector() == Floats{8});
  CHECK(jvp(x, x, constant({4})).to_vector() == Floats{4});
}

TEST_CASE("a tensor in the middle can move, and what is behind it does not", "[forward]") {
  const Tensor x = variable({2, 3}), middle = x * x, y = middle * x;
  CHECK(jvp(y, middle, constant({1, 1})).to_vector() == Floats{2, 3});
  CHECK(jvp({&y, 1}, std::array{middle, x}, std::array{constant({1, 1}), constant({1, 0})})[0].to_vector() ==
        Floats{2 + 4, 3});
  // Named twice, it moves twice.
  CHECK(jvp({&y, 1}, std::array{x, x}, std::array{constant({1, 0}), constant({0, 1})})[0].to_vector() ==
        Floats{12, 27});
}

TEST_CASE("an op's own jvp is used, and agrees with what its vjp says", "[forward]") {
  XSinX::calls = 0;
  const Tensor x = variable({0.5}, DType::float64);
  const double value = jvp(x_sin_x(x), x, constant({2}, DType::float64)).item<double>();
  CHECK(value == Approx(2 * (std::sin(0.5) + 0.5 * std::cos(0.5))).epsilon(1e-14));
  CHECK(XSinX::calls == 1);
  for (const Operation* op : {&operation_of<XSinX>(), &operation_of<MinusTwice>(), &operation_of<SinCos>()}) {
    const GradcheckReport report = check_operation(*op);
    INFO(report.message);
    CHECK(report.ok);
  }
  CHECK(XSinX::calls > 1);
  // Second derivatives go through the tangent.
  const Tensor slope = jvp(x_sin_x(x), x, constant({1}, DType::float64));
  CHECK(gradients(slope, {x})[0].item<double>() ==
        Approx(2 * std::cos(0.5) - 0.5 * std::sin(0.5)).epsilon(1e-14));
}

TEST_CASE("the checker catches a wrong jvp", "[forward]") {
  const GradcheckReport report = check_operation(operation_of<WrongJvp>());
  CHECK_FALSE(report.ok);
  CHECK(report.verdict == Gradcheck::adjoint);
  CHECK_THAT(report.message, ContainsSubstring("forward and reverse mode differ"));
}

TEST_CASE("tangents go through ops with several outputs", "[forward]") {
  const Tensor x = variable({0.25}, DType::float64);
  const auto [s, c] = apply_outputs<2>(SinCos{}, {x});
  const std::vector<Tensor> moved =
      jvp(std::array{s, c, s * c}, {&x, 1}, std::array{constant({1}, DType::float64)});
  CHECK(moved[0].item<double>() == Approx(std::cos(0.25)));
  CHECK(moved[1].item<double>() == Approx(-std::sin(0.25)));
  CHECK(moved[2].item<double>() == Approx(std::cos(0.5)));
}

TEST_CASE("the tangent of a gradient is the Hessian times the direction", "[forward]") {
  const Tensor x = variable({1, 2, -1}, DType::float64), v = constant({1, 0.5, -2}, DType::float64);
  const Tensor f = sum(exp(x) * tanh(x)) + square(sum(x * x));
  const Tensor forward = jvp(gradients(f, {x})[0], x, v), reverse = hessian_vector_product(f, x, v);
  const auto a = forward.to_vector<double>(), b = reverse.to_vector<double>();
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i] == Approx(b[i]).epsilon(1e-13));
}

TEST_CASE("forward mode of a deep graph", "[forward]") {
  const Tensor x = variable(1);
  Tensor y = x;
  for (int k = 0; k < 20'000; ++k) y = y + x;
  CHECK(jvp(y, x, constant(2)).item() == 2 * 20'001);
}

TEST_CASE("what forward mode refuses", "[forward]") {
  const Tensor x = variable({1, 2}), y = variable({1});
  CHECK_THROWS_WITH(jvp(x * 2, y, constant({1})), ContainsSubstring("does not depend on variable"));
  CHECK(jvp(std::array{x * 2}, {&y, 1}, std::array{constant({1})}, Unconnected::zeros)[0].to_vector() ==
        Floats{0, 0});
  CHECK(jvp(std::array{x * 2}, {&y, 1}, std::array{constant({1})}, Unconnected::empty)[0].is_empty());
  CHECK_THROWS_AS(jvp(x * 2, x, constant({1})), ShapeError);
  CHECK_THROWS_AS(jvp(Tensor(), x, x), GraphError);
  CHECK_THROWS_AS(jvp(std::array{x * 2}, {&x, 1}, std::span<const Tensor>()), GraphError);
  const auto f = compile([](const Tensor& t) { return t * 2; });
  CHECK_THROWS_WITH(jvp(f(x) + x, x, constant({1, 1})), ContainsSubstring("released"));
}

}  // namespace
}  // namespace gradweave
