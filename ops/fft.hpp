// Discrete Fourier transforms. Complex numbers are pairs: a last axis of two, as PyTorch's `view_as_real`
// gives. Axes are those of complex numbers, so that this last one is not counted. Any length `n`, also a
// prime one, takes n log n steps. float32 and float64 (halves become float32).
//
//   const Tensor spectrum = rfft(signal);                               // (..., n / 2 + 1, 2)
//   const Tensor smooth = irfft(complex_multiply(spectrum, filter), n);
#pragma once
#include <optional>
#include <vector>

#include <gradweave/graph/operation.hpp>
#include <gradweave/ops/reduction.hpp>

namespace gradweave {

/// Which way is divided by the number of elements: the inverse, both by its root, or forward.
enum class FftNorm { backward, ortho, forward };

/// sum_j x_j exp(-2 pi i j k / n) along an axis, which is first cut, or filled up with zeros, to `n` elements
/// (default: as many as it has). x is complex: of shape (..., 2). Throws ShapeError for another shape,
/// ValueError unless n > 0.
Tensor fft(const Operand& x, std::optional<Index> n = {}, Index axis = -1, FftNorm norm = FftNorm::backward);
/// Its inverse.
Tensor ifft(const Operand& x, std::optional<Index> n = {}, Index axis = -1, FftNorm norm = FftNorm::backward);
/// Of real x, the first n / 2 + 1 elements: the others are their conjugates.
Tensor rfft(const Operand& x, std::optional<Index> n = {}, Index axis = -1, FftNorm norm = FftNorm::backward);
/// Its inverse: n real numbers (default: 2 (m - 1) of m) from the first n / 2 + 1 elements of a Hermitian
/// spectrum. What would make the result complex (the imaginary part of the first) is not read.
Tensor irfft(const Operand& x, std::optional<Index> n = {}, Index axis = -1,
             FftNorm norm = FftNorm::backward);
/// The real spectrum of a Hermitian signal of which the first n / 2 + 1 elements are given, and its inverse.
Tensor hfft(const Operand& x, std::optional<Index> n = {}, Index axis = -1, FftNorm norm = FftNorm::backward);
Tensor ihfft(const Operand& x, std::optional<Index> n = {}, Index axis = -1,
             FftNorm norm = FftNorm::backward);

/// Along several axes, by default all of them, or the last ones if there are sizes; a size of -1 leaves an
/// axis as long as it is. Of real numbers or to them: halved, as in `rfft`, along the last of these axes.
Tensor fftn(const Operand& x, const std::vector<Index>& sizes = {}, const Axes& axes = {},
            FftNorm norm = FftNorm::backward);
Tensor ifftn(const Operand& x, const std::vector<Index>& sizes = {}, const Axes& axes = {},
             FftNorm norm = FftNorm::backward);
Tensor rfftn(const Operand& x, const std::vector<Index>& sizes = {}, const Axes& axes = {},
             FftNorm norm = FftNorm::backward);
Tensor irfftn(const Operand& x, const std::vector<Index>& sizes = {}, const Axes& axes = {},
              FftNorm norm = FftNorm::backward);
/// The same along two axes.
Tensor fft2(const Operand& x, const std::vector<Index>& sizes = {}, const Axes& axes = {-2, -1},
            FftNorm norm = FftNorm::backward);
Tensor ifft2(const Operand& x, const std::vector<Index>& sizes = {}, const Axes& axes = {-2, -1},
             FftNorm norm = FftNorm::backward);
Tensor rfft2(const Operand& x, const std::vector<Index>& sizes = {}, const Axes& axes = {-2, -1},
             FftNorm norm = FftNorm::backward);
Tensor irfft2(const Operand& x, const std::vector<Index>& sizes = {}, const Axes& axes = {-2, -1},
              FftNorm norm = FftNorm::backward);

/// The frequency of each element of `fft`, and of `rfft`, for samples `spacing` apart. ValueError unless n >
/// 0.
Tensor fftfreq(Index n, double spacing = 1, DType dtype = default_dtype());
Tensor rfftfreq(Index n, double spacing = 1, DType dtype = default_dtype());
/// Frequency 0 moved to the middle of these axes (by default all), and back. Here axes are x's own: name
/// those of complex numbers.
Tensor fftshift(const Operand& x, const Axes& axes = {});
Tensor ifftshift(const Operand& x, const Axes& axes = {});

/// Pairs from their parts, which broadcast (the imaginary one may be a number), and the parts of pairs.
Tensor complex(const Operand& real, const Operand& imaginary);
Tensor real(const Operand& x);
Tensor imag(const Operand& x);
Tensor conj(const Operand& x);
/// The product of complex numbers, which broadcast.
Tensor complex_multiply(const Operand& a, const Operand& b);

std::vector<const Operation*> fft_operations();

}  // namespace gradweave
