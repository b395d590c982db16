// Forward mode: tangents walk from the tensors that move to the results, inputs before what reads them.
#include <gradweave/graph/gradients.hpp>

#include <unordered_map>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/graph/operation.hpp>
#include <gradweave/graph/outputs.hpp>
#include <gradweave/graph/traverse.hpp>

namespace gradweave {
namespace {

class Forward {
 public:
  Forward(std::span<const Tensor> xs, std::span<const Tensor> tangents) {
    for (std::size_t i = 0; i < xs.size(); ++i) {
      if (!xs[i].is_tracked()) continue;
      Tensor& known = tangents_[xs[i].node()];
      const Tensor tangent = cast(tangents[i], xs[i].dtype());
      known = known.is_empty() ? tangent : add(known, tangent);  // named twice
    }
  }

  void run(std::span<const Tensor> ys) {
    for (Node* node : topological_order<FollowTracked>(ys)) {
      if (tangents_.contains(node)) continue;  // it moves by itself
      ReversePass::visit(node->where, node->place.get());
      const Tensor tensor(node);
      Tensor tangent = node->operation == &output_operation() ? of_output(tensor) : of(tensor);
      if (!tangent.is_empty()) tangents_[node] = std::move(tangent);
    }
  }

  Tensor tangent_of(const Tensor& y) const {
    const auto at = tangents_.find(y.node());
    return at == tangents_.end() ? Tensor() : at->second;
  }

 private:
  // Empty where nothing moves.
  std::vector<Tensor> tangents_of_inputs(const Node& node) const {
    std::vector<Tensor> all;
    for (const Tensor& input : node.inputs()) {
      if (input.node()->released) refuse_released(node.operation->name, Operand(input, node.where));
      all.push_back(tangent_of(input));
    }
    return all;
  }
  static bool moves(const std::vector<Tensor>& tangents) {
    return !std::ranges::all_of(tangents, &Tensor::is_empty);
  }

  Tensor of(const Tensor& tensor) const {
    Node& node = *tensor.node();
    const Operation& op = *node.operation;
    if (op.infer_outputs != nullptr) return {};  // each of its outputs has its turn
    const std::vector<Tensor> tangents = tangents_of_inputs(node);
    if (!moves(tangents)) return {};
    if (op.jvp == nullptr) return through_rule(tensor, 0, 1, tangents);
    const void* attributes = op.attribute_size == 0 ? nullptr : node.attributes();
    Tensor tangent = op.jvp(attributes, tangents, std::as_const(node).inputs(), tensor);
    return tangent.is_empty() || tangent.shape() == tensor.shape() ? tangent
                                                                   : broadcast_to(tangent, tensor.shape());
  }
  Tensor of_output(const Tensor& output) const {
    const Tensor& node = std::as_const(*output.node()).inputs()[0];
    const std::vector<Tensor> tangents = tangents_of_inputs(*node.node());
    if (!moves(tangents)) return {};
    return through_rule(node, output_number(*output.node()), output_specs(*node.node()).size(), tangents);
  }

  // A rule is linear in the cotangent u of an output, so its derivative with respect to u, along the tangents
  // of the inputs, is the tangent of that output.
  static Tensor through_rule(const Tensor& tensor, std::size_t number, std::size_t outputs,
                             const std::vector<Tensor>& tangents) {
    const Node& node = *tensor.node();
    const Spec spec = output_specs(node)[number];
    if (!is_floating(spec.dtype)) return {};
    const Tensor u = variable(zeros(spec.shape, spec.dtype));
    std::vector<Tensor> cotangents(outputs), known(outputs);
    cotangents[number] = u;
    if (node.operation->infer_outputs == nullptr) known[number] = tensor;
    std::vector<bool> wanted(node.input_count);
    for (std::size_t i = 0; i < wanted.size(); ++i) wanted[i] = !tangents[i].is_empty();
    const std::vector<Tensor> terms = pull_back(tensor, cotangents, known, wanted);

    std::vector<Tensor> parts;
    for (std::size_t i = 0; i < terms.size(); ++i) {
      if (!wanted[i] || terms[i].is_empty() || !terms[i].is_tracked()) continue;
      const Tensor term = sum_to(Operand(terms[i], node.where), node.inputs()[i].shape());
      Tensor part = gradients(term, {u}, tangents[i], Unconnected::empty)[0];
      if (!part.is_empty()) parts.push_back(std::move(part));
    }
    return parts.empty() ? Tensor() : add(parts);
  }

  std::unordered_map<const Node*, Tensor> tangents_;
};

void check(std::span<const Tensor> ys, std::span<const Tensor> xs, std::span<const Tensor> tangents,
           std::source_location where) {
  if (xs.size() != tangents.size())
    throw GraphError(
        at_line(fmt::format("jvp: {} tangents for {} tensors", tangents.size(), xs.size()), where));
  const auto require_some = [&](std::span<const Tensor> tensors, const char* what) {
    for (const Tensor& t : tensors) {
      if (t.is_empty()) throw GraphError(at_line(fmt::format("jvp: {} is an empty Tensor", what), where));
    }
  };
  require_some(ys, "a result");
  require_some(xs, "what moves");
  require_some(tangents, "a tangent");
  for (std::size_t i = 0; i < xs.size(); ++i) {
    if (!same(tangents[i].shape(), xs[i].shape())) {
      throw ShapeError(at_line(fmt::format("jvp: the direction has shape {}, expected {}",
                                           to_string(tangents[i].shape()), to_string(xs[i].shape())),
                               where));
    }
  }
  for (const Tensor& y : ys) {
    if (y.node()->released) refuse_released("jvp", Operand(y, where));
  }
}

}  // namespace

std::vector<Tensor> jvp(std::span<const Tensor> ys, std::span<const Tensor> xs,
                        std::span<const Tensor> tangents, Unconnected unconnected,
                        std::source_location where) {
  check(ys, xs, tangents, where);
  const ReversePass mode;
  Forward forward(xs, tangents);
  forward.run(ys);
  mode.leave();
  std::vector<Tensor> result;
  result.reserve(ys.size());
  for (const Tensor& y : ys) {
    Tensor tangent = forward.tangent_of(y);
    if (tangent.is_empty() && unconnected == Unconnected::error) {
      throw GraphError(at_line(
          fmt::format("jvp of {}: it does not depend on {}; ask for Unconnected::zeros if that is meant",
                      describe(y),
                      xs.size() == 1 ? describe(xs[0]) : std::string("any of the tensors that move")),
          where));
    }
    if (tangent.is_empty() && unconnected == Unconnected::zeros) tangent = zeros(y.shape(), y.dtype());
    result.push_back(std::move(tangent));
  }
  return result;
}

Tensor jvp(const Tensor& y, const Tensor& x, const Tensor& tangent, std::source_location where) {
  return jvp({&y, 1}, {&x, 1}, {&tangent, 1}, Unconnected::error, where)[0];
}

}  // namespace gradweave
