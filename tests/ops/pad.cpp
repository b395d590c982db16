// Padding, pixel shuffles, and the convolutions that are made of conv2d.
#include <gradweave/ops/pad.hpp>

#include <gradweave/graph/check/gradcheck.hpp>
#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave::pad_tests {
namespace {

using Ints = std::vector<Index>;
Tensor numbered(const Shape& shape) {
  return cast(reshape(arange(numel(shape)), Dims(shape)), DType::float64);
}

TEST_CASE("pad, in every mode", "[ops][pad]") {
  const Tensor x = constant({1, 2, 3});
  CHECK(pad(x, {2, 1}).to_vector<Index>() == Ints{0, 0, 1, 2, 3, 0});
  CHECK(pad(x, {1, 0}, PadMode::constant, 9).to_vector<Index>() == Ints{9, 1, 2, 3});
  CHECK(pad(x, {2, 2}, PadMode::reflect).to_vector<Index>() == Ints{3, 2, 1, 2, 3, 2, 1});
  CHECK(pad(x, {2, 2}, PadMode::symmetric).to_vector<Index>() == Ints{2, 1, 1, 2, 3, 3, 2});
  CHECK(pad(x, {2, 4}, PadMode::replicate).to_vector<Index>() == Ints{1, 1, 1, 2, 3, 3, 3, 3, 3});
  CHECK(pad(x, {2, 1}, PadMode::circular).to_vector<Index>() == Ints{2, 3, 1, 2, 3, 1});
  CHECK(pad(x, {-1, 2}).to_vector<Index>() == Ints{2, 3, 0, 0});
  CHECK(pad(ones({2, 3}), {0, 0, 1, 0}).shape() == Shape{3, 3});
  CHECK_THROWS_AS(pad(x, {1}), ValueError);
  CHECK_THROWS_AS(pad(x, {3, 0}, PadMode::reflect), ShapeError);
  const Tensor v = variable({1, 2, 3});
  CHECK(gradients(sum(pad(v, {1, 1}, PadMode::reflect)), {v})[0].to_vector<Index>() == Ints{1, 3, 1});
}

TEST_CASE("pixel_shuffle exchanges channels for place, and back", "[ops][pad]") {
  const Tensor x = numbered({1, 4, 1, 2});
  CHECK(pixel_shuffle(x, 2).to_vector<Index>() == Ints{0, 2, 1, 3, 4, 6, 5, 7});
  CHECK(pixel_unshuffle(pixel_shuffle(x, 2), 2).to_vector<Index>() == x.to_vector<Index>());
  CHECK(pixel_shuffle(numbered({9, 2, 2}), 3).shape() == Shape{1, 6, 6});
  CHECK_THROWS_AS(pixel_shuffle(x, 3), ShapeError);
}

TEST_CASE("convolutions along one axis, and transposed", "[ops][conv2d]") {
  const Tensor x = reshape(constant({1, 2, 3, 4}), {1, 1, 4}), w = reshape(constant({1, 10}), {1, 1, 2});
  CHECK(conv1d(x, w).to_vector<Index>() == Ints{21, 32, 43});
  CHECK(conv1d(x, w, {.stride = 2, .padding = 1}).to_vector<Index>() == Ints{10, 32, 4});
  CHECK(conv_transpose1d(x, w).to_vector<Index>() == Ints{1, 12, 23, 34, 40});
  CHECK(conv_transpose1d(x, w, {.stride = 2, .output_padding = 1}).to_vector<Index>() ==
        Ints{1, 10, 2, 20, 3, 30, 4, 40, 0});
  const Tensor image = numbered({2, 4, 3, 3}) / 10, weight = numbered({4, 1, 2, 2}) / 10;
  const ConvTranspose2dOptions options{
      .stride = {2, 1}, .padding = {1, 0}, .output_padding = {1, 0}, .groups = 2};
  CHECK(conv_transpose2d(image, weight, options).shape() == Shape{2, 2, 5, 4});
  const auto f = [&](std::span<const Tensor> in) { return conv_transpose2d(in[0], in[1], options); };
  CHECK(gradcheck(f, {variable(image), variable(weight)}));
  CHECK_THROWS_AS(conv_transpose1d(x, w, {.output_padding = 1}), ValueError);
  CHECK_THROWS_AS(conv1d(ones({4}), w), ShapeError);
}

}  // namespace
}  // namespace gradweave::pad_tests
