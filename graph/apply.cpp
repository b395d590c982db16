// Adding a node: promotion of dtypes, inference of shapes, and errors that say where.
#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/graph/node.hpp>

namespace gradweave {
namespace {

std::string list_operands(std::span<const Spec> specs) {
  std::string text;
  for (const Spec& spec : specs) {
    text += fmt::format("{}{} {}", text.empty() ? "" : " with ", name_of(spec.dtype), to_string(spec.shape));
  }
  return text;
}

// Throws the error on with "in module "x": op of operands: reason (file:line)".
template <class E>
[[noreturn]] void say_where(const E& error, const Operation& op, std::span<const Spec> specs,
                            std::source_location at) {
  std::string text;
  if (const Ref<Place>& place = Scope::current()) text = fmt::format("module \"{}\": ", place->path);
  std::string_view file = at.file_name();
  file.remove_prefix(std::min(file.size(), file.find_last_of('/') + 1));
  throw E(fmt::format("{}{} of {}: {} ({}:{})", text, op.name, list_operands(specs), error.what(), file,
                      at.line()));
}

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
  if (input.tensor() == nullptr) return full({}, input.number(), wanted);
  const Tensor& tensor = *input.tensor();
  if (tensor.dtype() == wanted) return tensor;
  if (fixed) {
    throw DTypeError(
        fmt::format("operand {} must be {}, not {}", i, name_of(wanted), name_of(tensor.dtype())));
  }
  return cast(tensor, wanted);
}

// The shape that all inputs broadcast to: mostly that of one of them.
Shape broadcast_all(std::span<const Tensor> inputs) {
  Shape shape(inputs[0].node()->shape());
  for (const Tensor& input : inputs.subspan(1)) {
    if (!same(input.node()->shape(), shape)) shape = broadcast(shape, input.node()->shape());
  }
  return shape;
}
const Node* widest(std::span<const Tensor> inputs) {
  const Node* most = inputs[0].node();
  for (const Tensor& input : inputs.subspan(1)) {
    if (input.node()->rank > most->rank || !broadcasts_to(input.node()->shape(), most->shape())) most = input.node();
  }
  const auto broadcasts = [&](const Tensor& input) { return broadcasts_to(input.node()->shape(), most->shape()); };
  return std::ranges::all_of(inputs, broadcasts) ? most : nullptr;
}

Spec infer(const Operation& op, const void* attributes, std::span<const Tensor> inputs) {
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

Tensor add_node(const Operation& op, const void* attributes, std::span<Tensor> inputs, DType common) {
  if (op.infer != nullptr) {
    const Spec spec = infer(op, attributes, inputs);
    return make_node(op, attributes, inputs, spec.shape, spec.dtype);
  }
  const DType dtype = op.block_result[static_cast<std::size_t>(common)];
  if (const Node* most = widest(inputs)) return make_node(op, attributes, inputs, most->shape(), dtype);
  return make_node(op, attributes, inputs, broadcast_all(inputs), dtype);
}

std::vector<Spec> specs_of(std::span<const Operand> inputs) {
  std::vector<Spec> specs;
  for (const Operand& input : inputs) {
    specs.push_back(input.tensor() == nullptr ? Spec{{}, input.number_dtype()}
                                              : input.tensor()->node()->spec());
  }
  return specs;
}

// Whether nothing is to be promoted: the inputs are tensors of one dtype that the op has a kernel for.
std::optional<DType> one_dtype(const Operation& op, std::span<const Operand> inputs) {
  if (inputs.empty() || inputs[0].tensor() == nullptr || op.fixed[0] || op.fixed[1] || op.fixed[2]) return {};
  const DType dtype = inputs[0].tensor()->node()->dtype;
  const auto alike = [&](const Operand& x) { return x.tensor() != nullptr && x.tensor()->node()->dtype == dtype; };
  if (!contains(op.dtypes, dtype) || !std::ranges::all_of(inputs.subspan(1), alike)) return {};
  return dtype;
}

}  // namespace

Tensor apply(const Operation& op, const void* attributes, std::span<const Operand> inputs) {
  const std::source_location where = inputs.empty() ? std::source_location() : inputs[0].where();
  for (const Operand& input : inputs) {
    if (input.tensor() != nullptr && !*input.tensor())
      throw GraphError(fmt::format("{} of an empty Tensor", op.name));
  }
  try {
    const std::optional<DType> alike = one_dtype(op, inputs);
    const DType common = alike ? *alike : common_dtype(op, inputs);
    std::array<Tensor, 4> few;
    std::vector<Tensor> many;
    std::span<Tensor> tensors(few.data(), std::min(inputs.size(), few.size()));
    if (inputs.size() > few.size()) {
      many.resize(inputs.size());
      tensors = many;
    }
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      tensors[i] = alike ? *inputs[i].tensor() : as_tensor(op, i, inputs[i], common);
    }
    Tensor result = add_node(op, attributes, tensors, common);
    result.node()->where = where;
    return result;
  } catch (const ShapeError& error) {
    say_where(error, op, specs_of(inputs), where);
  } catch (const DTypeError& error) {
    say_where(error, op, specs_of(inputs), where);
  } catch (const ValueError& error) {
    say_where(error, op, specs_of(inputs), where);
  }
}

namespace detail {

std::size_t combine(std::size_t seed, std::size_t hash) {
  return seed ^ (hash + 0x9e3779b97f4a7c15U + (seed << 6) + (seed >> 2));
}
std::string print_number(double value) { return fmt::format("{}", value); }

}  // namespace detail
}  // namespace gradweave
