// CapturedProgram: a program that was taken from a graph once and runs again on other data, without the
// graph. `compile` and the optimizers are built on captured programs; users want compile.hpp.
#pragma once
#include <memory>
#include <source_location>
#include <span>
#include <vector>

#include <gradweave/graph/capture.hpp>
#include <gradweave/graph/plan/plan.hpp>

namespace gradweave {

class CapturedProgram {
 public:
  /// A program for the results and the slots' next tensors. Its inputs are the `arguments` (evaluated
  /// tensors, other ones at each run), the slots' tensors, and constants: all other evaluated tensors that
  /// the nodes read. Give up other handles to the program's nodes before: a node that somebody holds is kept
  /// as an output, in memory of its own.
  CapturedProgram(std::span<Node* const> arguments, std::span<const Tensor> results,
                  std::span<const StateSlot> slots);

  /// Runs on arguments of the same shapes, dtypes and layouts. A slot's storage is written in place when
  /// nobody else refers to this storage; `owned[i]` handles of argument i do not count. If anything throws,
  /// all slots keep their values. Of two threads that run programs on the same slots, one of which moves
  /// them, one thread waits for the other.
  void run(std::span<Node* const> arguments, std::span<const std::uint32_t> owned);
  /// After a run: gives the values of result `i` to `node`.
  void give_result(std::size_t i, Node& node) const;
  /// Ends a run.
  void finish();

  const Plan& plan() const { return *plan_; }
  /// The tensors that the program reads and that are neither arguments nor slots' tensors.
  std::span<const Tensor> constants() const { return constants_; }
  /// Whether the program still fits the slots' tensors: a parameter that was frozen or unfrozen since is
  /// another kind of leaf.
  bool fits_slots() const;

 private:
  struct Source {          // of an input of the plan
    const Tensor* tensor;  // a slot's or a constant; null: an argument
    const Tensor* held;    // the same while other threads may be moving the slot
    std::size_t argument;  // the argument that is the same node, for a slot too; or none
    bool moves;            // it is a slot that gets a next value
  };
  struct Moved {  // a slot that gets a next value
    Tensor* tensor;
    std::uint32_t output;   // of the plan
    std::uint32_t storage;  // of that output, if the slot's own storage may be its target; or `no_id`
    Tensor spare;           // the leaf of the next value, unless that value is written in place
  };
  struct Read {  // a slot that is only read, but that other threads may move
    Tensor* tensor;
    StepLock* lock;
    Tensor held;  // while the program runs
  };
  struct Parameter {  // a slot of a parameter, which may be frozen
    Tensor* tensor;
    StepLock* lock;
    bool was_variable;
  };
  struct Origin {  // of a node, which is gone: for errors
    Ref<ModulePath> place;
    std::source_location where;
  };
  class Locks;
  class Reading;
  static constexpr std::size_t none = static_cast<std::size_t>(-1);
  [[noreturn]] void rethrow(const Value& at) const;
  static std::uint32_t output_of(const PendingGraph& pending, const Tensor& tensor);
  void commit() noexcept;

  std::unique_ptr<GraphKey> structure_;
  std::unique_ptr<Plan> plan_;
  std::vector<Origin> origins_;  // by node of the pending graph
  std::vector<Source> sources_;
  std::vector<Tensor> constants_;
  std::vector<Moved> moved_;
  std::vector<Read> read_alone_;
  std::vector<Parameter> parameters_;
  std::vector<StepLock*> locks_;        // of the slots that are moved, by address
  std::vector<std::uint32_t> results_;  // outputs of the plan
  // Kept between runs for their memory alone.
  std::vector<Node*> inputs_;
  std::vector<std::uint32_t> owned_;
  std::vector<Node*> targets_;
};

}  // namespace gradweave
