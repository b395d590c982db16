// NumPy's indexing: integers, ranges, "...", new axes, index tensors and masks, for reading and for writing.
//
//   index(x, {0, Range{1, -1}, ellipsis})           // x[0, 1:-1, ...]
//   index(x, {all_of_it, new_axis, indices})        // x[:, None, indices]
//   index(x, {x > 0})                               // x[x > 0]
//   index_put(x, {Range{.step = 2}}, 0)             // x[::2] = 0, as a new tensor
#pragma once
#include <initializer_list>
#include <optional>
#include <span>
#include <variant>

#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// Elements start, start + step, ... before stop; negative positions count from the end. The step is not 0;
/// with a negative one the range runs backwards from the end.
struct Range {
  std::optional<Index> start = {}, stop = {};
  Index step = 1;
};
inline constexpr Range all_of_it{};
struct NewAxis {};
inline constexpr NewAxis new_axis{};
/// As many whole axes as it takes.
struct Ellipsis {};
inline constexpr Ellipsis ellipsis{};

/// What stands for one axis (a mask: for as many as it has).
class Indexer {
 public:
  template <std::integral T>
    requires(!std::same_as<T, bool>)
  Indexer(T position) : value_(static_cast<Index>(position)) {}
  Indexer(Range range) : value_(range) {}
  Indexer(NewAxis axis) : value_(axis) {}
  Indexer(Ellipsis axes) : value_(axes) {}
  Indexer(const Tensor& tensor) : value_(tensor) {}
  const auto& value() const { return value_; }

 private:
  std::variant<Index, Range, NewAxis, Ellipsis, Tensor> value_;
};

/// What x[...] gives in NumPy. Without tensors among the indices it is a view. Index tensors (whole numbers,
/// negative ones from the end) broadcast; their axes stand where the first of them is or, if something stands
/// between them, in front. A bool tensor is a mask, which is evaluated to know how many elements it has.
/// Throws ShapeError for too many indices or a mask of another shape, ValueError for positions outside (of
/// tensors: when evaluated), and GraphError for a mask in a function that is being compiled: take `where`
/// there.
Tensor index(const Operand& x, std::span<const Indexer> indices);
inline Tensor index(const Operand& x, std::initializer_list<Indexer> indices) {
  return index(x, std::span(indices.begin(), indices.size()));
}
/// x with `value`, which broadcasts, in these places; the last one stays where one is named several times.
/// Throws as `index`.
Tensor index_put(const Operand& x, std::span<const Indexer> indices, const Operand& value);
inline Tensor index_put(const Operand& x, std::initializer_list<Indexer> indices, const Operand& value) {
  return index_put(x, std::span(indices.begin(), indices.size()), value);
}
/// x with `value` added there, as often as a place is named.
Tensor index_put_add(const Operand& x, std::span<const Indexer> indices, const Operand& value);
inline Tensor index_put_add(const Operand& x, std::initializer_list<Indexer> indices, const Operand& value) {
  return index_put_add(x, std::span(indices.begin(), indices.size()), value);
}

/// Where x is not zero: int64 (count, rank), in row-major order. Evaluates x; GraphError in a function that
/// is being compiled, where the count is not known: take `where` there.
Tensor nonzero(const Tensor& x);
/// The elements of x where the mask is true, in a row; both broadcast. Differentiable in x; throws as
/// `nonzero`.
Tensor masked_select(const Operand& x, const Tensor& mask);
/// The different elements in ascending order, where each element of x is among these (of x's shape), and how
/// often each occurs. Evaluates x; throws as `nonzero`. Not differentiable.
struct Unique {
  Tensor values, inverse, counts;
};
Unique unique(const Tensor& x);

}  // namespace gradweave
