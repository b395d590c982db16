// Convolution of sequences, images and volumes.
#pragma once
#include <gradweave/graph/operation.hpp>
#include <gradweave/ops/kernels/window.hpp>

namespace gradweave {

/// `Extent` is an Index, a Pair or a Triple, as there are axes.
template <class Extent>
struct ConvOptionsOf {
  Extent stride = 1;
  PaddingOf<Extent> padding = {};  ///< zeros around the image
  Extent dilation = 1;
  Index groups = 1;  ///< output channels of a group see only its input channels
};
using Conv1dOptions = ConvOptionsOf<Index>;
using Conv2dOptions = ConvOptionsOf<Pair>;
using Conv3dOptions = ConvOptionsOf<Triple>;

/// The cross-correlation that networks call convolution, as PyTorch's `conv2d`: x of shape (images, channels,
/// height, width) and weight (outputs, channels / groups, rows, columns) give (images, outputs, height',
/// width') with height' = floor((height + 2 padding - dilation (rows - 1) - 1) / stride) + 1. Throws
/// ShapeError when the shapes do not fit or the window is larger than the padded image, ValueError for
/// options that are not positive (padding: negative), and for Padding::same with a stride.
Tensor conv2d(const Operand& x, const Operand& weight, const Conv2dOptions& options = {});
/// The same along one axis: x (n, channels, length), weight (outputs, channels / groups, window).
Tensor conv1d(const Operand& x, const Operand& weight, const Conv1dOptions& options = {});
/// The same of volumes: x (n, channels, depth, height, width), weight (outputs, channels / groups, depth,
/// rows, columns).
Tensor conv3d(const Operand& x, const Operand& weight, const Conv3dOptions& options = {});

template <class Extent>
struct ConvTransposeOptionsOf {
  Extent stride = 1, padding = 0;
  Extent output_padding = 0;  ///< places more behind each axis, less than stride or dilation
  Extent dilation = 1;
  Index groups = 1;
};
using ConvTranspose1dOptions = ConvTransposeOptionsOf<Index>;
using ConvTranspose2dOptions = ConvTransposeOptionsOf<Pair>;
using ConvTranspose3dOptions = ConvTransposeOptionsOf<Triple>;

/// The derivative of `conv2d` with respect to its images, as PyTorch's `conv_transpose2d`: x (n, channels,
/// height, width) and weight (channels, outputs / groups, rows, columns) give (n, outputs, (height - 1)
/// stride - 2 padding + dilation (rows - 1) + output_padding + 1, ...). Throws as `conv2d`.
Tensor conv_transpose2d(const Operand& x, const Operand& weight, const ConvTranspose2dOptions& options = {});
Tensor conv_transpose1d(const Operand& x, const Operand& weight, const ConvTranspose1dOptions& options = {});
Tensor conv_transpose3d(const Operand& x, const Operand& weight, const ConvTranspose3dOptions& options = {});

std::vector<const Operation*> convolution_operations();

}  // namespace gradweave
