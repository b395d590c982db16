#include <gradweave/graph/plan/captured_program.hpp>

#include <algorithm>

#include <gradweave/graph/located_error.hpp>

namespace gradweave {

CapturedProgram::CapturedProgram(std::span<Node* const> arguments, std::span<const Tensor> results,
                                 std::span<const Cell> cells) {
  std::vector<Tensor> roots(results.begin(), results.end());
  for (const Cell& cell : cells) {
    if (cell.next) roots.push_back(cell.next);
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
  // From the first of the cells that hold it, else from the first of such arguments.
  sources_.assign(pending.inputs.size(), {From::constant, none, none});
  for (std::size_t i = arguments.size(); i-- > 0;) {
    if (Source* source = source_of(arguments[i])) *source = {From::argument, i, i};
  }
  for (std::size_t i = cells.size(); i-- > 0;) {
    if (Source* source = source_of(cells[i].read())) *source = {From::cell, i, source->argument};
  }
  for (std::size_t k = 0; k < sources_.size(); ++k) {
    if (sources_[k].from != From::constant) continue;
    sources_[k].number = constants_.size();
    constants_.emplace_back(pending.inputs[k]);
  }
  for (const Tensor& result : results) results_.push_back(output_of(pending, result));
  targets_.resize(plan_->placement().outputs.size());
  for (const Cell& cell : cells) {
    State state{cell.tensor, cell.next ? output_of(pending, cell.next) : no_id, no_id};
    // A view of what is computed has not the room for all of it.
    if (state.output != no_id && source_of(cell.read()) == nullptr && plan_->is_whole(state.output))
      state.storage = plan_->storage_of(state.output);
    cells_.push_back(state);
  }
}

std::uint32_t CapturedProgram::output_of(const PendingGraph& pending, const Tensor& tensor) {
  const std::uint32_t number = pending.number_of(tensor.node());
  const auto at = std::ranges::lower_bound(pending.held, number);
  if (at == pending.held.end() || *at != number)
    throw GraphError("a result that is not computed by the function: it has its value already");
  return static_cast<std::uint32_t>(at - pending.held.begin());
}

void CapturedProgram::run(std::span<Node* const> arguments, std::span<const std::uint32_t> owned) {
  inputs_.clear();
  owned_.clear();
  for (const Source& source : sources_) {
    switch (source.from) {
      case From::argument:
        inputs_.push_back(arguments[source.number]);
        owned_.push_back(0);
        break;
      case From::cell: {
        const State& cell = cells_[source.number];
        const std::uint32_t others = source.argument == none || owned.empty() ? 0 : owned[source.argument];
        inputs_.push_back(cell.tensor->node());
        owned_.push_back(cell.output == no_id ? 0 : 1 + others);  // what is only read stays as it is
        break;
      }
      case From::constant:
        inputs_.push_back(constants_[source.number].node());
        owned_.push_back(0);
    }
  }
  for (const State& cell : cells_) {
    if (cell.storage != no_id) targets_[cell.storage] = cell.tensor->node();
  }
  try {
    plan_->run(inputs_, owned_, targets_);
  } catch (const Error&) {
    if (plan_->running() == nullptr) throw;
    rethrow(*plan_->running());
  }
  for (const State& cell : cells_) {
    if (cell.output == no_id) continue;
    if (*cell.tensor && cell.tensor->node()->data == plan_->data_of(cell.output)) continue;  // in place
    const Plan::Values values = plan_->values(cell.output);
    const Node* old = cell.tensor->node();
    const bool is_variable = old != nullptr && old->operation == &variable_leaf;
    Tensor next = make_leaf(is_variable ? variable_leaf : constant_leaf, values.spec, values.storage,
                            values.data, values.strides);
    if (old != nullptr) next.node()->place = old->place;
    *cell.tensor = std::move(next);
  }
}

// Of several nodes of one computation, or several graphs of one structure, the first is named.
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
