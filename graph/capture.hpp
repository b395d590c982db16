// Capture: while it lives, this thread runs a function only to see what it would compute. For those who keep
// tensors from one step to the next (parameters, optimizers, random generators): `compile` then knows of
// them.
#pragma once
#include <deque>
#include <functional>
#include <unordered_map>
#include <vector>

#include <gradweave/graph/tensor.hpp>

namespace gradweave {

/// A tensor that outlives the runs: each run reads what is there now and, with `next`, leaves that there.
struct Cell {
  Tensor* tensor = nullptr;
  Tensor next = {};  ///< empty: only read
  Tensor now = {};   ///< what stands for its tensor in the graph: empty if that does itself

  Node* read() const { return now ? now.node() : tensor->node(); }
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
  const Tensor& read(Tensor& place);
  /// Whether there is such a thing.
  bool is_updated(const Tensor& place) const;
  /// Whether these values are those of the run at hand alone: of an argument or of what `read` gave.
  bool changes(const Node* node) const;
  /// From here on `place` holds `next`.
  void update(Tensor& place, Tensor next);
  /// To be done before every run but the first, for which the function itself did it.
  void before_next_runs(std::function<void()> f) { before_.push_back(std::move(f)); }
  /// To be done after every run that went well.
  void after_runs(std::function<void()> f) { after_.push_back(std::move(f)); }

 private:
  friend class CompiledFunction;
  Cell& cell_of(Tensor& place);
  std::deque<Cell> cells_;
  std::unordered_map<const Tensor*, Cell*> by_place_;
  std::vector<Tensor> arguments_;
  std::vector<std::function<void()>> before_, after_;
  Capture* outer_;
};

}  // namespace gradweave
