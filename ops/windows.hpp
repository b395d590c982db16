// Windows of signals, which fade towards both ends: what a signal is multiplied by before its spectrum is
// taken (fft.hpp). Those of PyTorch's torch.signal.windows; F. J. Harris, "On the use of windows for harmonic
// analysis with the discrete Fourier transform", 1978.
#pragma once
#include <span>

#include <gradweave/graph/operation.hpp>

namespace gradweave::windows {

struct Options {
  bool symmetric =
      true;  ///< for filters; else the first `count` of count + 1, which is periodic: for spectra
  DType dtype = default_dtype();
};
/// All have `count` numbers. Throw ValueError for a negative count.
Tensor bartlett(Index count, const Options& options = {});
Tensor blackman(Index count, const Options& options = {});
Tensor cosine(Index count, const Options& options = {});
/// exp(-|k - center| / tau), the center being in the middle; ValueError unless tau > 0.
Tensor exponential(Index count, double tau = 1, const Options& options = {});
/// ValueError unless the deviation is positive.
Tensor gaussian(Index count, double deviation = 1, const Options& options = {});
/// a[0] - a[1] cos(t) + a[2] cos(2 t) - ..., t from 0 to 2 pi. ValueError unless there is an a[0].
Tensor general_cosine(Index count, std::span<const double> a, const Options& options = {});
/// alpha - (1 - alpha) cos(t).
Tensor general_hamming(Index count, double alpha = 0.54, const Options& options = {});
Tensor hamming(Index count, const Options& options = {});
Tensor hann(Index count, const Options& options = {});
/// ValueError for a negative beta.
Tensor kaiser(Index count, double beta = 12, const Options& options = {});
Tensor nuttall(Index count, const Options& options = {});

}  // namespace gradweave::windows
