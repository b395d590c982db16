// What kernels see: arrays, ranges of rows, and the two kinds of kernel that run block by block inside a
// fused step.
#pragma once
#include <cstddef>
#include <span>

#include <gradweave/graph/types/shape.hpp>

namespace gradweave {

/// What a kernel sees of a tensor: where its elements are and how they lie. Strides count elements.
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

/// Some rows of an output that is seen as a matrix: those from `first` on, to be written one behind the other
/// to `data`. Of an op with `column_tile` perhaps not the whole rows.
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

/// What a thread should have to do at the least, in nanoseconds: to hand it something takes some 1000, to
/// wake it 5000.
inline constexpr Index min_task_ns = 10'000;

/// How an elementwise op computes elements of one dtype.
struct BlockKernel {
  /// `count` consecutive elements from row-major inputs. The output may be an input.
  void (*run)(const void* attributes, std::span<const void* const> inputs, void* output,
              Index count) = nullptr;
  DType result = DType::bool_;
  Index cost = 0;  ///< of an element, roughly, in picoseconds
};

/// How a reduction joins elements that come piece by piece, so that it can be the end of a step. Its state
/// needs no destructor.
struct ReductionKernel {
  std::size_t bytes;  ///< of the state
  Index leaf;         ///< pieces are multiples of so many elements, but for the last one
  Index grain;        ///< states over so many elements each, the last over the rest, give what one gives
  void (*begin)(void* state);
  void (*add)(void* state, const void* x, Index count);
  void (*append)(void* state, const void* next);
  void (*finish)(const void* state, void* y);
  /// Joins rows of `width` elements, one behind the other, each into an element of `y`.
  void (*rows)(const void* x, Index rows, Index width, void* y);
};

}  // namespace gradweave
