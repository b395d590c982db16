#include <gradweave/graph/memory.hpp>

#include <gradweave/graph/node.hpp>

namespace gradweave {
namespace {

constinit thread_local std::size_t budget = MemoryBudget::unlimited;

}  // namespace

MemoryBudget::MemoryBudget(std::size_t bytes) : outer_(std::exchange(budget, bytes)) {}
MemoryBudget::~MemoryBudget() { budget = outer_; }
std::size_t MemoryBudget::current() { return budget; }

Checkpoint::Checkpoint() : outer_(std::exchange(detail::marks.checkpointed, true)) {}
Checkpoint::~Checkpoint() { detail::marks.checkpointed = outer_; }
bool Checkpoint::is_on() { return detail::marks.checkpointed; }

// Nothing is written to a leaf, which other threads may be using.
void Checkpoint::keep(const Tensor& result) {
  if (!is_on() && !result.is_empty() && result.node()->checkpointed) result.node()->checkpointed = false;
}

}  // namespace gradweave
