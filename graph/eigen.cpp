#include <gradweave/graph/eigen.hpp>

#include <fmt/format.h>

#include <gradweave/graph/evaluate.hpp>

namespace gradweave {

template <class T>
MatrixView<T> as_matrix(const Tensor& tensor) {
  if (tensor.rank() > 2)
    throw ShapeError(fmt::format("as_matrix of shape {}: more than two axes", to_string(tensor.shape())));
  if (tensor.dtype() != dtype_of<T>) {
    throw DTypeError(
        fmt::format("as_matrix: the elements are {}, not {}", name_of(tensor.dtype()), name_of(dtype_of<T>)));
  }
  evaluate({&tensor, 1});
  const Node& node = *tensor.node();
  const Shape packed = row_major(node.shape());
  const Dims strides = node.strided ? node.strides() : Dims(packed);
  const auto size = [&](std::size_t axis) { return axis < node.rank ? node.shape()[axis] : 1; };
  const auto stride = [&](std::size_t axis) { return axis < node.rank ? strides[axis] : 1; };
  return {reinterpret_cast<const T*>(node.data), size(0), size(1), {stride(0), stride(1)}};
}

template MatrixView<float> as_matrix(const Tensor&);
template MatrixView<double> as_matrix(const Tensor&);
template MatrixView<Index> as_matrix(const Tensor&);
template MatrixView<bool> as_matrix(const Tensor&);
template MatrixView<std::uint8_t> as_matrix(const Tensor&);
template MatrixView<std::int8_t> as_matrix(const Tensor&);
template MatrixView<std::uint16_t> as_matrix(const Tensor&);
template MatrixView<std::int16_t> as_matrix(const Tensor&);
template MatrixView<std::uint32_t> as_matrix(const Tensor&);
template MatrixView<std::int32_t> as_matrix(const Tensor&);
template MatrixView<std::uint64_t> as_matrix(const Tensor&);

}  // namespace gradweave
