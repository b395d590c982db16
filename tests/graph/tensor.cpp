#include <gradweave/graph/tensor.hpp>

#include <array>
#include <cmath>
#include <limits>
#include <span>
#include <sstream>

#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave {
namespace {

using Catch::Matchers::ContainsSubstring;
using Floats = std::vector<float>;

TEST_CASE("tensors are written as nested lists", "[tensor]") {
  CHECK(constant(3.5).shape() == Shape{});
  CHECK(constant({1, 2, 3}).shape() == Shape{3});
  CHECK(constant({{1, 2, 3}, {4, 5, 6}}).shape() == Shape{2, 3});
  CHECK(constant({{0}, {1}}).shape() == Shape{2, 1});
  CHECK(constant({{{1}, {2}}}).shape() == Shape{1, 2, 1});
  CHECK(constant({{1, 2}, {3, 4}}).to_vector() == Floats{1, 2, 3, 4});
  CHECK(constant({1, 2}).dtype() == DType::float32);
  CHECK(constant({1, 2}, DType::int64).to_vector<Index>() == std::vector<Index>{1, 2});
  CHECK(constant({true, false}, DType::bool_).to_vector<bool>() == std::vector<bool>{true, false});
}

TEST_CASE("a ragged list is an error", "[tensor]") {
  CHECK_THROWS_AS(constant({{1, 2}, {3}}), ShapeError);
  CHECK_THROWS_AS(constant({{1, 2}, 3}), ShapeError);
  CHECK_THROWS_AS(constant({1, {2}}), ShapeError);
  CHECK_THROWS_AS(variable({{1}, {2, 3}}), ShapeError);
  CHECK_THROWS_WITH(constant({{1, 2}, {3}}), ContainsSubstring("ragged"));
}

TEST_CASE("a vector with a shape", "[tensor]") {
  const std::vector<double> values{1, 2, 3, 4, 5, 6};
  const Tensor x = constant(values, {2, 3});
  CHECK(x.dtype() == DType::float64);
  CHECK(x.to_vector<double>() == values);
  CHECK(constant(values).shape() == Shape{6});
  CHECK_THROWS_AS(constant(values, {2, 2}), ShapeError);
  CHECK_THROWS_WITH(constant(values, {2, 2}), ContainsSubstring("6 values") && ContainsSubstring("(2, 2)"));
}

TEST_CASE("sizes by axis", "[tensor]") {
  const Tensor x = zeros({2, 3});
  CHECK(x.size(0) == 2);
  CHECK(x.size(-1) == 3);
  CHECK_THROWS_AS(x.size(2), ShapeError);
}

TEST_CASE("an empty handle says so", "[tensor]") {
  const Tensor nothing;
  CHECK(nothing.is_empty());
  CHECK_THROWS_AS(nothing.shape(), GraphError);
  CHECK_THROWS_AS(nothing.item(), GraphError);
  CHECK_THROWS_AS(nothing + 1, GraphError);
  CHECK_THROWS_AS(eval(nothing), GraphError);
  CHECK_THROWS_AS(variable(nothing), GraphError);
  CHECK_THROWS_AS(gradients(nothing, {nothing}), GraphError);
  CHECK(to_string(nothing) == "Tensor()");
}

TEST_CASE("item, to_vector and data", "[tensor]") {
  CHECK(constant({{7}}).item() == 7.0F);
  CHECK(constant(2.9).item<int>() == 2);
  CHECK_THROWS_AS(constant({1, 2}).item(), ShapeError);
  const Tensor sum = constant({1, 2}) + 1;
  CHECK(sum.to_vector<double>() == std::vector<double>{2, 3});
  CHECK(sum.data<float>()[1] == 3.0F);
  CHECK(sum.data<float>().data() == sum.data<float>().data());  // in place, not a copy
}

TEST_CASE("a view that is not row-major has no plain data, but can be copied into order", "[tensor]") {
  const Tensor x = constant({{1, 2, 3}, {4, 5, 6}}), y = transpose(x);
  CHECK(y.to_vector() == Floats{1, 4, 2, 5, 3, 6});
  CHECK_THROWS_AS(y.data<float>(), ShapeError);
  const Tensor ordered = contiguous(y);
  CHECK(ordered.data<float>()[1] == 4.0F);
  const Tensor repeated = broadcast_to(constant({1, 2}), {3, 2});
  CHECK_THROWS_AS(repeated.data<float>(), ShapeError);
}

TEST_CASE("views share the memory of what they view", "[tensor]") {
  const Tensor x = constant({{1, 2, 3}, {4, 5, 6}});
  const auto address = x.data<float>().data();
  const Tensor longer = reshape(x, {3, 2}), row = slice(x, 0, 1, 2), twice = transpose(transpose(x)),
               cut = detach(x);
  CHECK(longer.data<float>().data() == address);
  CHECK(row.data<float>().data() == address + 3);
  CHECK(twice.data<float>().data() == address);
  CHECK(cut.data<float>().data() == address);
}

TEST_CASE("views of views have the right elements", "[tensor]") {
  const Tensor x = reshape(arange(24, DType::float32), {2, 3, 4});
  CHECK(slice(transpose(x), 2, 0, 3, 2).to_vector() ==
        Floats{0, 8, 1, 9, 2, 10, 3, 11, 12, 20, 13, 21, 14, 22, 15, 23});
  CHECK(reshape(transpose(slice(x, 0, 1, 2), 1, 2), {12}).to_vector() ==
        Floats{12, 16, 20, 13, 17, 21, 14, 18, 22, 15, 19, 23});
  CHECK((transpose(select(x, 0, 0)) + broadcast_to(constant({100}), {4, 3})).to_vector() ==
        Floats{100, 104, 108, 101, 105, 109, 102, 106, 110, 103, 107, 111});
}

TEST_CASE("detach lets values through and no gradient", "[tensor]") {
  const Tensor x = variable({2, 3});
  const Tensor y = x * detach(x);
  CHECK(y.to_vector() == Floats{4, 9});
  CHECK_FALSE(detach(x).is_tracked());
  const auto [g] = gradients(sum(y), {x});
  CHECK(g.to_vector() == Floats{2, 3});  // of x * constant, not of x * x
}

TEST_CASE("variable(tensor) is a new leaf over the same memory", "[tensor]") {
  const Tensor x = variable({2, 3});
  const Tensor y = x * x;
  const Tensor z = variable(y);
  CHECK(z.is_tracked());
  CHECK(z.data<float>().data() == y.data<float>().data());
  CHECK_THROWS_AS(gradients(sum(z), {x}), GraphError);
  CHECK_THROWS_AS(variable(constant({1, 2}, DType::int64)), DTypeError);
}

TEST_CASE("tensors print like NumPy's arrays", "[tensor]") {
  CHECK(to_string(constant(1.5)) == "float32 () 1.5");
  CHECK(to_string(constant({1, 2.5, -3})) == "float32 (3,) [  1, 2.5,  -3]");
  CHECK(to_string(constant({{1, 2}, {3, 4}}, DType::int64)) == "int64 (2, 2) [[1, 2],\n [3, 4]]");
  CHECK(to_string(constant({true, false}, DType::bool_)) == "bool (2,) [ true, false]");
  CHECK(to_string(zeros({0, 2})) == "float32 (0, 2) []");
  CHECK(to_string(zeros({2, 0})) == "float32 (2, 0) [[],\n []]");
  CHECK_THAT(to_string(arange(2000)), ContainsSubstring("[   0,    1,    2, ..., 1997, 1998, 1999]"));
  std::ostringstream text;
  text << constant({1, 2}) + 1;
  CHECK(text.str() == "float32 (2,) [2, 3]");
}

TEST_CASE("printing reads only what it shows", "[tensor]") {
  const std::string text = to_string(broadcast_to(constant({{1}, {2}}), {2, Index{1} << 50}));
  CHECK(text == "float32 (2, 1125899906842624) [[1, 1, 1, ..., 1, 1, 1],\n [2, 2, 2, ..., 2, 2, 2]]");
  CHECK(to_string(transpose(constant({{1, 2}, {3, 4}}))) == "float32 (2, 2) [[1, 3],\n [2, 4]]");
  CHECK(to_string(-constant({std::nan(""), std::numeric_limits<double>::infinity()})) ==
        "float32 (2,) [ nan, -inf]");
}

TEST_CASE("many empty rows are not all printed", "[tensor]") {
  const std::string text = to_string(zeros({Index{1} << 40, 0}));
  CHECK(text.size() < 200);
  CHECK_THAT(text, ContainsSubstring("...") && ContainsSubstring("[]"));
}

TEST_CASE("reading as whole numbers saturates, and NaN is 0", "[tensor]") {
  const Tensor x = constant({1e30, -1e30, std::nan(""), 1.9}, DType::float64);
  constexpr Index high = std::numeric_limits<Index>::max(), low = std::numeric_limits<Index>::min();
  CHECK(x.to_vector<Index>() == std::vector<Index>{high, low, 0, 1});
  CHECK(x.to_vector<int>() ==
        std::vector<int>{std::numeric_limits<int>::max(), std::numeric_limits<int>::min(), 0, 1});
  CHECK(constant({1e30, -1e30, std::nan(""), 1.9}, DType::int64).to_vector<Index>() ==
        std::vector<Index>{high, low, 0, 1});
  CHECK(constant(-1e30).item<int>() == std::numeric_limits<int>::min());
}

TEST_CASE("a literal that a double cannot hold is refused, not rounded", "[tensor]") {
  constexpr Index exact = Index{1} << 53;
  CHECK(constant({exact}, DType::int64).item<Index>() == exact);
  CHECK_THROWS_AS(constant({exact + 1}, DType::int64), ValueError);
  CHECK_THROWS_AS(constant({1}, DType::int64) + (exact + 1), ValueError);
  CHECK(constant(std::vector<Index>{exact + 1}).item<Index>() == exact + 1);
}

}  // namespace
TEST_CASE("constants and variables are made of whatever lies in a row", "[tensor]") {
  const double row[] = {1, 2};
  const std::array<float, 2> pair{3, 4};
  std::vector<double> numbers{5, 6};
  CHECK(constant(row).dtype() == DType::float64);
  CHECK(constant(pair).to_vector() == std::vector<float>{3, 4});
  CHECK(variable(std::span(numbers)).to_vector() == std::vector<float>{5, 6});
  CHECK(variable(numbers, {2, 1}).shape() == Shape{2, 1});
  CHECK(constant(std::vector<bool>{true, false}).dtype() == DType::bool_);
  CHECK(constant(std::vector<bool>{true, false}, {1, 2}).to_vector<bool>() == std::vector<bool>{true, false});
  CHECK(constant(7).item<long long>() == 7);
  CHECK(constant({1, 2}).dtype() == DType::float32);
}

}  // namespace gradweave
