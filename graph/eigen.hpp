// Eigen in and out of tensors, without a copy where the layouts agree. Include it where you use Eigen;
// nothing else here does.
//
// A common beginner's error: `as_matrix<float>(weight.value())` across a training step. The view does not
// keep the tensor: the step may overwrite or free the elements. `const Tensor w = weight.value()` beside the
// view keeps them. And Eigen's matrices are column-major: `data<float>()` of a tensor made from a matrix
// throws, unless the matrix has one row or column; ask `contiguous(t)`.
#pragma once
#include <Eigen/Core>

#include <gradweave/graph/node.hpp>
#include <gradweave/graph/operation.hpp>

namespace gradweave {
namespace detail {

template <class Plain>
Tensor leaf_from_eigen(const Operation& kind, Plain matrix) {
  using T = typename Plain::Scalar;
  const Index rows = matrix.rows(), cols = matrix.cols();
  const auto bytes = static_cast<std::size_t>(matrix.size()) * sizeof(T);
  Ref<Storage> storage = adopt_storage<Plain>(
      std::move(matrix), [](Plain& m) { return reinterpret_cast<std::byte*>(m.data()); }, bytes);
  std::byte* data = storage->data;
  if constexpr (Plain::ColsAtCompileTime == 1)
    return make_leaf(kind, {{rows}, dtype_of<T>}, storage, data, {});
  const Index strides[] = {1, rows};  // a column-major matrix is read as it lies
  const bool row_major_too = Plain::IsRowMajor || rows == 1 || cols == 1;
  return make_leaf(kind, {{rows, cols}, dtype_of<T>}, storage, data, row_major_too ? Dims() : Dims(strides));
}

}  // namespace detail

/// A matrix as a tensor (rows, cols), a column vector as (rows,). A temporary is adopted without a copy; an
/// lvalue or an expression is copied (evaluated) once.
template <class Derived>
Tensor constant(const Eigen::PlainObjectBase<Derived>& matrix) {
  return detail::leaf_from_eigen<Derived>(constant_leaf, Derived(matrix.derived()));
}
template <class Derived>
Tensor constant(Eigen::PlainObjectBase<Derived>&& matrix) {
  return detail::leaf_from_eigen<Derived>(constant_leaf, std::move(matrix.derived()));
}
template <class Derived>
Tensor constant(const Eigen::DenseBase<Derived>& expression) {
  return constant(typename Derived::PlainObject(expression.derived()));
}
/// The same as variables; elements must be float or double.
template <class Derived>
Tensor variable(const Eigen::DenseBase<Derived>& expression) {
  using Plain = typename Derived::PlainObject;
  static_assert(is_floating(dtype_of<typename Plain::Scalar>), "variables are float or double");
  return detail::leaf_from_eigen<Plain>(variable_leaf, Plain(expression.derived()));
}
template <class Derived>
Tensor variable(Eigen::PlainObjectBase<Derived>&& matrix) {
  static_assert(is_floating(dtype_of<typename Derived::Scalar>), "variables are float or double");
  return detail::leaf_from_eigen<Derived>(variable_leaf, std::move(matrix.derived()));
}

template <class T>
using MatrixView = Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>,
                              Eigen::Unaligned, Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>>;

/// The values of a tensor of at most two axes as an Eigen matrix, without a copy whatever the strides; a
/// vector is one column. Evaluates it; valid while the tensor lives. Throws DTypeError unless T is its dtype,
/// ShapeError beyond two axes.
template <class T>
MatrixView<T> as_matrix(const Tensor& tensor);
template <class T>
MatrixView<T> as_matrix(const Tensor&& tensor) = delete;  // it would point into a tensor that is gone
extern template MatrixView<float> as_matrix(const Tensor&);
extern template MatrixView<double> as_matrix(const Tensor&);
extern template MatrixView<Index> as_matrix(const Tensor&);
extern template MatrixView<bool> as_matrix(const Tensor&);
extern template MatrixView<std::uint8_t> as_matrix(const Tensor&);
extern template MatrixView<std::int8_t> as_matrix(const Tensor&);
extern template MatrixView<std::uint16_t> as_matrix(const Tensor&);
extern template MatrixView<std::int16_t> as_matrix(const Tensor&);
extern template MatrixView<std::uint32_t> as_matrix(const Tensor&);
extern template MatrixView<std::int32_t> as_matrix(const Tensor&);
extern template MatrixView<std::uint64_t> as_matrix(const Tensor&);

}  // namespace gradweave
