// Catch2, version 2 (Debian 12) or 3 (Ubuntu 24.04), under version 3's names.
#pragma once
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
namespace Catch {
using Detail::Approx;
namespace Matchers {
using Impl::MatcherBase;
inline auto ContainsSubstring(const std::string& text) { return Contains(text); }
}  // namespace Matchers
}  // namespace Catch
#endif

/// Ends the test case where something that it needs is not on this machine; ctest counts it as skipped.
#define SKIP_TEST(message)        \
  do {                            \
    WARN("skipped: " << message); \
    return;                       \
  } while (false)
