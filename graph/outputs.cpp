#include <gradweave/graph/outputs.hpp>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/graph/node.hpp>

namespace gradweave {
namespace {

struct Output {
  Index number;
  Index offset;  // in bytes, where all outputs are there
  Shape shape;
  DType dtype;
  static constexpr std::string_view name = "output";
  static constexpr bool leading_axes = false;
  static constexpr DTypes dtypes = only(DType::bool_);
  Spec infer(const Spec& x) const {
    const auto bytes = static_cast<std::size_t>(numel(shape)) * size_of(dtype);
    if (x.dtype != DType::bool_ || offset < 0 || offset > numel(x.shape) ||
        bytes > static_cast<std::size_t>(numel(x.shape) - offset))
      throw ShapeError(fmt::format("no output {} of that shape", number));
    return {shape, dtype};
  }
  bool view(const ArrayView&, ArrayView& y, std::span<Index> strides) const {
    y.data = y.as<std::byte>() + offset;
    const Shape packed = row_major(shape);
    std::ranges::copy(packed, strides.begin());
    return true;
  }
  static SamplesOf<Output> samples() { return {{{0, 2, {4}, DType::bool_}, {booleans({6})}}}; }
};

Tensor make_output(const Tensor& node, const OutputLayout& layout, std::size_t k) {
  const Spec& spec = layout.specs[k];
  return apply(Output{static_cast<Index>(k), static_cast<Index>(layout.offsets[k]), spec.shape, spec.dtype},
               {Operand(node, node.node()->where)});
}

}  // namespace

std::size_t OutputLayout::bytes_of(const Spec& spec) {
  constexpr std::size_t alignment = 64;
  const std::size_t bytes = static_cast<std::size_t>(numel(spec.shape)) * size_of(computed_as(spec.dtype));
  return (bytes + alignment - 1) / alignment * alignment;
}

OutputLayout lay_out(std::vector<Spec> specs, const std::vector<bool>& wanted) {
  OutputLayout layout{.specs = std::move(specs), .offsets = {}};
  for (std::size_t k = 0; k < layout.specs.size(); ++k) {
    const bool is_wanted = wanted.empty() || wanted[k];
    layout.offsets.push_back(is_wanted ? layout.bytes : OutputLayout::absent);
    if (is_wanted) layout.bytes += OutputLayout::bytes_of(layout.specs[k]);
  }
  return layout;
}

std::vector<Spec> output_specs(const Node& node) {
  if (node.operation->infer_outputs == nullptr) return {node.spec()};
  std::vector<Spec> inputs;
  for (const Tensor& input : node.inputs()) inputs.push_back(input.node()->spec());
  return node.operation->infer_outputs(const_cast<Node&>(node).attributes(), inputs);
}

const Operation& output_operation() { return operation_of<Output>(); }
std::size_t output_number(const void* attributes) {
  return static_cast<std::size_t>(detail::as<Output>(attributes).number);
}
std::size_t output_number(const Node& output) {
  return output_number(const_cast<Node&>(output).attributes());
}

std::vector<Tensor> outputs_of(const Tensor& node) {
  const OutputLayout layout = lay_out(output_specs(*node.node()));
  std::vector<Tensor> all;
  for (std::size_t k = 0; k < layout.specs.size(); ++k) all.push_back(make_output(node, layout, k));
  return all;
}
Tensor output_of(const Tensor& node, std::size_t number) {
  return make_output(node, lay_out(output_specs(*node.node())), number);
}

Pullback::Pullback(const Tensor& node, std::span<const Tensor> cotangents, std::span<Tensor> outputs,
                   const std::vector<bool>& wanted, std::span<Tensor> terms)
    : node_(node), cotangents_(cotangents), outputs_(outputs), wanted_(wanted), terms_(terms) {}

const Tensor& Pullback::input(std::size_t i) const { return std::as_const(*node_.node()).inputs()[i]; }

Tensor Pullback::output(std::size_t k) const {
  if (node_.node()->operation->infer_outputs == nullptr) return node_;
  if (outputs_[k].is_empty()) outputs_[k] = output_of(node_, k);
  return outputs_[k];
}

Tensor Pullback::cotangent(std::size_t k) const {
  if (has_cotangent(k)) return cotangents_[k];
  const Spec spec = output(k).node()->spec();
  return zeros(spec.shape, spec.dtype);
}

std::vector<Tensor> pull_back(const Tensor& tensor, std::span<const Tensor> cotangents,
                              std::span<Tensor> outputs, const std::vector<bool>& wanted) {
  Node& node = *tensor.node();
  const Operation& op = *node.operation;
  const void* attributes = op.attribute_size == 0 ? nullptr : node.attributes();
  std::vector<Tensor> terms(node.input_count);
  if (op.pull_back != nullptr) {
    Pullback given(tensor, cotangents, outputs, wanted, terms);
    op.pull_back(attributes, given);
    return terms;
  }
  if (op.vjp == nullptr)
    throw GraphError(fmt::format("{} has no vjp: it is not differentiable", describe(tensor)));
  for (std::size_t i = 0; i < terms.size(); ++i) {
    if (wanted[i]) terms[i] = op.vjp(attributes, i, cotangents[0], std::as_const(node).inputs(), tensor);
  }
  return terms;
}

void Pullback::give(std::size_t i, Tensor term) {
  if (wanted_.at(i)) terms_[i] = std::move(term);
}

}  // namespace gradweave
