// Capture: while a Capture lives, this thread runs a function only to record the graph that it builds. Owners
// of tensors that live from one step to the next (parameters, optimizers) read and update these tensors
// through the capture, and random generators say how to move on, so that `compile` knows of all of them.
#pragma once
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include <gradweave/graph/tensor.hpp>

namespace gradweave {

/// A lock of a slot: one thread waits for another's step. Costs nothing while the process has one thread.
class StepLock {
 public:
  void lock() noexcept;
  void unlock() noexcept;
  bool try_lock() noexcept;

 private:
  std::atomic<bool> taken_ = false;
};

/// A tensor variable that lives across runs (a parameter, an optimizer's state). Each run
/// reads the variable's current value and, if `next` is set, stores the value of `next` there.
struct StateSlot {
  Tensor* tensor = nullptr;
  Tensor next = {};          ///< empty: the slot is only read
  Tensor now = {};           ///< the leaf that stands for `*tensor` in the graph; empty: `*tensor` itself
  StepLock* lock = nullptr;  ///< of a variable that other threads read, too

  Node* read() const { return now.is_empty() ? tensor->node() : now.node(); }
};

/// A new leaf with the same values, so that the graph tells this leaf from all other uses of the tensor.
Tensor placeholder(const Tensor& tensor);

class Capture {
 public:
  Capture();
  ~Capture();
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  /// The innermost of this thread, or null.
  static Capture* current();

  /// The tensor that `place` holds at this point of the function: the last `update`, else a placeholder for
  /// `place`. (The tensor in `place` itself, if the function has a handle to it from elsewhere, is a
  /// constant.)
  const Tensor& read(Tensor& place, StepLock* lock = nullptr);
  /// Whether the function has updated `place`.
  bool is_updated(const Tensor& place) const;
  /// Whether the node's values change from run to run: of an argument, or of a placeholder that `read` gave.
  bool changes(const Node* node) const;
  /// The number of the argument that this node is.
  std::optional<std::size_t> argument_number(const Node* node) const;
  /// From here on `place` holds `next`.
  void update(StateSlot slot);
  /// `before` is called before every run but the first, at which the function itself did the same; `undo`
  /// takes that back when the run fails; `written` is the tensor that `before` writes to, if any.
  void before_next_runs(std::function<void()> before, std::function<void()> undo, const Tensor& written = {});
  /// `after` is called after every run that did not fail.
  void after_runs(std::function<void()> after) { after_.push_back(std::move(after)); }
  /// The program is built for the present answer of `value`; for another answer another program is built.
  void depends_on(std::function<std::uint64_t()> value);

 private:
  friend class CompiledFunction;
  struct Before {
    std::function<void()> run, undo;
    Tensor written;
  };
  struct Variant {
    std::function<std::uint64_t()> ask;
    std::uint64_t answer;
  };
  StateSlot& slot_of(Tensor& place);
  std::deque<StateSlot> slots_;
  std::unordered_map<const Tensor*, StateSlot*> by_place_;
  std::vector<Tensor> arguments_;
  std::vector<Before> before_;
  std::vector<std::function<void()>> after_;
  std::vector<Variant> variants_;
  Capture* outer_;
};

}  // namespace gradweave
