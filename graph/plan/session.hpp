// Session: steps that evaluate a graph which somebody has built and move slots, each step as one captured
// program. Programs are kept by the structure of the graph. Optimizers are built on sessions.
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
  /// A step's program is found by the structure of the graph behind the roots and by these.
  struct Step {
    std::span<const Tensor> roots;
    std::span<const Node* const> leaves;     ///< by their places in the graph: what the program moves
    std::span<const std::uint64_t> variant;  ///< what else `build` depends on
  };
  /// Builds the slots' next tensors, as a graph over the roots: any function without arguments. A function
  /// that looks at values is called at every step, since its program is not kept.
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

  /// Runs the step. Afterwards all nodes behind the roots that somebody holds have values and no history. If
  /// anything throws, slots and nodes are as before.
  void run(const Step& step, const Build& build);
  /// Shows the program that `run` would run now.
  void explain(const Step& step, const Build& build, const std::function<void(const Plan&)>& show);

 private:
  struct Programs;
  void take(const Step& step);
  std::unique_ptr<Programs> programs_;
};

/// How often this thread has asked for values. A program is kept for later steps only if the thread asked for
/// none while the program was built.
std::uint64_t looks_of_thread();
/// Counts one more look, at a number that changes from step to step and is no tensor.
void note_look();

}  // namespace gradweave
