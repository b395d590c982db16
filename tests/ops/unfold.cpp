#include <gradweave/ops/unfold.hpp>

#include <gradweave/ops/ops.hpp>

#include "gradcheck_matcher.hpp"
#include "pattern.hpp"
#include "support.hpp"

namespace gradweave::unfold_tests {
namespace {

TEST_CASE("windows of an axis are a view, and their cotangents meet again", "[ops][unfold]") {
  const Tensor x = variable({{1, 2, 3, 4, 5}, {6, 7, 8, 9, 10}});
  const Tensor y = unfold(x, 1, 3, 2);
  CHECK(y.shape() == Shape{2, 2, 3});
  CHECK(y.to_vector() == std::vector<float>{1, 2, 3, 3, 4, 5, 6, 7, 8, 8, 9, 10});
  CHECK(gradients(sum(y), {x})[0].to_vector() == std::vector<float>{1, 1, 2, 1, 1, 1, 1, 2, 1, 1});
  CHECK(unfold(x, 0, 2, 1).shape() == Shape{1, 5, 2});
  CHECK(unfold(constant({1, 2, 3, 4, 5}), 0, 2, 1, 3).to_vector() == std::vector<float>{1, 4, 2, 5});
  CHECK(fold_axis(ones({2, 2, 3}), 1, 5, 2).to_vector() == std::vector<float>{1, 1, 2, 1, 1, 1, 1, 2, 1, 1});
  CHECK_THROWS_AS(unfold(x, 1, 6, 1), ShapeError);
  CHECK_THROWS_AS(unfold(x, 1, 2, 0), ValueError);
  CHECK_THROWS_AS(unfold(x, 2, 1, 1), ShapeError);
  CHECK_THROWS_AS(fold_axis(y, 1, 6, 1), ShapeError);
}

TEST_CASE("elementwise ops do not write over windows that overlap", "[ops][unfold]") {
  const Tensor x = constant({1, 2, 3, 4});
  const Tensor y = 2 * (unfold(x + 1, 0, 2, 1) + 1);
  CHECK(y.to_vector() == std::vector<float>{6, 8, 8, 10, 10, 12});
  CHECK(exp(log(unfold(x, 0, 3, 1))).to_vector<double>()[3] == Approx(2));
}

TEST_CASE("NumPy's sliding windows", "[ops][unfold]") {
  const Tensor x = reshape(arange(12), {3, 4});
  const Tensor y = sliding_window_view(x, {2, 3});
  CHECK(y.shape() == Shape{2, 2, 2, 3});
  CHECK(select(select(y, 0, 1), 0, 1).to_vector<Index>() == std::vector<Index>{5, 6, 7, 9, 10, 11});
  CHECK(sliding_window_view(x, {2}, {-1}).shape() == Shape{3, 3, 2});
  CHECK(sliding_window_view(x, {2, 2}, {1, 1}).shape() == Shape{3, 2, 2, 2});
  CHECK_THROWS_AS(sliding_window_view(x, {2}, {0, 1}), ValueError);
}

// PyTorch 2.13's.
TEST_CASE("images as columns, and back", "[ops][unfold]") {
  const Tensor x = pattern({1, 1, 4, 5}, 7, 11);
  const UnfoldOptions options{.stride = {2, 2}, .padding = {1, 0}};
  const Tensor columns = unfold(x, {2, 3}, options);
  CHECK(columns.shape() == Shape{1, 6, 6});
  CHECK(columns.to_vector<double>() == Doubles{0,  0,  -3, 0, 1, 4, 0, 0, 4,  -4, -3, 0, 0,  0, 0, 3, 4, -4,
                                               -5, -2, -1, 2, 0, 0, 2, 5, -5, -2, 0,  0, -2, 1, 2, 5, 0, 0});
  const Tensor back = fold(columns, {4, 5}, {2, 3}, options);
  CHECK(back.shape() == x.shape());
  CHECK(back.to_vector<double>() ==
        Doubles{-5, 2, -4, 5, 1, -3, 4, 0, -4, 3, -1, -5, 4, -2, 5, 1, -3, 8, 0, -4});
  CHECK_THROWS_AS(fold(columns, {4, 6}, {2, 3}, {.stride = 1}), ShapeError);
  CHECK_THROWS_AS(unfold(x, {7, 3}), ShapeError);
  CHECK_THROWS_AS(unfold(x, {0, 3}), ValueError);
}

TEST_CASE("a convolution is a product with columns", "[ops][unfold]") {
  const Tensor x = pattern({2, 3, 5, 4}, 7, 11), w = pattern({4, 3, 2, 3}, 5, 7);
  const Tensor y = conv2d(x, w, {.stride = {2, 1}, .padding = 1, .dilation = {2, 1}});
  const Tensor columns = unfold(x, {2, 3}, {.stride = {2, 1}, .padding = 1, .dilation = {2, 1}});
  CHECK(matmul(reshape(w, {4, 18}), columns).to_vector<double>() == y.to_vector<double>());
}

TEST_CASE("folding is right to second order", "[ops][unfold]") {
  const Tensor x = variable(pattern({1, 2, 4, 5}, 7, 11, 0.3));
  REQUIRE_THAT(
      [](std::span<const Tensor> in) { return square(unfold(in[0], 2, {.stride = 1, .padding = 1})); },
      HasRightGradients({x}));
  REQUIRE_THAT(
      [](std::span<const Tensor> in) {
        return square(fold(unfold(in[0], {2, 3}), {4, 5}, {2, 3}));
      },
      HasRightGradients({x}));
}

}  // namespace
}  // namespace gradweave::unfold_tests
