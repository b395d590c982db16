// What convolutions compute, of images in memory: the sizes, and three loops. The ops are in convolution.cpp.
#pragma once
#include <algorithm>

#include <gradweave/graph/types/dtype.hpp>
#include <gradweave/ops/kernels/window.hpp>

namespace gradweave {

/// The sizes of a convolution, and what follows from them.
struct ConvolutionSizes {
  Index channels, outputs, groups;  ///< of all groups
  Pair image, window, stride, padding, dilation, count;
  Index row, phase, channel;  ///< how many elements each of them takes in scratch
  Index positions;            ///< of one output: rows of `row`, up to the last element

  ConvolutionSizes(Dims x, Dims weight, Pair stride_, Pair padding_, Pair dilation_, Index groups_)
      : channels(x[1]),
        outputs(weight[0]),
        groups(groups_),
        image(x[2], x[3]),
        window(weight[2], weight[3]),
        stride(stride_),
        padding(padding_),
        dilation(dilation_),
        count(window_count(image, window, stride, padding, dilation)),
        row((image.cols + 2 * padding.cols + stride.cols - 1) / stride.cols),
        phase((image.rows + 2 * padding.rows + stride.rows - 1) / stride.rows * row),
        channel(phase * stride.rows * stride.cols),
        positions((count.rows - 1) * row + count.cols) {}

  Index image_size() const { return channels * image.rows * image.cols; }
  Index output_size() const { return outputs * count.rows * count.cols; }
  /// How many images to work on at a time: 100 us at 40 products a nanosecond, and many positions for each
  /// factor that is packed.
  Index worthwhile_images() const {
    return std::max(4'000'000 / std::max<Index>(outputs * tap_count() * positions, 1), 800 / positions) + 1;
  }
  /// Nanoseconds.
  Index image_cost() const { return outputs * tap_count() * positions / 40; }
  /// At most so many bytes do the loops below take for themselves, in each thread.
  Index workspace(Index images) const {
    constexpr Index packet = 16, element = 8;  // the longest packet, and the widest element
    const Index weights = outputs * tap_count();
    const Index image_scratch = channels * channel + outputs * (positions + 4 * packet) + 4 * packet;
    const Index together = std::clamp<Index>(512 / positions, 1, std::max<Index>(images, 1));
    const Index lists = 16 * (tap_count() + group_outputs() + packet) * (groups + 4);
    return element * (together * image_scratch + weights * (packet + images / 16 + 2) + lists);
  }
  Index group_channels() const { return channels / groups; }
  Index group_outputs() const { return outputs / groups; }
  Index tap_count() const { return group_channels() * window.rows * window.cols; }
};

/// For float and double: y, the convolution of `images` images x, all row-major.
template <class T>
void convolve(const ConvolutionSizes& sizes, Index images, const T* x, const T* weight, T* y);
/// Its derivative with respect to x: dx from dy.
template <class T>
void convolve_back(const ConvolutionSizes& sizes, Index images, const T* dy, const T* weight, T* dx);
/// Its derivative with respect to the weight: dw from dy and x. On several threads; what it gives has the
/// same bits on any number of them.
template <class T>
void convolve_weight(const ConvolutionSizes& sizes, Index images, const T* dy, const T* x, T* dw);

}  // namespace gradweave
