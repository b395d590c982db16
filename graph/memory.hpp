// Memory against time: what the reverse pass needs is kept from the forward pass, or computed again. Results
// are the same bit for bit.
//
// A common beginner's error: a budget around the lines that build a graph. A budget counts where the graph is
// evaluated (`minimize`, `eval`, the first call of a compiled function); a `checkpoint` counts where the
// graph is built. And `MemoryBudget(64 << 20);` without a name ends at its semicolon.
#pragma once
#include <concepts>
#include <cstddef>
#include <limits>
#include <utility>

#include <gradweave/graph/tensor.hpp>

namespace gradweave {

/// While it lives, what this thread evaluates (optimizers and `compile` included) tries to stay within so
/// many bytes for everything in between: inputs, parameters and results do not count. Where it would take
/// more, the reverse pass computes values of the forward pass again: first those of elementwise ops alone,
/// chosen by minimum cut; if that is not enough, whole stretches of the network, after Chen et al., "Training
/// Deep Nets with Sublinear Memory Cost" (2016). A budget that cannot be met is no error: it takes the least
/// memory that was found. The first evaluation of a graph takes longer to plan. Nests: the innermost counts.
/// A compiled function keeps the budget of its first call.
///
///     const MemoryBudget budget(64 << 20);
///     optimizer.minimize(loss());
class MemoryBudget {
 public:
  static constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

  explicit MemoryBudget(std::size_t bytes);
  ~MemoryBudget();
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;
  /// Of this thread, in bytes.
  static std::size_t current();

 private:
  std::size_t outer_;
};

/// While it lives, what this thread builds is computed again by a reverse pass; see `checkpoint`.
class Checkpoint {
 public:
  Checkpoint();
  ~Checkpoint();
  Checkpoint(const Checkpoint&) = delete;
  Checkpoint& operator=(const Checkpoint&) = delete;

  static bool is_on();
  /// What leaves the outermost checkpoint is kept.
  static void keep(const Tensor& result);

 private:
  bool outer_;
};

/// `f(x...)`, a tensor or a list of tensors, of which a reverse pass that is evaluated together with it keeps
/// only `x` and the result: what lies between them is computed again when the reverse pass comes to it,
/// unless somebody holds it. A network of n equal blocks, each in a checkpoint, so needs the memory of n
/// results and of one block. Inside another checkpoint it changes nothing.
///
///     for (const Block& block : blocks) x = checkpoint(block, x);
template <class F, class... Arguments>
auto checkpoint(F&& f, const Arguments&... x) {
  auto result = [&] {
    const Checkpoint mode;
    return std::forward<F>(f)(x...);
  }();
  if constexpr (std::convertible_to<decltype(result), const Tensor&>) {
    Checkpoint::keep(result);
  } else {
    for (const Tensor& tensor : result) Checkpoint::keep(tensor);
  }
  return result;
}

}  // namespace gradweave
