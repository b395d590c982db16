#include <gradweave/graph/eigen.hpp>

#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave {
namespace {

using RowMajorMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

TEST_CASE("a temporary Eigen matrix becomes a tensor without a copy", "[eigen]") {
  Eigen::MatrixXf m(2, 3);
  m << 1, 2, 3, 4, 5, 6;
  const float* address = m.data();
  SECTION("column-major, read as it lies") {
    const Tensor t = constant(std::move(m));
    CHECK(t.shape() == Shape{2, 3});
    CHECK(as_matrix<float>(t).data() == address);
    CHECK(t.to_vector() == std::vector<float>{1, 2, 3, 4, 5, 6});
  }
  SECTION("row-major") {
    RowMajorMatrix r = m;
    address = r.data();
    const Tensor t = variable(std::move(r));
    CHECK(t.is_tracked());
    CHECK(t.data<float>().data() == address);
    CHECK(t.to_vector() == std::vector<float>{1, 2, 3, 4, 5, 6});
  }
}

TEST_CASE("an Eigen lvalue is copied, and stays the user's own", "[eigen]") {
  Eigen::MatrixXd m = Eigen::MatrixXd::Identity(2, 2);
  const Tensor t = constant(m);
  m(0, 0) = 7;
  CHECK(t.dtype() == DType::float64);
  CHECK(t.to_vector<double>() == std::vector<double>{1, 0, 0, 1});
}

TEST_CASE("an Eigen expression is evaluated once", "[eigen]") {
  const Eigen::Matrix2f m = Eigen::Matrix2f::Identity();
  CHECK(variable(2 * m + m).to_vector() == std::vector<float>{3, 0, 0, 3});
  CHECK(constant(Eigen::MatrixXf::Constant(2, 2, 5)).to_vector() == std::vector<float>{5, 5, 5, 5});
}

TEST_CASE("an Eigen column vector has one axis", "[eigen]") {
  CHECK(constant(Eigen::VectorXf(Eigen::VectorXf::LinSpaced(4, 0, 3))).shape() == Shape{4});
  CHECK(constant(Eigen::RowVectorXf(Eigen::RowVectorXf::Zero(4))).shape() == Shape{1, 4});
}

TEST_CASE("tensors are read as Eigen matrices without a copy, whatever their strides", "[eigen]") {
  const Tensor x = constant({{1, 2, 3}, {4, 5, 6}});
  const MatrixView<float> m = as_matrix<float>(x);
  CHECK(m.data() == x.data<float>().data());
  CHECK(m(1, 2) == 6.0F);
  const Tensor t = transpose(x), part = slice(x, 1, 0, 3, 2), row = broadcast_to(constant({7, 8}), {3, 2});
  CHECK(as_matrix<float>(t).data() == m.data());
  CHECK(as_matrix<float>(t) == m.transpose());
  CHECK(as_matrix<float>(part)(1, 1) == 6.0F);
  CHECK(as_matrix<float>(row)(2, 1) == 8.0F);
  const Tensor vector = constant({1, 2, 3}), number = constant(5);
  CHECK(as_matrix<float>(vector).cols() == 1);
  CHECK(as_matrix<float>(number)(0, 0) == 5.0F);
}

TEST_CASE("wrong reads of a tensor as a matrix are refused", "[eigen]") {
  const Tensor x = zeros({2, 2, 2});
  CHECK_THROWS_AS(as_matrix<float>(x), ShapeError);
  const Tensor y = zeros({2});
  CHECK_THROWS_AS(as_matrix<double>(y), DTypeError);
}

TEST_CASE("gradients through Eigen matrices", "[eigen]") {
  const Eigen::MatrixXd a = Eigen::MatrixXd::Random(3, 4), b = Eigen::MatrixXd::Random(4, 2);
  const Tensor x = variable(a), y = constant(b);
  const auto [g] = gradients(sum(matmul(x, y)), {x});
  CHECK(as_matrix<double>(g).isApprox(Eigen::MatrixXd::Ones(3, 2) * b.transpose()));
}

TEST_CASE("Eigen matrices without elements", "[eigen]") {
  const Tensor none = variable(Eigen::MatrixXf(0, 3));
  CHECK(none.is_evaluated());
  CHECK((none + 1).to_vector().empty());
  CHECK(gradients(sum(none), {none})[0].shape() == Shape{0, 3});
  CHECK(as_matrix<float>(none).cols() == 3);
  CHECK(constant(Eigen::VectorXd()).shape() == Shape{0});
}

}  // namespace
}  // namespace gradweave
