// The live graph is a model of Boost.Graph's concepts: its algorithms run on it with no copy.
#include <gradweave/graph/boost_graph.hpp>

#include <algorithm>
#include <map>
#include <vector>

#include <boost/concept/assert.hpp>
#include <boost/graph/breadth_first_search.hpp>
#include <boost/graph/depth_first_search.hpp>
#include <boost/graph/graph_concepts.hpp>
#include <boost/property_map/property_map.hpp>

#include <gradweave/graph/traverse.hpp>
#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave {
namespace {

BOOST_CONCEPT_ASSERT((boost::GraphConcept<InputGraph>));
BOOST_CONCEPT_ASSERT((boost::IncidenceGraphConcept<InputGraph>));
BOOST_CONCEPT_ASSERT(
    (boost::MultiPassInputIteratorConcept<boost::graph_traits<InputGraph>::out_edge_iterator>));
BOOST_CONCEPT_ASSERT((boost::ReadWritePropertyMapConcept<detail::Seen, Node*>));

TEST_CASE("edges lead from a node to its inputs", "[boost_graph]") {
  const Tensor a = variable({1, 2}), b = variable({3, 4});
  const Tensor y = a / b;
  const InputGraph graph;
  CHECK(out_degree(y.node(), graph) == 2);
  CHECK(out_degree(a.node(), graph) == 0);
  std::vector<Node*> targets;
  const auto [first, last] = out_edges(y.node(), graph);
  for (auto edge = first; edge != last; ++edge) {
    CHECK(source(*edge, graph) == y.node());
    targets.push_back(target(*edge, graph));
  }
  CHECK(targets == std::vector<Node*>{a.node(), b.node()});
}

TEST_CASE("both edges of x * x are there", "[boost_graph]") {
  const Tensor x = variable({1, 2});
  CHECK(out_degree((x / x).node(), InputGraph{}) == 2);
}

TEST_CASE("boost::breadth_first_visit finds the distance to every node", "[boost_graph]") {
  const Tensor x = variable({0.5});
  const Tensor h = exp(x), y = sin(h) * x;
  std::map<Node*, boost::default_color_type> colors;
  std::map<Node*, int> distance;
  boost::queue<Node*> queue;
  const auto record =
      boost::record_distances(boost::make_assoc_property_map(distance), boost::on_tree_edge());
  boost::breadth_first_visit(InputGraph{}, y.node(), queue, boost::make_bfs_visitor(record),
                             boost::make_assoc_property_map(colors));
  CHECK(distance.size() == 4);
  CHECK(distance[y.node()] == 0);
  CHECK(distance[x.node()] == 1);
  CHECK(distance[h.node()] == 2);
}

TEST_CASE("the longest way through a live graph, by boost::depth_first_visit", "[boost_graph]") {
  const Tensor x = variable({0.5});
  const Tensor y = exp(sin(exp(x))) + x;
  struct Longest : boost::default_dfs_visitor {
    explicit Longest(std::map<Node*, int>* into) : length(into) {}
    void finish_vertex(Node* node, const InputGraph& graph) const {
      const auto [first, last] = out_edges(node, graph);
      int longest = -1;
      for (auto edge = first; edge != last; ++edge)
        longest = std::max(longest, length->at(target(*edge, graph)));
      (*length)[node] = longest + 1;
    }
    std::map<Node*, int>* length;
  };
  std::map<Node*, boost::default_color_type> colors;
  std::map<Node*, int> length;
  boost::depth_first_visit(InputGraph{}, y.node(), Longest(&length), boost::make_assoc_property_map(colors));
  CHECK(length[y.node()] == 4);
  CHECK(length[x.node()] == 0);
}

TEST_CASE("topological order: inputs come before what uses them, each node once", "[boost_graph]") {
  const Tensor x = variable({0.5});
  Tensor y = x;
  for (int k = 0; k < 20; ++k) y = sin(y) * y + x;
  const NodeList order = topological_order<FollowAll>(std::span(&y, 1));
  std::map<Node*, std::size_t> position;
  for (std::size_t k = 0; k < order.size(); ++k) CHECK(position.emplace(order[k], k).second);
  for (Node* node : order) {
    for (const Tensor& input : node->inputs()) CHECK(position.at(input.node()) < position.at(node));
  }
  CHECK(order.back() == y.node());
  CHECK(std::all_of(order.begin(), order.end(), [](const Node* n) { return !n->seen; }));
}

struct FollowOps {
  static bool follows(const Node& node) { return node.input_count > 0; }
};

TEST_CASE("a view that hides leaves has no edges to them", "[boost_graph]") {
  const Tensor x = variable({0.5});
  const Tensor h = exp(x), y = h / x;
  const GraphView<FollowOps> ops;
  CHECK(out_degree(y.node(), ops) == 1);
  CHECK(out_degree(h.node(), ops) == 0);
  CHECK(topological_order<FollowOps>(std::span(&y, 1)) == NodeList{h.node(), y.node()});
}

}  // namespace
}  // namespace gradweave
