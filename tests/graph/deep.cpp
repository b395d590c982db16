// Graphs as deep as memory allows: ten million nodes in a chain, on a stack of 256 KiB.

#include <stdexcept>

#include <gradweave/ops/ops.hpp>

#include "catch.hpp"
#include "support.hpp"

#ifdef __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define GRADWEAVE_SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define GRADWEAVE_SANITIZED
#endif

namespace gradweave {
namespace {

#ifdef GRADWEAVE_SANITIZED
constexpr Index depth = 200'000;
#else
constexpr Index depth = 10'000'000;
#endif

TEST_CASE("a chain of ten million nodes is built, differentiated, evaluated and destroyed", "[deep]") {
  double value = 0, slope = 0;
  on_small_stack([&] {
    const Tensor x = variable(1.5, DType::float64);
    Tensor y = x;
    for (Index i = 0; i < depth; ++i) y = -y;
    const auto [g] = gradients(y, {x});
    eval(y, g);
    value = y.item<double>();
    slope = g.item<double>();
  });
  CHECK(value == 1.5);  // the depth is even
  CHECK(slope == 1);
}

TEST_CASE("a deep chain that is never evaluated is destroyed", "[deep]") {
  on_small_stack([] {
    Tensor y = variable(1, DType::float64);
    for (Index i = 0; i < depth / 10; ++i) y = y + y;  // a ladder: 2^depth paths
  });
  SUCCEED();
}

TEST_CASE("second derivatives of a deep chain", "[deep]") {
  double curvature = 0;
  on_small_stack([&] {
    const Tensor x = variable(2, DType::float64);
    Tensor y = x * x;
    for (Index i = 0; i < depth / 100; ++i) y = -y;
    const auto [g] = gradients(y, {x});
    curvature = gradients(g, {x})[0].item<double>();
  });
  CHECK(curvature == 2);
}

TEST_CASE("a recurrence that releases its history stays small", "[deep]") {
  Tensor state = constant(0, DType::float64);
  for (Index i = 0; i < depth / 100; ++i) {
    state = state + 1;
    evaluate(std::span(&state, 1), History::release);
  }
  CHECK(state.item<Index>() == depth / 100);
}

}  // namespace
}  // namespace gradweave
