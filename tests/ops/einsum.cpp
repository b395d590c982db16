// Products over named axes.
#include <gradweave/ops/einsum.hpp>

#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave::einsum_tests {
namespace {

using Ints = std::vector<Index>;
using Catch::Matchers::ContainsSubstring;

Tensor numbered(const Shape& shape) {
  return cast(reshape(arange(numel(shape)), Dims(shape)), DType::float32) + 1;
}

TEST_CASE("einsum names what it joins", "[ops][einsum]") {
  const Tensor a = numbered({2, 3}), b = numbered({3, 2}), v = numbered({3});
  CHECK(einsum("ij,jk->ik", {a, b}).to_vector<Index>() == Ints{22, 28, 49, 64});
  CHECK(einsum("ij,jk", {a, b}).to_vector<Index>() == Ints{22, 28, 49, 64});
  CHECK(einsum("ij->ji", {a}).to_vector<Index>() == Ints{1, 4, 2, 5, 3, 6});
  CHECK(einsum("ij->j", {a}).to_vector<Index>() == Ints{5, 7, 9});
  CHECK(einsum("ij->", {a}).item<Index>() == 21);
  CHECK(einsum("i,i", {v, v}).item<Index>() == 14);
  CHECK(einsum("i,j->ji", {v, numbered({2})}).to_vector<Index>() == Ints{1, 2, 3, 2, 4, 6});
  CHECK(einsum("ii", {numbered({3, 3})}).item<Index>() == 15);
  CHECK(einsum("ii->i", {numbered({3, 3})}).to_vector<Index>() == Ints{1, 5, 9});
  CHECK(einsum("ba", {a}).shape() == Shape{3, 2});  // in alphabetical order
}

TEST_CASE("einsum of stacks, of several and of what broadcasts", "[ops][einsum]") {
  const Tensor a = numbered({4, 2, 3}), b = numbered({3, 5});
  CHECK(einsum("...ij,jk->...ik", {a, b}).to_vector<Index>() == matmul(a, b).to_vector<Index>());
  CHECK(einsum("bij,bkj->bik", {a, a}).to_vector<Index>() == matmul(a, transpose(a)).to_vector<Index>());
  CHECK(einsum("i,ij,j->", {numbered({2}), numbered({2, 3}), numbered({3})}).item<Index>() == 78);
  CHECK(einsum("ij,ij->ij", {ones({1, 3}), numbered({2, 3})}).to_vector<Index>() == Ints{1, 2, 3, 4, 5, 6});
  CHECK(einsum("i...->...", {a}).to_vector<Index>() == sum(a, {0}).to_vector<Index>());
  CHECK(einsum("ij,ij->ij", {ones({1, 1}), ones({1, 1})}).shape() == Shape{1, 1});
  CHECK(einsum("ij,jk->ik", {zeros({2, 0}), zeros({0, 3})}).to_vector<Index>() == Ints(6));
}

TEST_CASE("einsum's gradient is that of the products", "[ops][einsum]") {
  const Tensor a = variable({{1, 2}, {3, 4}}), b = variable({5, 6});
  const auto [ga, gb] = gradients(einsum("ij,j->", {a, b}), {a, b});
  CHECK(ga.to_vector<Index>() == Ints{5, 6, 5, 6});
  CHECK(gb.to_vector<Index>() == Ints{4, 6});
}

TEST_CASE("what does not fit einsum", "[ops][einsum]") {
  const Tensor a = ones({2, 3});
  CHECK_THROWS_WITH(einsum("ij,jk", {a}),
                    ContainsSubstring("other operands") && ContainsSubstring("einsum.cpp"));
  CHECK_THROWS_AS(einsum("ij", {a, a}), ValueError);
  CHECK_THROWS_AS(einsum("i1", {a}), ValueError);
  CHECK_THROWS_AS(einsum("ij->ik", {a}), ValueError);
  CHECK_THROWS_AS(einsum("ij->ii", {a}), ValueError);
  CHECK_THROWS_AS(einsum("ijk", {a}), ShapeError);
  CHECK_THROWS_AS(einsum("ij,jk", {a, a}), ShapeError);
  CHECK_THROWS_AS(einsum("ii", {a}), ShapeError);
}

TEST_CASE("products with names of their own", "[ops][einsum]") {
  const Tensor u = constant({1, 2, 3}), v = constant({4, 5, 6});
  CHECK(dot(u, v).item<Index>() == 32);
  CHECK(outer(u, constant({1, 10})).to_vector<Index>() == Ints{1, 10, 2, 20, 3, 30});
  CHECK(cross(u, v).to_vector<Index>() == Ints{-3, 6, -3});
  CHECK(vecdot(stack({u, v}), v).to_vector<Index>() == Ints{32, 77});
  CHECK(kron(constant({{1, 2}}), constant({{1}, {3}})).to_vector<Index>() == Ints{1, 2, 3, 6});
  const Tensor a = numbered({2, 3, 4}), b = numbered({3, 4, 2});
  CHECK(tensordot(a, b).to_vector<Index>() ==
        matmul(reshape(a, {2, 12}), reshape(b, {12, 2})).to_vector<Index>());
  CHECK(tensordot(u, v, 0).shape() == Shape{3, 3});
  const Ints from{2}, to{1};
  CHECK(tensordot(a, b, from, to).shape() == Shape{2, 3, 3, 2});
  const std::vector<Tensor> chain{numbered({3}), numbered({3, 4}), numbered({4, 2})};
  CHECK(multi_dot(chain).to_vector<Index>() ==
        matmul(matmul(chain[0], chain[1]), chain[2]).to_vector<Index>());
  CHECK_THROWS_AS(dot(u, ones({2})), ShapeError);
  CHECK_THROWS_AS(cross(ones({2}), ones({2})), ShapeError);
}

}  // namespace
}  // namespace gradweave::einsum_tests
