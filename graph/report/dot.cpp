#include <gradweave/graph/report/dot.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>
#include <boost/graph/depth_first_search.hpp>

#include <gradweave/graph/boost_graph.hpp>
#include <gradweave/graph/operation.hpp>

namespace gradweave {
namespace {

// Nodes in the order in which the search is done with them: inputs before what uses them, so that numbers
// repeat from run to run.
class Numbering {
 public:
  explicit Numbering(std::span<const Tensor> roots) {
    struct Finished : boost::default_dfs_visitor {
      explicit Finished(std::vector<Node*>* into) : order(into) {}
      void finish_vertex(Node* node, const InputGraph&) const { order->push_back(node); }
      std::vector<Node*>* order;
    };
    // Colours of its own: a picture may show leaves that other threads are using.
    std::unordered_map<Node*, boost::default_color_type> colors;
    const auto color_map = boost::make_assoc_property_map(colors);
    for (const Tensor& root : roots) {
      if (root.is_empty()) throw GraphError("write_dot of an empty Tensor");
      if (colors[root.node()] == boost::white_color) {
        boost::depth_first_visit(InputGraph{}, root.node(), Finished(&order_), color_map);
      }
    }
    for (std::size_t k = 0; k < order_.size(); ++k) number_[order_[k]] = k;
  }

  const std::vector<Node*>& order() const { return order_; }
  std::size_t operator()(const Node* node) const { return number_.at(node); }

 private:
  std::vector<Node*> order_;
  std::unordered_map<const Node*, std::size_t> number_;
};

std::string escaped(std::string_view text) {
  std::string result;
  for (char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

std::string label_of(Node& node) {
  const Operation& op = *node.operation;
  const std::string text = to_string(op, op.attribute_size == 0 ? nullptr : node.attributes());
  return fmt::format("{}\\n{} {}", escaped(text), name_of(node.dtype), to_string(node.shape()));
}

std::string style_of(const Node& node) {
  if (node.operation == &variable_leaf)
    return R"(shape=box, style=filled, fillcolor="#d5e8d4", color="#4a7c3a")";
  if (node.operation == &constant_leaf)
    return R"(shape=note, style=filled, fillcolor="#eeeeee", color="#888888")";
  if (node.in_reverse) return R"(shape=ellipse, style="dashed,filled", fillcolor="#fbe9e7", color="#b5402a")";
  return R"(shape=ellipse, style=filled, fillcolor="#dae8fc", color="#3f6ea8")";
}

// The modules as a tree: what is in each, and the modules inside it. Sorted by name.
struct Cluster {
  std::vector<Node*> nodes;
  std::map<std::string, Cluster, std::less<>> children;

  Cluster& at(std::string_view path) {
    Cluster* cluster = this;
    while (!path.empty()) {
      const std::size_t end = std::min(path.find('/'), path.size());
      cluster = &cluster->children[std::string(path.substr(0, end))];
      path.remove_prefix(std::min(end + 1, path.size()));
    }
    return *cluster;
  }
};

class Writer {
 public:
  Writer(std::ostream& out, const Numbering& number) : out_(out), number_(number) {}

  void write() {
    Cluster all;
    for (Node* node : number_.order())
      all.at(node->place ? node->place->path : std::string_view()).nodes.push_back(node);
    out_ << fmt::format(
        "digraph gradweave {{\n  rankdir=BT;\n  node [fontname=\"Helvetica\", fontsize=10];\n");
    write(all, 1);
    for (const Node* node : number_.order()) write_edges(*node);
    out_ << fmt::format("}}\n");
  }

 private:
  void write(const Cluster& cluster, std::size_t depth) {
    const std::string indent(2 * depth, ' ');
    for (Node* node : cluster.nodes) {
      out_ << fmt::format("{}n{} [label=\"{}\", {}];\n", indent, number_(node), label_of(*node),
                          style_of(*node));
    }
    for (const auto& [name, child] : cluster.children) {  // as deep as modules nest, not as the graph is
      out_ << fmt::format("{}subgraph cluster_{} {{\n{}  label=\"{}\"; style=rounded; color=\"#999999\";\n",
                          indent, clusters_++, indent, escaped(name));
      write(child, depth + 1);
      out_ << fmt::format("{}}}\n", indent);
    }
  }

  void write_edges(const Node& node) {
    const std::string_view style = node.in_reverse ? " [style=dashed, color=\"#b5402a\"]" : "";
    for (const Tensor& input : node.inputs()) {
      out_ << fmt::format("  n{} -> n{}{};\n", number_(input.node()), number_(&node), style);
    }
  }

  std::ostream& out_;
  const Numbering& number_;
  std::size_t clusters_ = 0;
};

}  // namespace

void write_dot(std::ostream& out, std::span<const Tensor> roots) { Writer(out, Numbering(roots)).write(); }

void write_dot(const std::string& path, std::span<const Tensor> roots) {
  std::ofstream file(path);
  if (!file)
    throw IoError(fmt::format("write_dot: cannot open \"{}\" for writing: {}", path, std::strerror(errno)));
  write_dot(file, roots);
  file.close();
  if (!file) throw IoError(fmt::format("write_dot: writing {} failed: is the disk full?", path));
}

void write_dot(std::ostream& out, const Tensor& root) { write_dot(out, std::span(&root, 1)); }
void write_dot(const std::string& path, const Tensor& root) { write_dot(path, std::span(&root, 1)); }

}  // namespace gradweave
