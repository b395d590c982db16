#include <gradweave/graph/tensor.hpp>

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/evaluate.hpp>
#include <gradweave/graph/kernels/fused_loop.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/graph/node.hpp>
#include <gradweave/graph/operation.hpp>

namespace gradweave {
namespace {

const Node& checked(const Node* node) {
  if (node == nullptr) throw GraphError("an empty Tensor has no shape and no values");
  return *node;
}

// Sizes of a literal, from its first items inwards; ragged lists are found while reading.
void sizes_of(const Literal& literal, std::vector<Index>& sizes) {
  for (const Literal* at = &literal; at->is_list(); at = at->items().data()) {
    sizes.push_back(static_cast<Index>(at->items().size()));
    if (at->items().empty()) return;
  }
}

void read_literal(const Literal& literal, Dims sizes, std::vector<double>& values) {
  const bool fits = literal.is_list()
                        ? !sizes.empty() && static_cast<Index>(literal.items().size()) == sizes[0]
                        : sizes.empty();
  if (!fits) throw ShapeError("a nested list of numbers is ragged: lists at one depth must have one length");
  if (!literal.is_list()) return values.push_back(literal.value());
  for (const Literal& item : literal.items()) read_literal(item, sizes.subspan(1), values);
}

template <class To, class From>
Tensor copied_leaf(const Operation& kind, std::span<const From> values, const Shape& shape) {
  if (static_cast<Index>(values.size()) != numel(shape)) {
    throw ShapeError(fmt::format("{}: {} values for shape {}", kind.name, values.size(), to_string(shape)));
  }
  Ref<Storage> storage = allocate_storage(values.size() * sizeof(To));
  std::transform(values.begin(), values.end(), reinterpret_cast<To*>(storage->data), convert<To, From>);
  std::byte* data = storage->data;
  return make_leaf(kind, {shape, dtype_of<To>}, std::move(storage), data, {});
}

Tensor literal_leaf(const Operation& kind, const Literal& literal, DType dtype) {
  std::vector<Index> sizes;
  sizes_of(literal, sizes);
  const Shape shape{Dims(sizes)};
  std::vector<double> values;
  read_literal(literal, sizes, values);
  return dispatch(dtype, [&]<class T>() { return copied_leaf<T, double>(kind, values, shape); });
}

void require_floating(DType dtype) {
  if (!is_floating(dtype)) {
    throw DTypeError(fmt::format("variable: elements of type {} have no gradients; use float32 or float64",
                                 name_of(dtype)));
  }
}

// Evaluated and laid out row-major: the tensor itself where it is so already.
Tensor in_order(const Tensor& tensor) {
  const Node& node = checked(tensor.node());
  evaluate({&tensor, 1});
  if (!node.strided) return tensor;
  const Index count = numel(node.shape());
  Ref<Storage> storage = allocate_storage(static_cast<std::size_t>(count) * size_of(node.dtype));
  gather({node.data, node.dtype, node.shape(), node.strides()}, 0, count, storage->data);
  std::byte* data = storage->data;
  return make_leaf(constant_leaf, node.spec(), std::move(storage), data, {});
}

}  // namespace

void Literal::refuse() {
  throw ValueError(
      "a whole number this large is not exact as a number in a list or beside a tensor: put it into a "
      "std::vector");
}

constinit const Operation constant_leaf = [] {
  Operation op;
  op.name = "constant";
  return op;
}();
constinit const Operation variable_leaf = [] {
  Operation op;
  op.name = "variable";
  return op;
}();

constinit const Operation argument_leaf = [] {
  Operation op;
  op.name = "argument";
  return op;
}();

Shape Tensor::shape() const { return Shape(checked(node_).shape()); }
std::size_t Tensor::rank() const { return checked(node_).rank; }
Index Tensor::size(Index axis) const { return checked(node_).shape()[normalize_axis(axis, rank())]; }
Index Tensor::numel() const { return gradweave::numel(checked(node_).shape()); }
DType Tensor::dtype() const { return checked(node_).dtype; }
bool Tensor::is_tracked() const { return checked(node_).tracked; }
bool Tensor::is_evaluated() const { return checked(node_).evaluated(); }

Tensor::operator bool() const {
  const Node& node = checked(node_);
  if (gradweave::numel(node.shape()) != 1) {
    refuse<ShapeError>("a condition", {Operand(*this, node.where)},
                       "it needs one truth value: join several with any(x) or all(x), and conditions on "
                       "elements with logical_and(a, b) and logical_or(a, b) instead of && and ||");
  }
  return item<bool>();
}

template <class T>
T Tensor::item() const {
  const Node& node = checked(node_);
  if (gradweave::numel(node.shape()) != 1) {
    throw ShapeError(
        fmt::format("item: the tensor has {} elements, shape {}", numel(), to_string(node.shape())));
  }
  evaluate({this, 1});
  return dispatch(node.dtype,
                  [&]<class From>() { return convert<T>(*reinterpret_cast<const From*>(node.data)); });
}

template <class T>
std::vector<T> Tensor::to_vector() const {
  const Tensor ordered = in_order(*this);
  std::vector<T> values(static_cast<std::size_t>(numel()));
  dispatch(dtype(), [&]<class From>() {
    const auto* from = reinterpret_cast<const From*>(ordered.node()->data);
    std::transform(from, from + values.size(), values.begin(), convert<T, From>);
  });
  return values;
}

template <class T>
std::span<const T> Tensor::data() const& {
  const Node& node = checked(node_);
  if (node.dtype != dtype_of<T>) {
    throw DTypeError(
        fmt::format("data: the elements are {}, not {}", name_of(node.dtype), name_of(dtype_of<T>)));
  }
  evaluate({this, 1});
  if (node.strided)
    throw ShapeError("data: this is a view whose elements are not in row-major order; use contiguous(t)");
  return {reinterpret_cast<const T*>(node.data), static_cast<std::size_t>(numel())};
}

Tensor constant(const Literal& values, DType dtype) { return literal_leaf(constant_leaf, values, dtype); }
template <class T>
Tensor constant(std::span<const T> values, const Shape& shape) {
  return copied_leaf<T>(constant_leaf, values, shape);
}

Tensor variable(const Literal& values, DType dtype) {
  require_floating(dtype);
  return literal_leaf(variable_leaf, values, dtype);
}
template <class T>
Tensor variable(std::span<const T> values, const Shape& shape) {
  require_floating(dtype_of<T>);
  return copied_leaf<T>(variable_leaf, values, shape);
}
Tensor variable(const Tensor& tensor) {
  const Node& node = checked(tensor.node());
  require_floating(node.dtype);
  evaluate({&tensor, 1});
  return make_leaf(variable_leaf, node.spec(), node.storage, node.data,
                   node.strided ? node.strides() : Dims());
}

#define GRADWEAVE_INSTANTIATE(T)                                 \
  template T Tensor::item<T>() const;                            \
  template std::vector<T> Tensor::to_vector<T>() const;          \
  template std::span<const T> Tensor::data<T>() const&;          \
  template Tensor constant<T>(std::span<const T>, const Shape&); \
  template Tensor variable<T>(std::span<const T>, const Shape&)
GRADWEAVE_INSTANTIATE(bool);
GRADWEAVE_INSTANTIATE(Index);
GRADWEAVE_INSTANTIATE(float);
GRADWEAVE_INSTANTIATE(double);
#undef GRADWEAVE_INSTANTIATE
template int Tensor::item<int>() const;
template std::vector<int> Tensor::to_vector<int>() const;

}  // namespace gradweave
