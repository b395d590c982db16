#include <gradweave/graph/snapshot.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <new>

#include <gradweave/graph/memory.hpp>
#include <gradweave/graph/traverse.hpp>

namespace gradweave {
namespace {

std::uint64_t mix(std::uint64_t hash, std::uint64_t word) {
  return (std::rotl(hash, 5) ^ word) * 0x9E3779B97F4A7C15U;
}

}  // namespace

void Snapshot::take(std::span<const Tensor> roots) {
  topological_order<FollowPending>(roots, nodes);
  number_nodes();
  for (const Tensor& root : roots) {
    if (root.node()->evaluated()) input_number(root.node());
  }
  finish();
}

void Snapshot::take(std::span<Node* const> some) {
  nodes.assign(some.begin(), some.end());
  for (std::size_t k = 0; k < nodes.size(); ++k) nodes[k]->index = static_cast<std::uint32_t>(k);
  number_nodes();
  finish();
}

void Snapshot::number_nodes() {
  inputs.clear(), edges.clear(), uses.clear(), held.clear(), key.clear();
  node_uses_.assign(nodes.size(), 0);
  for (const Node* node : nodes) {
    static_assert(alignof(Operation) >= 4);  // two bits of its address are free
    key.push_back(std::bit_cast<std::uint64_t>(node->operation) | std::uint64_t{node->forget} << 1U |
                  node->reverse);
    for (const Tensor& tensor : node->inputs()) {
      Node* input = tensor.node();
      const std::uint32_t edge = input->evaluated() ? input_number(input) : input->index;
      ++(edge >= first_input ? uses[edge - first_input] : node_uses_[edge]);
      edges.push_back(edge);
      key.push_back(edge);
    }
  }
}

void Snapshot::finish() {
  key.push_back(inputs.size());
  for (const Node* input : inputs) describe_input(*input);
  for (std::uint32_t k = 0; k < nodes.size(); ++k) {
    if (nodes[k]->refs.value() > node_uses_[k]) held.push_back(k);
  }
  key.insert(key.end(), held.begin(), held.end());
  key.push_back(MemoryBudget::current());
  // In four strands, which do not wait for each other.
  std::array<std::uint64_t, 4> strand{};
  for (std::size_t k = 0; k < key.size(); ++k) strand[k % 4] = mix(strand[k % 4], key[k]);
  hash = 0;
  for (const std::uint64_t word : strand) hash = mix(hash, word);
}

void Snapshot::add_to_key(std::uint64_t word) {
  key.push_back(word);
  hash = mix(hash, word);
}

std::uint32_t Snapshot::number_of(const Node* node) const {
  if (node->index < nodes.size() && nodes[node->index] == node) return node->index;
  const auto at = std::find(inputs.begin(), inputs.end(), node);
  return at == inputs.end() ? none : first_input + static_cast<std::uint32_t>(at - inputs.begin());
}

// Inputs are shared with other threads: nothing may be written to them, so their numbers are looked up.
std::uint32_t Snapshot::input_number(Node* node) {
  constexpr std::size_t few = 16;
  const std::size_t count = inputs.size();
  const auto next = first_input + static_cast<std::uint32_t>(count);
  if (count <= few) {
    const auto at = std::find(inputs.begin(), inputs.end(), node);
    if (at != inputs.end()) return first_input + static_cast<std::uint32_t>(at - inputs.begin());
    if (count == few) {
      numbers_.clear();
      for (std::size_t i = 0; i < few; ++i)
        numbers_.emplace(inputs[i], first_input + static_cast<std::uint32_t>(i));
    }
  }
  if (count >= few) {
    const auto [at, is_new] = numbers_.try_emplace(node, next);
    if (!is_new) return at->second;
  }
  inputs.push_back(node);
  uses.push_back(0);
  return next;
}

void Snapshot::describe_input(const Node& node) {
  key.push_back(std::uint64_t{node.rank} << 8 | static_cast<std::uint64_t>(node.dtype) << 1 | node.strided);
  for (const Index size : node.shape()) key.push_back(static_cast<std::uint64_t>(size));
  if (!node.strided) return;
  for (const Index stride : node.strides()) key.push_back(static_cast<std::uint64_t>(stride));
}

void Structure::Delete::operator()(void* attributes) const noexcept {
  if (operation->destroy != nullptr) operation->destroy(attributes);
  ::operator delete(attributes);
}

Structure::Structure(const Snapshot& snapshot) : key_(snapshot.key), hash_(snapshot.hash) {
  attributes_.reserve(snapshot.nodes.size());
  for (Node* node : snapshot.nodes) {
    const Operation& op = *node->operation;
    void* copy = nullptr;
    if (op.attribute_size != 0) {
      copy = ::operator new(op.attribute_size);
      op.copy(node->attributes(), copy);
    }
    attributes_.emplace_back(copy, Delete{&op});
  }
}

bool Structure::matches(const Snapshot& snapshot) const {
  if (hash_ != snapshot.hash || key_ != snapshot.key) return false;
  for (std::size_t k = 0; k < attributes_.size(); ++k) {
    Node& node = *snapshot.nodes[k];
    if (attributes_[k] && !node.operation->equal(attributes_[k].get(), node.attributes())) return false;
  }
  return true;
}

}  // namespace gradweave
