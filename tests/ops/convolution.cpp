// Known answers are libtorch 1.13's, in float64 on the numbers of pattern.hpp, unless they are worked out
// here.
#include <gradweave/ops/convolution.hpp>

#include <limits>

#include <gradweave/ops/ops.hpp>

#include "gradcheck_matcher.hpp"
#include "pattern.hpp"
#include "support.hpp"

namespace gradweave {
namespace {

TEST_CASE("a convolution is a sliding dot product", "[convolution]") {
  const Tensor x = constant({{{{1, 2, 3}, {4, 5, 6}, {7, 8, 9}}}}), w = constant({{{{1, 0}, {0, -1}}}});
  CHECK(conv2d(x, w).to_vector() == std::vector<float>(4, -4));
  CHECK(conv2d(x, w, {.padding = 1}).to_vector() ==
        std::vector<float>{-1, -2, -3, 0, -4, -4, -4, 3, -7, -4, -4, 6, 0, 7, 8, 9});
  CHECK(conv2d(x, w, {.stride = 2, .padding = 1}).to_vector() == std::vector<float>{-1, -3, -7, -4});
  CHECK(conv2d(x, w, {.dilation = 2}).to_vector() == std::vector<float>{1 - 9});
}

TEST_CASE("strides, padding, dilation and groups at once, with both gradients", "[convolution]") {
  const Tensor x = variable(pattern({2, 4, 5, 6}, 7, 11)), w = variable(pattern({6, 2, 3, 2}, 5, 7));
  const Tensor y = conv2d(x, w, {.stride = {2, 1}, .padding = {1, 2}, .dilation = {1, 2}, .groups = 2});
  REQUIRE(y.shape() == Shape{2, 6, 3, 8});
  const auto [dx, dw] = gradients(sum(y * pattern(y.shape(), 3, 5)), {x, w});
  CHECK(sum(y * pattern(y.shape(), 13, 17)).item<double>() == 512);
  CHECK(select(select(y, 0, 1), 0, 4).to_vector<double>() ==
        Doubles{1, -11, 8, 8, 8, 8, -9, -8, -8, 29, 0, 16, -1, -18, -18, 5, 29, -7, -5, -4, -3, -13, -1, 3});
  CHECK(select(select(dx, 0, 1), 0, 3).to_vector<double>() ==
        Doubles{-2, -1, -5, 11, -3, -2, -2, 6,   -11, -8, 15, -2, 11, -3, -2,
                -1, -5, 11, -8, 15, -2, 6,  -11, -8,  -1, -5, 11, -3, -2, -1});
  CHECK(select(dw, 0, 2).to_vector<double>() == Doubles{67, 9, 33, 53, 10, 67, 67, 10, 53, 33, 9, 67});
  CHECK(sum(dx * pattern(x.shape(), 13, 17)).item<double>() == 229);
  CHECK(sum(dw * pattern(w.shape(), 13, 17)).item<double>() == 3581);
}

// The definition, term by term.
Doubles by_definition(const Shape& x, const Doubles& image, const Shape& w, const Doubles& weight,
                      Pair stride, Pair padding, const Shape& y) {
  Doubles result;
  for (Index n = 0; n < y[0]; ++n) {
    for (Index o = 0; o < y[1]; ++o) {
      for (Index i = 0; i < y[2]; ++i) {
        for (Index j = 0; j < y[3]; ++j) {
          double total = 0;
          for (Index c = 0; c < x[1]; ++c) {
            for (Index r = 0; r < w[2]; ++r) {
              for (Index s = 0; s < w[3]; ++s) {
                const Index row = i * stride.rows + r - padding.rows,
                            col = j * stride.cols + s - padding.cols;
                if (row < 0 || row >= x[2] || col < 0 || col >= x[3]) continue;
                total += image[static_cast<std::size_t>(((n * x[1] + c) * x[2] + row) * x[3] + col)] *
                         weight[static_cast<std::size_t>(((o * w[1] + c) * w[2] + r) * w[3] + s)];
              }
            }
          }
          result.push_back(total);
        }
      }
    }
  }
  return result;
}

// More channels than the kernels take at a time, more images than a part of the weight's gradient has, rows
// longer than a stretch. Whole numbers: the sums are exact.
TEST_CASE("sizes beyond every block of the kernels", "[convolution]") {
  struct Case {
    Shape x, w;
    Pair stride, padding;
  };
  for (const Case& c :
       {Case{{1, 40, 6, 5}, {13, 40, 3, 3}, 1, 1}, Case{{19, 2, 7, 9}, {7, 2, 3, 2}, {2, 3}, {1, 0}},
        Case{{1, 1, 3, 700}, {5, 1, 2, 3}, 1, 0}}) {
    const Tensor x = variable(pattern(c.x, 7, 11)), w = variable(pattern(c.w, 5, 7));
    const Tensor y = conv2d(x, w, {.stride = c.stride, .padding = c.padding});
    const Doubles expected =
        by_definition(c.x, x.to_vector<double>(), c.w, w.to_vector<double>(), c.stride, c.padding, y.shape());
    CHECK(y.to_vector<double>() == expected);
    CHECK(conv2d(cast(x, DType::float32), cast(w, DType::float32), {.stride = c.stride, .padding = c.padding})
              .to_vector<double>() == expected);
    // Linear in each: <g, y> = <dx, x> = <dw, w>.
    const Tensor g = pattern(y.shape(), 3, 5);
    const auto [dx, dw] = gradients(y, {x, w}, g);
    const double product = sum(y * g).item<double>();
    CHECK(product != 0);
    CHECK(sum(dx * x).item<double>() == product);
    CHECK(sum(dw * w).item<double>() == product);
  }
}

TEST_CASE("infinities and NaN reach only what they are factors of", "[convolution]") {
  constexpr double inf = std::numeric_limits<double>::infinity();
  const auto gradients_of = [](const Tensor& x, const Tensor& w, const Conv2dOptions& options = {}) {
    return gradients(sum(conv2d(x, w, options)), {x, w});
  };
  for (const DType dtype : {DType::float32, DType::float64}) {
    const auto image = [&](const Literal& values) { return variable(cast(constant(values), dtype)); };
    CHECK(gradients_of(image({{{{1, 2, inf}}}}), image({{{{1, 1}}}}))[1].to_vector<double>() ==
          Doubles{3, inf});
    // A pixel between the strides is never read.
    CHECK(
        gradients_of(image({{{{1, 2}, {3, inf}}}}), image({{{{1}}}}), {.stride = 2})[1].to_vector<double>() ==
        Doubles{1});
    CHECK(gradients_of(image({{{{1, 2}}}}), image({{{{inf, 1}}}}))[0].to_vector<double>() == Doubles{inf, 1});
    // Channels, groups, padding and dilation at once: beside the element that is infinite nothing changes.
    Doubles weight(16, 2);
    const Tensor x = variable(cast(pattern({1, 4, 4, 3}, 7, 11), dtype));
    const Conv2dOptions options{.stride = {2, 1}, .padding = 1, .dilation = {1, 2}, .groups = 2};
    const auto back = [&] {
      return gradients_of(x, variable(cast(constant(weight, {2, 2, 2, 2}), dtype)), options)[0]
          .to_vector<double>();
    };
    const Doubles finite = back();
    weight[9] = inf;  // of the second output: its first channel's upper right tap
    const Doubles infinite = back();
    for (std::size_t k = 0; k < finite.size(); ++k) {
      const bool is_met = k / 12 == 2 && k / 3 % 4 % 2 == 1 && k % 3 >= 1;
      CHECK(infinite[k] == (is_met ? inf : finite[k]));
    }
  }
}

TEST_CASE("convolutions of nothing", "[convolution][empty]") {
  const Tensor x = variable(zeros({0, 2, 4, 4})), w = variable(ones({3, 2, 2, 2}));
  const Tensor y = conv2d(x, w);
  CHECK(y.shape() == Shape{0, 3, 3, 3});
  const auto [dx, dw] = gradients(sum(y), {x, w});
  CHECK(dx.shape() == x.shape());
  CHECK(dw.to_vector() == std::vector<float>(24, 0));
  CHECK(conv2d(ones({1, 0, 2, 2}), ones({1, 0, 1, 1})).to_vector() == std::vector<float>(4, 0));
}

TEST_CASE("what does not make a convolution", "[convolution]") {
  const Tensor x = ones({1, 4, 5, 5}), w = ones({6, 4, 3, 3});
  CHECK_THROWS_AS(conv2d(x, ones({6, 3, 3, 3})), ShapeError);
  CHECK_THROWS_AS(conv2d(x, w, {.groups = 2}), ShapeError);
  CHECK_THROWS_AS(conv2d(x, ones({3, 2, 3, 3}), {.groups = 2}), ShapeError);
  CHECK_THROWS_AS(conv2d(x, ones({6, 4, 6, 3})), ShapeError);
  CHECK_THROWS_AS(conv2d(x, w, {.dilation = 3}), ShapeError);
  CHECK_THROWS_AS(conv2d(select(x, 0, 0), w), ShapeError);
  CHECK_THROWS_AS(conv2d(x, w, {.stride = 0}), ValueError);
  CHECK_THROWS_AS(conv2d(x, w, {.padding = -1}), ValueError);
  CHECK_THROWS_AS(conv2d(x, w, {.dilation = {1, 0}}), ValueError);
  CHECK_THROWS_AS(conv2d(x, w, {.groups = 0}), ValueError);
  CHECK_THROWS_AS(conv2d(x, w, {.padding = Index{1} << 60}), ValueError);
  CHECK_THROWS_AS(conv2d(x, w, {.padding = Index{1} << 30}), ShapeError);
  CHECK_THROWS_AS(conv2d(x, ones({6, 4, 0, 3})), ValueError);
}

// ---- Volumes, and padding by name and by side. Known answers are PyTorch 2.13's.

TEST_CASE("convolutions of volumes, with both gradients", "[convolution]") {
  const Tensor x = variable(pattern({1, 2, 3, 4, 3}, 7, 11)), w = variable(pattern({2, 1, 2, 3, 2}, 5, 7));
  const Tensor y =
      conv3d(x, w, {.stride = {1, 2, 1}, .padding = {1, 0, 1}, .dilation = {2, 1, 2}, .groups = 2});
  CHECK(y.shape() == Shape{1, 2, 3, 1, 3});
  CHECK(y.to_vector<double>() ==
        Doubles{-6, -6, 4, -4, 23, -9, -2, -1, -6, 9, -4, -15, -4, -14, 14, 5, -1, 9});
  const auto [dx, dw] = gradients(sum(y * pattern(y.shape(), 3, 5)), {x, w});
  CHECK(dw.to_vector<double>() == Doubles{-10, -3, -9, -5, -8, -7, -6,  19,  -4,  18,  -2,  17,
                                          14,  3,  12, 3,  10, 3,  -11, -12, -12, -11, -13, -10});
  CHECK(sum(dx * pattern(x.shape(), 13, 17)).item<double>() == 90);
}

TEST_CASE("transposed convolutions of volumes", "[convolution]") {
  const Tensor x = pattern({1, 2, 2, 2, 2}, 7, 11), w = pattern({2, 1, 2, 2, 2}, 5, 7);
  const Tensor y = conv_transpose3d(x, w,
                                    {.stride = {2, 1, 2},
                                     .padding = {1, 0, 1},
                                     .output_padding = {1, 0, 0},
                                     .dilation = {1, 2, 1},
                                     .groups = 2});
  CHECK(y.shape() == Shape{1, 2, 3, 4, 2});
  CHECK(y.to_vector<double>() == Doubles{-5, 6,  -2, 15, 15, -2, 6,   -5, 2,  9,  8,  0,  -2, 0,  -8, 0,
                                         1,  -9, 4,  0,  -3, 3,  -12, 0,  4,  3,  1,  -5, -8, -9, -2, 15,
                                         0,  -4, 0,  2,  6,  4,  15,  -2, -2, -2, -5, 1,  4,  6,  10, -3});
}

TEST_CASE("padding that keeps the size, or that differs from side to side", "[convolution]") {
  const Tensor x = pattern({1, 2, 3, 4, 3}, 7, 11), w = pattern({2, 1, 2, 3, 2}, 5, 7);
  const Tensor y =
      conv3d(slice(x, 4, 0, 2), slice(w, 4, 0, 2), {.padding = Padding::same, .dilation = 1, .groups = 2});
  CHECK(y.shape() == Shape{1, 2, 3, 4, 2});
  const Tensor row = constant({{{1, 2, 3, 4}}}), sum_of_two = ones({1, 1, 2}), sum_of_four = ones({1, 1, 4});
  CHECK(conv1d(row, sum_of_two, {.padding = Padding::same}).to_vector() ==
        std::vector<float>{3, 5, 7, 4});  // the larger half behind
  CHECK(conv1d(row, sum_of_four, {.padding = Padding::same}).to_vector() == std::vector<float>{6, 10, 9, 7});
  CHECK(conv1d(row, sum_of_two, {.padding = Padding::same, .dilation = 2}).to_vector() ==
        std::vector<float>{2, 4, 6, 3});
  CHECK(conv1d(row, sum_of_four, {.padding = Padding::valid}).to_vector() == std::vector<float>{10});
  CHECK(conv1d(row, sum_of_two, {.padding = {1, 0}}).to_vector() == std::vector<float>{1, 3, 5, 7});
  const Tensor image = constant({{{{1, 2}, {3, 4}}}}), one = ones({1, 1, 1, 1});
  CHECK(conv2d(image, one, {.padding = {{1, 0}, {0, 2}}}).to_vector() ==
        std::vector<float>{0, 0, 0, 0, 1, 2, 0, 0, 3, 4, 0, 0});
  CHECK(conv2d(image, one, {.padding = {0, 1}}).to_vector() == std::vector<float>{0, 1, 2, 0, 0, 3, 4, 0});
  CHECK_THROWS_AS(conv1d(row, sum_of_two, {.stride = 2, .padding = Padding::same}), ValueError);
  CHECK_THROWS_AS(conv3d(x, w, {.stride = 2, .padding = Padding::same, .groups = 2}), ValueError);
  CHECK_THROWS_AS(conv2d(image, one, {.padding = {{-1, 0}, {1, 0}}}), ValueError);
  CHECK_THROWS_AS(conv3d(x, w, {.padding = -1, .groups = 2}), ValueError);
  CHECK_THROWS_AS(conv3d(x, ones({2, 1, 4, 1, 1}), {.groups = 2}), ShapeError);
  CHECK_THROWS_AS(conv3d(image, one), ShapeError);
}

TEST_CASE("convolutions of volumes are right to second order", "[convolution]") {
  const Tensor x = variable(pattern({1, 2, 3, 3, 2}, 7, 11, 0.3)),
               w = variable(pattern({2, 2, 2, 2, 2}, 5, 7, 0.3));
  REQUIRE_THAT(
      [](std::span<const Tensor> in) {
        return conv3d(in[0], in[1], {.stride = {1, 2, 1}, .padding = {{1, 1, 0}, {0, 1, 1}}});
      },
      HasRightGradients({x, w}));
  REQUIRE_THAT(
      [](std::span<const Tensor> in) { return conv_transpose3d(in[0], in[1], {.stride = 2, .padding = 1}); },
      HasRightGradients({x, w}));
}

}  // namespace
}  // namespace gradweave
