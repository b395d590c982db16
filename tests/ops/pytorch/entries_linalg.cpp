// Linear algebra and Fourier transforms.
#ifdef GRADWEAVE_HAS_JSON
#include <gradweave/ops/ops.hpp>

#include "call.hpp"

namespace gradweave::pytorch {
namespace {

bool upper(const Call& call, std::size_t place) { return call.flag(place, "upper"); }

windows::Options window_options(const Call& call) {
  return {call.flag(9, "sym", true), call.dtype(9, "dtype", DType::float32)};
}

FftNorm fft_norm(const Call& call) {
  const auto name = call.text(3, "norm", "backward");
  return name == "ortho" ? FftNorm::ortho : name == "forward" ? FftNorm::forward : FftNorm::backward;
}
std::optional<Index> length(const Call& call) {
  if (!call.has(1, "n")) return {};
  return call.integer(1, "n");
}
template <auto transform>
Results along_axis(const Call& call) {
  return transform(call[0], length(call), call.integer(2, "dim", -1), fft_norm(call));
}
template <auto transform>
Results along_axes(const Call& call) {
  return transform(call[0], call.integers(1, "s"), call.axes(2), fft_norm(call));
}
template <auto transform>
Results along_two(const Call& call) {
  return transform(call[0], call.integers(1, "s"), call.has(2, "dim") ? call.axes(2) : Axes({-2, -1}),
                   fft_norm(call));
}

}  // namespace

std::vector<Entry> linalg_entries() {
  using C = const Call&;
  return {
      {"cholesky", [](C c) -> Results { return cholesky(c[0], upper(c, 1)); }},
      {"linalg.cholesky", [](C c) -> Results { return cholesky(c[0], upper(c, 1)); }},
      {"cholesky_inverse", [](C c) -> Results { return cholesky_inverse(c[0], upper(c, 1)); }},
      {"norm.nuc", [](C c) -> Results { return matrix_norm(c[0], MatrixNorm::nuclear); }},
      {"cholesky_solve", [](C c) -> Results { return cholesky_solve(c[0], c[1], upper(c, 2)); }},
      {"linalg.solve", [](C c) -> Results { return solve(c[0], c[1], c.flag(9, "left", true)); }},
      {"linalg.solve_triangular",
       [](C c) -> Results {
         return solve_triangular(c[0], c[1], c.flag(9, "upper"), c.flag(9, "left", true),
                                 c.flag(9, "unitriangular"));
       }},
      {"linalg.inv", [](C c) -> Results { return inverse(c[0]); }},
      {"linalg.det", [](C c) -> Results { return det(c[0]); }},
      {"logdet", [](C c) -> Results { return logdet(c[0]); }},
      {"linalg.slogdet",
       [](C c) -> Results {
         const auto [sign, logabsdet] = slogdet(c[0]);
         return {sign, logabsdet};
       }},
      {"matrix_exp", [](C c) -> Results { return matrix_exp(c[0]); }},
      {"linalg.matrix_power", [](C c) -> Results { return matrix_power(c[0], c.integer(1, "n")); }},
      {"linalg.eigvalsh", [](C c) -> Results { return eigvalsh(c[0], c.text(1, "UPLO", "L") == "U"); }},
      {"linalg.svdvals", [](C c) -> Results { return svdvals(c[0]); }},
      {"pinverse", [](C c) -> Results { return pinv(c[0], c.number(1, "rcond", -1)); }},
      {"linalg.pinv", [](C c) -> Results { return pinv(c[0], c.number(9, "rtol", -1)); }},
      {"linalg.cond", [](C c) -> Results { return cond(c[0]); }},
      {"signal.windows.bartlett",
       [](C c) -> Results { return windows::bartlett(c.integer(0), window_options(c)); }},
      {"signal.windows.blackman",
       [](C c) -> Results { return windows::blackman(c.integer(0), window_options(c)); }},
      {"signal.windows.cosine",
       [](C c) -> Results { return windows::cosine(c.integer(0), window_options(c)); }},
      {"signal.windows.hamming",
       [](C c) -> Results { return windows::hamming(c.integer(0), window_options(c)); }},
      {"signal.windows.hann", [](C c) -> Results { return windows::hann(c.integer(0), window_options(c)); }},
      {"signal.windows.nuttall",
       [](C c) -> Results { return windows::nuttall(c.integer(0), window_options(c)); }},
      {"signal.windows.exponential",
       [](C c) -> Results {
         return windows::exponential(c.integer(0), c.number(9, "tau", 1), window_options(c));
       }},
      {"signal.windows.gaussian",
       [](C c) -> Results {
         return windows::gaussian(c.integer(0), c.number(9, "std", 1), window_options(c));
       }},
      {"signal.windows.kaiser",
       [](C c) -> Results {
         return windows::kaiser(c.integer(0), c.number(9, "beta", 12), window_options(c));
       }},
      {"signal.windows.general_hamming",
       [](C c) -> Results {
         return windows::general_hamming(c.integer(0), c.number(9, "alpha", 0.54), window_options(c));
       }},
      {"signal.windows.general_cosine",
       [](C c) -> Results {
         return windows::general_cosine(c.integer(0), c.numbers(9, "a"), window_options(c));
       }},
      {"fft.ihfft", along_axis<ihfft>},
      {"fft.rfft", along_axis<rfft>},
      {"fft.rfft2", along_two<rfft2>},
      {"fft.rfftn", along_axes<rfftn>},
      {"fft.fftshift", [](C c) -> Results { return fftshift(c[0], c.axes(1)); }},
      {"fft.ifftshift", [](C c) -> Results { return ifftshift(c[0], c.axes(1)); }},
  };
}

}  // namespace gradweave::pytorch
#endif
