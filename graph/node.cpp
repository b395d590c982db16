// How nodes are let go of.
#include <gradweave/graph/node.hpp>

#include <memory>

#include <gradweave/graph/operation.hpp>

namespace gradweave {
namespace {

// Dead nodes that are not freed yet form a list through `data`, which they no longer need.
Node* next_dead(const Node* node) { return reinterpret_cast<Node*>(node->data); }
void set_next_dead(Node* node, Node* next) { node->data = reinterpret_cast<std::byte*>(next); }

}  // namespace

constinit thread_local std::uint64_t detail::numberings = 0;

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
    for (const Tensor& input : current->inputs()) {  // not released one by one: that would recurse
      Node* child = input.node();
      if (child->refs.drop()) {
        set_next_dead(child, dead);
        dead = child;
      }
    }
    if (current->operation->destroy != nullptr) current->operation->destroy(current->attributes());
    const std::size_t bytes = std::size_t{current->block_units} * Node::unit;
    current->~Node();
    free_block(current, bytes);
  }
}

}  // namespace gradweave
