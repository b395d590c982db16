// One elementwise op on its own: its kernel, and a run over whole arrays, for values that are computed while
// planning.
#pragma once
#include <span>

#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// The kernel for inputs of these dtypes: the first input without a fixed dtype decides.
const BlockKernel& block_kernel(const Operation& op, std::span<const ArrayView> inputs);

/// Runs an elementwise op over the row-major `y`; the inputs have y's shape or broadcast to it.
void run_elementwise(const Operation& op, const void* attributes, const ArrayView& y,
                     std::span<const ArrayView> inputs);

}  // namespace gradweave
