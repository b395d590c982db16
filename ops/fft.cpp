#include <gradweave/ops/fft.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/kernels/fft.hpp>
#include <gradweave/ops/rearrange.hpp>
#include <gradweave/ops/shape.hpp>

namespace gradweave {
namespace {

struct Fft {
  Index axis;  // of the pairs, from the last
  bool inverse;
  double scale;
  static constexpr std::string_view name = "fft";
  static constexpr DTypes dtypes = only(DType::float32) | only(DType::float64);
  static Spec infer(const Spec& x) { return x; }
  void forward(const ArrayView& y, const ArrayView& x) const {
    const std::size_t at = x.shape.size() - 1 - static_cast<std::size_t>(-axis);
    const Index outer = numel(x.shape.first(at)), n = x.shape[at], inner = numel(x.shape.subspan(at + 1)) / 2;
    dispatch<floating>(x.dtype, [&]<class T>() {
      fourier_transform(outer, n, inner, inverse, static_cast<T>(scale), x.as<const T>(), y.as<T>());
    });
  }
  // The matrix is symmetric: its adjoint is that of the other sign.
  Tensor vjp(const Tensor& g, const Tensor&, const Tensor&) const {
    return gradweave::apply(Fft{axis, !inverse, scale}, {g});
  }
  double flops(const ArrayView& y, const ArrayView&) const {
    const std::size_t at = y.shape.size() - 1 - static_cast<std::size_t>(-axis);
    return 2.5 * static_cast<double>(y.size()) * std::log2(static_cast<double>(y.shape[at]) + 1);
  }
  static SamplesOf<Fft> samples() {
    return {{{-1, false, 1}, {uniform(-1, 1, {3, 2})}},
            {{-2, true, 0.5}, {uniform(-1, 1, {6, 2, 2})}},
            {{-1, false, 1}, {uniform(-1, 1, {2, 7, 2})}},
            {{-1, true, 1}, {uniform(-1, 1, {37, 2})}}};
  }
};

// Complex, with their axes; `pairs`: whether x is.
struct Signal {
  Tensor x;
  std::string_view op;
  std::source_location where;

  Signal(const Operand& signal, std::string_view name, bool pairs)
      : x(tensor_of(signal, name)), op(name), where(signal.where()) {
    if (pairs && (x.rank() == 0 || x.size(-1) != 2))
      refuse<ShapeError>(op, {signal}, "expected complex numbers: a last axis of two");
    if (!is_floating(x.dtype())) x = cast(signal, default_dtype());
    if (!pairs) x = complex(Operand(x, where), 0);
  }
  Index rank() const { return static_cast<Index>(x.rank()) - 1; }
  Index axis_from_last(Index axis) const {
    if (axis < -rank() || axis >= rank())
      refuse<ShapeError>(op, {Operand(x, where)}, fmt::format("there is no axis {}", axis));
    return axis < 0 ? axis : axis - rank();
  }
  Index size(Index axis) const { return x.size(axis - 1); }
  // Cut, or filled up with zeros.
  void fit(Index axis, Index n) {
    if (n < 1) refuse<ValueError>(op, {Operand(x, where)}, fmt::format("a transform of {} elements", n));
    const Index missing = n - size(axis);
    if (missing < 0) x = slice(Operand(x, where), axis - 1, 0, n);
    if (missing <= 0) return;
    const Shape shape = x.shape();
    std::vector<Index> sizes(shape.begin(), shape.end());
    sizes[sizes.size() - 1 - static_cast<std::size_t>(-axis)] = missing;
    x = concat({x, zeros(Shape(Dims(sizes)), x.dtype())}, axis - 1);
  }
  void transform(Index axis, bool inverse, FftNorm norm) {
    const auto n = static_cast<double>(size(axis));
    const bool divides = norm == (inverse ? FftNorm::backward : FftNorm::forward);
    x = apply(Fft{axis, inverse,
                  norm == FftNorm::ortho ? 1 / std::sqrt(n)
                  : divides              ? 1 / n
                                         : 1},
              {Operand(x, where)});
  }
  // The first n / 2 + 1 elements, and from these all.
  void halve(Index axis) { x = slice(x, axis - 1, 0, size(axis) / 2 + 1); }
  void complete(Index axis, Index n) {
    fit(axis, n / 2 + 1);
    if (n < 3) return;
    const Tensor others = slice(x, axis - 1, 1, (n + 1) / 2);
    x = concat({x, conj(flip(others, {axis - 1}))}, axis - 1);
  }
};

Tensor along(const Operand& x, std::optional<Index> n, Index axis, bool inverse, FftNorm norm,
             std::string_view op) {
  Signal signal(x, op, true);
  const Index at = signal.axis_from_last(axis);
  signal.fit(at, n.value_or(signal.size(at)));
  signal.transform(at, inverse, norm);
  return signal.x;
}
// A real signal to half a spectrum.
Tensor halved(const Operand& x, std::optional<Index> n, Index axis, bool inverse, FftNorm norm,
              std::string_view op) {
  Signal signal(x, op, false);
  const Index at = signal.axis_from_last(axis);
  signal.fit(at, n.value_or(signal.size(at)));
  signal.transform(at, inverse, norm);
  signal.halve(at);
  return signal.x;
}
// Half a spectrum to a real signal.
Tensor completed(const Operand& x, std::optional<Index> n, Index axis, bool inverse, FftNorm norm,
                 std::string_view op) {
  Signal signal(x, op, true);
  const Index at = signal.axis_from_last(axis), size = n.value_or(2 * (signal.size(at) - 1));
  if (size < 1) refuse<ValueError>(op, {x}, fmt::format("a transform of {} elements", size));
  signal.complete(at, size);
  signal.transform(at, inverse, norm);
  return real(signal.x);
}

// The axes that several transforms run along, and how long these become.
struct Along {
  std::vector<Index> axes, sizes;
  Along(const Signal& signal, const std::vector<Index>& wanted, const Axes& named) : sizes(wanted) {
    const auto rank = signal.rank();
    for (const Index axis : named) axes.push_back(signal.axis_from_last(axis));
    if (axes.empty()) {
      const Index count = wanted.empty() ? rank : static_cast<Index>(wanted.size());
      for (Index axis = -count; axis < 0; ++axis) axes.push_back(signal.axis_from_last(axis));
    }
    if (sizes.empty()) sizes.assign(axes.size(), -1);
    std::vector<Index> sorted = axes;
    std::ranges::sort(sorted);
    if (sizes.size() != axes.size() || std::ranges::adjacent_find(sorted) != sorted.end() || axes.empty())
      refuse<ShapeError>(signal.op, {Operand(signal.x, signal.where)},
                         "expected different axes, and as many sizes");
  }
  Index size(const Signal& signal, std::size_t k) const {
    return sizes[k] == -1 ? signal.size(axes[k]) : sizes[k];
  }
};

Tensor along_several(const Operand& x, const std::vector<Index>& sizes, const Axes& axes, bool inverse,
                     FftNorm norm, std::string_view op) {
  Signal signal(x, op, true);
  const Along all(signal, sizes, axes);
  for (std::size_t k = all.axes.size(); k-- > 0;) {
    signal.fit(all.axes[k], all.size(signal, k));
    signal.transform(all.axes[k], inverse, norm);
  }
  return signal.x;
}
Tensor rfft_several(const Operand& x, const std::vector<Index>& sizes, const Axes& axes, FftNorm norm,
                    std::string_view op) {
  Signal signal(x, op, false);
  const Along all(signal, sizes, axes);
  for (std::size_t k = all.axes.size(); k-- > 0;) {
    signal.fit(all.axes[k], all.size(signal, k));
    signal.transform(all.axes[k], false, norm);
    if (k + 1 == all.axes.size()) signal.halve(all.axes[k]);
  }
  return signal.x;
}
Tensor irfft_several(const Operand& x, const std::vector<Index>& sizes, const Axes& axes, FftNorm norm,
                     std::string_view op) {
  Signal signal(x, op, true);
  const Along all(signal, sizes, axes);
  const std::size_t last = all.axes.size() - 1;
  for (std::size_t k = 0; k < last; ++k) {
    signal.fit(all.axes[k], all.size(signal, k));
    signal.transform(all.axes[k], true, norm);
  }
  std::optional<Index> n;
  if (all.sizes[last] != -1) n = all.sizes[last];
  return completed(Operand(signal.x, x.where()), n, all.axes[last], true, norm, op);
}

// By half of each axis, rounded down in one direction and up in the other.
Tensor shifted(const Operand& x, const Axes& axes, bool forward, std::string_view op) {
  Tensor y = tensor_of(x, op);
  std::vector<Index> all(axes.begin(), axes.end());
  if (all.empty()) {
    all.resize(y.rank());
    std::iota(all.begin(), all.end(), Index{0});
  }
  for (const Index axis : all) {
    const Index half = y.size(axis) / 2;
    y = roll(Operand(y, x.where()), forward ? half : -half, axis);
  }
  return y;
}

}  // namespace

Tensor fft(const Operand& x, std::optional<Index> n, Index axis, FftNorm norm) {
  return along(x, n, axis, false, norm, "fft");
}
Tensor ifft(const Operand& x, std::optional<Index> n, Index axis, FftNorm norm) {
  return along(x, n, axis, true, norm, "ifft");
}
Tensor rfft(const Operand& x, std::optional<Index> n, Index axis, FftNorm norm) {
  return halved(x, n, axis, false, norm, "rfft");
}
Tensor irfft(const Operand& x, std::optional<Index> n, Index axis, FftNorm norm) {
  return completed(x, n, axis, true, norm, "irfft");
}
// Transforms of the other sign, divided the other way.
Tensor hfft(const Operand& x, std::optional<Index> n, Index axis, FftNorm norm) {
  return completed(x, n, axis, false, norm, "hfft");
}
Tensor ihfft(const Operand& x, std::optional<Index> n, Index axis, FftNorm norm) {
  return halved(x, n, axis, true, norm, "ihfft");
}

Tensor fftn(const Operand& x, const std::vector<Index>& sizes, const Axes& axes, FftNorm norm) {
  return along_several(x, sizes, axes, false, norm, "fftn");
}
Tensor ifftn(const Operand& x, const std::vector<Index>& sizes, const Axes& axes, FftNorm norm) {
  return along_several(x, sizes, axes, true, norm, "ifftn");
}
Tensor rfftn(const Operand& x, const std::vector<Index>& sizes, const Axes& axes, FftNorm norm) {
  return rfft_several(x, sizes, axes, norm, "rfftn");
}
Tensor irfftn(const Operand& x, const std::vector<Index>& sizes, const Axes& axes, FftNorm norm) {
  return irfft_several(x, sizes, axes, norm, "irfftn");
}
Tensor fft2(const Operand& x, const std::vector<Index>& sizes, const Axes& axes, FftNorm norm) {
  return along_several(x, sizes, axes, false, norm, "fft2");
}
Tensor ifft2(const Operand& x, const std::vector<Index>& sizes, const Axes& axes, FftNorm norm) {
  return along_several(x, sizes, axes, true, norm, "ifft2");
}
Tensor rfft2(const Operand& x, const std::vector<Index>& sizes, const Axes& axes, FftNorm norm) {
  return rfft_several(x, sizes, axes, norm, "rfft2");
}
Tensor irfft2(const Operand& x, const std::vector<Index>& sizes, const Axes& axes, FftNorm norm) {
  return irfft_several(x, sizes, axes, norm, "irfft2");
}

Tensor fftfreq(Index n, double spacing, DType dtype) {
  if (n < 1) throw ValueError(fmt::format("fftfreq: of {} elements", n));
  std::vector<double> all;
  for (Index k = 0; k < n; ++k)
    all.push_back(static_cast<double>(k < (n + 1) / 2 ? k : k - n) / (static_cast<double>(n) * spacing));
  return cast(constant(all), dtype);
}
Tensor rfftfreq(Index n, double spacing, DType dtype) {
  if (n < 1) throw ValueError(fmt::format("rfftfreq: of {} elements", n));
  std::vector<double> all;
  for (Index k = 0; k <= n / 2; ++k)
    all.push_back(static_cast<double>(k) / (static_cast<double>(n) * spacing));
  return cast(constant(all), dtype);
}
Tensor fftshift(const Operand& x, const Axes& axes) { return shifted(x, axes, true, "fftshift"); }
Tensor ifftshift(const Operand& x, const Axes& axes) { return shifted(x, axes, false, "ifftshift"); }

Tensor complex(const Operand& real, const Operand& imaginary) {
  const Tensor& re = tensor_of(real, "complex");
  const Tensor im =
      imaginary.tensor() == nullptr ? full({}, imaginary.number(), re.dtype()) : *imaginary.tensor();
  const Shape shape = broadcast(re.shape(), im.shape());
  return stack({broadcast_to(re, shape), broadcast_to(im, shape)}, -1);
}
Tensor real(const Operand& x) { return select(x, -1, 0); }
Tensor imag(const Operand& x) { return select(x, -1, 1); }
Tensor conj(const Operand& x) {
  const DType dtype = tensor_of(x, "conj").dtype();
  return multiply(x, constant({1, -1}, dtype));
}
Tensor complex_multiply(const Operand& a, const Operand& b) {
  const Tensor ar = real(a), ai = imag(a), br = real(b), bi = imag(b);
  return stack({ar * br - ai * bi, ar * bi + ai * br}, -1);
}

std::vector<const Operation*> fft_operations() { return {&operation_of<Fft>()}; }

}  // namespace gradweave
