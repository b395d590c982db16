// Work split over threads: every block once, the same bits at any number of threads, errors and nesting.
#include <array>
#include <atomic>
#include <bit>
#include <cfenv>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gradweave/graph/define.hpp>
#include <gradweave/graph/kernels/fused_loop.hpp>
#include <gradweave/graph/kernels/parallel.hpp>
#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

#ifndef __has_feature  // Clang's
#define __has_feature(x) 0
#endif

namespace gradweave {
namespace {

// As it was, when a test ends.
struct Threads {
  explicit Threads(int count) { set_num_threads(count); }
  ~Threads() { set_num_threads(before); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  int before = get_num_threads();
};

// How often each of `count` elements is visited, plus the size of the block it was in.
std::vector<Index> visits(Index count, Index grain) {
  std::vector<Index> seen(static_cast<std::size_t>(count));
  parallel_for(count, grain, [&](Index first, Index last) {
    for (Index i = first; i < last; ++i) seen[static_cast<std::size_t>(i)] += 1000 + last - first;
  });
  return seen;
}

TEST_CASE("blocks are the same at any number of threads, and each is computed once", "[parallel][threads]") {
  for (const int threads : {1, 2, 3, 7}) {
    const Threads used(threads);
    CHECK(visits(7, 3) == std::vector<Index>{1003, 1003, 1003, 1003, 1003, 1003, 1001});
    CHECK(visits(4, 4) == std::vector<Index>{1004, 1004, 1004, 1004});
    CHECK(visits(2, 0) == std::vector<Index>{1001, 1001});
    CHECK(visits(0, 5).empty());
    for (int round = 0; round < 200; ++round) REQUIRE(visits(1000, 1) == std::vector<Index>(1000, 1001));
  }
}

TEST_CASE("blocks run on several threads", "[parallel][threads]") {
  const Threads used(2);
  std::atomic<int> inside = 0;
  std::atomic<bool> met = false;
  parallel_for(2, 1, [&](Index, Index) {  // neither block ends before the other has begun
    ++inside;
    while (inside < 2) std::this_thread::yield();
    met = true;
  });
  CHECK(met);
}

TEST_CASE("the error of the earliest block reaches the caller, and the workers live on",
          "[parallel][threads]") {
  for (const int threads : {1, 2, 7}) {
    const Threads used(threads);
    for (int round = 0; round < 20; ++round) {
      std::string message;
      try {
        parallel_for(100, 1, [](Index first, Index) {
          if (first >= 13) throw std::runtime_error(std::to_string(first));
        });
      } catch (const std::runtime_error& error) {
        message = error.what();
      }
      REQUIRE(message == "13");
      REQUIRE(visits(64, 1) == std::vector<Index>(64, 1001));
    }
  }
}

TEST_CASE("inside of a block everything runs on its thread", "[parallel][threads]") {
  const Threads used(4);
  std::atomic<int> elsewhere = 0;
  std::atomic<Index> total = 0;
  parallel_for(16, 1, [&](Index, Index) {
    const auto here = std::this_thread::get_id();
    parallel_for(32, 1, [&](Index first, Index last) {
      total += last - first;
      elsewhere += std::this_thread::get_id() != here;
    });
  });
  CHECK(total == 16 * 32);
  CHECK(elsewhere == 0);
}

TEST_CASE("many threads ask for workers at once", "[parallel][threads]") {
  const Threads used(3);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int round = 0; round < 100; ++round) wrong += visits(100, 1) != std::vector<Index>(100, 1001);
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

// What `f` gives on the caller and on a worker.
template <class F>
auto on_both(const F& f) {
  const Threads used(2);
  const auto caller = std::this_thread::get_id();
  std::atomic<int> inside = 0;
  std::array<decltype(f()), 2> results{};
  parallel_for(2, 1, [&](Index, Index) {
    ++inside;
    while (inside < 2) std::this_thread::yield();
    results[std::this_thread::get_id() == caller ? 0 : 1] = f();
  });
  return results;
}

TEST_CASE("workers round as the caller does", "[parallel][threads]") {
  const auto third = [] {
    const volatile double three = 3;
    return 1 / three;
  };
  const double usual = on_both(third)[1];
  for (const int mode : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO, FE_TONEAREST}) {
    std::fesetround(mode);
    const auto [caller, worker] = on_both(third);
    std::fesetround(FE_TONEAREST);
    CHECK(worker == caller);
    CHECK((worker != usual) == (mode == FE_UPWARD));  // the nearest is below
  }
#ifdef __SSE__
  const auto tiny = [] {
    const volatile float least = std::numeric_limits<float>::min();
    return least / 2;
  };
  constexpr unsigned flush_to_zero = 0x8000;
  const unsigned before = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(before | flush_to_zero);
  const auto flushed = on_both(tiny);
  __builtin_ia32_ldmxcsr(before);
  CHECK(flushed == std::array<float, 2>{0, 0});
  CHECK(on_both(tiny)[1] > 0);
#endif
}

TEST_CASE("workers leave signals to the application", "[parallel][threads]") {
  const auto blocked = [](int signal) {
    return on_both([signal] {
      sigset_t mask;
      pthread_sigmask(SIG_BLOCK, nullptr, &mask);
      return sigismember(&mask, signal);
    });
  };
  CHECK(blocked(SIGTERM) == std::array{0, 1});
  CHECK(blocked(SIGUSR1) == std::array{0, 1});
  CHECK(blocked(SIGSEGV) == std::array{0, 0});
}

#if !defined(__SANITIZE_THREAD__) && !__has_feature(thread_sanitizer)  // which refuses threads after a fork
TEST_CASE("a forked process has workers of its own", "[parallel][threads]") {
  const Threads used(2);
  REQUIRE(visits(10, 1) == std::vector<Index>(10, 1001));
  const pid_t child = fork();
  if (child == 0) _exit(visits(10, 1) == std::vector<Index>(10, 1001) ? 0 : 1);
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

TEST_CASE("without a thread to be had the caller does all", "[parallel][threads]") {
  const Threads used(4);
  const pid_t child = fork();
  if (child == 0) {
    pthread_attr_t too_large;
    pthread_attr_init(&too_large);
    pthread_attr_setstacksize(&too_large, std::size_t{1} << 50U);
    if (pthread_setattr_default_np(&too_large) != 0) _exit(2);
    _exit(visits(10, 1) == std::vector<Index>(10, 1001) ? 0 : 1);
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}
#endif

TEST_CASE("numbers of threads that make no sense are refused", "[parallel]") {
  const int before = get_num_threads();
  CHECK(before >= 1);
  CHECK_THROWS_AS(set_num_threads(0), ValueError);
  CHECK_THROWS_AS(set_num_threads(-3), ValueError);
  CHECK_THROWS_AS(set_num_threads(1'000'000), ValueError);
  CHECK(get_num_threads() == before);
}

// The bits of what `f` computes, which must be large enough for several parts.
template <class F>
void check_same_bits(const char* name, const F& f) {
  INFO(name);
  std::vector<std::vector<double>> results;
  for (const int threads : {1, 2, 3, 7}) {
    const Threads used(threads);
    results.push_back(f().template to_vector<double>());
  }
  const auto bits = [](double a, double b) {
    return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
  };
  for (const auto& result : results) CHECK(std::ranges::equal(result, results[0], bits));
}

TEST_CASE("every op gives the same bits at any number of threads", "[parallel][threads]") {
  Generator generator(1);
  const auto random = [&](const Shape& shape) {
    const Tensor x = random_normal(shape, generator) + 0;
    eval(x);
    return x;
  };
  const Tensor a = random({300, 501}), b = random({501, 258}), wide = random({501, 2000});
  check_same_bits("matmul", [&] { return matmul(a, b); });
  check_same_bits("matmul, transposed", [&] { return matmul(transpose(b), transpose(a)); });
  check_same_bits("matmul, wide", [&] { return matmul(a, wide); });
  const Tensor x = random({40, 3, 70, 65}), y = random({3, 65, 90});
  check_same_bits("batched matmul", [&] { return matmul(x, y); });
  const Tensor rows = random({3000, 257});
  check_same_bits("sum of rows", [&] { return sum(rows, {1}); });
  check_same_bits("sum of columns", [&] { return sum(rows, {0}); });
  check_same_bits("sum", [&] { return sum(rows); });
  check_same_bits("sum over a middle axis", [&] { return sum(x, {1}); });
  check_same_bits("sum over leading and trailing axes", [&] { return sum(x, {0, 2}); });
  check_same_bits("sum of a few large parts", [&] { return sum(reshape(rows, {2, 3, 500, 257}), {0, 2}); });
  check_same_bits("max over leading axes", [&] { return max(x, {0, 1}); });
  check_same_bits("max_pool2d", [&] { return max_pool2d(x, 2); });
  check_same_bits("max_pool2d, windows that overlap", [&] { return max_pool2d(x, 3, {.stride = 2}); });
  check_same_bits("derivative of max_pool2d", [&] {
    const Tensor images = variable(x);
    return gradients(sum(sin(max_pool2d(images, 3, {.stride = 2}))), {images})[0];
  });
  check_same_bits("a resized image and its derivative", [&] {
    const Tensor images = variable(x);
    const Tensor small =
        interpolate(expand_dims(images, 0), {.size = {3, 31, 90}, .mode = Resampling::linear});
    return gradients(sum(sin(small)), {images})[0];
  });
  check_same_bits("windows and what they add up to",
                  [&] { return fold_axis(sin(unfold(x, 2, 5, 2)), 2, 69, 2); });
  check_same_bits("max", [&] { return max(rows, {-1}); });
  check_same_bits("min", [&] { return min(rows, {-1}); });
  check_same_bits("logsumexp", [&] { return logsumexp(rows, {-1}); });
  check_same_bits("softmax", [&] { return softmax(rows); });
  check_same_bits("argmax of rows", [&] { return argmax(rows, 1); });
  check_same_bits("argmax in the middle", [&] { return argmax(reshape(rows, {300, 10, 257}), 1); });
  const Tensor indices = cast(random_uniform({5000}, generator) * 3000, DType::int64) + 0;
  eval(indices);
  check_same_bits("take of rows", [&] { return take(rows, indices, 0); });
  check_same_bits("take of columns", [&] { return take(transpose(rows), indices, 1); });
  check_same_bits("derivative of take", [&] {
    const Tensor table = variable(rows);
    return gradients(sum(sin(take(table, indices))), {table})[0];
  });
  check_same_bits("elementwise", [&] { return sigmoid(rows * 1.5 + 0.25) * rows; });
  check_same_bits("elementwise, broadcast", [&] { return exp(rows) / slice(rows, 0, 0, 1); });
}

struct Cheap {
  static constexpr std::string_view name = "cheap";
  static constexpr bool not_differentiable = true;
  static auto forward(const auto& x) { return x + x; }
};
struct Costly {
  static constexpr std::string_view name = "costly";
  static constexpr bool not_differentiable = true;
  static auto forward(const auto& x) { return x.exp().log().tanh(); }
};

TEST_CASE("the more an op has to do for an element, the fewer make work for a thread", "[parallel]") {
  const auto grain = [](std::initializer_list<const Operation*> ops) {
    FusedLoop blocks;
    const FusedLoop::Operand x = blocks.add_array(DType::float32);
    for (const Operation* op : ops) blocks.add_instruction(op->block(DType::float32), nullptr, {&x, 1}, x);
    blocks.finish(1 << 20);
    return blocks.grain();
  };
  const Operation &cheap = operation_of<Cheap>(), &costly = operation_of<Costly>();
  CHECK(grain({&cheap}) > 5 * grain({&costly}));
  CHECK(grain({&cheap}) > grain({&cheap, &cheap}));
  CHECK(grain({&costly}) > grain({&costly, &costly}));
}

TEST_CASE("large products are right, part by part", "[parallel][threads]") {
  // Whole numbers, so that sums are exact: a(i, l) = i + l, b(l, j) = l - j.
  constexpr Index n = 333, k = 300, m = 401;
  std::vector<float> a, b, expected;
  for (Index i = 0; i < n; ++i) {
    for (Index l = 0; l < k; ++l) a.push_back(static_cast<float>((i + l) % 8));
  }
  for (Index l = 0; l < k; ++l) {
    for (Index j = 0; j < m; ++j) b.push_back(static_cast<float>((3 * l + j) % 16 - 8));
  }
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < m; ++j) {
      Index total = 0;
      for (Index l = 0; l < k; ++l) total += (i + l) % 8 * ((3 * l + j) % 16 - 8);
      expected.push_back(static_cast<float>(total));
    }
  }
  const Tensor left = reshape(constant(a), {n, k}), right = reshape(constant(b), {k, m});
  const Tensor left_t = transpose(left) + 0, right_t = transpose(right) + 0;
  const Threads used(3);
  CHECK(matmul(left, right).to_vector() == expected);
  CHECK(matmul(transpose(left_t), right).to_vector() == expected);
  CHECK(matmul(left, transpose(right_t)).to_vector() == expected);
  CHECK(matmul(transpose(left_t), transpose(right_t)).to_vector() == expected);
  const Tensor batch = matmul(stack({left, left, left}), stack({right, right, right}));
  CHECK(select(batch, 0, 2).to_vector() == expected);
}

TEST_CASE("an index outside of a table is an error of the same text at any number of threads",
          "[parallel][threads]") {
  std::vector<Index> indices(100'000, 1);
  indices[70'000] = 9, indices[99'000] = -5;
  const Tensor table = ones({4, 8});
  for (const int threads : {1, 3}) {
    const Threads used(threads);
    CHECK_THROWS_WITH(eval(take(table, constant(indices))),
                      Catch::Matchers::ContainsSubstring("index 9 at position 70000"));
  }
}

}  // namespace
}  // namespace gradweave
