// Convolution of images.
#pragma once
#include <gradweave/graph/operation.hpp>
#include <gradweave/ops/kernels/window.hpp>

namespace gradweave {

struct Conv2dOptions {
  Pair stride = 1;
  Pair padding = 0;  ///< rows and columns of zeros around the image, on each side
  Pair dilation = 1;
  Index groups = 1;  ///< output channels of a group see only its input channels
};

/// The cross-correlation that networks call convolution, as PyTorch's `conv2d`: x of shape (images, channels,
/// height, width) and weight (outputs, channels / groups, rows, columns) give (images, outputs, height',
/// width') with height' = floor((height + 2 padding - dilation (rows - 1) - 1) / stride) + 1. Throws
/// ShapeError when the shapes do not fit or the window is larger than the padded image, ValueError for
/// options that are not positive (padding: negative).
Tensor conv2d(const Operand& x, const Operand& weight, const Conv2dOptions& options = {});

std::vector<const Operation*> convolution_operations();

}  // namespace gradweave
