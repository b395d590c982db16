// What many tests use: short names, and values compared.
#pragma once
#include <pthread.h>

#include <limits>
#include <vector>

#include <gradweave/graph/kernels/parallel.hpp>
#include <gradweave/graph/memory.hpp>
#include <gradweave/graph/plan/passes.hpp>
#include <gradweave/graph/tensor.hpp>

#include "catch.hpp"

namespace gradweave {

/// Whether a sanitizer looks at this build.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool is_sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool is_sanitized = true;
#else
inline constexpr bool is_sanitized = false;
#endif
#else
inline constexpr bool is_sanitized = false;
#endif

inline constexpr DType f32 = DType::float32, f64 = DType::float64, i64 = DType::int64;
inline constexpr double inf = std::numeric_limits<double>::infinity();
inline constexpr double nan = std::numeric_limits<double>::quiet_NaN();
using Doubles = std::vector<double>;

inline std::vector<float> values(const Tensor& t) { return t.to_vector<float>(); }

/// Each to within `tolerance` of what is expected, or 1e-12 next to zero.
inline void check_values(const Tensor& found, const Doubles& expected, double tolerance = 1e-8) {
  const Doubles values = found.to_vector<double>();
  REQUIRE(values.size() == expected.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    CHECK(values[i] == Approx(expected[i]).epsilon(tolerance).margin(1e-12));
}

/// Runs f on a thread whose stack a recursion over the graph would soon have used up.
template <std::size_t bytes = std::size_t{256} * 1024, class F>
void on_small_stack(F f) {
  pthread_attr_t attributes;
  REQUIRE(pthread_attr_init(&attributes) == 0);
  REQUIRE(pthread_attr_setstacksize(&attributes, bytes) == 0);
  pthread_t thread{};
  const auto start = [](void* argument) -> void* {
    (*static_cast<F*>(argument))();
    return nullptr;
  };
  REQUIRE(pthread_create(&thread, &attributes, start, &f) == 0);
  REQUIRE(pthread_join(thread, nullptr) == 0);
  pthread_attr_destroy(&attributes);
}

/// One way to evaluate a function: the last two are for whoever calls it, the others hold meanwhile.
struct Mode {
  const char* name;
  int threads = 1;
  Passes passes{};
  std::size_t budget = MemoryBudget::unlimited;
  bool compiled = false;
  bool checkpointed = false;
};

/// Calls body(mode) in every mode.
template <class Body>
void for_each_mode(const Body& body) {
  constexpr Passes none{false, false, false, false, false};
  constexpr Mode modes[] = {
      {.name = "plain"},
      {.name = "four threads", .threads = 4},
      {.name = "no passes", .passes = none},
      {.name = "no passes, four threads", .threads = 4, .passes = none},
      {.name = "little memory", .budget = 1},
      {.name = "checkpointed", .checkpointed = true},
      {.name = "compiled", .compiled = true},
      {.name = "compiled, four threads", .threads = 4, .compiled = true},
      {.name = "compiled, no passes", .passes = none, .compiled = true},
      {.name = "compiled, little memory", .budget = 1, .compiled = true},
      {.name = "compiled, checkpointed, four threads", .threads = 4, .compiled = true, .checkpointed = true},
  };
  struct Threads {
    int before = get_num_threads();
    ~Threads() { set_num_threads(before); }
  };
  const Threads restored;
  for (const Mode& mode : modes) {
    INFO("mode: " << mode.name);
    set_num_threads(mode.threads);
    const WithPasses passes(mode.passes);
    const MemoryBudget budget(mode.budget);
    body(mode);
  }
}

}  // namespace gradweave
