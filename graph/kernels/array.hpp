// The kernels' view of data: arrays and ranges of rows; and the two kinds of kernel that run block by block
// inside a fused loop.
#pragma once
#include <cstddef>
#include <span>

#include <gradweave/graph/types/shape.hpp>

namespace gradweave {

/// A kernel's view of a tensor: the address of its first element, and its layout. Strides count elements.
struct ArrayView {
  void* data = nullptr;
  DType dtype = DType::float32;
  Dims shape;
  Dims strides;  ///< empty when row-major

  bool row_major() const { return strides.empty(); }
  Index size() const { return numel(shape); }
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
  template <class T>
  std::span<T> span() const {
    return {as<T>(), static_cast<std::size_t>(size())};
  }
};

/// Rows [first, first + count) of an output seen as a matrix of `width` columns. The kernel writes the first
/// of these rows to `data` and each further row `stride` elements behind the one before. Of an op with
/// `column_tile` a range may hold only the columns [first_column, first_column + columns) of its rows.
struct RowRange {
  void* data = nullptr;
  Index first = 0;
  Index count = 0;
  Index width = 1;
  Index first_column = 0;
  Index columns = width;
  Index stride = width;  ///< elements from one row in `data` to the next

  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

/// Below this much work a task is not worth handing to another thread: handing a task over takes about 1 us,
/// waking a thread 5 us.
inline constexpr Index min_task_ns = 10'000;

/// How an elementwise op computes elements of one dtype.
struct BlockKernel {
  /// Computes `count` consecutive elements from row-major inputs. `output` may be the address of an input.
  void (*run)(const void* attributes, std::span<const void* const> inputs, void* output,
              Index count) = nullptr;
  DType result = DType::bool_;
  Index cost = 0;  ///< of an element, roughly, in picoseconds
};

/// A reduction as a state to which elements are added piece by piece, so that a reduction can be the end of a
/// step. States are trivially destructible.
struct ReductionKernel {
  std::size_t bytes;  ///< of the state
  Index leaf;  ///< each added piece has a multiple of this many elements; the last piece may have any number
  /// States that cover `grain` consecutive elements each (the last may be shorter), appended in order, give
  /// the same bits as one state over all elements.
  Index grain;
  void (*begin)(void* state);
  void (*add)(void* state, const void* x, Index count);
  void (*append)(void* state, const void* next);
  void (*finish)(const void* state, void* y);
  /// Reduces each of `rows` contiguous rows of `width` elements to one element of `y`.
  void (*rows)(const void* x, Index rows, Index width, void* y);
};

}  // namespace gradweave
