// PendingGraph: the part of a graph that is still to be computed, its nodes numbered, and the key of its
// structure. Two graphs with equal keys differ only in the data that they read, so that one plan serves both.
#pragma once
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include <gradweave/graph/node.hpp>
#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// What of a graph is looked at: what has no values yet; or also what has some and a history that gradients
/// can flow through, as a step does that differentiates it; or of what has no values yet only given nodes, a
/// body.
enum class Extent : std::uint8_t { pending, differentiable, body };

class PendingGraph {
 public:
  /// Edges lead to `nodes[e]`, or to `inputs[e - first_input]`.
  static constexpr std::uint32_t first_input = 1U << 31;

  NodeList nodes;             ///< inputs before their users; without values, but for differentiable ones
  std::vector<Node*> inputs;  ///< with values: what the nodes read, roots and nodes that have them already
  std::vector<std::uint32_t>
      edges;  ///< the inputs of each node, one node after the other; then a body's outputs
  std::vector<std::uint32_t> uses;  ///< of each input, by the nodes
  std::vector<std::uint32_t>
      held;  ///< the nodes to be computed that keep their values: somebody else refers to them
  std::vector<std::uint64_t> key;  ///< all of the structure but the edges and the attributes of the ops
  std::uint64_t hash = 0;          ///< of the key, the edges and the attributes

  /// Takes the pending graph of what `roots` need. The nodes' `index` is their number until the next
  /// traversal.
  void take(std::span<const Tensor> roots, Extent extent = Extent::pending);
  /// The same of these nodes alone, inputs before their users; what else they read has values. With
  /// `for_gradients` values that a reverse pass is likely to read later are `held`, too.
  void take(std::span<Node* const> some, bool for_gradients = false);
  /// The graph of a body: of the nodes that were `made`, inputs before their users, those that `outputs`
  /// need. Its inputs are the `arguments`, whether they are read or not, then all else that is read, with
  /// values or without. Neither layouts nor who holds what are a part of its structure.
  void take_body(std::span<const Tensor> made, std::span<const Tensor> arguments,
                 std::span<const Tensor> outputs);
  /// The number of a node that was among `nodes`, else `first_input` more for one among `inputs`; `none`
  /// otherwise. As long as nobody else has numbered nodes.
  std::uint32_t number_of(const Node* node) const;
  /// Makes the structure differ from others that have other words here.
  void add_to_key(std::span<const std::uint64_t> words);
  static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();

 private:
  bool is_inside(const Node& node) const {
    if (node.evaluated()) return extent_ == Extent::differentiable && node.tracked && node.input_count > 0;
    return extent_ != Extent::body || (node.index < nodes.size() && nodes[node.index] == &node);
  }
  bool is_held(const Node& node, std::uint32_t number) const {
    return node.refs.value() > node_uses_[number] || (has_effects_ && !node.operation->pure);
  }
  std::uint32_t number_inside(Node* node) { return is_inside(*node) ? node->index : input_number(node); }
  void number_nodes(std::span<const Tensor> first_inputs = {});
  void find_held();
  void hold_for_gradients();
  void finish();
  std::uint32_t input_number(Node* node);
  std::uint32_t add_input(Node* node, std::size_t place);
  bool has_layout(const Node& node) const { return node.strided && extent_ != Extent::body; }
  std::uint64_t* describe_input(const Node& node, std::uint64_t* word) const;  // gives what comes after it
  std::size_t place_of(const Node* node) const;

  static constexpr std::size_t least_numbers = 32;  // a power of two
  Extent extent_ = Extent::pending;
  bool has_effects_ = false;  // some node is not pure
  std::vector<std::uint32_t> node_uses_;
  std::vector<std::uint8_t> roles_;     // of the nodes, see `hold_for_gradients`
  std::vector<std::uint32_t> numbers_;  // of the inputs, by the hash of their addresses; `none` where free
};

/// Attributes of an op in memory of their own.
struct DeleteAttributes {
  const Operation* operation;
  void operator()(void* attributes) const noexcept;
};
using OwnAttributes = std::unique_ptr<void, DeleteAttributes>;
OwnAttributes copy_attributes(const Operation& op, const void* attributes);

/// What a pending graph is recognised by: its key, its edges and the attributes of its ops, in memory of its
/// own.
class GraphKey {
 public:
  explicit GraphKey(const PendingGraph& pending);
  GraphKey(GraphKey&&) noexcept = default;
  GraphKey& operator=(GraphKey&&) noexcept = default;
  ~GraphKey() = default;

  bool matches(const PendingGraph& pending) const;
  bool matches(const GraphKey& other) const;
  /// The number of the first node that is another op, has other attributes or other inputs; of the last one
  /// if all these agree.
  std::size_t first_difference(const GraphKey& other) const;
  std::uint64_t hash() const { return hash_; }
  /// Of node number `k`.
  const void* attributes(std::size_t k) const { return attributes_[k].get(); }
  std::size_t node_count() const { return attributes_.size(); }
  const Operation& operation(std::size_t k) const { return *attributes_[k].get_deleter().operation; }
  std::size_t input_count(std::size_t k) const { return key_[2 * k + 1] >> 3U; }
  bool is_checkpointed(std::size_t k) const { return (key_[2 * k + 1] & 2U) != 0; }
  bool is_in_reverse(std::size_t k) const { return (key_[2 * k + 1] & 1U) != 0; }
  /// As those of the pending graph.
  std::span<const std::uint32_t> edges() const { return edges_; }

 private:
  bool same_attributes(std::size_t k, const GraphKey& other) const;
  std::vector<std::uint64_t> key_;
  std::vector<std::uint32_t> edges_;
  std::uint64_t hash_;
  std::vector<OwnAttributes> attributes_;
  std::vector<std::uint32_t> described_;  // the nodes that have some
};

}  // namespace gradweave
