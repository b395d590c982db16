// The live graph as a Boost.Graph: vertices are nodes, out-edges lead to a node's inputs, nothing is copied.
// Every traversal of the library, and any algorithm of yours that takes an IncidenceGraph, runs on it.
//
//   boost::depth_first_visit(InputGraph{}, loss.node(), visitor, boost::make_assoc_property_map(colors));
//
// A common beginner's error: looking for a history that is gone. A node with values that no gradient can flow
// through has let go of its inputs: look at the graph before it is evaluated. And a vertex is a plain
// pointer: hold a Tensor as long as you use the vertices behind it.
//
// GraphView<Follow> shows only the edges for which Follow(input) holds: that is how traversals stay off the
// leaves, which threads may share.
#pragma once
#include <utility>

#include <boost/graph/graph_traits.hpp>
#include <boost/graph/properties.hpp>
#include <boost/iterator/iterator_facade.hpp>
#include <boost/property_map/property_map.hpp>

#include <gradweave/graph/node.hpp>

namespace gradweave {

/// The edge from `node` to its input number `slot`.
struct InputEdge {
  Node* node = nullptr;
  std::size_t slot = 0;
  friend bool operator==(const InputEdge&, const InputEdge&) = default;
};

/// Every input of every node.
struct FollowAll {
  static bool follows(const Node&) { return true; }
};

template <class Follow>
struct GraphView {};
using InputGraph = GraphView<FollowAll>;

template <class Follow>
class InputEdgeIterator : public boost::iterator_facade<InputEdgeIterator<Follow>, InputEdge,
                                                        boost::forward_traversal_tag, InputEdge> {
 public:
  InputEdgeIterator() = default;
  InputEdgeIterator(Node* node, std::size_t slot)
      : node_(node), at_(node->inputs().data() + slot), end_(node->inputs().data() + node->input_count) {
    skip();
  }

 private:
  friend class boost::iterator_core_access;
  InputEdge dereference() const {
    return {node_, static_cast<std::size_t>(at_ - std::as_const(*node_).inputs().data())};
  }
  bool equal(const InputEdgeIterator& other) const { return at_ == other.at_; }
  void increment() {
    ++at_;
    skip();
  }
  void skip() {
    while (at_ != end_ && !Follow::follows(*at_->node())) ++at_;
  }
  Node* node_ = nullptr;
  const Tensor* at_ = nullptr;
  const Tensor* end_ = nullptr;
};

template <class Follow>
std::pair<InputEdgeIterator<Follow>, InputEdgeIterator<Follow>> out_edges(Node* node,
                                                                          const GraphView<Follow>&) {
  return {{node, 0}, {node, node->input_count}};
}
template <class Follow>
std::size_t out_degree(Node* node, const GraphView<Follow>& graph) {
  const auto [first, last] = out_edges(node, graph);
  return static_cast<std::size_t>(std::distance(first, last));
}
template <class Follow>
Node* source(const InputEdge& edge, const GraphView<Follow>&) {
  return edge.node;
}
template <class Follow>
Node* target(const InputEdge& edge, const GraphView<Follow>&) {
  return edge.node->inputs()[edge.slot].node();
}

}  // namespace gradweave

template <class Follow>
struct boost::graph_traits<gradweave::GraphView<Follow>> {
  using vertex_descriptor = gradweave::Node*;
  using edge_descriptor = gradweave::InputEdge;
  using out_edge_iterator = gradweave::InputEdgeIterator<Follow>;
  using directed_category = boost::directed_tag;
  using edge_parallel_category = boost::allow_parallel_edge_tag;
  using traversal_category = boost::incidence_graph_tag;
  using degree_size_type = std::size_t;
  static vertex_descriptor null_vertex() { return nullptr; }
};
