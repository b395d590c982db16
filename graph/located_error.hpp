// Errors that say where: "module "encoder": op of operands: reason (file:line)". For those who define ops.
#pragma once
#include <string>
#include <string_view>

#include <gradweave/graph/operation.hpp>
#include <gradweave/graph/scope.hpp>

namespace gradweave {

/// The text with a source line behind it, if there is one: `text (file.cpp:12)`.
std::string at_line(std::string_view text, std::source_location where);
/// `float32 (2, 3)`.
std::string describe(const Spec& spec);
/// `matmul float32 (2, 3) of module "hidden"`.
std::string describe(const Tensor& tensor);
/// Of a derivative through an operand with a released history: terms would be missing without a word.
[[noreturn]] void refuse_released(std::string_view op, const Operand& operand);

/// The reason, with the open module, the op, its operands and the source line of the first around it.
std::string situated(std::string_view op, std::span<const Operand> operands, std::string_view reason);
template <class E>
[[noreturn]] void refuse(std::string_view op, std::initializer_list<Operand> operands,
                         std::string_view reason) {
  throw E(situated(op, {operands.begin(), operands.size()}, reason));
}

/// To be called while an Error is handled: throws it on, of the same kind, with the place around its reason.
[[noreturn]] void rethrow_situated(std::string_view op, std::span<const Operand> operands);
[[noreturn]] void rethrow_situated(std::string_view op, std::span<const Spec> operands,
                                   const ModulePath* place, std::source_location where);
/// The same for an error of the evaluation of `node`.
[[noreturn]] void rethrow_situated(const Node& node);

/// The tensor that `x` is. Throws GraphError for a number and for an empty Tensor.
const Tensor& tensor_of(const Operand& x, std::string_view op);
/// `axis` of x, counted from the front. Throws ShapeError unless x has it. With `extra` new axes, one may be
/// behind all that x has.
std::size_t axis_of(const Operand& x, Index axis, std::string_view op, std::size_t extra = 0);
/// The same counted from the last: from -rank to -1.
Index axis_from_end(const Operand& x, Index axis, std::string_view op);

}  // namespace gradweave
