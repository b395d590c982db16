// Ops in place: their output takes over the memory of the input that it overwrites, where nobody needs that
// any more; elsewhere it begins as a copy. Whichever it is, nobody sees another value than before.
#include <numeric>
#include <random>

#include <gradweave/graph/check/gradcheck.hpp>
#include <gradweave/graph/compile.hpp>
#include <gradweave/graph/memory.hpp>
#include <gradweave/graph/plan/plan.hpp>
#include <gradweave/graph/report/explain.hpp>
#include <gradweave/nn/nn.hpp>

#include "set_row.hpp"
#include "support.hpp"

namespace gradweave {
namespace {

Tensor with_values(const Tensor& x) {
  eval(x);
  return x;
}
Tensor table(Index rows = 3, Index columns = 2) {
  std::vector<float> all(static_cast<std::size_t>(rows * columns));
  std::iota(all.begin(), all.end(), 0.F);
  return with_values(constant(all, {rows, columns}) + 0.F);
}
const void* place_of(const Tensor& x) { return x.node()->data; }
Tensor row(Index i) { return constant(std::vector<Index>{i}); }

TEST_CASE("an op in place passes the check of every op, and a wrong rule does not", "[in_place]") {
  const GradcheckReport report = check_operation(operation_of<SetRow>());
  INFO(report.message);
  CHECK(report.ok);
  Operation wrong = operation_of<SetRow>();
  wrong.vjp = [](const void*, std::size_t k, const Tensor& g, std::span<const Tensor> x, const Tensor&) {
    return k == 0 ? g : reshape(take(g, reshape(x[1], {1}), 0), Dims(x[2].shape()));
  };
  CHECK(check_operation(operation_of<SetRow>(), {}, &wrong).verdict == Gradcheck::wrong);
}

TEST_CASE("a row that is set in a loop goes where the tensor was", "[in_place]") {
  Tensor x = table();
  const void* place = place_of(x);
  for (Index i = 0; i < 3; ++i) {
    x = set_row(x, row(i), constant({10.F + static_cast<float>(i), -1.F}));
    eval(x);
    CHECK(place_of(x) == place);
  }
  CHECK(values(x) == std::vector<float>{10, -1, 11, -1, 12, -1});
}

TEST_CASE("what somebody holds is copied", "[in_place]") {
  const Tensor v = constant({7.F, 8.F});
  const std::vector<float> before{0, 1, 2, 3, 4, 5}, after{0, 1, 7, 8, 4, 5};

  SECTION("a handle") {
    const Tensor x = table(), y = with_values(set_row(x, row(1), v));
    CHECK(values(x) == before);
    CHECK(values(y) == after);
  }
  SECTION("a view") {
    Tensor x = table();
    const Tensor view = with_values(detach(transpose(x)));
    x = with_values(set_row(x, row(1), v));
    CHECK(values(view) == std::vector<float>{0, 2, 4, 1, 3, 5});
    CHECK(values(x) == after);
  }
  SECTION("a view that is still to be computed") {
    Tensor x = table();
    const Tensor later = x * 2;
    x = with_values(set_row(x, row(1), v));
    CHECK(values(later) == std::vector<float>{0, 2, 4, 6, 8, 10});
    CHECK(values(x) == after);
  }
  SECTION("a result of the same plan") {
    Tensor x = table();
    const Tensor twice = x + x, y = set_row(twice, row(1), v);
    x = Tensor();
    eval(twice, y);
    CHECK(values(twice) == std::vector<float>{0, 2, 4, 6, 8, 10});
    CHECK(values(y) == std::vector<float>{0, 2, 7, 8, 8, 10});
  }
  SECTION("a variable, whose gradients may be asked for") {
    Tensor x = variable(table());
    const Tensor kept = x;
    x = with_values(set_row(x, row(1), v));
    CHECK(values(kept) == before);
    CHECK(values(gradients(sum(x), {kept})[0]) == std::vector<float>{1, 1, 0, 0, 1, 1});
  }
  SECTION("what an untracked part of a differentiable graph has read") {
    const Tensor w = variable(constant({2.F}));
    Tensor x = table();
    const Tensor y = w * set_row(x, row(1), v);
    x = Tensor();
    eval(y);
    CHECK(values(gradients(sum(y), {w})[0]) == std::vector<float>{25});
  }
}

TEST_CASE("what does not lie in order, or is one number, is laid out first", "[in_place]") {
  const Tensor v = constant({7.F, 8.F, 9.F});
  CHECK(values(set_row(with_values(transpose(table())), row(1), v)) == std::vector<float>{0, 2, 4, 7, 8, 9});
  CHECK(values(set_row(zeros({2, 3}), row(0), v)) == std::vector<float>{7, 8, 9, 0, 0, 0});
  CHECK(values(set_row(with_values(broadcast_to(constant({1.F, 2.F, 3.F}), {2, 3})), row(0), v)) ==
        std::vector<float>{7, 8, 9, 1, 2, 3});
  CHECK(values(set_row(slice(table(4, 3), 0, 1, 3), row(1), v)) == std::vector<float>{3, 4, 5, 7, 8, 9});
  CHECK(values(cast(set_row(cast(zeros({2, 3}), DType::float16), row(1), cast(v, DType::float16)), f32)) ==
        std::vector<float>{0, 0, 0, 7, 8, 9});
  const Tensor x = table(3, 3);
  CHECK(values(set_row(x * 1.F + 0.F, row(0), select(x, 0, 2))) ==
        std::vector<float>{6, 7, 8, 3, 4, 5, 6, 7, 8});
}

TEST_CASE("a row of the tensor itself is read before it is overwritten", "[in_place]") {
  Tensor x = table();
  x = set_row(x, row(0), select(x, 0, 2));
  CHECK(values(x) == std::vector<float>{4, 5, 2, 3, 4, 5});
}

TEST_CASE("many updates of one tensor take no memory but its own", "[in_place]") {
  Tensor x = table(64, 64);
  for (Index i = 0; i < 20; ++i) x = set_row(x, row(i), full({64}, static_cast<double>(i)));
  const PlanReport report = explain_plan(x);
  CHECK(report.arena_bytes == 0);
  CHECK(report.output_bytes == 64 * 64 * 4);
  eval(x);
  CHECK(values(x)[64 * 19] == 19);
  CHECK(values(x)[64 * 20] == 64 * 20);
}

TEST_CASE("a compiled function overwrites what it is given for good, and copies what is held", "[in_place]") {
  const auto set = [](const Tensor& x, const Tensor& i, const Tensor& v) { return set_row(x, i, v); };
  auto compiled = compile(set);
  const Tensor x = table(), y = compiled(x, row(2), constant({7.F, 8.F}));
  CHECK(values(x) == std::vector<float>{0, 1, 2, 3, 4, 5});
  CHECK(values(y) == std::vector<float>{0, 1, 2, 3, 7, 8});
}

// Descent that writes down the gradient of each step, a row a step.
class Logging : public nn::Optimizer {
 public:
  explicit Logging(const nn::Parameter& parameter)
      : Optimizer({parameter}, 0.5), log(with_values(zeros({8, 2}) + 0.F)), number(row(0)) {}
  Tensor log, number;

 private:
  Tensor update(std::size_t, const Tensor& value, const Tensor& gradient) override {
    advance(log, set_row(log, number, gradient));
    advance(number, number + 1);
    return value - gradient * 0.25;
  }
};

// Checks its argument, and is read behind the update.
struct Refuses {
  static constexpr std::string_view name = "refuses";
  static constexpr bool leading_axes = false, stops_gradient = true;
  static Spec infer(const Spec& x) { return x; }
  static void forward(const ArrayView& y, const ArrayView& x) {
    dispatch<floating>(x.dtype, [&]<class T>() {
      for (Index i = 0; i < x.size(); ++i) {
        if (x.as<T>()[i] > 9) throw ValueError("too large");
        y.as<T>()[i] = x.as<T>()[i];
      }
    });
  }
};

TEST_CASE("an optimizer's table is updated where it is, but for what somebody holds", "[in_place]") {
  const bool compiled = GENERATE(false, true);
  CAPTURE(compiled);
  const nn::Parameter p("p", variable(constant({1.F, -2.F})));
  Logging optimizer(p);
  const auto loss = [&](const Tensor& x) { return sum(square(p.value())) + sum(apply(Refuses{}, {x})); };
  auto both = compile([&](const Tensor& x) {
    Tensor l = loss(x);
    optimizer.minimize(l);
    return l;
  });
  const auto step = [&](const Tensor& x) {
    compiled ? static_cast<void>(both(x)) : optimizer.minimize(loss(x));
  };
  const Tensor good = constant({1.F}), bad = constant({10.F});

  step(good);
  const void* place = place_of(optimizer.log);
  step(good);
  CHECK(place_of(optimizer.log) == place);
  CHECK_THROWS_AS(step(bad), ValueError);
  CHECK(values(optimizer.log) == std::vector<float>{2, -4, 1, -2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  const Tensor held = optimizer.log;
  step(good);
  CHECK(values(held)[4] == 0);
  CHECK(values(optimizer.log)[4] == 0.5);
}

TEST_CASE("an evaluation that throws leaves the tensor as it was", "[in_place]") {
  Tensor x = table();
  const Tensor v = constant({5.F, 2.F}), y = set_row(x, row(0), v), z = apply(Refuses{}, {y * 2.F});
  const std::vector<Tensor> both{y, z};
  x = Tensor();
  CHECK_THROWS_AS(eval(std::span<const Tensor>(both)), ValueError);
  CHECK_THROWS_AS(eval(z), ValueError);
  CHECK(values(y) == std::vector<float>{5, 2, 2, 3, 4, 5});
}

struct Misfit : SetRow {
  static Spec infer(const Spec& x, const Spec&, const Spec&) { return {{1}, x.dtype}; }
};
TEST_CASE("an output that is not like its input cannot overwrite it", "[in_place]") {
  CHECK_THROWS_WITH(apply(Misfit{}, {table(), row(0), constant({1.F, 2.F})}),
                    Catch::Contains("not like the input that it overwrites"));
}

// Chains of updates and readers made by chance, with passes and without.
std::vector<std::vector<float>> walk(std::uint64_t seed, const Passes& passes) {
  const WithPasses with(passes);
  std::mt19937_64 random(seed);
  std::vector<Tensor> all{table(5, 4), table(5, 4) * 2.F};
  std::vector<std::vector<float>> seen;
  for (int k = 0; k < 24; ++k) {
    Tensor& x = all[random() % all.size()];
    const Tensor i = row(static_cast<Index>(random() % 6));
    switch (random() % 8) {
      case 0:
        all.push_back(tanh(x));
        break;
      case 1:
        all.push_back(x);
        break;
      case 2:
        x = x + all[random() % all.size()] * 0.5F;
        break;
      case 3:
        eval(x);
        break;
      case 4:
        x = transpose(set_row(with_values(transpose(x)), i, full({5}, 3.0)));
        break;
      case 5:
        x = set_row(x, i, select(all[random() % all.size()], 0, 1));
        break;
      default:
        x = set_row(x, i, select(x, 0, 2) + 1.F);
    }
    if (all.size() > 5) all.erase(all.begin());
    if (random() % 6 == 0) {
      eval(std::span<const Tensor>(all));
      for (const Tensor& tensor : all) seen.push_back(values(tensor));
    }
  }
  for (const Tensor& tensor : all) seen.push_back(values(tensor));
  return seen;
}
TEST_CASE("random updates: the same with all passes and with none", "[in_place][random]") {
  constexpr Passes none{.simplify = false, .order = false, .fuse = false, .reuse = false, .cache = false};
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    INFO("seed " << seed);
    REQUIRE(walk(seed, {}) == walk(seed, none));
  }
}

}  // namespace
}  // namespace gradweave
