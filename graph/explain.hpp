// Seeing a plan: what evaluating some tensors would run, step by step, and where everything would lie.
#pragma once
#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include <gradweave/graph/tensor.hpp>

namespace gradweave {

/// One step of a plan: a kernel or none, and the elementwise ops that run with it, block by block.
struct PlannedStep {
  std::vector<std::string> ops;  ///< with the shape of their results, such as "matmul (64, 128)"
  Index flops = 0;  ///< multiplications, additions and other functions of one number count one each
  std::size_t bytes_read =
      0;  ///< of everything that lies in memory; what stays in registers and blocks is not counted
  std::size_t bytes_written = 0;
};

/// A value that has a place in the arena.
struct PlannedValue {
  std::string op;
  std::size_t offset = 0;
  std::size_t bytes = 0;
  std::size_t first_step = 0;  ///< that writes it
  std::size_t last_step = 0;   ///< that reads it
};

struct PlanReport {
  std::vector<PlannedStep> steps;
  std::vector<PlannedValue> arena;
  std::size_t arena_bytes = 0;   ///< memory while it runs, but for inputs and results
  std::size_t result_bytes = 0;  ///< of what is kept
  std::size_t nodes = 0;         ///< of the graph that are not evaluated yet
  std::size_t values = 0;  ///< of these, what is left to compute once constants and repetitions are gone
};

/// What `evaluate(tensors)` would run. Evaluates nothing and leaves the graph as it is. Throws GraphError for
/// an empty Tensor.
PlanReport explain_plan(std::span<const Tensor> tensors);
template <std::same_as<Tensor>... Tensors>
PlanReport explain_plan(const Tensor& first, const Tensors&... rest) {
  const std::initializer_list<Tensor> all{first, rest...};
  return explain_plan(std::span(all.begin(), all.size()));
}

/// The report as a table for the terminal.
std::string to_string(const PlanReport& report);

}  // namespace gradweave
