#include <gradweave/graph/plan/pending_graph.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <functional>
#include <new>

#include <gradweave/graph/memory.hpp>
#include <gradweave/graph/traverse.hpp>

namespace gradweave {
namespace {

std::uint64_t mix(std::uint64_t hash, std::uint64_t word) {
  return (std::rotl(hash, 5) ^ word) * 0x9E3779B97F4A7C15U;
}

// In four strands, which do not wait for each other.
std::uint64_t hash_of(std::span<const std::byte> bytes) {
  std::array<std::uint64_t, 4> strands{}, words{};
  std::size_t at = 0;
  for (; at + sizeof words <= bytes.size(); at += sizeof words) {
    std::memcpy(words.data(), bytes.data() + at, sizeof words);
    for (std::size_t i = 0; i < 4; ++i) strands[i] = mix(strands[i], words[i]);
  }
  words = {};
  std::copy(bytes.begin() + static_cast<std::ptrdiff_t>(at), bytes.end(),
            reinterpret_cast<std::byte*>(words.data()));
  std::uint64_t hash = bytes.size();
  for (std::size_t i = 0; i < 4; ++i) hash = mix(mix(hash, strands[i]), words[i]);
  return hash;
}

}  // namespace

// Where in `numbers_` that of an input is, or is to be put. Inputs are shared with other threads: nothing may
// be written to them, so their numbers are looked up in an open table.
std::size_t PendingGraph::place_of(const Node* node) const {
  const std::size_t mask = numbers_.size() - 1;
  std::size_t at = mix(0, std::bit_cast<std::uint64_t>(node)) >> 32U & mask;
  while (numbers_[at] != none && inputs[numbers_[at]] != node) at = (at + 1) & mask;
  return at;
}

std::uint32_t PendingGraph::input_number(Node* node) {
  const std::size_t place = place_of(node);
  const std::uint32_t number = numbers_[place];
  return first_input + (number != none ? number : add_input(node, place));
}

[[gnu::noinline]] std::uint32_t PendingGraph::add_input(Node* node, std::size_t place) {
  const auto number = static_cast<std::uint32_t>(inputs.size());
  numbers_[place] = number;
  inputs.push_back(node);
  uses.push_back(0);
  if (2 * inputs.size() > numbers_.size()) {
    numbers_.assign(2 * numbers_.size(), none);
    for (std::uint32_t i = 0; i <= number; ++i) numbers_[place_of(inputs[i])] = i;
  }
  return number;
}

void PendingGraph::take(std::span<const Tensor> roots, Extent extent) {
  extent_ = extent;
  if (extent == Extent::pending) {
    topological_order<FollowPending>(roots, nodes);
  } else {
    topological_order<FollowDifferentiable>(roots, nodes);
  }
  number_nodes();
  for (const Tensor& root : roots) {
    if (root.node()->evaluated()) input_number(root.node());
  }
  find_held();
  finish();
}

void PendingGraph::take(std::span<Node* const> some, bool for_gradients) {
  extent_ = Extent::pending;
  ++detail::numberings;
  nodes.assign(some.begin(), some.end());
  for (std::size_t k = 0; k < nodes.size(); ++k) nodes[k]->index = static_cast<std::uint32_t>(k);
  number_nodes();
  find_held();
  if (for_gradients) hold_for_gradients();
  finish();
}

void PendingGraph::take_body(std::span<const Tensor> made, std::span<const Tensor> arguments,
                             std::span<const Tensor> outputs) {
  extent_ = Extent::body;
  ++detail::numberings;
  nodes.clear();
  const auto number = [this](Node* node) {
    node->index = static_cast<std::uint32_t>(nodes.size());
    nodes.push_back(node);
  };
  for (const Tensor& node : made) number(node.node());
  std::vector<bool> needed(nodes.size());
  const auto need = [&](const Tensor& tensor) {
    if (is_inside(*tensor.node())) needed[tensor.node()->index] = true;
  };
  for (const Tensor& output : outputs) need(output);
  for (std::size_t k = nodes.size(); k-- > 0;) {
    if (!needed[k]) continue;
    for (const Tensor& input : std::as_const(*nodes[k]).inputs()) need(input);
  }
  nodes.clear();
  for (std::size_t k = 0; k < made.size(); ++k) {
    if (needed[k]) number(made[k].node());
  }
  number_nodes(arguments);
  for (const Tensor& output : outputs) edges.push_back(number_inside(output.node()));
  finish();
}

void PendingGraph::number_nodes(std::span<const Tensor> first_inputs) {
  key.resize(2 * nodes.size());
  hash = 0;
  has_effects_ = false;
  std::size_t edge_count = 0;
  std::uint64_t* word = key.data();
  for (Node* node : nodes) {
    *word++ = std::bit_cast<std::uint64_t>(node->operation);
    // With the counts the edges can be told apart.
    *word++ = std::uint64_t{node->input_count} << 3U | (node->evaluated() ? 4U : 0U) |
              std::uint64_t{node->checkpointed} << 1U | node->in_reverse;
    edge_count += node->input_count;
    has_effects_ |= !node->operation->pure;
    if (node->operation->attribute_size != 0) hash = mix(hash, node->operation->hash(node->attributes()));
  }
  inputs.clear(), uses.clear(), held.clear();
  numbers_.assign(least_numbers, none);
  for (const Tensor& input : first_inputs) input_number(input.node());
  node_uses_.assign(nodes.size(), 0);
  edges.resize(edge_count);
  std::uint32_t* edge = edges.data();
  for (const Node* node : nodes) {
    for (const Tensor& tensor : node->inputs()) {
      *edge = number_inside(tensor.node());
      ++(*edge >= first_input ? uses[*edge - first_input] : node_uses_[*edge]);
      ++edge;
    }
  }
}

void PendingGraph::find_held() {
  const bool may_have_values = extent_ == Extent::differentiable;
  std::uint32_t k = 0;
  for (Node* node : nodes) {
    if (may_have_values && node->evaluated()) {  // such a node is read as an input, too
      uses[input_number(node) - first_input] += node_uses_[k];
    } else if (is_held(*node, k)) {
      held.push_back(k);
    }
    ++k;
  }
}

// A reverse pass over a tracked node that somebody holds will read what the kernels behind that node have
// read; without these values it would compute the forward pass again. Kernels read from memory, so that such
// values exist as a whole anyway. Only a small graph keeps them: in a large one they may be much memory, and
// who only infers would have no use for them. Nor does a graph with a reverse pass of its own, or one in
// which memory is short.
void PendingGraph::hold_for_gradients() {
  if (MemoryBudget::current() != MemoryBudget::unlimited ||
      std::ranges::none_of(held, [&](std::uint32_t k) { return nodes[k]->tracked; }))
    return;
  constexpr std::size_t worth = 1024, most = std::size_t{256} * 1024;  // bytes: of a value, of all
  constexpr std::uint8_t stays = 1, is_read = 2;
  roles_.assign(nodes.size(), 0);
  for (const std::uint32_t k : held) roles_[k] = stays;
  const std::size_t held_before = held.size();
  std::size_t all_bytes = 0;
  const std::uint32_t* edge = edges.data() + edges.size();
  for (auto k = static_cast<std::uint32_t>(nodes.size()); k-- > 0;) {
    const Node& node = *nodes[k];
    if (node.in_reverse) return held.resize(held_before);
    edge -= node.input_count;
    std::uint8_t role = roles_[k];
    if (!node.tracked || (role & stays) == 0) continue;
    const Operation& op = *node.operation;
    if (op.view == nullptr) {
      if (role == (stays | is_read) && !node.checkpointed && !is_held(node, k)) {
        const std::size_t bytes = static_cast<std::size_t>(numel(node.shape())) * size_of(node.dtype);
        if (bytes >= worth) held.push_back(k), all_bytes += bytes;
      }
      const bool reads = !op.elementwise && std::ranges::none_of(op.joining, std::identity());
      role = reads ? stays | is_read : stays;
    }
    for (const std::uint32_t input : std::span(edge, node.input_count)) {
      if (input < first_input) roles_[input] |= role;
    }
  }
  if (all_bytes > most) held.resize(held_before);
  std::ranges::sort(held);
}

void PendingGraph::finish() {
  const bool is_body = extent_ == Extent::body;
  std::size_t words = 1 + held.size() + (is_body ? 0 : 1);
  for (const Node* input : inputs) words += 1 + (has_layout(*input) ? 2U : 1U) * input->rank;
  key.resize(key.size() + words);
  std::uint64_t* word = key.data() + key.size() - words;
  *word++ = inputs.size();
  for (const Node* input : inputs) word = describe_input(*input, word);
  for (const std::uint32_t k : held) *word++ = k;
  if (!is_body) *word = MemoryBudget::current();
  hash = mix(mix(hash, hash_of(std::as_bytes(std::span(key)))), hash_of(std::as_bytes(std::span(edges))));
}

void PendingGraph::add_to_key(std::span<const std::uint64_t> words) {
  key.insert(key.end(), words.begin(), words.end());
  for (const std::uint64_t word : words) hash = mix(hash, word);
}

std::uint32_t PendingGraph::number_of(const Node* node) const {
  if (node->index < nodes.size() && nodes[node->index] == node) return node->index;
  const std::uint32_t input = numbers_[place_of(node)];
  return input == none ? none : first_input + input;
}

std::uint64_t* PendingGraph::describe_input(const Node& node, std::uint64_t* word) const {
  const bool differentiable = extent_ == Extent::differentiable && node.tracked;
  *word++ = std::uint64_t{node.rank} << 8 | static_cast<std::uint64_t>(node.dtype) << 2 |
            (differentiable ? 2U : 0U) | (has_layout(node) ? 1U : 0U);
  for (const Index size : node.shape()) *word++ = static_cast<std::uint64_t>(size);
  if (!has_layout(node)) return word;
  for (const Index stride : node.strides()) *word++ = static_cast<std::uint64_t>(stride);
  return word;
}

void DeleteAttributes::operator()(void* attributes) const noexcept {
  if (operation->destroy != nullptr) operation->destroy(attributes);
  ::operator delete(attributes);
}

OwnAttributes copy_attributes(const Operation& op, const void* attributes) {
  if (op.attribute_size == 0) return {nullptr, {&op}};
  struct Free {
    void operator()(void* memory) const noexcept { ::operator delete(memory); }
  };
  std::unique_ptr<void, Free> memory(::operator new(op.attribute_size));
  op.copy(attributes, memory.get());
  return {memory.release(), {&op}};
}

GraphKey::GraphKey(const PendingGraph& pending)
    : key_(pending.key), edges_(pending.edges), hash_(pending.hash) {
  attributes_.reserve(pending.nodes.size());
  for (Node* node : pending.nodes) {
    const Operation& op = *node->operation;
    if (op.attribute_size != 0) described_.push_back(static_cast<std::uint32_t>(attributes_.size()));
    attributes_.push_back(copy_attributes(op, op.attribute_size == 0 ? nullptr : node->attributes()));
  }
}

bool GraphKey::matches(const PendingGraph& pending) const {
  if (hash_ != pending.hash || key_ != pending.key || edges_ != pending.edges) return false;
  return std::ranges::all_of(described_, [&](std::uint32_t k) {
    Node& node = *pending.nodes[k];
    return node.operation->equal(attributes_[k].get(), node.attributes());
  });
}

bool GraphKey::same_attributes(std::size_t k, const GraphKey& other) const {
  const void* mine = attributes_[k].get();
  return mine == nullptr || attributes_[k].get_deleter().operation->equal(mine, other.attributes_[k].get());
}

bool GraphKey::matches(const GraphKey& other) const {
  return hash_ == other.hash_ && key_ == other.key_ && edges_ == other.edges_ &&
         std::ranges::all_of(described_, [&](std::uint32_t k) { return same_attributes(k, other); });
}

std::size_t GraphKey::first_difference(const GraphKey& other) const {
  const std::size_t count = std::min(attributes_.size(), other.attributes_.size());
  for (std::size_t k = 0, edge = 0; k < count; ++k) {
    const std::uint64_t word = key_[2 * k + 1];
    if (key_[2 * k] != other.key_[2 * k] || word != other.key_[2 * k + 1] || !same_attributes(k, other))
      return k;
    const std::size_t inputs = word >> 3U;
    if (!std::equal(edges_.begin() + static_cast<std::ptrdiff_t>(edge),
                    edges_.begin() + static_cast<std::ptrdiff_t>(edge + inputs),
                    other.edges_.begin() + static_cast<std::ptrdiff_t>(edge)))
      return k;
    edge += inputs;
  }
  return count == 0 ? 0 : count - 1;
}

}  // namespace gradweave
