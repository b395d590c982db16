// Adding a node: promotion of dtypes, inference of shapes, and errors that say where.
#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/graph/node.hpp>
#include <gradweave/graph/refuse.hpp>

namespace gradweave {
namespace {

// The dtype that the inputs without a fixed one share: tensors decide, numbers only ask for a kind (bool <
// int < float).
DType common_dtype(const Operation& op, std::span<const Operand> inputs) {
  std::optional<DType> strong;
  DType weak = DType::bool_;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
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

Tensor as_tensor(const Operation& op, std::size_t i, const Operand& input, DType common) {
  const std::optional<DType> fixed = i < op.fixed.size() ? op.fixed[i] : std::nullopt;
  const DType wanted = fixed.value_or(common);
  const DType given = input.tensor() != nullptr ? input.tensor()->dtype() : input.number_dtype();
  if (fixed && given != wanted && (input.tensor() != nullptr || given > wanted))
    throw DTypeError(fmt::format("operand {} must be {}, not {}", i, name_of(wanted), name_of(given)));
  return input.tensor() != nullptr ? cast(*input.tensor(), wanted) : full({}, input.number(), wanted);
}

Spec infer(const Operation& op, const void* attributes, std::span<const Tensor> inputs, DType common) {
  if (op.infer == nullptr) {
    Spec spec{Shape(inputs[0].node()->shape()), op.block_result[static_cast<std::size_t>(common)]};
    for (const Tensor& input : inputs.subspan(1)) {
      if (!same(input.node()->shape(), spec.shape)) spec.shape = broadcast(spec.shape, input.node()->shape());
    }
    return spec;
  }
  std::array<Spec, 4> few;
  if (inputs.size() <= few.size()) {
    std::transform(inputs.begin(), inputs.end(), few.begin(),
                   [](const Tensor& t) { return t.node()->spec(); });
    return op.infer(attributes, {few.data(), inputs.size()});
  }
  std::vector<Spec> many;
  for (const Tensor& input : inputs) many.push_back(input.node()->spec());
  return op.infer(attributes, many);
}

// The common case, with nothing to promote or to broadcast: an elementwise op on tensors of one dtype and
// shape.
Tensor apply_alike(const Operation& op, const void* attributes, std::span<const Operand> inputs) {
  if (!op.elementwise || inputs.size() > 2 || op.fixed[0] || inputs[0].tensor() == nullptr) return {};
  const Node& first = *inputs[0].tensor()->node();
  if (!contains(op.dtypes, first.dtype)) return {};
  std::array<Tensor, 2> tensors{*inputs[0].tensor()};
  if (inputs.size() == 2) {
    if (inputs[1].tensor() == nullptr) return {};
    const Node& second = *inputs[1].tensor()->node();
    if (second.dtype != first.dtype || !same(first.shape(), second.shape())) return {};
    tensors[1] = *inputs[1].tensor();
  }
  const Spec spec{Shape(first.shape()), op.block_result[static_cast<std::size_t>(first.dtype)]};
  Tensor result = make_node(op, attributes, {tensors.data(), inputs.size()}, spec);
  result.node()->where = inputs[0].where();
  return result;
}

}  // namespace

Tensor apply(const Operation& op, const void* attributes, std::span<const Operand> inputs) {
  const std::source_location where = inputs.empty() ? std::source_location() : inputs[0].where();
  for (const Operand& input : inputs) {
    if (input.tensor() != nullptr && !*input.tensor())
      throw GraphError(situated(op.name, inputs, "an empty Tensor has no shape and no values"));
  }
  try {
    if (Tensor result = apply_alike(op, attributes, inputs)) return result;
    const DType common = common_dtype(op, inputs);
    std::array<Tensor, 4> few;
    std::vector<Tensor> many;
    std::span<Tensor> tensors(few.data(), std::min(inputs.size(), few.size()));
    if (inputs.size() > few.size()) {
      many.resize(inputs.size());
      tensors = many;
    }
    for (std::size_t i = 0; i < inputs.size(); ++i) tensors[i] = as_tensor(op, i, inputs[i], common);
    Tensor result = make_node(op, attributes, tensors, infer(op, attributes, tensors, common));
    result.node()->where = where;
    return result;
  } catch (const Error&) {
    rethrow_situated(op.name, inputs);
  }
}

namespace detail {

std::size_t combine(std::size_t seed, std::size_t hash) {
  return seed ^ (hash + 0x9e3779b97f4a7c15U + (seed << 6) + (seed >> 2));
}
std::string print_number(double value) { return fmt::format("{}", value); }

}  // namespace detail
}  // namespace gradweave
