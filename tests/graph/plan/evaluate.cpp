#include <gradweave/graph/evaluate.hpp>

#include <cmath>

#include <gradweave/graph/gradients.hpp>
#include <gradweave/graph/memory.hpp>
#include <gradweave/graph/memory/storage.hpp>
#include <gradweave/graph/node.hpp>
#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave {
namespace {

using Floats = std::vector<float>;

TEST_CASE("nothing is computed before it is asked for", "[evaluate]") {
  const Tensor y = exp(constant({0, 1}));
  CHECK_FALSE(y.is_evaluated());
  CHECK(y.shape() == Shape{2});
  eval(y);
  CHECK(y.is_evaluated());
}

TEST_CASE("what the user holds is kept, scratch is freed", "[evaluate]") {
  const Tensor x = variable({1, 2});
  const Tensor held = x * x;
  Node* scratch = nullptr;
  Tensor y;
  {
    const Tensor hidden = exp(held);
    scratch = hidden.node();
    y = sum(hidden);
  }
  eval(y);
  CHECK(held.is_evaluated());
  CHECK(y.is_evaluated());
  CHECK_FALSE(scratch->evaluated());  // still in the graph of the tracked y, but without values
  CHECK(scratch->storage.get() == nullptr);
}

TEST_CASE("scratch whose values are needed again is computed again", "[evaluate]") {
  const Tensor x = variable({1, 2});
  const Tensor y = sum(square(exp(x)));
  eval(y);
  const auto [g] = gradients(y, {x});
  const Floats values = g.to_vector();
  CHECK(values[0] == Approx(2 * std::exp(2.0)));
  CHECK(values[1] == Approx(2 * std::exp(4.0)));
}

// What is kept of the hidden layer of a small network when its outputs, or what `of` makes of them, are asked
// for.
template <class F>
bool keeps_hidden(const Tensor& x, const Tensor& weights, const F& of) {
  Tensor hidden = tanh(matmul(x, weights));
  const Node* node = hidden.node();
  const Tensor y = matmul(hidden, weights);
  hidden = {};
  const auto asked_for = of(y);
  eval(std::span<const Tensor>(asked_for));
  return node->evaluated();
}

TEST_CASE("a look at the outputs of a small network keeps what its reverse pass reads", "[evaluate]") {
  const Tensor x = ones({16, 32}) * 0.5, weights = variable(ones({32, 32}) * 0.25);
  const auto itself = [](const Tensor& y) { return std::vector{y}; };
  CHECK(keeps_hidden(x, weights, itself));
  CHECK(keeps_hidden(x, weights, [](const Tensor& y) { return std::vector{mean(square(y))}; }));

  SECTION("but not what is soon computed again") {
    CHECK_FALSE(keeps_hidden(ones({4, 32}), weights, itself));
  }
  SECTION("nor in a large network, which may be used without gradients") {
    CHECK(keeps_hidden(ones({2048, 32}), weights, itself));  // 256 KiB
    CHECK_FALSE(keeps_hidden(ones({2049, 32}), weights, itself));
  }
  SECTION("nor next to the reverse pass itself") {
    CHECK_FALSE(keeps_hidden(x, weights, [&](const Tensor& y) {
      return std::vector{y, gradients(mean(y), {weights})[0]};
    }));
  }
  SECTION("nor within a budget") {
    const MemoryBudget budget(1 << 20);
    CHECK_FALSE(keeps_hidden(x, weights, itself));
  }
}

TEST_CASE("gradients after a look are those without one, bit for bit", "[evaluate]") {
  const Tensor x = ones({16, 32}) * 0.5, weights = variable(cast(arange(1024), DType::float32) / 4096);
  const auto gradient = [&](bool looks) {
    const Tensor w = reshape(weights, {32, 32}), y = matmul(tanh(matmul(x, w)), w);
    if (looks) eval(y);
    return gradients(mean(square(y)), {weights})[0].to_vector();
  };
  CHECK(gradient(true) == gradient(false));
}

TEST_CASE("several tensors are evaluated as one program", "[evaluate]") {
  const Tensor x = constant({1, 2}) + 1;
  const Tensor a = x * 2, b = x * 3;
  eval(a, b);
  CHECK(x.is_evaluated());
  CHECK(a.to_vector() == Floats{4, 6});
  CHECK(b.to_vector() == Floats{6, 9});
}

TEST_CASE("evaluated data lets go of its inputs, so a running average does not grow", "[evaluate]") {
  Tensor average = constant(0);
  for (int step = 0; step < 100; ++step) {
    average = average * 0.9 + constant(1) * 0.1;
    eval(average);
    REQUIRE(average.node()->input_count == 0);
  }
  CHECK(average.item() == Approx(1 - std::pow(0.9, 100)));
}

TEST_CASE("what depends on a variable keeps its history", "[evaluate]") {
  const Tensor x = variable({3});
  const Tensor y = x * x;
  eval(y);
  CHECK(gradients(y, {x})[0].to_vector() == Floats{6});
}

TEST_CASE("History::release lets go of everything, and gradients then say why not", "[evaluate]") {
  const Tensor x = variable({3});
  const Tensor y = x * x, z = y + 1;
  evaluate(std::span(&z, 1), History::release);
  CHECK(z.item() == 10.0F);
  CHECK_FALSE(z.is_tracked());
  CHECK_THROWS_AS(gradients(z, {x}), GraphError);
  CHECK_THROWS_WITH(gradients(z, {x}), Catch::Matchers::ContainsSubstring("released"));
  CHECK(x.is_tracked());  // the leaf is what it was
  CHECK(x.item() == 3.0F);
}

TEST_CASE("an update of memory that nobody else refers to happens in place", "[evaluate]") {
  Tensor state = constant(std::vector<float>(1000, 1)) + 0;
  eval(state);
  const void* address = state.data<float>().data();
  state = state * 2;
  evaluate(std::span(&state, 1), History::release);
  CHECK(state.data<float>().data() == address);
  CHECK(state.data<float>()[999] == 2.0F);
}

TEST_CASE("an update of memory that somebody holds leaves it alone", "[evaluate]") {
  const Tensor before = constant(std::vector<float>(1000, 1)) + 0;
  eval(before);
  SECTION("a second handle") {
    const Tensor after = before * 2;
    evaluate(std::span(&after, 1), History::release);
    CHECK(after.data<float>()[0] == 2.0F);
  }
  SECTION("a view") {
    const Tensor view = slice(before, 0, 0, 10);
    eval(view);
    const Tensor after = before * 2;
    evaluate(std::span(&after, 1), History::release);
    CHECK(view.data<float>()[0] == 1.0F);
  }
  CHECK(before.data<float>()[0] == 1.0F);
}

TEST_CASE("views of scratch keep its memory", "[evaluate]") {
  const Tensor y = transpose(exp(constant({{0, 1, 2}, {3, 4, 5}})) * 0 + constant({{0, 1, 2}, {3, 4, 5}}));
  CHECK(y.to_vector() == Floats{0, 3, 1, 4, 2, 5});
  const Tensor other = constant({{9, 9, 9}, {9, 9, 9}}) + 1;  // would take the memory if it were free
  eval(other);
  CHECK(y.to_vector() == Floats{0, 3, 1, 4, 2, 5});
}

TEST_CASE("an op that fails while running leaves the graph as it was", "[evaluate]") {
  const Tensor x = variable({1, 2, 3});
  const Tensor doubled = x * 2;
  const Tensor index = arange(3) + 1;  // 3 is outside
  const Tensor bad = take(doubled, index) + 1, good = doubled + 1;
  CHECK_THROWS_AS(eval(good, bad), ValueError);
  CHECK_THROWS_AS(eval(bad), ValueError);  // and fails the same way again
  CHECK_FALSE(bad.is_evaluated());
  CHECK(good.to_vector() == Floats{3, 5, 7});
  CHECK(gradients(sum(good), {x})[0].to_vector() == Floats{2, 2, 2});
}

TEST_CASE("the same tensor several times over", "[evaluate]") {
  const Tensor x = constant({1, 2}) + 0;
  const Tensor y = x + x;
  eval(y, y, x);
  CHECK(y.to_vector() == Floats{2, 4});
  CHECK((y * y).to_vector() == Floats{4, 16});
}

TEST_CASE("the gradient of a weight that serves thousands of times takes the memory of one", "[evaluate]") {
  constexpr std::size_t mebibyte = std::size_t{1} << 20U;
  constexpr int steps = 4000;  // a gradient of 16 KiB each, in a graph of several plans
  const Tensor w = variable(constant(std::vector<float>(64 * 64, 0.01F), {64, 64})),
               start = constant(std::vector<float>(64, 0.5F), {1, 64});
  release_cached_memory();
  const std::size_t before = memory_use().now;
  Tensor h = start, y = sum(start);
  for (int i = 0; i < steps; ++i) {
    h = tanh(linear(h, w));
    y = y + sum(square(h));
  }
  const auto [dw] = gradients(y, {w});
  h = y = {};
  eval(dw);
  CHECK(memory_use().peak - before < 32 * mebibyte);
  CHECK(std::isfinite(sum(dw).item()));
}

}  // namespace
}  // namespace gradweave
