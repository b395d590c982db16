#include <gradweave/graph/located_error.hpp>

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include <gradweave/graph/node.hpp>

namespace gradweave {

std::string at_line(std::string_view text, std::source_location where) {
  std::string_view file = where.file_name();
  file.remove_prefix(std::min(file.size(), file.find_last_of('/') + 1));
  return where.line() == 0 ? std::string(text) : fmt::format("{} ({}:{})", text, file, where.line());
}

std::string describe(const Spec& spec) {
  return fmt::format("{} {}", name_of(spec.dtype), to_string(spec.shape));
}
std::string describe(const Tensor& tensor) {
  const Node& node = *tensor.node();
  std::string text =
      fmt::format("{} {} {}", node.operation->name, name_of(node.dtype), to_string(node.shape()));
  if (node.place) text += fmt::format(" of module \"{}\"", node.place->path);
  return text;
}

namespace {

std::string describe(const Operand& operand) {
  if (operand.tensor() == nullptr) return fmt::format("{} ()", name_of(operand.number_dtype()));
  return operand.tensor()->is_empty() ? "an empty Tensor" : describe(operand.tensor()->node()->spec());
}

template <class Operands>
std::string situated_at(const ModulePath* place, std::string_view op, const Operands& operands,
                        std::string_view reason, std::source_location at) {
  std::string text = place != nullptr ? fmt::format("module \"{}\": {}", place->path, op) : std::string(op);
  for (std::size_t i = 0; i < operands.size(); ++i)
    text += (i == 0 ? " of " : " with ") + describe(operands[i]);
  return at_line(text + fmt::format(": {}", reason), at);
}

// Throws what is being handled on, as what it is, with another text; other exceptions as they are.
template <class Text>
[[noreturn]] void rethrow_with(const Text& text) {
  try {
    throw;
  } catch (const ShapeError& error) {
    throw ShapeError(text(error.what()));
  } catch (const DTypeError& error) {
    throw DTypeError(text(error.what()));
  } catch (const ValueError& error) {
    throw ValueError(text(error.what()));
  } catch (const GraphError& error) {
    throw GraphError(text(error.what()));
  } catch (const IoError&) {
    throw;
  } catch (const Error& error) {
    throw Error(text(error.what()));
  }
}

}  // namespace

std::string situated(std::string_view op, std::span<const Operand> operands, std::string_view reason) {
  const std::source_location at = operands.empty() ? std::source_location() : operands[0].where();
  return situated_at(Scope::current(), op, operands, reason, at);
}

void rethrow_situated(std::string_view op, std::span<const Operand> operands) {
  rethrow_with([&](std::string_view reason) { return situated(op, operands, reason); });
}

void rethrow_situated(std::string_view op, std::span<const Spec> operands, const ModulePath* place,
                      std::source_location where) {
  rethrow_with([&](std::string_view reason) { return situated_at(place, op, operands, reason, where); });
}

void rethrow_situated(const Node& node) {
  std::vector<Spec> operands;
  for (const Tensor& input : node.inputs()) operands.push_back(input.node()->spec());
  rethrow_situated(node.operation->name, operands, node.place.get(), node.where);
}

const Tensor& tensor_of(const Operand& x, std::string_view op) {
  if (x.tensor() == nullptr) refuse<GraphError>(op, {x}, "expected a tensor, not a number");
  if (x.tensor()->is_empty()) refuse<GraphError>(op, {x}, "expected a tensor that is not empty");
  return *x.tensor();
}

std::size_t axis_of(const Operand& x, Index axis, std::string_view op, std::size_t extra) {
  const std::size_t rank = tensor_of(x, op).rank() + extra;
  try {
    return normalize_axis(axis, rank);
  } catch (const ShapeError&) {
    rethrow_situated(op, {&x, 1});
  }
}

Index axis_from_end(const Operand& x, Index axis, std::string_view op) {
  return static_cast<Index>(axis_of(x, axis, op)) - static_cast<Index>(x.tensor()->rank());
}

void refuse_released(std::string_view op, const Operand& operand) {
  refuse<GraphError>(
      op, {operand},
      "no gradient can flow through an operand whose history was released, by an optimizer's "
      "step or since it is the result of a compiled function; take detach(x) if it is meant as data");
}

}  // namespace gradweave
