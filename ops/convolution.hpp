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

/// The same along one axis: x (n, channels, length), weight (outputs, channels / groups, window).
struct Conv1dOptions {
  Index stride = 1, padding = 0, dilation = 1, groups = 1;
};
Tensor conv1d(const Operand& x, const Operand& weight, const Conv1dOptions& options = {});

struct ConvTranspose2dOptions {
  Pair stride = 1, padding = 0;
  Pair output_padding = 0;  ///< rows and columns more, less than stride or dilation
  Pair dilation = 1;
  Index groups = 1;
};
/// The derivative of `conv2d` with respect to its images, as PyTorch's `conv_transpose2d`: x (n, channels,
/// height, width) and weight (channels, outputs / groups, rows, columns) give (n, outputs, (height - 1)
/// stride - 2 padding + dilation (rows - 1) + output_padding + 1, ...). Throws as `conv2d`.
Tensor conv_transpose2d(const Operand& x, const Operand& weight, const ConvTranspose2dOptions& options = {});
struct ConvTranspose1dOptions {
  Index stride = 1, padding = 0, output_padding = 0, dilation = 1, groups = 1;
};
Tensor conv_transpose1d(const Operand& x, const Operand& weight, const ConvTranspose1dOptions& options = {});

std::vector<const Operation*> convolution_operations();

}  // namespace gradweave
