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
  sources_.assign(pending.inputs.size(), {From::constant, none, none});
  for (std::size_t i = arguments.size(); i-- > 0;) {
    if (Source* source = source_of(arguments[i])) *source = {From::argument, i, i};
  }
  for (std::size_t i = slots.size(); i-- > 0;) {
    if (Source* source = source_of(slots[i].read())) *source = {From::slot, i, source->argument};
  }
  for (std::size_t k = 0; k < sources_.size(); ++k) {
    if (sources_[k].from != From::constant) continue;
    sources_[k].number = constants_.size();
    constants_.emplace_back(pending.inputs[k]);
  }
  for (const Tensor& result : results) results_.push_back(output_of(pending, result));
  targets_.resize(plan_->placement().outputs.size());
  for (const StateSlot& slot : slots) {
    // Of the leaf that stands for the tensor: another thread may be moving the tensor itself.
    const Node* read = slot.read();
    State state{slot.tensor, slot.lock, no_id, no_id, read != nullptr && read->tracked, {}};
    if (!slot.next.is_empty()) {
      state.output = output_of(pending, slot.next);
      if (slot.lock != nullptr) locks_.push_back(slot.lock);
      // A view of a computed value is smaller than the storage of that value.
      if (source_of(read) == nullptr && plan_->is_whole(state.output))
        state.storage = plan_->storage_of(state.output);
      if (state.storage != no_id && !plan_->placement().outputs[state.storage].after_checks)
        state.storage = no_id;
    }
    const auto number = static_cast<std::uint32_t>(slots_.size());
    if (state.output != no_id) moved_.push_back(number);
    if (state.output == no_id && state.lock != nullptr) read_alone_.push_back(number);
    if (state.lock != nullptr) shared_.push_back(number);
    slots_.push_back(std::move(state));
  }
  std::ranges::sort(locks_);  // threads that take several locks all take them in this order
  const auto repeated = std::ranges::unique(locks_);
  locks_.erase(repeated.begin(), repeated.end());
  read_.resize(slots_.size());
}

std::uint32_t CapturedProgram::output_of(const PendingGraph& pending, const Tensor& tensor) {
  const std::uint32_t number = pending.number_of(tensor.node());
  const auto at = std::ranges::lower_bound(pending.held, number);
  if (at == pending.held.end() || *at != number)
    throw GraphError("a result that is not computed by the function: it has its value already");
  return static_cast<std::uint32_t>(at - pending.held.begin());
}

// Holds the locks of all slots that a run moves.
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

void CapturedProgram::run(std::span<Node* const> arguments, std::span<const std::uint32_t> owned) {
  // The slots that are only read come first, while this thread holds no lock that another thread may wait
  // for: a handle to such a slot's tensor keeps its values.
  struct Read {
    std::vector<Tensor>& read;
    std::span<const std::uint32_t> slots;
    ~Read() {
      for (const std::uint32_t i : slots) read[i] = Tensor();
    }
  };
  const Read read{read_, RefCount::alone() ? std::span<const std::uint32_t>() : read_alone_};
  for (const std::uint32_t i : read.slots) {
    const Locks lock({&slots_[i].lock, 1});
    read_[i] = *slots_[i].tensor;
  }
  const Locks locks(locks_);
  inputs_.clear();
  owned_.clear();
  for (const Source& source : sources_) {
    switch (source.from) {
      case From::argument:
        inputs_.push_back(arguments[source.number]);
        owned_.push_back(0);
        break;
      case From::slot: {
        const State& slot = slots_[source.number];
        const std::uint32_t others = source.argument == none || owned.empty() ? 0 : owned[source.argument];
        const Tensor& held = read_[source.number];
        inputs_.push_back(held.is_empty() ? slot.tensor->node() : held.node());
        owned_.push_back(slot.output == no_id ? 0 : 1 + others);  // a slot that is only read keeps its values
        break;
      }
      case From::constant:
        inputs_.push_back(constants_[source.number].node());
        owned_.push_back(0);
    }
  }
  for (const std::uint32_t i : moved_) {
    State& slot = slots_[i];
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
  for (const std::uint32_t i : moved_) {
    State& slot = slots_[i];
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
  return std::ranges::all_of(shared_, [&](std::uint32_t i) {
    const State& slot = slots_[i];
    const Locks lock({&slot.lock, 1});
    return slot.tensor->node()->tracked == slot.was_variable;
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
