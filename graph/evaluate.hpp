// Evaluation: order the nodes, run each once, recycle what nobody needs any more.
//
// A common beginner's error: `loss.item()`, then `dw.item()`. Each asks for one evaluation, and values that
// both need and nobody holds are computed twice: `eval(loss, dw)` computes both as one program.
#pragma once
#include <concepts>
#include <initializer_list>
#include <span>

#include <gradweave/graph/tensor.hpp>

namespace gradweave {

/// What becomes of the graph behind an evaluated tensor: kept, to be differentiated later; or let go, so that
/// memory that nobody else refers to can be reused in place (an optimizer's step).
enum class History { keep, release };

/// Computes the values of `tensors` and of whatever they need. Tensors that someone holds a handle to keep
/// their values; all others are scratch, freed after their last use. Evaluated tensors that no gradient can
/// flow through let go of their inputs. With History::release everything evaluated here does; with
/// History::keep a small graph behind tracked tensors also keeps the values that its kernels read, up to
/// 256 KiB, for a gradient that is taken later (not within a MemoryBudget, nor next to a reverse pass). A
/// graph that is not evaluated yet belongs to one thread at a time; evaluated leaves may be shared by many.
void evaluate(std::span<const Tensor> tensors, History history = History::keep);

/// Evaluates several tensors as one program.
template <std::same_as<Tensor>... Tensors>
void eval(const Tensor& first, const Tensors&... rest) {
  const std::initializer_list<Tensor> all{first, rest...};
  evaluate({all.begin(), all.size()});
}
inline void eval(std::span<const Tensor> tensors) { evaluate(tensors); }

/// How often a cache had what was asked for.
struct CacheStatistics {
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::size_t entries = 0;
};
/// Of the plans that this thread keeps, those of its optimizers' steps among them, by the structure of the
/// graph: a loop plans its first step only. Where each round is a miss, something that changes is part of the
/// structure: a number beside a tensor (an annealed weight: `constant(w)` is data instead), a shape (a
/// growing slice), an attribute.
CacheStatistics plan_cache_statistics();
/// Gives this thread's plans back, with the memory they keep, and counts anew. Compiled functions and
/// optimizers have plans of their own, for as long as they live. Inside an evaluation it does nothing.
void clear_plan_cache();

}  // namespace gradweave
