// The passes of the planner, and how to switch them off.
#pragma once
#include <string_view>

namespace gradweave {

/// The passes of the planner, which can be switched off one by one: results stay the same.
struct Passes {
  bool simplify = true;  ///< the table of rewrites: equal nodes once, constants at planning time, x for x * 1
  bool order = true;     ///< the reverse pass goes back through the forward pass and frees values on the way
  bool fuse = true;      ///< elementwise ops run with the ops that they follow, block by block
  bool reuse = true;     ///< memory is used again after its last reader, and updates are done in place
  bool cache = true;     ///< the plan is kept for other graphs of the same structure
  std::string_view without = {};  ///< one rewrite, by the name that reports give it, is left out
  friend bool operator==(const Passes&, const Passes&) = default;
};

/// While it lives, this thread plans with these passes.
class WithPasses {
 public:
  explicit WithPasses(const Passes& passes);
  ~WithPasses();
  WithPasses(const WithPasses&) = delete;
  WithPasses& operator=(const WithPasses&) = delete;
  static const Passes& current();

 private:
  Passes outer_;
};

}  // namespace gradweave
