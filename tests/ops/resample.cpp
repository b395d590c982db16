// Known answers are PyTorch 2.13's; those of the image of four are in its documentation.
#include <gradweave/ops/resample.hpp>

#include <cmath>
#include <limits>

#include <gradweave/ops/ops.hpp>

#include "gradcheck_matcher.hpp"
#include "pattern.hpp"
#include "support.hpp"

namespace gradweave::resample_tests {
namespace {

void check_close(const Tensor& x, const Doubles& expected) {
  const Doubles found = x.to_vector<double>();
  REQUIRE(found.size() == expected.size());
  for (std::size_t k = 0; k < found.size(); ++k)
    CHECK(found[k] == Approx(expected[k]).margin(1e-9).epsilon(1e-8));
}

TEST_CASE("an image of four at twice the size", "[ops][resample]") {
  const Tensor x = constant({{{{1, 2}, {3, 4}}}}, DType::float64);
  CHECK(interpolate(x, {.scale_factor = {2}}).to_vector<double>() ==
        Doubles{1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4});
  check_close(interpolate(x, {.scale_factor = {2}, .mode = Resampling::linear}),
              {1, 1.25, 1.75, 2, 1.5, 1.75, 2.25, 2.5, 2.5, 2.75, 3.25, 3.5, 3, 3.25, 3.75, 4});
  check_close(
      interpolate(x, {.size = {4, 4}, .mode = Resampling::linear, .align_corners = true}),
      {1, 4. / 3, 5. / 3, 2, 5. / 3, 2, 7. / 3, 8. / 3, 7. / 3, 8. / 3, 3, 10. / 3, 3, 10. / 3, 11. / 3, 4});
}

TEST_CASE("every way to resize a row", "[ops][resample]") {
  const Tensor x = constant({{{1, 2, 4, 8}}}, DType::float64), image = expand_dims(x, 2);
  const auto row = [&](const InterpolateOptions& options) { return interpolate(image, options); };
  check_close(row({.size = {1, 6}, .mode = Resampling::cubic}),
              {0.9131944444, 1.3125, 2.304398148, 3.383101852, 6.1875, 8.347222222});
  check_close(row({.size = {1, 6}, .mode = Resampling::cubic, .align_corners = true}),
              {1, 1.396, 2.352, 3.288, 5.768, 8});
  check_close(row({.size = {1, 2}, .mode = Resampling::linear, .antialias = true}), {13. / 7, 38. / 7});
  check_close(row({.size = {1, 3}, .mode = Resampling::cubic, .antialias = true}),
              {1.132723112, 2.894396552, 7.125858124});
  check_close(interpolate(x, {.size = {3}, .mode = Resampling::area}), {1.5, 3, 6});
  // A factor that sizes are rounded by: places follow the factor, or, if that is said, the sizes.
  check_close(interpolate(x, {.scale_factor = {1.7}, .mode = Resampling::linear}),
              {1, 1.382352941, 1.970588235, 3.117647059, 4.588235294, 6.941176471});
  check_close(
      interpolate(x, {.scale_factor = {1.7}, .mode = Resampling::linear, .recompute_scale_factor = true}),
      {1, 1.5, 7. / 3, 11. / 3, 6, 8});
}

TEST_CASE("the nearest elements, of any dtype", "[ops][resample]") {
  const Tensor x = reshape(arange(5), {1, 1, 5});
  const Tensor y = interpolate(x, {.size = {3}});
  CHECK(y.dtype() == DType::int64);
  CHECK(y.to_vector<Index>() == std::vector<Index>{0, 1, 3});
  CHECK(interpolate(x, {.size = {3}, .mode = Resampling::nearest_exact}).to_vector<Index>() ==
        std::vector<Index>{0, 2, 4});
  // In the precision of the tensor: 41 (2 / 82) is less than 1 in float32.
  for (const DType dtype : {DType::float32, DType::float64}) {
    const Tensor y41 = select(interpolate(reshape(arange(2, dtype), {1, 1, 2}), {.size = {82}}), 2, 41);
    CHECK(y41.item<double>() == (dtype == DType::float32 ? 0 : 1));
  }
  const float inf = std::numeric_limits<float>::infinity();
  CHECK(interpolate(constant(std::vector<float>{1, inf, 2}, {1, 1, 3}), {.size = {6}}).to_vector() ==
        std::vector<float>{1, 1, inf, inf, 2, 2});
}

TEST_CASE("volumes axis by axis", "[ops][resample]") {
  const Tensor x = reshape(arange(8, DType::float64), {1, 1, 2, 2, 2});
  const Tensor y = interpolate(x, {.size = {3, 1, 2}, .mode = Resampling::linear});
  CHECK(y.shape() == Shape{1, 1, 3, 1, 2});
  check_close(y, {1, 2, 3, 4, 5, 6});
}

TEST_CASE("what cannot be resized", "[ops][resample]") {
  const Tensor x = ones({1, 1, 4, 4});
  CHECK_THROWS_AS(interpolate(x, {}), ValueError);
  CHECK_THROWS_AS(interpolate(x, {.size = {2, 2}, .scale_factor = {2}}), ValueError);
  CHECK_THROWS_AS(interpolate(x, {.size = {2}}), ValueError);
  CHECK_THROWS_AS(interpolate(x, {.size = {0, 2}}), ValueError);
  CHECK_THROWS_AS(interpolate(x, {.scale_factor = {0.1}}), ValueError);
  CHECK_THROWS_AS(interpolate(x, {.scale_factor = {std::nan("")}}), ValueError);
  CHECK_THROWS_AS(interpolate(x, {.size = {2, 2}, .align_corners = true}), ValueError);
  CHECK_THROWS_AS(interpolate(x, {.size = {2, 2}, .mode = Resampling::area, .antialias = true}), ValueError);
  CHECK_THROWS_AS(interpolate(ones({4, 4}), {.size = {2}}), ShapeError);
  CHECK_THROWS_AS(interpolate(ones({1, 1, 0, 4}), {.size = {2, 2}}), ShapeError);
}

// ---- Grids

Tensor image() { return reshape(arange(9, DType::float64) + 1, {1, 1, 3, 3}); }
Tensor grid() {  // a corner, near the middle, to the right, and far to the lower left
  return constant({{{{-1, -1}, {0, 0.5}, {1.5, 0.25}, {-1.25, 2}}}}, DType::float64);
}

TEST_CASE("an image at the places of a grid", "[ops][resample]") {
  struct Case {
    Resampling mode;
    GridPadding padding;
    bool aligns;
    Doubles expected;
  };
  using enum GridPadding;
  for (const Case& c : {
           Case{Resampling::nearest, zeros, false, {1, 8, 0, 0}},
           Case{Resampling::nearest, border, false, {1, 8, 6, 7}},
           Case{Resampling::nearest, reflection, false, {1, 8, 6, 4}},
           Case{Resampling::nearest, reflection, true, {1, 8, 6, 4}},
           Case{Resampling::linear, zeros, false, {0.25, 7.25, 0, 0}},
           Case{Resampling::linear, border, false, {1, 7.25, 7.125, 7}},
           Case{Resampling::linear, reflection, false, {1, 7.25, 6.875, 4}},
           Case{Resampling::linear, reflection, true, {1, 6.5, 6.25, 4.25}},
           Case{Resampling::cubic, zeros, false, {0.0625, 8.26953125, -0.8441619873, 0}},
           Case{Resampling::cubic, border, false, {0.625, 7.42578125, 7.410644531, 6.989746094}},
           Case{Resampling::cubic, reflection, false, {0.25, 7.42578125, 7.219238281, 3.91796875}},
           Case{Resampling::cubic, reflection, true, {1, 7.0625, 6.7890625, 4.0859375}},
       }) {
    const Tensor y =
        grid_sample(image(), grid(), {.mode = c.mode, .padding_mode = c.padding, .align_corners = c.aligns});
    CHECK(y.shape() == Shape{1, 1, 1, 4});
    check_close(y, c.expected);
  }
}

TEST_CASE("volumes at the places of a grid", "[ops][resample]") {
  const Tensor x = reshape(arange(8, DType::float64), {1, 1, 2, 2, 2});
  const Tensor at = reshape(constant({0, 0.5, -0.5}, DType::float64), {1, 1, 1, 1, 3});
  CHECK(grid_sample(x, at).item<double>() == Approx(2.5));
  CHECK(grid_sample(x, at, {.mode = Resampling::nearest}).item<double>() == 2);
}

TEST_CASE("what is outside of a grid's image does not matter, whatever it is", "[ops][resample]") {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor x = constant({{{{inf, 1}, {2, 3}}}}, DType::float64);
  const Tensor at = constant({{{{3, 3}, {1, 1}}}}, DType::float64);
  check_close(grid_sample(x, at), {0, 0.75});
  const Tensor nowhere = full({1, 1, 1, 2}, nan, DType::float64);
  CHECK(grid_sample(x, nowhere, {.mode = Resampling::nearest}).item<double>() == 0);
}

TEST_CASE("grids of affine maps", "[ops][resample]") {
  const Tensor theta = constant({{{1, 0, 0.5}, {0, 2, 0}}}, DType::float64);
  CHECK(affine_grid(theta, {1, 1, 2, 2}).to_vector<double>() == Doubles{0, -1, 1, -1, 0, 1, 1, 1});
  CHECK(affine_grid(theta, {1, 1, 2, 1}, true).to_vector<double>() == Doubles{0.5, -2, 0.5, 2});
  const Tensor volumes = constant({{{1, 0, 0, 0}, {0, 2, 0, 1}, {0, 1, 3, 0}}}, DType::float64);
  CHECK(affine_grid(volumes, {1, 1, 2, 1, 2}, true).to_vector<double>() ==
        Doubles{-1, 1, -3, 1, 1, -3, -1, 1, 3, 1, 1, 3});
  // The identity gives the image back.
  const Tensor same = affine_grid(constant({{{1, 0, 0}, {0, 1, 0}}}, DType::float64), {1, 1, 3, 3});
  check_close(grid_sample(image(), same), image().to_vector<double>());
  CHECK_THROWS_AS(affine_grid(theta, {2, 1, 2, 2}), ShapeError);
  CHECK_THROWS_AS(affine_grid(theta, {1, 1, 2}), ShapeError);
  CHECK_THROWS_AS(grid_sample(image(), select(grid(), 0, 0)), ShapeError);
  CHECK_THROWS_AS(grid_sample(image(), grid(), {.mode = Resampling::area}), ValueError);
}

TEST_CASE("resampling is right to second order", "[ops][resample]") {
  const Tensor x = variable(pattern({1, 2, 4, 5}, 7, 31, 0.1));
  const Tensor at = variable(pattern({1, 2, 3, 2}, 7, 31, 0.0637));
  const Tensor theta = variable(pattern({1, 2, 3}, 7, 31, 0.05));
  for (const Resampling mode : {Resampling::linear, Resampling::cubic}) {
    for (const bool antialias : {false, true}) {
      REQUIRE_THAT(
          [&](std::span<const Tensor> in) {
            return square(interpolate(in[0], {.size = {7, 3}, .mode = mode, .antialias = antialias}));
          },
          HasRightGradients({x}));
    }
    for (const GridPadding padding : {GridPadding::zeros, GridPadding::border, GridPadding::reflection}) {
      REQUIRE_THAT(
          [&](std::span<const Tensor> in) {
            return grid_sample(in[0], in[1], {.mode = mode, .padding_mode = padding});
          },
          HasRightGradients({x, at}));
    }
  }
  REQUIRE_THAT(
      [&](std::span<const Tensor> in) {
        return grid_sample(in[0], affine_grid(in[1], {1, 2, 3, 2}));
      },
      HasRightGradients({x, theta}));
}

TEST_CASE("channels dealt out among groups", "[ops][resample]") {
  const Tensor x = constant({{{0, 1}, {2, 3}, {4, 5}, {6, 7}}});
  CHECK(channel_shuffle(x, 2).to_vector() == std::vector<float>{0, 1, 4, 5, 2, 3, 6, 7});
  CHECK(channel_shuffle(x, 4).to_vector() == x.to_vector());
  CHECK_THROWS_AS(channel_shuffle(x, 3), ShapeError);
}

}  // namespace
}  // namespace gradweave::resample_tests
