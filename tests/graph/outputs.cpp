// Ops with several outputs: written as a user writes them, in a dozen lines.
#include <gradweave/graph/outputs.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <sstream>
#include <vector>

#include <gradweave/graph/check/gradcheck.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/graph/memory.hpp>
#include <gradweave/graph/plan/passes.hpp>
#include <gradweave/graph/report/dot.hpp>
#include <gradweave/graph/report/explain.hpp>
#include <gradweave/nn/nn.hpp>

#include "sin_cos.hpp"
#include "support.hpp"

namespace gradweave {
namespace {

// The numbers of each row in order, and where they came from.
struct Sorted {
  static constexpr std::string_view name = "sorted";
  static constexpr DTypes dtypes = floating;
  static Specs infer(const Spec& x) { return {x, {x.shape, DType::int64}}; }
  static void forward(Outputs y, const ArrayView& x) {
    dispatch<floating>(x.dtype, [&]<class T>() {
      const Index n = x.shape.back();
      std::vector<Index> order(static_cast<std::size_t>(n));
      for (Index row = 0; row < x.size() / std::max<Index>(n, 1); ++row) {
        const T* from = x.as<T>() + row * n;
        std::iota(order.begin(), order.end(), Index{0});
        std::ranges::stable_sort(order, {}, [&](Index i) { return from[i]; });
        for (Index i = 0; i < n; ++i) {
          const Index at = order[static_cast<std::size_t>(i)];
          if (y[0].data != nullptr) y[0].as<T>()[row * n + i] = from[at];
          if (y[1].data != nullptr) y[1].as<Index>()[row * n + i] = at;
        }
      }
    });
  }
  static void vjp(Pullback& p) {  // each goes back to where it came from
    const Tensor places = one_hot(p.output(1), p.input(0).size(-1), p.input(0).dtype());
    p.give(0, sum(expand_dims(p.cotangent(0), -1) * places, {-2}));
  }
  static Samples samples() { return {{uniform(-3, 3, {2, 4})}}; }
};

// As many pieces as an attribute says.
struct Pieces {
  Index count;
  static constexpr std::string_view name = "pieces";
  static constexpr bool leading_axes = false;
  Specs infer(const Spec& x) const {
    return Specs(static_cast<std::size_t>(count), Spec{{x.shape[0] / count}, x.dtype});
  }
  void forward(Outputs y, const ArrayView& x) const {
    const Index bytes = x.size() / count * static_cast<Index>(size_of(x.dtype));
    for (std::size_t k = 0; k < y.size(); ++k) {
      if (y[k].data != nullptr)
        std::copy_n(x.as<std::byte>() + static_cast<Index>(k) * bytes, bytes, y[k].as<std::byte>());
    }
  }
  static void vjp(Pullback& p) {
    std::vector<Tensor> parts;
    for (std::size_t k = 0; k < p.output_count(); ++k) parts.push_back(p.cotangent(k));
    p.give(0, concat(parts, 0));
  }
  static SamplesOf<Pieces> samples() { return {{{3}, {uniform(-2, 2, {6})}}}; }
};

// The sum and the product, of two inputs that need not both be wanted.
struct SumProduct {
  static constexpr std::string_view name = "sum_product";
  static constexpr bool leading_axes = false;
  static Specs infer(const Spec& a, const Spec& b) {
    return {{broadcast(a.shape, b.shape), a.dtype}, {{}, a.dtype}};
  }
  static void forward(Outputs y, const ArrayView& a, const ArrayView& b) {
    dispatch<numeric>(a.dtype, [&]<class T>() {
      T total = 0;
      for (Index i = 0; i < a.size(); ++i) {
        if (y[0].data != nullptr) y[0].as<T>()[i] = static_cast<T>(a.as<T>()[i] + b.as<T>()[i]);
        total = static_cast<T>(total + a.as<T>()[i] * b.as<T>()[i]);
      }
      if (y[1].data != nullptr) *y[1].as<T>() = total;
    });
  }
  static void vjp(Pullback& p) {
    if (p.wants(0)) p.give(0, p.cotangent(0) + p.cotangent(1) * p.input(1));
    if (p.wants(1)) p.give(1, p.cotangent(0) + p.cotangent(1) * p.input(0));
  }
  static Samples samples() { return {{uniform(-2, 2), uniform(-2, 2)}}; }
};

struct WrongSinCos : SinCos {
  static void vjp(Pullback& p) { p.give(0, p.cotangent(0) * p.output(1) + p.cotangent(1) * p.output(0)); }
};

std::array<Tensor, 2> sin_cos(const Operand& x) { return apply_outputs<2>(SinCos{}, {x}); }

TEST_CASE("ops with several outputs pass the check of every op, one output and all", "[outputs]") {
  for (const Operation* op : {&operation_of<SinCos>(), &operation_of<Sorted>(), &operation_of<Pieces>(),
                              &operation_of<SumProduct>()}) {
    const GradcheckReport report = check_operation(*op);
    INFO(report.message);
    CHECK(report.ok);
  }
  CHECK(check_operation(operation_of<WrongSinCos>()).verdict == Gradcheck::wrong);
}

TEST_CASE("each output has shape, dtype and values of its own", "[outputs]") {
  const auto [values, places] = apply_outputs<2>(Sorted{}, {constant({{3, 1, 2}, {0, -1, 5}})});
  CHECK(values.shape() == Shape{2, 3});
  CHECK(places.dtype() == i64);
  CHECK(values.to_vector() == std::vector<float>{1, 2, 3, -1, 0, 5});
  CHECK(places.to_vector<int>() == std::vector<int>{1, 2, 0, 1, 0, 2});
  const std::vector<Tensor> parts = apply_outputs(Pieces{3}, {constant({1, 2, 3, 4, 5, 6})});
  REQUIRE(parts.size() == 3);
  CHECK((parts[2] + parts[0] * 10).to_vector() == std::vector<float>{15, 26});
  CHECK_THROWS_AS(gradients(sum(cast(places, f32)), {variable({1.0})}), GraphError);
}

TEST_CASE("derivatives when all outputs are used, one, or none", "[outputs]") {
  const Tensor x = variable({0.5, -0.25}, f64);
  const auto [s, c] = sin_cos(x);
  check_values(gradients(sum(s), {x})[0], {std::cos(0.5), std::cos(-0.25)});
  check_values(gradients(sum(c * c), {x})[0], {-std::sin(1.0), -std::sin(-0.5)});
  check_values(gradients(sum(s * c), {x})[0], {std::cos(1.0), std::cos(-0.5)});
  const auto [g] = gradients(sum(s * c), {x});
  check_values(gradients(sum(g), {x})[0], {-2 * std::sin(1.0), -2 * std::sin(-0.5)});
  CHECK_THROWS_AS(gradients(sum(constant({1.0, 2.0})), {x}), GraphError);
  eval(s);  // evaluated apart
  check_values(gradients(sum(s + c), {x})[0],
               {std::cos(0.5) - std::sin(0.5), std::cos(-0.25) - std::sin(-0.25)});
}

TEST_CASE("an output that nobody reads takes no memory and is not computed", "[outputs]") {
  const Tensor x = constant(std::vector<float>(10'000, 0.5F));
  const auto one = [&] {
    Tensor y;
    {
      const auto [s, c] = sin_cos(x * 2);
      y = sum(s);
    }
    return explain_plan(y).arena_bytes;
  }();
  const auto two = [&] {
    Tensor y;
    {
      const auto [s, c] = sin_cos(x * 2);
      y = sum(s) + sum(c);
    }
    return explain_plan(y).arena_bytes;
  }();
  CHECK(two >= one + 40'000);
  CHECK(one < 90'000);
}

TEST_CASE("equal nodes with several outputs are computed once, with what any of them wants", "[outputs]") {
  const Tensor x = constant({{3, 1, 2}, {0, -1, 5}});
  const auto sort = [&] { return apply_outputs<2>(Sorted{}, {x}); };
  const auto times = [](const PlanReport& report) {
    std::ptrdiff_t all = 0;
    for (const PlanReport::Step& step : report.steps)
      all += std::ranges::count(step.ops, "sorted", &PlanReport::Op::name);
    return all;
  };
  const Doubles sorted{1, 2, 3, -1, 0, 5}, from{1, 2, 0, 1, 0, 2};
  SECTION("each wants another output") {
    const Tensor values = sort()[0] + 0, places = sort()[1] + 0, again = sort()[0] * 2;
    CHECK(times(explain_plan(values, places, again)) == 1);
    eval(values, places, again);
    check_values(values, sorted);
    check_values(places, from);
    check_values(again, {2, 4, 6, -2, 0, 10});
  }
  SECTION("one of them is held, with all of its outputs") {
    const auto held = sort();
    const Tensor values = sort()[0] + 0;
    CHECK(times(explain_plan(held[1], values)) == 1);
    CHECK(times(explain_plan(values, held[1])) == 2);  // the first has no room for all
    eval(values, held[1]);
    check_values(values, sorted);
    check_values(held[0], sorted);
    check_values(held[1], from);
  }
  SECTION("not what differs in an attribute") {
    const auto pieces = [](Index count) {
      return apply_outputs(Pieces{count}, {constant({1, 2, 3, 4, 5, 6})});
    };
    const Tensor y = pieces(3)[0] + slice(pieces(2)[1], 0, 0, 2);
    check_values(y, {5, 7});
  }
}

TEST_CASE("several outputs compiled, checkpointed, without passes, in a step, in a picture", "[outputs]") {
  const auto f = [](const Tensor& x) {
    const auto [s, c] = sin_cos(x * 1.5);
    const auto [values, places] = apply_outputs<2>(Sorted{}, {s});
    return sum(square(values) * c) + sum(cast(places, x.dtype()) * c);
  };
  const auto slope = [&](const Tensor& x) { return gradients(f(x), {x})[0]; };
  const Tensor x = variable({0.5, -0.25, 2.0, 1.0}, f64);
  const Doubles expected = slope(x).to_vector<double>();
  CHECK(compile(slope)(x).to_vector<double>() == expected);
  CHECK(gradients(checkpoint(f, x), {x})[0].to_vector<double>() == expected);
  {
    const WithPasses none({.simplify = false, .order = false, .fuse = false, .reuse = false, .cache = false});
    CHECK(slope(x).to_vector<double>() == expected);
  }
  const Tensor y = f(x);
  std::stringstream picture;
  write_dot(picture, y);
  CHECK(picture.str().find("sin_cos") != std::string::npos);

  const nn::Parameter p("p", x), q("q", x);
  nn::Adam loop({p}), compiled({q});
  const auto step = compile([&] { compiled.minimize(f(q.value())); });
  for (int k = 0; k < 3; ++k) {
    loop.minimize(f(p.value()));
    step();
    CHECK(p.value().to_vector<double>() == q.value().to_vector<double>());
  }
}

}  // namespace
}  // namespace gradweave
