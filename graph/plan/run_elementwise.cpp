#include <gradweave/graph/plan/run_elementwise.hpp>

#include <vector>

#include <gradweave/graph/kernels/fused_loop.hpp>
#include <gradweave/graph/memory/storage.hpp>

namespace gradweave {

const BlockKernel& block_kernel(const Operation& op, std::span<const ArrayView> inputs) {
  DType dtype = DType::bool_;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    dtype = inputs[i].dtype;
    if (i >= op.fixed.size() || !op.fixed[i]) break;
  }
  return op.block(dtype);
}

void run_elementwise(const Operation& op, const void* attributes, const ArrayView& y,
                     std::span<const ArrayView> inputs) {
  FusedLoop blocks;
  std::vector<FusedLoop::Operand> operands;
  for (const ArrayView& x : inputs.first(inputs.size() - op.scalar_inputs))
    operands.push_back(blocks.add_input(x, y.shape));
  for (const ArrayView& x : inputs.last(op.scalar_inputs)) operands.push_back(blocks.add_number(x));
  const FusedLoop::Operand output = blocks.add_array(y.dtype);
  blocks.set_data(output, y.as<std::byte>());
  blocks.add_instruction(block_kernel(op, inputs), attributes, operands, output);
  blocks.finish(y.size());
  const Scratch scratch(blocks.scratch_bytes());
  blocks.run(0, y.size(), scratch.data());
}

}  // namespace gradweave
