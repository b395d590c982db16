// What a plan does, as plain data: which ops run together, what they read, write and compute, and where
// everything lies. Nothing is run to find out.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include <gradweave/graph/tensor.hpp>

namespace gradweave {

struct PlanReport {
  struct Op {
    std::string name;  ///< with its attributes: `matmul(false, true)`; `copy` where a view is laid out
    Spec spec;         ///< of its output
  };
  /// Ops that run together, part by part.
  struct Step {
    std::vector<Op> ops;         ///< a kernel first, if there is one, then elementwise ops, then a reduction
    std::size_t bytes_read = 0;  ///< from outside the step; what a broadcast repeats counts once
    std::size_t bytes_written = 0;   ///< to memory that outlives the step
    double flops = 0;                ///< floating-point operations; one for an element of an elementwise op
    std::size_t scratch_values = 0;  ///< ops whose output never exists as a whole
    /// Outputs that can be written over an input of the plan: they are where nobody else refers to that, as
    /// in the step of an optimizer.
    std::size_t in_place = 0;
    std::vector<std::size_t> after;  ///< the steps whose results it reads, ascending
  };
  /// A value in the memory that steps share.
  struct Block {
    std::uint32_t value = 0;  ///< its number in the program
    std::string op;
    std::size_t offset = 0;
    std::size_t bytes = 0;
    std::size_t first_step = 0;  ///< that writes it
    std::size_t last_step = 0;   ///< that reads it
  };

  std::vector<Step> steps;           ///< in the order in which they run
  std::vector<Block> arena;          ///< by the steps that write them
  std::size_t arena_bytes = 0;       ///< taken while the plan runs
  std::size_t input_bytes = 0;       ///< of what steps read that none of them computed, each once
  std::size_t output_bytes = 0;      ///< of what is kept afterwards, but for views and constants
  std::size_t nodes = 0;             ///< of the graph that are still to be computed
  std::size_t values = 0;            ///< that are computed by the steps, after simplification
  std::size_t constants_folded = 0;  ///< values that were computed while planning, once and for all
  /// What simplification did, by the names of the rewrites: `equal value`, `one long matmul`.
  struct Rewrites {
    std::string name;
    std::size_t count = 0;
  };
  std::vector<Rewrites> rewrites;
  std::size_t computed_again = 0;  ///< of `values`, those of a MemoryBudget or a checkpoint
  double flops_again = 0;          ///< of those

  double flops() const;
};

/// What `eval` of these tensors would run now, as one plan (`eval` makes several of a graph of more than 2^15
/// nodes): nothing is computed, kept or changed. What `eval` keeps of a small graph for a later reverse pass,
/// at most 256 KiB, is not in it. It belongs to the graph's thread, as `eval` does. Throws GraphError for an
/// empty Tensor, and what an op throws whose result is known while planning.
PlanReport explain_plan(std::span<const Tensor> tensors);
template <std::same_as<Tensor>... Tensors>
PlanReport explain_plan(const Tensor& first, const Tensors&... rest) {
  const std::initializer_list<Tensor> all{first, rest...};
  return explain_plan(std::span(all.begin(), all.size()));
}
inline PlanReport explain_plan(std::initializer_list<Tensor> tensors) {
  return explain_plan(std::span(tensors.begin(), tensors.size()));
}

/// The ops of a step in one line, with shapes where they change: `matmul(false, true) (32, 10) + add +
/// sigmoid`.
std::string label_of(const PlanReport::Step& step);
/// `1.5 KiB`
std::string print_bytes(std::size_t bytes);
/// As a table.
std::string to_string(const PlanReport& report);

class Plan;
/// What a plan does, for those who have one.
PlanReport explain_plan(const Plan& plan);

}  // namespace gradweave
