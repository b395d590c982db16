// Tensor: a handle to a node of the graph. Building one computes nothing; asking for its values does.
#pragma once
#include <concepts>
#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <ranges>
#include <source_location>
#include <span>
#include <string>
#include <vector>

#include <gradweave/graph/memory/ref.hpp>
#include <gradweave/graph/types/shape.hpp>

namespace gradweave {

struct Node;
void destroy(Node* node) noexcept;
/// A node begins with its count (asserted in node.hpp).
inline RefCount& refs_of(Node* node) { return *reinterpret_cast<RefCount*>(node); }

/// A handle to an immutable node. Copies are cheap and refer to the same node. A default-constructed Tensor
/// is empty and stands for "no tensor"; every function but `is_empty` throws GraphError on it.
///
/// A common beginner's error: `if (x > 0 && y > 0)` for tensors of several elements. A tensor in a condition
/// is its one element's truth; of several ask `all(x > 0)` or `any(x > 0)` (ops/reduction.hpp), and combine
/// comparisons element by element with `logical_and` (ops/elementwise.hpp). `&&` joins two conditions, not
/// two tensors. And `f(x).data<float>()` would point into a tensor that is gone: give that a name first.
class Tensor {
 public:
  Tensor() = default;
  explicit Tensor(Node* node) : node_(node) {
    if (node_ != nullptr) refs_of(node_).add();
  }
  Tensor(const Tensor& other) : Tensor(other.node_) {}
  Tensor(Tensor&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  Tensor& operator=(const Tensor& other) {
    Tensor copy(other);
    std::swap(node_, copy.node_);
    return *this;
  }
  Tensor& operator=(Tensor&& other) noexcept {
    Tensor old = std::move(other);
    std::swap(node_, old.node_);
    return *this;
  }
  ~Tensor() {
    if (node_ != nullptr && refs_of(node_).drop()) destroy(node_);
  }

  bool is_empty() const { return node_ == nullptr; }
  /// Whether its one element, evaluated if need be, is not zero. Throws ShapeError for none or several, and
  /// GraphError inside a function that is being compiled, where values are not known.
  explicit operator bool() const;
  Node* node() const { return node_; }
  /// For those who extend the library: a handle that takes over a reference,
  static Tensor adopt(Node* node) noexcept {
    Tensor handle;
    handle.node_ = node;
    return handle;
  }
  /// and empties itself without giving its reference back: that is the caller's now.
  Node* release() noexcept { return std::exchange(node_, nullptr); }

  Shape shape() const;
  std::size_t rank() const;
  /// The size of one axis; negative axes count from the end. Throws ShapeError.
  Index size(Index axis) const;
  Index numel() const;
  DType dtype() const;
  /// Whether a variable is among its ancestors, so that gradients can flow through it.
  bool is_tracked() const;
  /// Whether its values are there already.
  bool is_evaluated() const;

  /// The value of a one-element tensor, evaluated if need be and converted to `T`. Throws ShapeError.
  template <class T = float>
  T item() const;
  /// All values in row-major order, converted to `T`.
  template <class T = float>
  std::vector<T> to_vector() const;
  /// The values themselves, row-major, without a copy: valid while this tensor lives. A view that is not
  /// row-major (a transpose, a broadcast) throws ShapeError: ask for `contiguous(t)` first. Throws DTypeError
  /// unless T is the dtype.
  template <class T>
  std::span<const T> data() const&;
  template <class T>
  std::span<const T> data() const&& = delete;  // it would point into a tensor that is gone

 private:
  Node* node_ = nullptr;
};

// The other whole numbers of 64 bits, where C++ has two.
template <>
inline long long Tensor::item() const {
  return item<std::int64_t>();
}
template <>
inline unsigned long long Tensor::item() const {
  return item<std::uint64_t>();
}

/// Whether two handles refer to the same node (`==` compares elements).
inline bool is_same(const Tensor& a, const Tensor& b) { return a.node() == b.node(); }

/// Prints shape, dtype and values, evaluating if need be; long axes are shortened in the middle.
std::ostream& operator<<(std::ostream& out, const Tensor& tensor);
std::string to_string(const Tensor& tensor);

/// A number, or a list of literals: `{{1, 2}, {3, 4}}`. Throws ValueError for a whole number beyond 2^53 that
/// a double cannot hold: put such into a std::vector.
class Literal {
 public:
  template <class T>
    requires std::integral<T> || std::floating_point<T>
  Literal(T value) : value_(static_cast<double>(value)) {
    if constexpr (std::integral<T> && sizeof(T) > 4) {  // the others fit
      if (static_cast<long double>(value) != static_cast<long double>(value_)) refuse();
    }
  }
  Literal(std::initializer_list<Literal> items) : items_(items), is_list_(true) {}

  bool is_list() const { return is_list_; }
  double value() const { return value_; }
  const std::vector<Literal>& items() const { return items_; }

 private:
  [[noreturn]] static void refuse();
  double value_ = 0;
  std::vector<Literal> items_;
  bool is_list_ = false;
};

/// Vectors, arrays and spans of elements.
template <class R>
concept ElementRange = std::ranges::contiguous_range<R> && Element<std::ranges::range_value_t<R>>;

/// Data that one does not differentiate with respect to. The first form reads nested lists, row by row, and
/// throws ShapeError when they are ragged; the second copies `values` and reads them in row-major order.
Tensor constant(const Literal& values, DType dtype = default_dtype());
template <class T>
Tensor constant(std::span<const T> values, const Shape& shape);
template <ElementRange R>
Tensor constant(const R& values, const Shape& shape) {
  return constant(std::span<const std::ranges::range_value_t<R>>(values), shape);
}
template <ElementRange R>
Tensor constant(const R& values) {
  return constant(values, {static_cast<Index>(std::ranges::size(values))});
}
// Templates, so that no braced list is taken for one.
template <std::same_as<std::vector<bool>> R>
Tensor constant(const R& values, const Shape& shape) {
  const auto plain = std::make_unique<bool[]>(values.size());  // not packed into bits
  std::copy(values.begin(), values.end(), plain.get());
  return constant(std::span<const bool>(plain.get(), values.size()), shape);
}
template <std::same_as<std::vector<bool>> R>
Tensor constant(const R& values) {
  return constant(values, {static_cast<Index>(values.size())});
}

/// Data that one differentiates with respect to: a leaf where gradients arrive. Throws DTypeError unless
/// floating.
Tensor variable(const Literal& values, DType dtype = default_dtype());
template <class T>
Tensor variable(std::span<const T> values, const Shape& shape);
template <ElementRange R>
Tensor variable(const R& values, const Shape& shape) {
  return variable(std::span<const std::ranges::range_value_t<R>>(values), shape);
}
template <ElementRange R>
Tensor variable(const R& values) {
  return variable(values, {static_cast<Index>(std::ranges::size(values))});
}
/// The values of `tensor` (evaluated now, shared without a copy) as a new leaf, cut from its history.
Tensor variable(const Tensor& tensor);

/// The values of `tensor` as data: no gradient flows through. Lazy, shares memory.
Tensor detach(const Tensor& tensor, std::source_location where = std::source_location::current());
/// The same values laid out row-major; `tensor` itself when it is known to be so: evaluated, and no strided
/// view.
Tensor contiguous(const Tensor& tensor);

}  // namespace gradweave
