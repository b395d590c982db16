// Plan: a program with everything decided, ready to run again and again with other data. Belongs to one
// thread at a time.
#pragma once
#include <algorithm>
#include <memory>

#include <gradweave/graph/plan/program.hpp>

namespace gradweave {

class Plan;

/// Told of every step that this thread's plans run (report/profile.hpp).
class StepObserver {
 public:
  /// Of this thread, or null.
  static StepObserver* current();

  virtual void begin(const Plan& plan) = 0;
  virtual void end_step() noexcept = 0;
  /// The run ended; `completed` unless by an error.
  virtual void end(bool completed) noexcept = 0;

 protected:
  StepObserver() = default;
  StepObserver(const StepObserver&) = default;
  StepObserver& operator=(const StepObserver&) = default;
  ~StepObserver() = default;
  /// Makes `observer`, which may be null, this thread's; returns the one that was.
  static StepObserver* exchange(StepObserver* observer) noexcept;
};

class Plan {
 public:
  /// Plans what the pending graph holds, whose structure outlives the plan, with the passes of this thread.
  /// Throws what an op throws whose result is known while planning.
  Plan(const PendingGraph& pending, const GraphKey& structure);
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

  /// After a run: output `i`, and where its first element is.
  std::byte* data_of(std::size_t i) const;
  /// A leaf without values, for those of output `i`.
  Tensor leaf_for(std::size_t i) const;
  /// The values of output `i` become those of `node`, which has its shape.
  void give_values(std::size_t i, Node& node) const noexcept;
  /// Lets go of what the run has written.
  void let_go() { storages_.clear(); }
  /// Which of the placement's outputs output `i` lies in; `no_id` if in an input or a constant.
  std::uint32_t storage_of(std::size_t i) const;
  /// Whether output `i` is all that lies there, in row-major order.
  bool is_whole(std::size_t i) const { return program_.is_whole(program_.values[program_.outputs[i]]); }

  /// Whether an op in place may overwrite an input of the plan.
  bool overwrites() const { return std::ranges::any_of(placement_.outputs, &Placement::Output::in_place); }

  /// What an observer keeps with the plan.
  std::shared_ptr<const void>& note() const { return note_; }
  const Program& program() const { return program_; }
  std::span<const Step> steps() const { return steps_; }
  const Placement& placement() const { return placement_; }
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
  mutable std::shared_ptr<const void> note_;
};

}  // namespace gradweave
