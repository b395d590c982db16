// Known answers of whole functions are PyTorch 2.13's on the numbers of pattern.hpp.
#include <gradweave/ops/pooling.hpp>

#include <limits>

#include <gradweave/ops/ops.hpp>

#include "gradcheck_matcher.hpp"
#include "pattern.hpp"
#include "support.hpp"

namespace gradweave::pooling_tests {
namespace {

using Ints = std::vector<Index>;

Doubles numbers(const Tensor& x) { return x.to_vector<double>(); }
bool holds(const Tensor& x, const Doubles& expected) {
  const Doubles found = numbers(x);
  bool same = found.size() == expected.size();
  for (std::size_t k = 0; same && k < found.size(); ++k) same = std::abs(found[k] - expected[k]) < 1e-12;
  return same;
}

TEST_CASE("max-pooling and average-pooling of windows that overlap the edge", "[pooling]") {
  const Tensor x = variable(pattern({1, 1, 5, 7}, 7, 11));
  const PoolOptions options{.stride = {{2, 2}}, .padding = {1, 1}};
  const Tensor y = max_pool2d(x, {3, 2}, options);
  REQUIRE(y.shape() == Shape{1, 1, 3, 4});
  CHECK(y.to_vector<double>() == Doubles{0, 3, 5, 4, 5, 3, 5, 3, 4, 2, 5, 2});
  CHECK(gradients(sum(y * pattern(y.shape(), 3, 7)), {x})[0].to_vector<double>() ==
        Doubles{0, 0, 0,  3, 0, 0, -1, -3, 0, -2, 0, 0, 0, 0, 2, 0, 0, 0,
                0, 0, -3, 0, 0, 3, 0,  0,  0, 0,  0, 0, 0, 0, 0, 0, 2});
  const Doubles mean{-5, -1, 0, 1, 4, -6, 1, -3, 3, -7, 5, -5};  // times 6
  const Doubles found = avg_pool2d(x, {3, 2}, options).to_vector<double>();
  for (std::size_t i = 0; i < mean.size(); ++i) CHECK(found[i] == Approx(mean[i] / 6).margin(1e-14));
}

TEST_CASE("the first of equals gets the cotangent", "[pooling]") {
  const Tensor x = variable({{1, 1, 2, 0, 9}, {1, 1, 0, 2, 9}, {9, 9, 9, 9, 9}});
  const Tensor y = max_pool2d(x, 2);
  CHECK(y.to_vector() == std::vector<float>{1, 2});
  CHECK(gradients(y, {x}, constant({{10, 20}}))[0].to_vector() ==
        std::vector<float>{10, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  const Tensor z = max_pool2d(x, {1, 3}, {.stride = 1});
  CHECK(z.to_vector() == std::vector<float>{2, 2, 9, 1, 2, 9, 9, 9, 9});
  CHECK(gradients(sum(z), {x})[0].to_vector() ==
        std::vector<float>{0, 0, 2, 0, 1, 1, 0, 0, 1, 1, 1, 1, 1, 0, 0});
}

TEST_CASE("rows of every length pool by halves", "[pooling]") {
  for (Index width = 2; width < 40; ++width) {
    const Tensor x = variable(pattern({3, width}, 7, 11));
    const Tensor y = max_pool2d(x, 2), g = 1 + pattern(y.shape(), 5, 7);
    const Doubles v = x.to_vector<double>(), largest = y.to_vector<double>(), slope = g.to_vector<double>();
    Doubles expected(v.size(), 0);
    for (std::size_t j = 0; j < largest.size(); ++j) {
      const auto w = static_cast<std::size_t>(width);
      std::size_t best = 2 * j;
      for (std::size_t at : {2 * j + 1, w + 2 * j, w + 2 * j + 1}) best = v[at] > v[best] ? at : best;
      CHECK(largest[j] == v[best]);
      expected[best] = slope[j];
    }
    CHECK(gradients(y, {x}, g)[0].to_vector<double>() == expected);
  }
}

TEST_CASE("the cotangent goes to the largest, also where that is NaN or -inf in padding", "[pooling]") {
  constexpr double inf = std::numeric_limits<double>::infinity();
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  const auto slope = [](const Literal& image, const PoolOptions& options) {
    const Tensor x = variable(image);
    return gradients(sum(max_pool2d(x, 2, options)), {x})[0].to_vector<double>();
  };
  CHECK(slope({{-inf}}, {.padding = 1}) == Doubles{1});
  CHECK(slope({{nan}}, {.padding = 1}) == Doubles{1});
  CHECK(slope({{1, nan}, {2, 3}}, {}) == Doubles{0, 1, 0, 0});
  CHECK(slope({{1, nan}, {2, 3}}, {.stride = 1}) == Doubles{0, 1, 0, 0});
  CHECK(slope({{-inf, -inf}, {-inf, -inf}}, {}) == Doubles{1, 0, 0, 0});
}

TEST_CASE("pooling keeps NaN and infinity", "[pooling]") {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const Tensor x = constant(std::vector<float>{1, nan, -inf, -inf, nan, 2, -inf, -inf}, {2, 4});
  for (const Tensor& y : {max_pool2d(x, 2), max_pool2d(x, 2, {.stride = 2})}) {
    CHECK(std::isnan(y.to_vector()[0]));
    CHECK(y.to_vector()[1] == -inf);
  }
  CHECK(std::isnan(max_pool2d(x, {2, 3}).to_vector()[0]));
}

TEST_CASE("windows that do not fit", "[pooling]") {
  const Tensor x = ones({3, 3});
  CHECK_THROWS_AS(max_pool2d(x, 4), ShapeError);
  CHECK_THROWS_AS(max_pool2d(ones({3}), 1), ShapeError);
  CHECK_THROWS_AS(max_pool2d(x, 0), ValueError);
  CHECK_THROWS_AS(max_pool2d(x, 2, {.stride = 0}), ValueError);
  CHECK_THROWS_AS(max_pool2d(x, 2, {.padding = 2}), ValueError);
  CHECK_THROWS_AS(avg_pool2d(x, 4), ShapeError);
  CHECK_THROWS_AS(avg_pool2d(x, 2, {.padding = 2}), ValueError);
}

TEST_CASE("average-pooling has right gradients to second order", "[pooling]") {
  const Tensor x = variable(pattern({2, 4, 5}, 7, 11, 0.3));
  REQUIRE_THAT(
      [](std::span<const Tensor> in) { return square(avg_pool2d(in[0], 2, {.stride = 1, .padding = 1})); },
      HasRightGradients({x}));
}

TEST_CASE("ceil_mode adds a window that begins before the padding behind", "[pooling]") {
  const Tensor x = pattern({1, 5, 6}, 7, 11);
  const PoolOptions options{.stride = Pair(2), .padding = 1, .ceil_mode = true};
  const auto [values, indices] = max_pool2d_with_indices(x, 3, options);
  CHECK(values.shape() == Shape{1, 3, 4});
  CHECK(numbers(values) == Doubles{4, 5, 5, -3, 4, 5, 4, 4, 5, 5, 4, 2});
  CHECK(indices.to_vector<Index>() == Ints{6, 3, 3, 5, 6, 14, 17, 17, 25, 25, 28, 23});
  CHECK(numbers(max_pool2d(x, 3, options)) == numbers(values));
  CHECK(max_pool1d(zeros({4}), 5, {.stride = 2, .ceil_mode = true}).shape() == Shape{1});
}

TEST_CASE("windows with gaps", "[pooling]") {
  const auto [values, indices] = max_pool2d_with_indices(
      pattern({1, 5, 6}, 7, 11), 2, {.stride = Pair(1), .padding = 1, .dilation = {3, 2}});
  CHECK(values.shape() == Shape{1, 4, 6});
  CHECK(numbers(values) ==
        Doubles{-2, 5, 1, 5, 4, -3, 2, 3, 5, 3, 5, 1, 5, 4, 5, 4, 3, 4, -2, 5, 1, 5, 4, -3});
  CHECK(indices.to_vector<Index>() ==
        Ints{13, 14, 15, 14, 17, 16, 1, 20, 3, 20, 3, 4, 25, 6, 25, 28, 9, 28, 13, 14, 15, 14, 17, 16});
  // All of a window may lie in the padding.
  CHECK_THROWS_AS(max_pool1d(ones({2}), 2, {.stride = 1, .padding = 3, .dilation = 5}), ShapeError);
}

TEST_CASE("max-pooling of blocks, and back to where the largest were", "[pooling]") {
  const Tensor x = pattern({1, 3, 4, 4}, 7, 11);
  const auto [values, indices] = max_pool3d_with_indices(x, 2, {.stride = Triple(1, 2, 2)});
  CHECK(values.shape() == Shape{1, 2, 2, 2});
  CHECK(numbers(values) == Doubles{4, 5, 5, 5, 5, 4, 5, 5});
  CHECK(indices.to_vector<Index>() == Ints{17, 3, 25, 14, 36, 39, 25, 47});
  const Tensor back = max_unpool3d(values, indices, 2, {.stride = Triple(1, 2, 2)});
  CHECK(back.shape() == x.shape());
  CHECK(numbers(flatten(back)) == Doubles{0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0,
                                          0, 4, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0,
                                          0, 0, 0, 0, 5, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 5});
}

TEST_CASE("max-pooling of sequences", "[pooling]") {
  const Tensor x = variable(pattern({1, 7}, 7, 11));  // -5 2 -2 5 1 -3 4
  const auto [values, indices] = max_pool1d_with_indices(x, 3, {.stride = 2, .padding = 1});
  CHECK(numbers(values) == Doubles{2, 5, 5, 4});
  CHECK(indices.to_vector<Index>() == Ints{1, 3, 3, 6});
  // What is taken twice gets both cotangents, with indices or without.
  const Tensor g = constant({{1, 10, 100, 1000}}, DType::float64);
  CHECK(numbers(gradients(values, {x}, g)[0]) == Doubles{0, 1, 0, 110, 0, 0, 1000});
  CHECK(numbers(gradients(max_pool1d(x, 3, {.stride = 2, .padding = 1}), {x}, g)[0]) ==
        Doubles{0, 1, 0, 110, 0, 0, 1000});
  const Tensor back = max_unpool1d(values, indices, 3, {.stride = 2, .padding = 1});
  CHECK(numbers(back) == Doubles{0, 2, 0, 5, 0, 0, 4});
  CHECK(max_unpool1d(values, indices, 3, {.output_size = 9}).shape() == Shape{1, 9});
  CHECK_THROWS_AS(eval(max_unpool1d(values, indices, 3, {.output_size = 5})), ValueError);
}

TEST_CASE("adaptive windows share out an axis", "[pooling]") {
  const Tensor x = pattern({1, 5, 6}, 7, 11), blocks = pattern({1, 3, 4, 4}, 7, 11);
  const auto [values, indices] = adaptive_max_pool2d_with_indices(x, {2, 4});
  CHECK(numbers(values) == Doubles{4, 5, 5, 4, 5, 5, 4, 4});
  CHECK(indices.to_vector<Index>() == Ints{6, 14, 3, 17, 25, 14, 28, 17});
  CHECK(adaptive_max_pool1d_with_indices(pattern({1, 7}, 7, 11), 3).indices.to_vector<Index>() ==
        Ints{1, 3, 6});
  CHECK(adaptive_max_pool3d_with_indices(blocks, {2, 2, 3}).indices.to_vector<Index>() ==
        Ints{17, 6, 3, 25, 14, 14, 36, 17, 39, 25, 25, 47});
  CHECK(numbers(adaptive_max_pool3d(blocks, {2, 2, 3})) == Doubles{4, 4, 5, 5, 5, 5, 5, 4, 4, 5, 5, 5});
  CHECK(holds(6 * adaptive_avg_pool2d(x, {2, 4}), {1, -1, 6, -7, -1, 8, -7, 2}));
  // Equal shares, and all as one.
  CHECK(numbers(adaptive_max_pool1d(constant({1, 4, 2, 3}), 2)) == Doubles{4, 3});
  CHECK(numbers(adaptive_avg_pool1d(constant({1, 4, 2, 3}), 2)) == Doubles{2.5, 2.5});
  CHECK(adaptive_avg_pool3d(blocks, 1).item<double>() == Approx(mean(blocks).item<double>()));
  CHECK(adaptive_max_pool3d(blocks, 1).item<double>() == 5);
  CHECK(numbers(adaptive_avg_pool1d(constant({1, 4}), 4)) == Doubles{1, 1, 4, 4});
  CHECK_THROWS_AS(adaptive_max_pool2d(x, 0), ValueError);
  CHECK_THROWS_AS(adaptive_avg_pool1d(x, 0), ValueError);
  CHECK_THROWS_AS(adaptive_max_pool1d(zeros({0}), 2), ShapeError);
  CHECK_THROWS_AS(adaptive_avg_pool2d(zeros({3}), 2), ShapeError);
}

TEST_CASE("what the mean of a window at the edge is divided by", "[pooling]") {
  const Tensor x = pattern({1, 7}, 7, 11), shorter = pattern({1, 6}, 7, 11);
  const PoolOptions1d options{.stride = 2, .padding = 1, .ceil_mode = true};
  CHECK(holds(6 * avg_pool1d(x, 3, options), {-6, 10, 6, 2}));
  CHECK(holds(6 * avg_pool1d(shorter, 3, options), {-6, 10, 6, -9}));  // the last one reaches over two
  PoolOptions1d there = options;
  there.count_include_pad = false;
  CHECK(holds(6 * avg_pool1d(x, 3, there), {-9, 10, 6, 3}));
  CHECK(holds(
      avg_pool2d(pattern({1, 5, 6}, 7, 11), 3, {.stride = Pair(2), .padding = 1, .divisor_override = 2}),
      {0.5, 2, 0, 0, 0.5, -2.5, -0.5, 0.5, -1.5}));
  CHECK(holds(18 * avg_pool3d(pattern({1, 3, 4, 4}, 7, 11), {2, 3, 3},
                              {.stride = Triple(1), .padding = {1, 0, 1}, .count_include_pad = false}),
              {-18, -10, 6,  3,  -9, 10, 4, 12, 0,   -3, 2,   -12, 9,  6,  0,  -3,
               3,   0,   -6, -9, 12, -2, 3, 0,  -12, -4, -10, 9,   -3, -6, 10, 18}));
  CHECK_THROWS_AS(avg_pool1d(x, 3, {.dilation = 2}), ValueError);
  CHECK_THROWS_AS(avg_pool1d(x, 3, {.divisor_override = 0}), ValueError);
}

TEST_CASE("averages do not read beside their windows", "[pooling]") {
  constexpr double inf = std::numeric_limits<double>::infinity();
  const Tensor x = constant({1, 2, inf, 3}, DType::float64);
  CHECK(numbers(avg_pool1d(x, 2)) == Doubles{1.5, inf});
  CHECK(numbers(avg_pool1d(x, 2, {.stride = 1, .padding = 1})) == Doubles{0.5, 1.5, inf, inf, 1.5});
}

TEST_CASE("norms of windows", "[pooling]") {
  const Tensor x = variable(constant({{3, 4, 0, 0}, {0, 0, 0, 0}, {5, 12, 0, 0}}, DType::float64));
  const Tensor y = lp_pool2d(x, 2, {1, 2}, {.ceil_mode = true});
  CHECK(holds(y, {5, 0, 0, 0, 13, 0}));
  CHECK(holds(gradients(sum(y), {x})[0], {0.6, 0.8, 0, 0, 0, 0, 0, 0, 5. / 13, 12. / 13, 0, 0}));
  CHECK(numbers(lp_pool1d(constant({1, -2, 3, 5}), 1, 2)) == Doubles{-1, 8});  // a sum, as PyTorch's
  CHECK(lp_pool3d(ones({2, 2, 2}), 3, 2).item<double>() == Approx(2));
}

TEST_CASE("pooling is right to second order", "[pooling]") {
  const Tensor blocks = variable(pattern({1, 3, 4, 4}, 7, 53, 0.1)),
               image = variable(pattern({5, 6}, 7, 31, 0.1));
  const auto check = [](const Tensor& x, const auto& pool) {
    REQUIRE_THAT([&](std::span<const Tensor> in) { return square(pool(in[0])); }, HasRightGradients({x}));
  };
  check(blocks, [](const Tensor& x) { return max_pool3d(x, 2, {.stride = Triple(1, 2, 2)}); });
  check(blocks, [](const Tensor& x) { return avg_pool3d(x, 2, {.padding = 1, .ceil_mode = true}); });
  check(image, [](const Tensor& x) { return max_pool2d_with_indices(x, 3, {.padding = 1}).values; });
  check(image, [](const Tensor& x) { return adaptive_avg_pool2d(x, {3, 4}); });
  check(image, [](const Tensor& x) {
    const auto [values, indices] = max_pool2d_with_indices(x, 2);
    return max_unpool2d(values, indices, 2);
  });
  check(image, [](const Tensor& x) { return lp_pool2d(3 + x, 3, 2, {.stride = Pair(1)}); });
}

TEST_CASE("pooling of nothing", "[pooling][empty]") {
  CHECK(max_pool2d(zeros({0, 4, 4}), 2).shape() == Shape{0, 2, 2});
  CHECK(avg_pool2d(zeros({0, 4, 4}), 2).shape() == Shape{0, 2, 2});
  CHECK(max_pool3d_with_indices(zeros({0, 4, 4, 4}), 2).values.shape() == Shape{0, 2, 2, 2});
  CHECK_THROWS_AS(max_pool1d(zeros({0}), 1), ShapeError);
}

}  // namespace
}  // namespace gradweave::pooling_tests
