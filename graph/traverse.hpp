// The one traversal behind evaluation, derivatives and pictures: inputs before what uses them.
#pragma once
#include <span>
#include <vector>

#include <boost/graph/depth_first_search.hpp>

#include <gradweave/graph/boost_graph.hpp>

namespace gradweave {

/// Nodes that have no values yet.
struct FollowPending {
  static bool follows(const Node& node) { return !node.evaluated(); }
};

/// The nodes that `roots` reach through edges that `Follow` admits, the roots it admits included, in
/// topological order. Boost's search keeps its own stack, so depth costs memory but no recursion.
template <class Follow>
void topological_order(std::span<const Tensor> roots, std::vector<Node*>& order) {
  struct Finished : boost::default_dfs_visitor {
    std::vector<Node*>* order;
    explicit Finished(std::vector<Node*>* into) : order(into) {}
    void finish_vertex(Node* node, const GraphView<Follow>&) const { order->push_back(node); }
  };
  order.clear();
  for (const Tensor& root : roots) {
    if (Follow::follows(*root.node()) && root.node()->color == boost::white_color) {
      boost::depth_first_visit(GraphView<Follow>{}, root.node(), Finished(&order), NodeColor{});
    }
  }
  for (Node* node : order) node->color = boost::white_color;
}
template <class Follow>
std::vector<Node*> topological_order(std::span<const Tensor> roots) {
  std::vector<Node*> order;
  topological_order<Follow>(roots, order);
  return order;
}

}  // namespace gradweave
