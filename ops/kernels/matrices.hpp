// What ops of matrices share: the last two axes of arrays as stacks of matrices, and the shapes of such.
#pragma once
#include <algorithm>
#include <initializer_list>
#include <string>
#include <vector>

#include <gradweave/graph/kernels/array.hpp>
#include <gradweave/graph/kernels/parallel.hpp>
#include <gradweave/graph/types/error.hpp>

namespace gradweave {

/// Sums of many products are too much for halves: these become float32.
inline constexpr DTypes matrix_dtypes = only(DType::float32) | only(DType::float64);

struct Matrices {
  Index rows, columns, count;
  explicit Matrices(const ArrayView& x)
      : rows(x.shape[x.shape.size() - 2]),
        columns(x.shape.back()),
        count(numel(x.shape.first(x.shape.size() - 2))) {}
  Index size() const { return rows * columns; }
  /// Roughly what eliminating one costs, in nanoseconds.
  Index cubic() const { return rows * columns * std::min(rows, columns) / 8 + 300; }
  /// The k-th of them, or null where nobody reads them.
  template <class T>
  T* at(const ArrayView& x, Index k) const {
    return x.data == nullptr ? nullptr : x.as<T>() + k * size();
  }
  std::string name(Index k) const { return count == 1 ? "the matrix" : "matrix " + std::to_string(k); }
};
/// Calls f(k) for each of `count` matrices that cost so many nanoseconds, on several threads.
template <class F>
void for_each_matrix(Index count, Index cost, F f) {
  parallel_for(count, 2 * min_task_ns / cost + 1, [&](Index first, Index last) {
    for (Index k = first; k < last; ++k) f(k);
  });
}

inline void require_matrices(const Spec& a) {
  if (a.shape.rank() < 2) throw ShapeError("expected matrices");
}
inline void require_square(const Spec& a) {
  require_matrices(a);
  if (a.shape[a.shape.rank() - 1] != a.shape[a.shape.rank() - 2])
    throw ShapeError("expected square matrices");
}
/// A shape in front, then these axes.
inline Shape behind(Dims front, std::initializer_list<Index> axes) {
  std::vector<Index> sizes(front.begin(), front.end());
  sizes.insert(sizes.end(), axes);
  return Shape(Dims(sizes));
}
/// The shape without its last `count` axes, then these.
inline Shape with_last(const Shape& shape, std::size_t count, std::initializer_list<Index> axes) {
  return behind(Dims(shape).first(shape.rank() - count), axes);
}

}  // namespace gradweave
