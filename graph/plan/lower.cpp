// From a pending graph to a program: each node becomes the value of its op, between conversions to what the
// op's kernels compute with.
#include <unordered_map>

#include <boost/container/small_vector.hpp>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/graph/plan/building.hpp>

namespace gradweave {
namespace {

class Lowering {
 public:
  Lowering(const PendingGraph& pending, const Passes& passes)
      : pending_(pending), building_(passes, pending.inputs.size(), pending.nodes.size()) {}

  Program run(const GraphKey& structure) {
    for (const Node* input : pending_.inputs) building_.add_input(*input);
    ids_.reserve(pending_.nodes.size());
    find_readers();
    std::size_t edge = 0;
    boost::container::small_vector<Id, 4> inputs;
    for (std::size_t k = 0; k < pending_.nodes.size(); ++k) {
      const Node& node = *pending_.nodes[k];
      inputs.clear();
      for (std::size_t i = 0; i < node.input_count; ++i) inputs.push_back(id_of(pending_.edges[edge++]));
      node_ = static_cast<std::uint32_t>(k);
      building_.set_origin({node_, node.in_reverse, node.checkpointed});
      try {  // what is known already is computed here
        ids_.push_back(add(node, structure.attributes(k), {inputs.data(), inputs.size()}));
      } catch (const Error&) {
        rethrow_situated(node);
      }
      building_.add_readers(ids_.back(), readers_[k]);
    }
    std::vector<Id> outputs;
    outputs.reserve(pending_.held.size());
    for (const std::uint32_t k : pending_.held) {
      const Id id = ids_[k];
      outputs.push_back(pending_.nodes[k]->has_room_for_strides() ? id : building_.contiguous(id));
    }
    return building_.finish(std::move(outputs));
  }

 private:
  Id id_of(std::uint32_t edge) const {
    return edge >= PendingGraph::first_input ? edge - PendingGraph::first_input : ids_[edge];
  }

  // Who reads what; of a node with several outputs that nobody else holds, which are read.
  void find_readers() {
    readers_.resize(pending_.nodes.size());
    std::size_t edge = 0;
    for (const Node* node : pending_.nodes) {
      for (std::size_t i = 0; i < node->input_count; ++i, ++edge) {
        const std::uint32_t from = pending_.edges[edge];
        if (from >= PendingGraph::first_input) continue;
        ++readers_[from];
        if (node->operation != &output_operation()) continue;
        std::vector<bool>& wanted = wanted_[from];
        const std::size_t number = output_number(*node);
        if (wanted.size() <= number) wanted.resize(number + 1);
        wanted[number] = true;
      }
    }
    for (const std::uint32_t k : pending_.held) {
      ++readers_[k];
      wanted_.erase(k);
    }
  }

  OutputLayout layout_of(const Node& node) {
    std::vector<Spec> specs = output_specs(node);
    const auto wanted = wanted_.find(node_);
    if (wanted != wanted_.end()) wanted->second.resize(specs.size());
    OutputLayout layout =
        lay_out(std::move(specs), wanted == wanted_.end() ? std::vector<bool>() : wanted->second);
    layout.is_kept = wanted == wanted_.end();
    return layout;
  }

  Id add(const Node& node, const void* attributes, std::span<Id> inputs) {
    const Operation& op = *node.operation;
    if (&op == &argument_leaf) {
      throw GraphError(
          "a tensor that belongs to a body (a branch of cond, a rule of custom_vjp) is used outside of it; "
          "give "
          "it back as a result");
    }
    // Kernels see elements as what they are computed as; a view sees them as they are.
    const bool is_computed_output =
        &op == &output_operation() && !node.inputs()[0].node()->operation->as_stored;
    const bool computes = !op.as_stored && (op.view == nullptr || is_computed_output);
    if (computes && op.view == nullptr) {
      for (Id& input : inputs)
        input = building_.converted(input, computed_as(building_.value(input).dtype), op.ordered);
    }
    const DType dtype = computes ? computed_as(node.dtype) : node.dtype;
    Id id = no_id;
    if (op.infer_outputs != nullptr) {
      const OutputLayout layout = layout_of(node);
      id = building_.add(op, attributes, Shape{static_cast<Index>(layout.bytes)}, dtype, inputs, &layout);
    } else {
      id = building_.add(op, attributes, node.shape(), dtype, inputs);
    }
    return building_.converted(id, node.dtype, op.ordered);
  }

  const PendingGraph& pending_;
  Building building_;
  std::uint32_t node_ = no_id;                                   // which is being added
  std::vector<std::uint32_t> readers_;                           // by node, those that keep it among them
  std::unordered_map<std::uint32_t, std::vector<bool>> wanted_;  // by node with several outputs
  std::vector<Id> ids_;                                          // by node
};

}  // namespace

Program lower(const PendingGraph& pending, const GraphKey& structure, const Passes& passes) {
  return Lowering(pending, passes).run(structure);
}

}  // namespace gradweave
