// What a test leaves behind: memory of nodes and tensors in use, on whichever thread, is as it was before.
#include <cstdio>
#include <cstdlib>
#include <string>

#include <gradweave/graph/evaluate.hpp>
#include <gradweave/graph/memory/storage.hpp>

#define CATCH_CONFIG_EXTERNAL_INTERFACES  // for listeners, in version 2
#include "catch.hpp"

namespace gradweave {
namespace {

#if __has_include(<catch2/catch_all.hpp>)
using Listener = Catch::EventListenerBase;
#else
using Listener = Catch::TestEventListenerBase;
#endif

// Catch2 has no way to fail a test that has ended, so that the program fails at its end.
struct Verdict {
  bool leaked = false;
  ~Verdict() {
    if (!leaked) return;
    std::fflush(nullptr);
    std::_Exit(EXIT_FAILURE);
  }
} verdict;

// Bytes in use, without what the plans of this thread keep for its next evaluation.
std::size_t in_use() {
  clear_plan_cache();
  release_cached_memory();  // and scratch memory
  return memory_use().now;
}

class LeakListener : public Listener {
 public:
  using Listener::Listener;
  void testCaseStarting(const Catch::TestCaseInfo& test) override {
    name_ = test.name;
    before_ = in_use();
  }
  void testCaseEnded(const Catch::TestCaseStats&) override {
    const std::size_t after = in_use();
    if (after == before_) return;
    verdict.leaked = true;
    std::fprintf(stderr, "FAILED: \"%s\" began with %zu bytes in use and ended with %zu\n", name_.c_str(),
                 before_, after);
  }

 private:
  std::string name_;
  std::size_t before_ = 0;
};
CATCH_REGISTER_LISTENER(LeakListener)

}  // namespace
}  // namespace gradweave
