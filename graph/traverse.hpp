// The one traversal behind evaluation and derivatives: inputs before what uses them. Both of its passes are
// Boost's breadth-first visits with a stack of our own for its queue, which takes nothing from the system:
// Boost's depth-first search would keep 64 bytes for every level.
#pragma once
#include <ranges>
#include <span>

#include <boost/graph/breadth_first_search.hpp>

#include <gradweave/graph/boost_graph.hpp>

namespace gradweave {

/// Nodes that have no values yet.
struct FollowPending {
  static bool follows(const Node& node) { return !node.evaluated(); }
};

namespace detail {

// What Boost calls a queue, but last in, first out.
class NodeStack {
 public:
  bool empty() const { return size_ == 0; }
  Node* top() const { return nodes_[size_ - 1]; }
  void push(Node* node) {
    if (size_ == nodes_.size()) grow();
    nodes_[size_++] = node;
  }
  void pop() { --size_; }

 private:
  [[gnu::noinline]] void grow() { nodes_.resize(2 * nodes_.size() + 32); }
  NodeList nodes_;
  std::size_t size_ = 0;
};

// A colour map of two colours: a node is seen or not.
struct Seen {
  using key_type = Node*;
  using value_type = boost::default_color_type;
  using reference = value_type;
  using category = boost::read_write_property_map_tag;
};
inline boost::default_color_type get(Seen, Node* node) {
  return node->seen ? boost::gray_color : boost::white_color;
}
inline void put(Seen, Node* node, boost::default_color_type) { node->seen = true; }

// Counts the nodes, and in `index` the edges that lead to each. Leaves them seen.
struct CountReaders : boost::default_bfs_visitor {
  std::size_t* count;
  explicit CountReaders(std::size_t& found) : count(&found) {}
  void discover_vertex(Node*, const auto&) const { ++*count; }
  void tree_edge(const InputEdge& edge, const auto& graph) const { target(edge, graph)->index = 1; }
  void non_tree_edge(const InputEdge& edge, const auto& graph) const { ++target(edge, graph)->index; }
};

// Kahn's algorithm ("Topological sorting of large networks", 1962): a node's turn comes when it has been
// reached along all the edges that lead to it. That is its colour then.
struct Readers : Seen {};
inline boost::default_color_type get(Readers, Node* node) {
  return node->index == 0 ? boost::white_color : boost::gray_color;
}
inline void put(Readers, Node*, boost::default_color_type) {}

// Fills the order from its end. No edge will lead to a node that has its place: `index` is free for that.
struct FromTheEnd : boost::default_bfs_visitor {
  NodeList* order;
  std::size_t* left;
  FromTheEnd(NodeList& nodes, std::size_t& count) : order(&nodes), left(&count) {}
  void examine_edge(const InputEdge& edge, const auto& graph) const { --target(edge, graph)->index; }
  void discover_vertex(Node* node, const auto&) const {
    node->seen = false;
    node->index = static_cast<std::uint32_t>(--*left);
    (*order)[*left] = node;
  }
};

}  // namespace detail

/// The nodes that `roots` reach through edges that `Follow` admits, the roots it admits included, in
/// topological order, each with its place in that for its `index`. Depth costs memory but no recursion.
template <class Follow>
void topological_order(std::span<const Tensor> roots, NodeList& order) {
  const GraphView<Follow> graph;
  detail::NodeStack stack;
  std::size_t count = 0;
  for (const Tensor& root : roots) {
    Node* node = root.node();
    if (!Follow::follows(*node) || node->seen) continue;
    node->index = 0;
    boost::breadth_first_visit(graph, node, stack, detail::CountReaders(count), detail::Seen());
  }
  order.resize(count);
  for (const Tensor& root : std::views::reverse(roots)) {
    Node* node = root.node();
    if (!node->seen || node->index != 0) continue;
    boost::breadth_first_visit(graph, node, stack, detail::FromTheEnd(order, count), detail::Readers());
  }
}
template <class Follow>
NodeList topological_order(std::span<const Tensor> roots) {
  NodeList order;
  topological_order<Follow>(roots, order);
  return order;
}

}  // namespace gradweave
