// Adding a node: promotion of dtypes, inference of shapes, and errors that say where.
#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/node.hpp>
#include <gradweave/graph/refuse.hpp>
#include <gradweave/graph/scope.hpp>

namespace gradweave {
namespace {

// The dtype that the inputs without a fixed one share: tensors decide, numbers only ask for a kind (bool <
// int < float).
DType common_dtype(const Operation& op, std::span<const Operand> inputs) {
  std::optional<DType> strong;
  DType weak = DType::bool_;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].tensor() != nullptr && !*inputs[i].tensor())
      throw GraphError("an empty Tensor has no shape and no values");
    if (i < op.fixed.size() && op.fixed[i]) continue;
    if (const Tensor* tensor = inputs[i].tensor()) {
      const DType dtype = tensor->dtype();
      strong = strong ? promote(*strong, dtype) : dtype;
    } else {
      weak = std::max(weak, inputs[i].number_dtype());
    }
  }
  DType common = strong.value_or(weak);
  if (strong && !is_floating(common)) common = std::max(common, weak);
  while (!contains(op.dtypes, common)) {  // the next wider one that the op has a kernel for
    if (common == DType::float64) {
      throw DTypeError(fmt::format("elements of type {} are not supported", name_of(strong.value_or(weak))));
    }
    common = common == DType::bool_ ? DType::int64 : common == DType::int64 ? DType::float32 : DType::float64;
  }
  return common;
}

// The operand as the op takes it: a number becomes a tensor, another dtype is converted.
Tensor converted(const Operation& op, std::size_t i, const Operand& input, DType common) {
  const std::optional<DType> fixed = i < op.fixed.size() ? op.fixed[i] : std::nullopt;
  const DType wanted = fixed.value_or(common);
  const DType given = input.tensor() != nullptr ? input.tensor()->dtype() : input.number_dtype();
  if (fixed && given != wanted && (input.tensor() != nullptr || given > wanted))
    throw DTypeError(fmt::format("operand {} must be {}, not {}", i, name_of(wanted), name_of(given)));
  return input.tensor() != nullptr ? cast(*input.tensor(), wanted) : full({}, input.number(), wanted);
}

Spec infer(const Operation& op, const void* attributes, std::span<Node* const> inputs) {
  if (inputs.size() == 1) {
    const Spec spec = inputs[0]->spec();
    return op.infer(attributes, {&spec, 1});
  }
  if (inputs.size() == 2) {
    const std::array<Spec, 2> specs{inputs[0]->spec(), inputs[1]->spec()};
    return op.infer(attributes, specs);
  }
  std::vector<Spec> specs;
  for (const Node* input : inputs) specs.push_back(input->spec());
  return op.infer(attributes, specs);
}

// The input that has the shape to which all broadcast; null where none has.
const Node* widest(std::span<Node* const> inputs) {
  const Node* most = inputs[0];
  bool all_same = true;
  for (const Node* input : inputs.subspan(1)) {
    if (same(input->shape(), most->shape())) continue;
    all_same = false;
    if (!broadcasts_to(input->shape(), most->shape())) most = input;
  }
  const auto fits = [&](const Node* input) { return broadcasts_to(input->shape(), most->shape()); };
  return all_same || std::ranges::all_of(inputs, fits) ? most : nullptr;
}

Tensor add_node(const Operation& op, const void* attributes, std::span<Node* const> inputs, DType common) {
  if (op.infer != nullptr) {
    const Spec spec = infer(op, attributes, inputs);
    return make_node(op, attributes, inputs, spec.shape, spec.dtype);
  }
  for (const Node* input : inputs.last(op.numbers)) {
    if (numel(input->shape()) != 1)
      throw ShapeError(fmt::format("{} is not a single number", to_string(input->shape())));
  }
  const DType dtype = op.block_result[static_cast<std::size_t>(common)];
  if (const Node* most = widest(inputs)) return make_node(op, attributes, inputs, most->shape(), dtype);
  Shape shape(inputs[0]->shape());
  for (const Node* input : inputs.subspan(1)) shape = broadcast(shape, input->shape());
  return make_node(op, attributes, inputs, shape, dtype);
}

// The nodes of the inputs if nothing is to be converted: tensors of one dtype that the op has a kernel for.
bool take_as_they_are(const Operation& op, std::span<const Operand> inputs, Node** nodes) {
  if (inputs.empty() || op.fixed[0] || op.fixed[1] || op.fixed[2]) return false;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Tensor* tensor = inputs[i].tensor();
    if (tensor == nullptr || !*tensor) return false;
    nodes[i] = tensor->node();
    if (nodes[i]->dtype != nodes[0]->dtype) return false;
  }
  return contains(op.dtypes, nodes[0]->dtype);
}

Tensor add_converted(const Operation& op, const void* attributes, std::span<const Operand> inputs) {
  const DType common = common_dtype(op, inputs);
  std::vector<Tensor> made;
  for (std::size_t i = 0; i < inputs.size(); ++i) made.push_back(converted(op, i, inputs[i], common));
  std::vector<Node*> nodes(made.size());
  std::ranges::transform(made, nodes.begin(), &Tensor::node);
  return add_node(op, attributes, nodes, common);
}

}  // namespace

Tensor apply(const Operation& op, const void* attributes, std::span<const Operand> inputs) {
  try {
    std::array<Node*, 4> nodes;
    const bool as_they_are = inputs.size() <= nodes.size() && take_as_they_are(op, inputs, nodes.data());
    Tensor result = as_they_are ? add_node(op, attributes, {nodes.data(), inputs.size()}, nodes[0]->dtype)
                                : add_converted(op, attributes, inputs);
    if (const auto* where = detail::marks.where) {
      result.node()->where = *where;
    } else if (!inputs.empty()) {
      result.node()->where = inputs[0].where();
    }
    return result;
  } catch (const Error&) {
    rethrow_situated(op.name, inputs);
  }
}

}  // namespace gradweave
