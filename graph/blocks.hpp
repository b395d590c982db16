// Running an elementwise op: block by block, so that inputs which broadcast or are strided are laid out in
// cache-sized pieces and the kernels only ever see plain arrays.
#pragma once
#include <span>

#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// Elements `first` to `first + count` (in row-major order of its shape) of a strided array, copied to `to`.
void gather(const Array& from, Index first, Index count, void* to);

/// Runs the kernel of an elementwise op over the row-major `y`; the inputs have y's shape or broadcast to it.
void run_elementwise(BlockKernel kernel, const void* attributes, const Array& y,
                     std::span<const Array> inputs);

}  // namespace gradweave
