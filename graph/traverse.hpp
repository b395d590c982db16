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

/// And those that have some, with a history that gradients can flow through.
struct FollowDifferentiable {
  static bool follows(const Node& node) {
    return !node.evaluated() || (node.tracked && node.input_count > 0);
  }
};

/// Nodes behind which there are variables. Leaves stay out of the traversal: other threads may be
/// differentiating with respect to the same ones.
struct FollowTracked {
  static bool follows(const Node& node) { return node.tracked && node.input_count > 0; }
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

// A colour map of two colours: a node is seen or not. The visitor below marks it.
struct Seen {
  using key_type = Node*;
  using value_type = boost::default_color_type;
  using reference = value_type;
  using category = boost::read_write_property_map_tag;
};
inline boost::default_color_type get(Seen, Node* node) {
  return node->seen ? boost::gray_color : boost::white_color;
}
inline void put(Seen, Node*, boost::default_color_type) {}

// Lists the nodes, and counts in `index` the edges that lead to each. Leaves them seen.
struct CountReaders : boost::default_bfs_visitor {
  NodeList* found;
  explicit CountReaders(NodeList& nodes) : found(&nodes) {}
  void discover_vertex(Node* node, const auto&) const {
    found->push_back(node);
    node->seen = true;
  }
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

// What an exception leaves marked would be passed over by every later traversal: takes the marks away,
// without any memory.
template <class Follow>
class Unmarking {
 public:
  Unmarking(std::span<const Tensor> roots, NodeList& order) : roots_(roots), order_(order) {}
  ~Unmarking() {
    if (placed_from_ == 0) return;
    if (placed_from_ == nothing_placed) {
      for (Node* node : order_) node->seen = false;
      return;
    }
    // What has no place yet gets one, in any order: the roots, then what those that have one read.
    for (const Tensor& root : roots_) place(root.node());
    for (std::size_t k = order_.size(); k-- > placed_from_;) {
      for (const Tensor& input : order_[k]->inputs()) place(input.node());
    }
  }
  Unmarking(const Unmarking&) = delete;
  Unmarking& operator=(const Unmarking&) = delete;

  // From here on, where the nodes that have their places in the order begin.
  std::size_t& begin_placing() { return placed_from_ = order_.size(); }

 private:
  void place(Node* node) {
    if (!Follow::follows(*node) || !node->seen) return;
    node->seen = false;
    order_[--placed_from_] = node;
  }
  static constexpr std::size_t nothing_placed = static_cast<std::size_t>(-1);
  std::span<const Tensor> roots_;
  NodeList& order_;
  std::size_t placed_from_ = nothing_placed;
};

}  // namespace detail

/// The nodes that `roots` reach through edges that `Follow` admits, the roots it admits included, in
/// topological order, each with its place in that for its `index`. Depth costs memory but no recursion.
template <class Follow>
void topological_order(std::span<const Tensor> roots, NodeList& order) {
  ++detail::numberings;
  const GraphView<Follow> graph;
  detail::NodeStack stack;
  order.clear();
  detail::Unmarking<Follow> unmarking(roots, order);
  for (const Tensor& root : roots) {
    Node* node = root.node();
    if (!Follow::follows(*node) || node->seen) continue;
    node->index = 0;
    boost::breadth_first_visit(graph, node, stack, detail::CountReaders(order), detail::Seen());
  }
  std::size_t& left = unmarking.begin_placing();
  for (const Tensor& root : std::views::reverse(roots)) {
    Node* node = root.node();
    if (!node->seen || node->index != 0) continue;
    boost::breadth_first_visit(graph, node, stack, detail::FromTheEnd(order, left), detail::Readers());
  }
}
template <class Follow>
NodeList topological_order(std::span<const Tensor> roots) {
  NodeList order;
  topological_order<Follow>(roots, order);
  return order;
}

}  // namespace gradweave
