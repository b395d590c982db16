// Capture: while it lives, this thread runs a function only to see what it would compute. For those who keep
// tensors from one step to the next (parameters, optimizers, random generators): `compile` then knows of
// them.
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

/// What makes one thread wait for another's step. Free of cost while the process has one thread.
class StepLock {
 public:
  void lock() noexcept;
  void unlock() noexcept;
  bool try_lock() noexcept;

 private:
  std::atomic<bool> taken_ = false;
};

/// A tensor variable that lives across runs: each run reads what is there now and, with `next`, leaves that
/// there.
struct StateSlot {
  Tensor* tensor = nullptr;
  Tensor next = {};          ///< empty: only read
  Tensor now = {};           ///< what stands for its tensor in the graph: empty if that does itself
  StepLock* lock = nullptr;  ///< of what other threads read, too

  Node* read() const { return now.is_empty() ? tensor->node() : now.node(); }
};

/// The same values as a leaf of its own, so that it is told apart from everything else.
Tensor placeholder(const Tensor& tensor);

class Capture {
 public:
  Capture();
  ~Capture();
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  /// The innermost of this thread, or null.
  static Capture* current();

  /// What `place` holds at this point of the function: what `update` put there, or else a leaf that stands
  /// for its tensor. (That one itself, if the function knows it from elsewhere, is a constant.)
  const Tensor& read(Tensor& place, StepLock* lock = nullptr);
  /// Whether there is such a thing.
  bool is_updated(const Tensor& place) const;
  /// Whether these values are those of the run at hand alone: of an argument or of what `read` gave.
  bool changes(const Node* node) const;
  /// Which argument of the function this is.
  std::optional<std::size_t> argument_number(const Node* node) const;
  /// From here on `place` holds `next`.
  void update(StateSlot slot);
  /// To be done before every run but the first, for which the function itself did it; what takes that back
  /// when the run fails; and the tensor that it writes to, if any.
  void before_next_runs(std::function<void()> before, std::function<void()> undo, const Tensor& written = {});
  /// To be done after every run that went well.
  void after_runs(std::function<void()> after) { after_.push_back(std::move(after)); }
  /// What the program was built for beside its arguments: where it is not `value`, another one is needed.
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
