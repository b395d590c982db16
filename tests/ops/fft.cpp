// Fourier transforms: values that others publish, the definition for many lengths, and derivatives.
#include <gradweave/ops/fft.hpp>

#include <cmath>
#include <numbers>

#include <gradweave/graph/check/gradcheck.hpp>
#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave::fft_tests {
namespace {

using Doubles = std::vector<double>;

Tensor doubles(const Literal& values) { return constant(values, DType::float64); }
Tensor drawn(const Shape& shape, std::uint64_t seed = 1) {
  Generator generator(seed);
  const Tensor x = random_normal(shape, generator, 0, 1, DType::float64);
  eval(x);
  return x;
}
void require_close(const Tensor& a, const Tensor& b, double margin = 1e-11) {
  REQUIRE(a.shape() == b.shape());
  const Doubles x = a.to_vector<double>(), y = b.to_vector<double>();
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) worst = std::max(worst, std::abs(x[i] - y[i]));
  CHECK(worst < margin);
}
// The definition, by a matrix of roots of unity.
Tensor by_definition(const Tensor& x) {
  const Index n = x.size(-2);
  Doubles cosines, sines;
  for (Index j = 0; j < n; ++j) {
    for (Index k = 0; k < n; ++k) {
      const double angle = -2 * std::numbers::pi * static_cast<double>(j * k % n) / static_cast<double>(n);
      cosines.push_back(std::cos(angle));
      sines.push_back(std::sin(angle));
    }
  }
  const Tensor c = constant(cosines, {n, n}), s = constant(sines, {n, n});
  const Tensor re = real(x), im = imag(x);
  return complex(matmul(re, c) - matmul(im, s), matmul(re, s) + matmul(im, c));
}

// The examples of NumPy's and PyTorch's documentation.
TEST_CASE("published transforms", "[ops][fft]") {
  require_close(fft(complex(doubles({0, 1, 2, 3}), 0)), doubles({{6, 0}, {-2, 2}, {-2, 0}, {-2, -2}}));
  require_close(rfft(doubles({0, 1, 2, 3})), doubles({{6, 0}, {-2, 2}, {-2, 0}}));
  require_close(irfft(doubles({{1, 0}, {0, -1}, {-1, 0}})), doubles({0, 1, 0, 0}));
  require_close(irfft(rfft(doubles({0, 1, 2, 3, 4})), 5), doubles({0, 1, 2, 3, 4}));
  require_close(hfft(complex(doubles({1, 2, 3, 4}), 0)), doubles({15, -4, 0, -1, 0, -4}));
  require_close(ihfft(doubles({15, -4, 0, -1, 0, -4})), doubles({{1, 0}, {2, 0}, {3, 0}, {4, 0}}));
  CHECK(fftfreq(5).to_vector() == std::vector<float>{0, 0.2F, 0.4F, -0.4F, -0.2F});
  CHECK(fftfreq(4, 0.5).to_vector() == std::vector<float>{0, 0.5F, -1, -0.5F});
  CHECK(rfftfreq(5).to_vector() == std::vector<float>{0, 0.2F, 0.4F});
  CHECK(rfftfreq(4).to_vector() == std::vector<float>{0, 0.25F, 0.5F});
  CHECK(fftshift(doubles({0, 1, 2, -2, -1})).to_vector<double>() == Doubles{-2, -1, 0, 1, 2});
  CHECK(ifftshift(doubles({-2, -1, 0, 1, 2})).to_vector<double>() == Doubles{0, 1, 2, -2, -1});
  CHECK(fftshift(doubles({{0, 1, 2}, {3, 4, 5}}), {1}).to_vector<double>() == Doubles{2, 0, 1, 5, 3, 4});
}

TEST_CASE("any length is the definition", "[ops][fft]") {
  for (const Index n :
       {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16, 17, 25, 30, 31, 37, 48, 64, 77, 97, 128, 211, 256}) {
    INFO("length " << n);
    const Tensor x = drawn({3, n, 2}, static_cast<std::uint64_t>(n));
    require_close(fft(x), by_definition(x));
    require_close(ifft(fft(x)), x);
    require_close(fft(ifft(x)), x);
    require_close(irfft(rfft(real(x)), n), real(x));
    require_close(fft(cast(x, DType::float32)), fft(x), 1e-4);
  }
}

TEST_CASE("long lengths, prime ones too", "[ops][fft]") {
  for (const Index n : {65536, 65537, 10007, 30030}) {
    INFO("length " << n);
    const Tensor x = drawn({n, 2});
    const Tensor y = fft(x);
    require_close(ifft(y), x);
    CHECK(sum(square(y)).item<double>() ==
          Approx(sum(square(x)).item<double>() * static_cast<double>(n)).epsilon(1e-12));  // Parseval
    // Of a shifted impulse: one wave.
    const Index at = 5;
    const Tensor impulse = complex(cast(arange(n) == at, DType::float64), 0);
    const double angle = -2 * std::numbers::pi * static_cast<double>(at * 1234 % n) / static_cast<double>(n);
    require_close(select(fft(impulse), 0, 1234), doubles({std::cos(angle), std::sin(angle)}));
  }
}

TEST_CASE("axes, lengths and norms", "[ops][fft]") {
  const Tensor x = drawn({4, 3, 5, 2});
  require_close(fft(x, {}, 0), transpose(fft(transpose(x, 0, 2), {}, -1), 0, 2));
  require_close(fft(x, {}, -2), transpose(fft(transpose(x, 1, 2), {}, 2), 1, 2));
  require_close(fft(x, 3), fft(slice(x, 2, 0, 3)));
  require_close(fft(x, 7), fft(concat({x, zeros({4, 3, 2, 2}, DType::float64)}, 2)));
  require_close(fft(x, {}, -1, FftNorm::ortho), fft(x) / std::sqrt(5.0));
  require_close(fft(x, {}, -1, FftNorm::forward), fft(x) / 5);
  require_close(ifft(x, {}, -1, FftNorm::forward), ifft(x) * 5);
  require_close(fft2(x), fft(fft(x, {}, 1), {}, 2));
  require_close(fftn(x), fft(fft2(x), {}, 0));
  require_close(ifftn(fftn(x, {}, {0, 2}), {}, {0, 2}), x);
  require_close(fftn(x, {6, -1}), fft2(x, {6, 5}));
  const Tensor signal = real(x);
  require_close(rfftn(signal), slice(fftn(complex(signal, 0)), 2, 0, 3));
  require_close(irfftn(rfftn(signal), {4, 3, 5}), signal);
  require_close(irfft2(rfft2(signal, {}, {-2, -1}, FftNorm::ortho), {3, 5}, {-2, -1}, FftNorm::ortho),
                signal);
  require_close(irfft(rfft(signal, 8), 8), concat({signal, zeros({4, 3, 3}, DType::float64)}, 2));
  require_close(hfft(ihfft(signal), 5), signal);
  CHECK(rfft(zeros({0, 4})).shape() == Shape{0, 3, 2});
  CHECK(rfft(constant(std::vector<Index>{1, 2, 3})).dtype() == default_dtype());
}

TEST_CASE("a convolution is a product of spectra", "[ops][fft]") {
  const Tensor a = doubles({1, 2, 3, 0}), b = doubles({0, 1, 0.5, 0});
  require_close(irfft(complex_multiply(rfft(a), rfft(b))), doubles({1.5, 1, 2.5, 4}));
  require_close(complex_multiply(doubles({1, 2}), conj(doubles({3, -4}))), doubles({-5, 10}));
}

TEST_CASE("derivatives of Fourier transforms", "[ops][fft]") {
  const auto right = [](auto f, const Shape& shape) {
    return gradcheck([f](std::span<const Tensor> in) { return square(f(in[0])); }, {variable(drawn(shape))})
        .ok;
  };
  CHECK(right([](const Tensor& x) { return rfft(x, 6); }, {2, 5}));
  CHECK(right([](const Tensor& x) { return irfft(x); }, {3, 2}));
  CHECK(right([](const Tensor& x) { return irfft(x, 5, -1, FftNorm::ortho); }, {3, 2}));
  CHECK(right([](const Tensor& x) { return hfft(x); }, {3, 2}));
  CHECK(right([](const Tensor& x) { return fft2(x); }, {2, 3, 2}));
  CHECK(right([](const Tensor& x) { return rfftn(x); }, {2, 3}));
}

TEST_CASE("one line of many is as it is alone, at any number of threads", "[ops][fft]") {
  const Tensor all = cast(drawn({100, 60, 2}), DType::float32);
  const int before = get_num_threads();
  for (const int threads : {1, 3}) {
    set_num_threads(threads);
    CHECK(select(fft(all), 0, 77).to_vector() == fft(select(all, 0, 77)).to_vector());
    CHECK(select(fft(all, {}, 0), 1, 59).to_vector() == fft(select(all, 1, 59)).to_vector());
  }
  set_num_threads(before);
}

TEST_CASE("wrong arguments of Fourier transforms", "[ops][fft]") {
  CHECK_THROWS_AS(fft(zeros({3})), ShapeError);
  CHECK_THROWS_AS(fft(zeros({3, 2}), 0), ValueError);
  CHECK_THROWS_AS(fft(zeros({3, 2}), 3, 1), ShapeError);
  CHECK_THROWS_AS(fftn(zeros({3, 3, 2}), {}, {0, -2}), ShapeError);
  CHECK_THROWS_AS(irfft(zeros({1, 2})), ValueError);
  CHECK_THROWS_AS(rfft(zeros({3, 0})), ValueError);
  CHECK_THROWS_AS(fftfreq(0), ValueError);
}

}  // namespace
}  // namespace gradweave::fft_tests
