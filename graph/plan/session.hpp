// Session: steps that begin with a graph that somebody has built, evaluate it and move slots, as one program
// each, kept by the structure of that graph. What optimizers are built on.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include <gradweave/graph/capture.hpp>
#include <gradweave/graph/evaluate.hpp>

namespace gradweave {

class Plan;
struct Node;

class Session {
 public:
  /// What tells one step's program from another's, beside the structure of what the roots need.
  struct Step {
    std::span<const Tensor> roots;
    std::span<const Node* const> leaves;     ///< by their places in the graph: what the program moves
    std::span<const std::uint64_t> variant;  ///< what else `build` depends on
  };
  /// What moves, as a graph over the roots: any function without arguments. It may look at values, but then
  /// it is called at every step.
  class Build {
   public:
    template <class F>
    Build(const F& f)
        : f_(&f), call_([](const void* function) -> std::vector<StateSlot> {
            return (*static_cast<const F*>(function))();
          }) {}
    std::vector<StateSlot> operator()() const { return call_(f_); }

   private:
    const void* f_;
    std::vector<StateSlot> (*call_)(const void*);
  };

  Session();
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Afterwards whatever the roots need and somebody holds has values and no history. If anything throws, all
  /// is as it was.
  void run(const Step& step, const Build& build);
  /// Shows the program that `run` would run now.
  void explain(const Step& step, const Build& build, const std::function<void(const Plan&)>& show);

 private:
  struct Programs;
  void take(const Step& step);
  std::unique_ptr<Programs> programs_;
};

/// How often this thread has asked for values: what is kept to be run again is not to depend on what was
/// seen.
std::uint64_t looks_of_thread();
/// One more, at what is no tensor.
void note_look();

}  // namespace gradweave
