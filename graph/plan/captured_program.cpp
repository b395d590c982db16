#include <gradweave/graph/plan/captured_program.hpp>

#include <algorithm>
#include <array>
#include <utility>

#include <gradweave/graph/located_error.hpp>

namespace gradweave {

CapturedProgram::CapturedProgram(std::span<Node* const> arguments, std::span<const Tensor> results,
                                 std::span<const StateSlot> slots) {
  std::vector<Tensor> roots(results.begin(), results.end());
  for (const StateSlot& slot : slots) {
    if (!slot.next.is_empty()) roots.push_back(slot.next);
  }
  PendingGraph pending;
  pending.take(roots);
  structure_ = std::make_unique<GraphKey>(pending);
  plan_ = std::make_unique<Plan>(pending, *structure_);

  for (const Node* node : pending.nodes) origins_.push_back({node->place, node->where});
  const auto source_of = [&](const Node* node) -> Source* {
    const std::uint32_t number = node == nullptr ? PendingGraph::none : pending.number_of(node);
    const bool is_input = number != PendingGraph::none && number >= PendingGraph::first_input;
    return is_input ? &sources_[number - PendingGraph::first_input] : nullptr;
  };
  // An input's source is the first slot that holds the input, else the first such argument.
  sources_.assign(pending.inputs.size(), {nullptr, nullptr, none, false});
  for (std::size_t i = arguments.size(); i-- > 0;) {
    if (Source* source = source_of(arguments[i])) source->argument = i;
  }
  read_alone_.reserve(slots.size());
  for (std::size_t i = slots.size(); i-- > 0;) {
    const StateSlot& slot = slots[i];
    const bool moves = !slot.next.is_empty(), is_read_alone = !moves && slot.lock != nullptr;
    if (is_read_alone) read_alone_.push_back({slot.tensor, slot.lock, {}});
    Source* source = source_of(slot.read());
    if (source == nullptr) continue;
    *source = {slot.tensor, is_read_alone ? &read_alone_.back().held : slot.tensor, source->argument, moves};
  }
  constants_.reserve(sources_.size());
  for (std::size_t k = 0; k < sources_.size(); ++k) {
    Source& source = sources_[k];
    if (source.tensor != nullptr || source.argument != none) continue;
    source.tensor = source.held = &constants_.emplace_back(pending.inputs[k]);
  }
  inputs_.resize(sources_.size());
  for (const Source& source : sources_) owned_.push_back(source.moves ? 1 : 0);
  for (const Tensor& result : results) results_.push_back(output_of(pending, result));
  targets_.resize(plan_->placement().outputs.size());
  for (const StateSlot& slot : slots) {
    // Of the leaf that stands for the tensor: another thread may be moving the tensor itself.
    const Node* read = slot.read();
    if (slot.lock != nullptr)
      parameters_.push_back({slot.tensor, slot.lock, read != nullptr && read->tracked});
    if (slot.next.is_empty()) continue;
    if (slot.lock != nullptr) locks_.push_back(slot.lock);
    Moved moved{slot.tensor, output_of(pending, slot.next), no_id, {}};
    // A view of a computed value is smaller than the storage of that value.
    if (source_of(read) == nullptr && plan_->is_whole(moved.output))
      moved.storage = plan_->storage_of(moved.output);
    if (moved.storage != no_id && !plan_->placement().outputs[moved.storage].after_checks)
      moved.storage = no_id;
    moved_.push_back(std::move(moved));
  }
  std::ranges::sort(locks_);  // threads that take several locks all take them in this order
  const auto repeated = std::ranges::unique(locks_);
  locks_.erase(repeated.begin(), repeated.end());
}

std::uint32_t CapturedProgram::output_of(const PendingGraph& pending, const Tensor& tensor) {
  const std::uint32_t number = pending.number_of(tensor.node());
  const auto at = std::ranges::lower_bound(pending.held, number);
  if (at == pending.held.end() || *at != number)
    throw GraphError("a result that is not computed by the function: it has its value already");
  return static_cast<std::uint32_t>(at - pending.held.begin());
}

// Holds locks while the process has other threads.
class CapturedProgram::Locks {
 public:
  explicit Locks(std::span<StepLock* const> locks)
      : locks_(RefCount::alone() ? std::span<StepLock* const>() : locks) {
    for (StepLock* lock : locks_) lock->lock();
  }
  ~Locks() {
    for (StepLock* lock : locks_) lock->unlock();
  }
  Locks(const Locks&) = delete;
  Locks& operator=(const Locks&) = delete;

 private:
  std::span<StepLock* const> locks_;
};

// Holds the tensors of the slots that are only read: a handle to such a tensor keeps its values.
class CapturedProgram::Reading {
 public:
  explicit Reading(std::span<Read> slots) : slots_(slots) {
    for (Read& slot : slots_) {
      const Locks lock({&slot.lock, 1});
      slot.held = *slot.tensor;
    }
  }
  ~Reading() {
    for (Read& slot : slots_) slot.held = Tensor();
  }
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;

 private:
  std::span<Read> slots_;
};

void CapturedProgram::run(std::span<Node* const> arguments, std::span<const std::uint32_t> owned) {
  // The slots that are only read come first, while this thread holds no lock that another thread may wait
  // for.
  const bool alone = RefCount::alone();
  const Reading reading(alone ? std::span<Read>() : read_alone_);
  const Locks locks(locks_);
  for (std::size_t k = 0; k < sources_.size(); ++k) {
    const Source& source = sources_[k];
    const Tensor* tensor = alone ? source.tensor : source.held;
    inputs_[k] = tensor != nullptr ? tensor->node() : arguments[source.argument];
    if (source.moves && source.argument != none && !owned.empty()) owned_[k] = 1 + owned[source.argument];
  }
  for (Moved& slot : moved_) {
    if (slot.storage != no_id) targets_[slot.storage] = slot.tensor->node();
    if (slot.spare.is_empty()) slot.spare = plan_->leaf_for(slot.output);  // here, where it may fail
  }
  try {
    plan_->run(inputs_, owned_, targets_);
  } catch (const Error&) {
    if (plan_->running() == nullptr) throw;
    rethrow(*plan_->running());
  }
  commit();
}

void CapturedProgram::commit() noexcept {
  for (Moved& slot : moved_) {
    const Node* old = slot.tensor->node();
    if (old != nullptr && old->data == plan_->data_of(slot.output)) continue;  // in place
    Node& next = *slot.spare.node();
    plan_->give_values(slot.output, next);
    const bool is_variable = old != nullptr && old->operation == &variable_leaf;
    next.operation = is_variable ? &variable_leaf : &constant_leaf;
    next.tracked = is_variable;
    if (old != nullptr) next.place = old->place;
    *slot.tensor = std::exchange(slot.spare, Tensor());
  }
}

bool CapturedProgram::fits_slots() const {
  const auto fits = [](const Parameter& p) { return p.tensor->node()->tracked == p.was_variable; };
  if (RefCount::alone()) return std::ranges::all_of(parameters_, fits);
  return std::ranges::all_of(parameters_, [&](const Parameter& p) {
    const Locks lock({&p.lock, 1});
    return fits(p);
  });
}

// The error names the first of several equal nodes, and the first of several graphs of one structure.
void CapturedProgram::rethrow(const Value& at) const {
  std::vector<Spec> operands;
  for (const Id input : plan_->program().inputs_of(at)) {
    const Value& v = plan_->program().values[input];
    operands.push_back({Shape(plan_->program().shape_of(v)), v.dtype});
  }
  const Origin origin = at.node == no_id ? Origin() : origins_[at.node];
  rethrow_situated(at.operation->name, operands, origin.place.get(), origin.where);
}

void CapturedProgram::give_result(std::size_t i, Node& node) const { plan_->give_values(results_[i], node); }
void CapturedProgram::finish() { plan_->let_go(); }

}  // namespace gradweave
