// Everything to write graphs with: tensors, all ops, evaluation and derivatives.
#pragma once
#include <gradweave/graph/compile.hpp>
#include <gradweave/graph/evaluate.hpp>
#include <gradweave/graph/gradients.hpp>
#include <gradweave/graph/kernels/parallel.hpp>
#include <gradweave/graph/registry.hpp>
#include <gradweave/graph/report/explain.hpp>
#include <gradweave/graph/tensor.hpp>
#include <gradweave/ops/activation.hpp>
#include <gradweave/ops/attention.hpp>
#include <gradweave/ops/axis_map.hpp>
#include <gradweave/ops/control.hpp>
#include <gradweave/ops/convolution.hpp>
#include <gradweave/ops/ctc.hpp>
#include <gradweave/ops/custom_vjp.hpp>
#include <gradweave/ops/decompositions.hpp>
#include <gradweave/ops/distances.hpp>
#include <gradweave/ops/distributions.hpp>
#include <gradweave/ops/dropout.hpp>
#include <gradweave/ops/einsum.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/embedding.hpp>
#include <gradweave/ops/fft.hpp>
#include <gradweave/ops/index.hpp>
#include <gradweave/ops/indexing.hpp>
#include <gradweave/ops/integer.hpp>
#include <gradweave/ops/joining.hpp>
#include <gradweave/ops/linalg.hpp>
#include <gradweave/ops/matmul.hpp>
#include <gradweave/ops/normalization.hpp>
#include <gradweave/ops/optimizer_updates.hpp>
#include <gradweave/ops/pad.hpp>
#include <gradweave/ops/pooling.hpp>
#include <gradweave/ops/positions.hpp>
#include <gradweave/ops/products.hpp>
#include <gradweave/ops/random.hpp>
#include <gradweave/ops/rearrange.hpp>
#include <gradweave/ops/reduction.hpp>
#include <gradweave/ops/resample.hpp>
#include <gradweave/ops/scalar_math.hpp>
#include <gradweave/ops/scan.hpp>
#include <gradweave/ops/scatter.hpp>
#include <gradweave/ops/shape.hpp>
#include <gradweave/ops/softmax.hpp>
#include <gradweave/ops/sort.hpp>
#include <gradweave/ops/special.hpp>
#include <gradweave/ops/statistics.hpp>
#include <gradweave/ops/unfold.hpp>
#include <gradweave/ops/windows.hpp>

namespace gradweave {

/// Every operation of the library,
std::vector<const Operation*> all_operations();
/// and the same by name, to which a program adds its own: `registry.add<MyOp>()`.
Registry builtin_operations();

}  // namespace gradweave
