// The formula of an elementwise op, derived from its `forward`.
#pragma once
#include <span>

#include <gradweave/graph/formula/formula.hpp>
#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// What an elementwise op computes of inputs of these dtypes, promoted already, as many as it has:
///
///     std::puts(to_c(formula_of(operation_of<Softplus>(), nullptr, std::array{DType::float32}),
///     "softplus"));
///
/// What the op hides, in a lambda or by computing an array beforehand, is a hidden term that names it. A
/// dtype that is computed as another one is converted first, and the result back. Throws ValueError unless
/// the op is elementwise, and DTypeError for dtypes that it does not take.
Formula formula_of(const Operation& operation, const void* attributes, std::span<const DType> inputs);

/// The formula of the op that `x` is a result of. Throws as the other one, and GraphError for a leaf and for
/// a tensor that has let go of its inputs.
Formula formula_of(const Tensor& x);

}  // namespace gradweave
