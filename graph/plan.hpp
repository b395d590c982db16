// Plan: a program with everything decided, ready to run again and again with other data. Belongs to one
// thread at a time.
#pragma once
#include <memory>

#include <gradweave/graph/explain.hpp>
#include <gradweave/graph/program.hpp>

namespace gradweave {

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

class Plan {
 public:
  /// Plans what the snapshot holds, whose structure outlives the plan, with the passes of this thread. Throws
  /// what an op throws whose result is known while planning.
  Plan(const Snapshot& snapshot, const Structure& structure);
  Plan(const Plan&) = delete;  // its machine points into it
  Plan& operator=(const Plan&) = delete;
  ~Plan();

  /// Computes all outputs from the values of `inputs`. The storage of input i is written to, where that saves
  /// memory, if at most `owned[i]` handles refer to the node and nothing else to its storage; none `owned`
  /// means never. An output that finds no such input goes to the storage of its `target`, which is no input,
  /// if nothing else refers to that, and else to a new one. Throws what the ops throw: such storage may then
  /// be written in part.
  void run(std::span<Node* const> inputs, std::span<const std::uint32_t> owned,
           std::span<Node* const> targets = {});

  /// After an error: what it computed then; null when it had not begun.
  const Value* running() const;

  struct Values {
    Spec spec;
    Ref<Storage> storage;
    std::byte* data;
    Dims strides;  ///< empty when row-major
  };
  /// After a run: output `i`, and where its first element is.
  std::byte* data_of(std::size_t i) const;
  Values values(std::size_t i) const;
  /// The values of output `i` become those of `node`, which has its shape.
  void give_values(std::size_t i, Node& node) const;
  /// Lets go of what the run has written.
  void forget() { storages_.clear(); }
  /// Which of the placement's outputs output `i` lies in; `no_id` if in an input or a constant.
  std::uint32_t storage_of(std::size_t i) const;
  /// Whether output `i` is all that lies there, in row-major order.
  bool is_whole(std::size_t i) const { return program_.is_whole(program_.values[program_.outputs[i]]); }

  const Program& program() const { return program_; }
  std::span<const Step> steps() const { return steps_; }
  const Placement& placement() const { return placement_; }
  /// What it does; made when it is asked for.
  const std::shared_ptr<const PlanReport>& report() const;
  /// Memory that it takes while it runs, but for its inputs, its outputs and what a kernel takes for itself
  /// (a matrix product packs its operands piece by piece into half a mebibyte).
  std::size_t bytes() const { return placement_.arena_bytes; }

 private:
  class Machine;
  Program program_;
  std::vector<Step> steps_;
  Placement placement_;
  std::vector<Ref<Storage>> storages_;  // of the placement's outputs
  std::span<Node* const> inputs_;       // of the last run
  std::unique_ptr<Machine> machine_;
  mutable std::shared_ptr<const PlanReport> report_;
};

}  // namespace gradweave
