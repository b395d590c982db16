// Conversion of elements from any dtype to any other.
#pragma once
#include <gradweave/graph/types/dtype.hpp>

namespace gradweave {

/// `count` elements of `x` as `to`, written to `y`, which may be `x` where the sizes are equal. Floating to
/// int32, int64 and uint64 truncates, saturates and makes 0 of NaN; to the other whole dtypes it goes by way
/// of int64. Whole numbers wrap. Float64 and whole numbers become halves by way of float32. All of this as in
/// PyTorch, where that is defined. To bool: != 0.
void convert_elements(DType from, const void* x, DType to, void* y, Index count);

/// One element as a number; whole numbers beyond 2^53 are rounded.
double number_at(DType dtype, const void* x);

}  // namespace gradweave
