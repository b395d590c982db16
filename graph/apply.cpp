// Adding a node: its memory, promotion of dtypes, inference of shapes, and errors that say where.
#include <algorithm>
#include <array>
#include <cmath>
#include <new>
#include <vector>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/graph/node.hpp>
#include <gradweave/graph/scope.hpp>

namespace gradweave {
namespace {

std::size_t head_bytes(std::uint32_t inputs, std::size_t rank, bool has_strides) {
  return sizeof(Node) + inputs * sizeof(Tensor) + (has_strides ? 2 : 1) * rank * sizeof(Index);
}

bool reserves_strides(const Operation& op) { return op.view != nullptr || op.splat; }

[[gnu::always_inline]] inline Tensor new_node(const Operation& operation, std::uint32_t inputs, Dims shape,
                                              DType dtype, bool has_strides) {
  const std::size_t rank = shape.size();
  const std::size_t bytes = head_bytes(inputs, rank, has_strides) + operation.attribute_size;
  auto* node = new (allocate_block(bytes)) Node;
  node->operation = &operation;
  node->capacity = inputs;
  node->block_units = static_cast<std::uint32_t>((bytes + Node::unit - 1) / Node::unit);
  node->rank = static_cast<std::uint8_t>(rank);
  node->dtype = dtype;
  Index* size = node->sizes();
  for (std::size_t axis = 0; axis < max_rank; ++axis) {  // a few: not worth vectors
    if (axis == rank) break;
    size[axis] = shape[axis];
  }
  node->refs.start();
  return Tensor::adopt(node);
}

// A node without values, its attributes copied from `attributes`.
[[gnu::always_inline]] inline Tensor make_node(const Operation& operation, const void* attributes,
                                               std::span<Node* const> inputs, Dims shape, DType dtype,
                                               bool has_strides) {
  const auto count = static_cast<std::uint32_t>(inputs.size());
  Tensor handle = new_node(operation, count, shape, dtype, has_strides);
  Node* node = handle.node();
  const detail::Marks& marks = detail::marks;
  node->in_reverse = marks.in_reverse;
  node->checkpointed = marks.checkpointed;
  node->place = Ref<ModulePath>(marks.place);
  node->input_count = count;
  Tensor* input = node->inputs().data();
  bool tracked = false, released = false;
  for (Node* from : inputs) {
    new (input++) Tensor(from);
    tracked |= from->tracked;
    released |= from->released;
  }
  if (operation.attribute_size != 0) operation.copy(attributes, node->attributes());
  if (tracked || released) {
    const bool may_be_floating = is_floating(dtype) || operation.infer_outputs != nullptr;
    const bool passes_gradient = may_be_floating && !operation.stops_gradient;
    node->tracked = tracked && passes_gradient;
    if (released) node->released = passes_gradient;
  }
  if (marks.traced != nullptr) [[unlikely]]
    marks.traced->push_back(handle);
  return handle;
}

// The next dtype up that an op may have kernels for.
DType wider(DType t) {
  switch (t) {
    case DType::int64:
      return default_dtype();
    case DType::float32:
    case DType::float64:
      return DType::float64;
    case DType::float16:
    case DType::bfloat16:
      return DType::float32;
    case DType::bool_:
    case DType::uint8:
    case DType::int8:
    case DType::uint16:
    case DType::int16:
    case DType::uint32:
    case DType::int32:
    case DType::uint64:
      return DType::int64;
  }
  return t;
}

// Whether a comparison of whole numbers would meet another number than the one that was written.
bool would_wrap(const Operation& op, DType common, const Operand& x) {
  if (!is_integral(common) || x.tensor() != nullptr || !op.elementwise) return false;
  if (op.block(common).result != DType::bool_) return false;
  const double limit =
      std::ldexp(1, 8 * static_cast<int>(size_of(common)) - (about(common).is_signed ? 1 : 0));
  return x.number() >= limit || x.number() < (about(common).is_signed ? -limit : 0);
}

// The dtype that the inputs without a fixed one share: tensors decide, numbers only ask for a kind (bool <
// int < float). Single numbers beside elements, such as a learning rate, take no part.
DType common_dtype(const Operation& op, std::span<const Operand> inputs) {
  std::optional<DType> strong;
  DType weak = DType::bool_;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].tensor() != nullptr && inputs[i].tensor()->is_empty())
      throw GraphError("an empty Tensor has no shape and no values");
    if (i < op.fixed.size() && op.fixed[i]) continue;
    if (strong && i + op.scalar_inputs >= inputs.size()) continue;
    if (const Tensor* tensor = inputs[i].tensor()) {
      const DType dtype = tensor->dtype();
      strong = strong ? promote(*strong, dtype) : dtype;
    } else {
      const DType number = inputs[i].number_dtype();
      if (kind_of(number) > kind_of(weak)) weak = number;
    }
  }
  DType common = strong.value_or(weak);
  if (kind_of(common) < kind_of(weak)) common = weak;
  while (!contains(op.dtypes, common)) {
    if (common == DType::float64) {
      throw DTypeError(fmt::format("elements of type {} are not supported", name_of(strong.value_or(weak))));
    }
    common = wider(common);
  }
  if (std::ranges::any_of(inputs, [&](const Operand& x) { return would_wrap(op, common, x); }))
    common = promote(common, DType::int64);
  return common;
}

// The operand as the op takes it: a number becomes a tensor, another dtype is converted.
Tensor converted(const Operation& op, std::size_t i, const Operand& input, DType common, bool is_scalar) {
  if (!op.promotes && input.tensor() != nullptr) return *input.tensor();
  const bool is_fixed = i < op.fixed.size() && op.fixed[i].has_value();
  const DType wanted = is_fixed ? *op.fixed[i] : is_scalar ? computed_as(common) : common;
  const DType given = input.tensor() != nullptr ? input.tensor()->dtype() : input.number_dtype();
  if (is_fixed && given != wanted) {
    const bool fits = input.tensor() != nullptr ? is_integral(given) && is_integral(wanted)
                                                : kind_of(given) < kind_of(wanted);
    if (!fits)
      throw DTypeError(fmt::format("operand {} must be {}, not {}", i, name_of(wanted), name_of(given)));
  }
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

DType dtype_of_result(const Operation& elementwise, DType inputs) {
  const DType result = elementwise.block(inputs).result;
  return result == computed_as(inputs) ? inputs : result;
}

// What `op` gives; elementwise, of inputs that share `common`.
Spec result_of(const Operation& op, const void* attributes, std::span<Node* const> inputs, DType common) {
  if (op.infer != nullptr) return infer(op, attributes, inputs);
  for (const Node* input : inputs.last(op.scalar_inputs)) {
    if (numel(input->shape()) != 1)
      throw ShapeError(fmt::format("{} is not a single number", to_string(input->shape())));
  }
  const DType dtype = dtype_of_result(op, common);
  if (const Node* most = widest(inputs)) return {Shape(most->shape()), dtype};
  Shape shape(inputs[0]->shape());
  for (const Node* input : inputs.subspan(1)) shape = broadcast(shape, input->shape());
  return {shape, dtype};
}

enum class Alike : std::uint8_t { no, in_dtype, in_shape };

// Takes the nodes of the inputs if nothing is to be converted: they are tensors of one dtype that the op has
// a kernel for. Most have one shape as well, which the result has too: nothing can go wrong with those.
Alike take_alike(const Operation& op, std::span<const Operand> inputs, std::span<Node*> nodes) {
  if (inputs.empty() || inputs.size() > nodes.size()) return Alike::no;
  bool one_shape = op.plain;
  if (!op.plain && (!op.promotes || op.fixed[0] || op.fixed[1] || op.fixed[2])) return Alike::no;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Tensor* tensor = inputs[i].tensor();
    if (tensor == nullptr || tensor->is_empty()) return Alike::no;
    nodes[i] = tensor->node();
    if (i == 0) continue;
    if (nodes[i]->dtype != nodes[0]->dtype) return Alike::no;
    one_shape = one_shape && same(nodes[i]->shape(), nodes[0]->shape());
  }
  if (!contains(op.dtypes, nodes[0]->dtype)) return Alike::no;
  return one_shape ? Alike::in_shape : Alike::in_dtype;
}

// `nodes` are the inputs if they are alike; else none.
[[gnu::noinline]] Tensor add_unlike(const Operation& op, const void* attributes,
                                    std::span<const Operand> inputs, std::span<Node* const> nodes) {
  const auto add = [&](std::span<Node* const> from, DType common) {
    const Spec result = result_of(op, attributes, from, common);
    return make_node(op, attributes, from, result.shape, result.dtype, reserves_strides(op));
  };
  try {
    if (!nodes.empty()) return add(nodes, nodes[0]->dtype);
    const DType common = common_dtype(op, inputs);
    std::vector<Tensor> made;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      made.push_back(converted(op, i, inputs[i], common, i + op.scalar_inputs >= inputs.size()));
    std::vector<Node*> converted_nodes(made.size());
    std::ranges::transform(made, converted_nodes.begin(), &Tensor::node);
    return add(converted_nodes, common);
  } catch (const Error&) {
    rethrow_situated(op.name, inputs);
  }
}

}  // namespace

std::string to_string(const Operation& operation, const void* attributes) {
  std::string text(operation.name);
  return operation.attribute_size == 0 ? text
                                       : text + "(" + to_string(operation.attributes(attributes)) + ")";
}

bool Node::has_room_for_strides() const { return strided || reserves_strides(*operation); }

void* Node::attributes() {
  return reinterpret_cast<std::byte*>(this) + head_bytes(capacity, rank, has_room_for_strides());
}

Tensor make_leaf(const Operation& kind, const Spec& spec, Ref<Storage> storage, std::byte* data,
                 Dims strides) {
  Tensor handle = new_node(kind, 0, spec.shape, spec.dtype, !strides.empty());
  Node* node = handle.node();
  node->strided = !strides.empty();
  std::copy(strides.begin(), strides.end(), node->stride_array());
  node->storage = std::move(storage);
  node->data = data;
  node->tracked = &kind == &variable_leaf;
  return handle;
}

Tensor apply(const Operation& op, const void* attributes, std::span<const Operand> inputs) {
  std::array<Node*, 4> few;
  const Alike alike = take_alike(op, inputs, few);
  const std::span<Node* const> nodes(few.data(), alike == Alike::no ? 0 : inputs.size());
  Tensor made = alike == Alike::in_shape ? make_node(op, attributes, nodes, few[0]->shape(),
                                                     dtype_of_result(op, few[0]->dtype), false)
                                         : add_unlike(op, attributes, inputs, nodes);
  if (const auto* where = detail::marks.where) {
    made.node()->where = *where;
  } else if (!inputs.empty()) {
    made.node()->where = inputs[0].where();
  }
  return made;
}

}  // namespace gradweave
