// Pictures of the graph, for Graphviz: `dot -Tsvg graph.dot -o graph.svg`.
#pragma once
#include <iosfwd>
#include <span>
#include <string>

#include <gradweave/graph/tensor.hpp>

namespace gradweave {

/// Writes everything that `roots` depend on in Graphviz's language: a box for each variable, a note for each
/// constant, an ellipse for each op with its name, attributes and shape; a cluster for each module; what
/// `gradients` built is dashed and red. Edges point the way values flow. Numbered by traversal: the same
/// graph gives the same text.
void write_dot(std::ostream& out, std::span<const Tensor> roots);
/// The same into a file. Throws IoError when it cannot be written.
void write_dot(const std::string& path, std::span<const Tensor> roots);
/// The same of one root.
void write_dot(std::ostream& out, const Tensor& root);
void write_dot(const std::string& path, const Tensor& root);

}  // namespace gradweave
