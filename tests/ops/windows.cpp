// Windows of signals, by known numbers. (All of them beside PyTorch's: pytorch/replay.cpp.)
#include <gradweave/ops/windows.hpp>

#include <array>
#include <cmath>

#include "../catch.hpp"
#include "../support.hpp"

namespace gradweave::windows_tests {
namespace {

TEST_CASE("windows fade towards both ends, or begin anew after the last", "[ops][windows]") {
  check_values(windows::hann(4, {.dtype = f64}), {0, 0.75, 0.75, 0});
  check_values(windows::hann(4, {.symmetric = false, .dtype = f64}), {0, 0.5, 1, 0.5});
  check_values(windows::hamming(3, {.dtype = f64}), {0.08, 1, 0.08});
  check_values(windows::bartlett(5, {.dtype = f64}), {0, 0.5, 1, 0.5, 0});
  check_values(windows::kaiser(3, 0, {.dtype = f64}), {1, 1, 1});
  check_values(windows::gaussian(3, 1, {.dtype = f64}), {std::exp(-0.5), 1, std::exp(-0.5)});
  CHECK(windows::blackman(1).to_vector() == std::vector<float>{1});
  CHECK(windows::cosine(0).shape() == Shape{0});
}

TEST_CASE("what makes no window is an error", "[ops][windows]") {
  CHECK_THROWS_WITH(windows::hann(-1), Catch::Contains("a window of -1 numbers"));
  CHECK_THROWS_AS(windows::exponential(3, 0), ValueError);
  CHECK_THROWS_AS(windows::gaussian(3, -1), ValueError);
  CHECK_THROWS_AS(windows::kaiser(3, nan), ValueError);
  CHECK_THROWS_AS(windows::general_cosine(3, std::array<double, 0>{}), ValueError);
}

}  // namespace
}  // namespace gradweave::windows_tests
