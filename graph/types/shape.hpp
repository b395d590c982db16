// Shapes: up to eight sizes, checked once when built, and the rules of broadcasting (NumPy's).
#pragma once
#include <algorithm>
#include <array>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include <gradweave/graph/types/dtype.hpp>

namespace gradweave {

/// Sizes or strides, seen without owning them.
using Dims = std::span<const Index>;
inline constexpr std::size_t max_rank = 8;

/// The sizes of a tensor, outermost first, convertible to Dims; `{}` is the shape of a scalar.
/// Throws ShapeError for a negative size, more than `max_rank` axes, or more bytes than an address can count.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<Index> sizes) : Shape(Dims(sizes.begin(), sizes.size())) {}
  explicit Shape(Dims sizes) {
    for (const Index size : sizes) push_back(size);
  }
  /// Strides, which are kept as sizes are, but whose product means nothing and may be of any size.
  static Shape of_strides(Dims strides) {
    Shape result;
    std::copy(strides.begin(), strides.end(), result.sizes_.begin());
    result.rank_ = strides.size();
    return result;
  }
  /// Adds an innermost axis.
  void push_back(Index size) {
    if (rank_ == max_rank || size < 0 || __builtin_mul_overflow(extent_, size > 1 ? size : 1, &extent_))
      refuse(size);
    sizes_[rank_++] = size;
  }

  /// How many axes; `size()` is the same, for ranges.
  std::size_t rank() const { return rank_; }
  std::size_t size() const { return rank_; }
  Index operator[](std::size_t axis) const { return sizes_[axis]; }
  const Index* begin() const { return sizes_.data(); }
  const Index* end() const { return sizes_.data() + rank_; }
  friend bool operator==(const Shape& a, const Shape& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  [[noreturn]] void refuse(Index size) const;
  std::array<Index, max_rank> sizes_;
  std::size_t rank_ = 0;
  // The product of the sizes and of the widest element's bytes, zeros counting as one, so that strides cannot
  // overflow either.
  Index extent_ = 8;
};

/// Which axes an op joins, counted from the last: bit k stands for axis -1 - k.
struct AxisSet {
  unsigned bits = 0;
  /// Of axes of a tensor of this rank, where bit k stands for axis k.
  static constexpr AxisSet from_front(unsigned front, std::size_t rank) { return {reversed(front, rank)}; }
  /// Of a tensor of this rank: bit k stands for axis k. Throws ShapeError when the tensor has fewer axes.
  unsigned in_front_order(std::size_t rank) const {
    if (bits >> rank != 0) refuse(rank);
    return reversed(bits, rank);
  }
  friend bool operator==(AxisSet, AxisSet) = default;

 private:
  static constexpr unsigned reversed(unsigned bits, std::size_t count) {
    unsigned result = 0;
    for (std::size_t k = 0; k < count; ++k) result |= ((bits >> k) & 1U) << (count - 1 - k);
    return result;
  }
  [[noreturn]] void refuse(std::size_t rank) const;
};
/// `(-3, -1)`
std::string to_string(AxisSet axes);

/// A new order of the last `rank` axes: axis i of these comes from axis `axes[i]`, counted from the last.
struct AxisOrder {
  std::array<std::int8_t, max_rank> axes{};
  std::uint8_t rank = 0;
  /// Of all axes, counted from the first; those in front that stay where they are, are left out.
  static AxisOrder from_front(Dims order);
  AxisOrder inverse() const;
  friend bool operator==(const AxisOrder&, const AxisOrder&) = default;
};

/// Element type and sizes: all that is known of a tensor before it has values.
struct Spec {
  Shape shape;
  DType dtype = DType::float32;
  friend bool operator==(const Spec&, const Spec&) = default;
};

/// The number of elements; 1 for a scalar.
constexpr Index numel(Dims shape) {
  Index n = 1;
  for (Index size : shape) n *= size;
  return n;
}
constexpr bool same(Dims a, Dims b) {
  if (a.size() != b.size()) return false;
  for (std::size_t axis = 0; axis < a.size(); ++axis) {
    if (a[axis] != b[axis]) return false;
  }
  return true;
}
/// Row-major strides, in elements.
Shape row_major(Dims shape);
bool is_row_major(Dims shape, Dims strides);
/// `(2, 3)`, `(5,)`, `()`.
std::string to_string(Dims shape);
/// The shape that both broadcast to: aligned at the last axis, sizes equal or 1. Throws ShapeError.
Shape broadcast(Dims a, Dims b);
/// Whether a tensor of shape `from` broadcasts to exactly `to`.
bool broadcasts_to(Dims from, Dims to);
/// Counts a negative axis from the end. Throws ShapeError when it is outside [-rank, rank).
std::size_t normalize_axis(Index axis, std::size_t rank);
/// The same of an axis that is counted from the last. Throws ShapeError when it is outside [-rank, 0).
std::size_t axis_from_last(Index axis, std::size_t rank);

}  // namespace gradweave
