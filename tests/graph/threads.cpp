// Parameters are shared by many threads: inference and gradients from all of them at once.
#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include <gradweave/graph/body.hpp>
#include <gradweave/graph/scope.hpp>
#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave {
namespace {

constexpr int thread_count = 8;
constexpr int rounds = 50;

template <class F>
void on_threads(F f) {
  std::vector<std::thread> threads;
  for (int t = 0; t < thread_count; ++t) threads.emplace_back(f, t);
  for (std::thread& thread : threads) thread.join();
}

TEST_CASE("threads compute values and gradients with shared parameters", "[threads]") {
  Generator generator(1);
  const Tensor w = variable(random_normal({16, 8}, generator)), b = variable(random_normal({8}, generator));
  const Tensor x = random_normal({4, 16}, generator) + 0;
  eval(x);
  const auto loss = [&] { return mean(square(sigmoid(matmul(x, w) + b))); };
  const float expected = loss().item();
  const auto [dw, db] = gradients(loss(), {w, b});
  const auto expected_dw = dw.to_vector(), expected_db = db.to_vector();

  std::atomic<int> wrong = 0;  // Catch2's macros belong to one thread
  on_threads([&](int) {
    for (int round = 0; round < rounds; ++round) {
      const Tensor y = loss();
      const auto [gw, gb] = gradients(y, {w, b});
      eval(y, gw, gb);
      wrong += y.item() != expected || gw.to_vector() != expected_dw || gb.to_vector() != expected_db;
    }
  });
  CHECK(wrong == 0);
}

TEST_CASE("threads run one body at once", "[threads]") {
  std::vector<Tensor> captured;
  const Tensor w = constant({3.0, 4.0}), x = constant({1.0, 2.0});
  const Body body = Body::trace(
      [&](std::span<const Tensor> in) {
        return std::vector{in[0] * w, exp(in[0])};
      },
      {&x, 1}, captured);
  std::atomic<int> wrong = 0;
  on_threads([&](int t) {
    const Shape two{2};
    std::vector<float> weights{3, 4}, in{static_cast<float>(t), 1}, out(2);
    for (int round = 0; round < rounds; ++round) {
      const std::array<ArrayView, 2> inputs{
          {{in.data(), DType::float32, two, {}}, {weights.data(), DType::float32, two, {}}}};
      body.run(inputs, std::array<ArrayView, 2>{
                           {{out.data(), DType::float32, two, {}}, {nullptr, DType::float32, two, {}}}});
      wrong += out != std::vector<float>{3 * in[0], 4};
    }
  });
  CHECK(wrong == 0);
}

TEST_CASE("a tensor made by one thread is released by another", "[threads]") {
  std::vector<Tensor> made(thread_count);
  on_threads([&](int t) {
    Tensor y = variable(static_cast<double>(t));
    for (int k = 0; k < 1000; ++k) y = y + 1;
    eval(y);
    made[static_cast<std::size_t>(t)] = y;
  });
  float total = 0;
  for (Tensor& y : made) {
    total += y.item();
    y = {};
  }
  CHECK(total == 1000 * thread_count + 28);
}

// Made before the library's own objects of the thread, it is destroyed after them.
struct AtThreadEnd {
  std::vector<float>* result;
  ~AtThreadEnd() {
    const Tensor x = variable({{1, 2}, {3, 4}});
    const Tensor loss = sum(square(matmul(x, x)));
    *result = gradients(loss, {x})[0].to_vector();
    clear_plan_cache();
    if (plan_cache_statistics().entries != 0) result->clear();
  }
};

TEST_CASE("objects that the end of a thread destroys may evaluate", "[threads]") {
  std::vector<float> result;
  std::thread([&] {
    thread_local AtThreadEnd last{&result};
    static_cast<void>(last);
    eval(exp(constant(1)));
  }).join();
  CHECK(result == std::vector<float>{158, 274, 266, 482});
}

TEST_CASE("the plans of a thread are given back when asked for", "[threads]") {
  const Tensor x = constant({1, 2, 3});
  eval(exp(x) * 2);
  CHECK(plan_cache_statistics().entries > 0);
  clear_plan_cache();
  CHECK(plan_cache_statistics().entries == 0);
  CHECK((x * 2).to_vector() == std::vector<float>{2, 4, 6});
}

TEST_CASE("each thread has a scope of its own", "[threads]") {
  const Scope here("main");
  std::atomic<int> wrong = 0;
  on_threads([&](int t) {
    wrong += Scope::current() != nullptr;
    const Scope scope("thread" + std::to_string(t));
    wrong += Scope::current()->path != "thread" + std::to_string(t);
  });
  CHECK(wrong == 0);
  CHECK(Scope::current()->path == "main");
}

}  // namespace
}  // namespace gradweave
