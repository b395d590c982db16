#include <gradweave/graph/node.hpp>

#include <memory>
#include <new>

#include <gradweave/graph/operation.hpp>

namespace gradweave {
namespace {

constexpr std::size_t unit = 8;

std::size_t head_bytes(std::uint32_t inputs, std::size_t rank, bool has_strides) {
  return sizeof(Node) + inputs * sizeof(Tensor) + (has_strides ? 2 : 1) * rank * sizeof(Index);
}

bool reserves_strides(const Operation& op) { return op.view != nullptr || op.uniform; }

Node* new_node(const Operation& operation, std::uint32_t inputs, Dims shape, DType dtype, bool has_strides) {
  const std::size_t rank = shape.size();
  const std::size_t bytes = head_bytes(inputs, rank, has_strides) + operation.attribute_size;
  auto* node = new (allocate_block(bytes)) Node;
  node->operation = &operation;
  node->capacity = inputs;
  node->block_units = static_cast<std::uint32_t>((bytes + unit - 1) / unit);
  node->rank = static_cast<std::uint8_t>(rank);
  node->dtype = dtype;
  Index* size = node->sizes();
  for (const Index s : shape) *size++ = s;  // a few: not worth a call of memmove
  return node;
}

// Dead nodes that are not freed yet form a list through `data`, which they no longer need.
Node* next_dead(const Node* node) { return reinterpret_cast<Node*>(node->data); }
void set_next_dead(Node* node, Node* next) { node->data = reinterpret_cast<std::byte*>(next); }

}  // namespace

bool Node::has_room_for_strides() const { return strided || reserves_strides(*operation); }

void* Node::attributes() {
  return reinterpret_cast<std::byte*>(this) + head_bytes(capacity, rank, has_room_for_strides());
}

void Node::release_history() noexcept {
  if (tracked) tracked = false, released = true;
  drop_inputs();
}

void Node::drop_inputs() noexcept {
  const std::span<Tensor> all = inputs();
  input_count = 0;
  std::destroy(all.begin(), all.end());
}

void destroy(Node* node) noexcept {
  Node* dead = node;
  set_next_dead(dead, nullptr);
  while (dead != nullptr) {
    Node* current = dead;
    dead = next_dead(current);
    for (Tensor& input : current->inputs()) {
      Node* child = input.node();
      new (&input) Tensor;  // forget it without releasing: that would recurse
      if (child != nullptr && child->refs.drop()) {
        set_next_dead(child, dead);
        dead = child;
      }
    }
    if (current->operation->destroy != nullptr) current->operation->destroy(current->attributes());
    const std::size_t bytes = std::size_t{current->block_units} * unit;
    current->~Node();
    free_block(current, bytes);
  }
}

Tensor make_node(const Operation& operation, const void* attributes, std::span<Node* const> inputs,
                 Dims shape, DType dtype) {
  const auto count = static_cast<std::uint32_t>(inputs.size());
  Node* node = new_node(operation, count, shape, dtype, reserves_strides(operation));
  Tensor handle(node);
  node->input_count = count;
  Tensor* input = node->inputs().data();
  bool tracked = false;
  for (Node* from : inputs) {
    new (input++) Tensor(from);
    tracked |= from->tracked;
  }
  if (operation.attribute_size != 0) operation.copy(attributes, node->attributes());
  const detail::Marks& marks = detail::marks;
  node->place = Ref<Place>(marks.place);
  node->reverse = marks.reverse;
  node->forget = marks.forget;
  node->tracked = tracked && is_floating(dtype) && !operation.stops_gradient;
  return handle;
}

Tensor make_leaf(const Operation& kind, const Spec& spec, Ref<Storage> storage, std::byte* data,
                 Dims strides) {
  Node* node = new_node(kind, 0, spec.shape, spec.dtype, !strides.empty());
  Tensor handle(node);
  node->strided = !strides.empty();
  std::copy(strides.begin(), strides.end(), node->stride_array());
  node->storage = std::move(storage);
  node->data = data;
  node->tracked = &kind == &variable_leaf;
  return handle;
}

}  // namespace gradweave
