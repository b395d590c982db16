#include <gradweave/graph/tensor.hpp>

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/evaluate.hpp>
#include <gradweave/graph/kernels/convert.hpp>
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

// What templates share stands once, for elements of any dtype.

// `count` elements of dtype `from`, as a leaf of dtype `to`.
[[gnu::noinline]] Tensor copied_leaf(const Operation& kind, DType from, const void* values, std::size_t count,
                                     const Shape& shape, DType to) {
  if (static_cast<Index>(count) != numel(shape)) {
    throw ShapeError(fmt::format("{}: {} values for shape {}", kind.name, count, to_string(shape)));
  }
  Ref<Storage> storage = allocate_storage(count * size_of(to));
  convert_elements(from, values, to, storage->data, static_cast<Index>(count));
  std::byte* data = storage->data;
  return make_leaf(kind, {shape, to}, std::move(storage), data, {});
}
template <class T>
Tensor copied_leaf(const Operation& kind, std::span<const T> values, const Shape& shape) {
  return copied_leaf(kind, dtype_of<T>, values.data(), values.size(), shape, dtype_of<T>);
}

Tensor literal_leaf(const Operation& kind, const Literal& literal, DType dtype) {
  std::vector<Index> sizes;
  sizes_of(literal, sizes);
  std::vector<double> values;
  read_literal(literal, sizes, values);
  return copied_leaf(kind, DType::float64, values.data(), values.size(), Shape{Dims(sizes)}, dtype);
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

[[gnu::noinline]] void read_item(const Tensor& tensor, DType dtype, void* value) {
  const Node& node = checked(tensor.node());
  if (numel(node.shape()) != 1) {
    throw ShapeError(fmt::format("item: the tensor has {} elements, shape {}", numel(node.shape()),
                                 to_string(node.shape())));
  }
  evaluate({&tensor, 1});
  convert_elements(node.dtype, node.data, dtype, value, 1);
}

[[gnu::noinline]] void read_all(const Tensor& tensor, DType dtype, void* values) {
  const Tensor ordered = in_order(tensor);
  convert_elements(tensor.dtype(), ordered.node()->data, dtype, values, tensor.numel());
}

[[gnu::noinline]] const std::byte* data_of(const Tensor& tensor, DType dtype) {
  const Node& node = checked(tensor.node());
  if (node.dtype != dtype) {
    throw DTypeError(fmt::format("data: the elements are {}, not {}", name_of(node.dtype), name_of(dtype)));
  }
  evaluate({&tensor, 1});
  if (node.strided)
    throw ShapeError("data: this is a view whose elements are not in row-major order; use contiguous(t)");
  return node.data;
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
  T value{};
  read_item(*this, dtype_of<T>, &value);
  return value;
}

template <class T>
std::vector<T> Tensor::to_vector() const {
  const auto count = static_cast<std::size_t>(numel());
  if constexpr (std::is_same_v<T, bool>) {  // whose vector holds bits
    const Ref<Storage> flags = allocate_storage(count);
    read_all(*this, DType::bool_, flags->data);
    const bool* first = reinterpret_cast<const bool*>(flags->data);
    return std::vector<bool>(first, first + count);
  } else {
    std::vector<T> values(count);
    read_all(*this, dtype_of<T>, values.data());
    return values;
  }
}

template <class T>
std::span<const T> Tensor::data() const& {
  return {reinterpret_cast<const T*>(data_of(*this, dtype_of<T>)), static_cast<std::size_t>(numel())};
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
GRADWEAVE_INSTANTIATE(std::uint8_t);
GRADWEAVE_INSTANTIATE(std::int8_t);
GRADWEAVE_INSTANTIATE(std::uint16_t);
GRADWEAVE_INSTANTIATE(std::int16_t);
GRADWEAVE_INSTANTIATE(std::uint32_t);
GRADWEAVE_INSTANTIATE(std::int32_t);
GRADWEAVE_INSTANTIATE(std::uint64_t);
GRADWEAVE_INSTANTIATE(std::int64_t);
GRADWEAVE_INSTANTIATE(float16);
GRADWEAVE_INSTANTIATE(bfloat16);
GRADWEAVE_INSTANTIATE(float);
GRADWEAVE_INSTANTIATE(double);
#undef GRADWEAVE_INSTANTIATE

}  // namespace gradweave
