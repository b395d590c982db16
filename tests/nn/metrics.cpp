#include <gradweave/nn/metrics.hpp>

#include <cmath>
#include <string>

#include <gradweave/graph/algebra.hpp>

#include "catch.hpp"

using namespace gradweave;
using Catch::Matchers::ContainsSubstring;

namespace {

// The guesses are 0, 1, 2, 0.
Tensor logits() { return constant({{3, 1, 2}, {0, 5, -1}, {-3, -2, -1}, {9, 0, 0}}); }

}  // namespace

TEST_CASE("accuracy is the share of rows whose largest entry is at the label", "[nn][metrics]") {
  CHECK(nn::accuracy(logits(), constant({0, 1, 2, 0}, DType::int64)) == 1.0);
  CHECK(nn::accuracy(logits(), constant({0, 1, 1, 1}, DType::int64)) == 0.5);
  CHECK(nn::accuracy(logits(), constant({2, 2, 0, 1}, DType::int64)) == 0.0);
  CHECK_THROWS_AS(nn::accuracy(logits(), constant({0, 1}, DType::int64)), ShapeError);
  CHECK_THROWS_WITH(nn::accuracy(logits(), constant({0, 1}, DType::int64)),
                    ContainsSubstring("(4, 3)") && ContainsSubstring("(2,)"));
}

TEST_CASE("a confusion matrix counts what is taken for what, over several batches", "[nn][metrics]") {
  nn::ConfusionMatrix matrix(3);
  CHECK(std::isnan(matrix.accuracy()));
  matrix.add(logits(), constant({0, 1, 1, 0}, DType::int64));
  matrix.add(logits(), constant({0, 2, 2, 1}, DType::int64));
  CHECK(matrix.count() == 8);
  CHECK(matrix.at(0, 0) == 3);
  CHECK(matrix.at(1, 2) == 1);
  CHECK(matrix.at(1, 0) == 1);
  CHECK(matrix.at(2, 1) == 1);
  CHECK(matrix.at(0, 2) == 0);
  CHECK(matrix.accuracy() == 5.0 / 8);
  CHECK(to_string(matrix) ==
        "    true  0  1  2    found\n"
        "       0  3  .  .  100.0 %\n"
        "       1  1  1  1   33.3 %\n"
        "       2  .  1  1   50.0 %\n");
}

TEST_CASE("a label out of range is an error, and nothing of its batch is counted", "[nn][metrics]") {
  nn::ConfusionMatrix matrix(3);
  CHECK_THROWS_AS(matrix.add(logits(), constant({0, 1, 3, 0}, DType::int64)), ValueError);
  CHECK_THROWS_WITH(matrix.add(logits(), constant({0, 1, -1, 0}, DType::int64)),
                    ContainsSubstring("label -1 in row 2"));
  CHECK(matrix.count() == 0);
  CHECK_THROWS_AS(matrix.at(0, 3), ValueError);
  CHECK_THROWS_AS(nn::ConfusionMatrix(0), ValueError);
  CHECK_THROWS_AS(nn::ConfusionMatrix(4).add(logits(), constant({0, 1, 2, 0}, DType::int64)), ShapeError);
}

TEST_CASE("labels that cannot be right are refused", "[nn][metrics]") {
  const Tensor logits = zeros({2, 3});
  CHECK_THROWS_AS(nn::accuracy(logits, constant({0, 3}, DType::int64)), ValueError);
  CHECK_THROWS_AS(nn::accuracy(logits, constant({0, -1}, DType::int64)), ValueError);
  CHECK_THROWS_AS(nn::accuracy(logits, constant({0, 1})), DTypeError);
  nn::ConfusionMatrix matrix(3);
  CHECK_THROWS_AS(matrix.add(logits, constant({0, 1})), DTypeError);
  CHECK(matrix.count() == 0);
  CHECK_THROWS_AS(nn::ConfusionMatrix(Index{1} << 40), ValueError);
}
