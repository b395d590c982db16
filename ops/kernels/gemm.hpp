// The product of two matrices, wherever they lie. By itself as fast as the processor (gemm.cpp), or, where a
// product is of float or double and the build asks for it, by another library (GRADWEAVE_GEMM,
// ops/kernels/gemm/).
#pragma once
#include <cmath>
#include <type_traits>

#include <gradweave/graph/types/dtype.hpp>

namespace gradweave {

/// A matrix in memory: element (i, j) is data[i * row + j * col].
template <class T>
struct Strided {
  const T* data;
  Index row, col;
  Strided from(Index i, Index j) const { return {data + i * row + j * col, row, col}; }
};

/// sum + a b, rounded once where vectors of such sums are: said, since a compiler may multiply several at
/// once and then add them one by one.
template <class T>
T add_product(T sum, T a, T b) {
#if defined(GRADWEAVE_FUSES_PRODUCTS) && (defined(__FMA__) || defined(__ARM_FEATURE_FMA))
  if constexpr (std::is_floating_point_v<T>) return std::fma(a, b, sum);
#endif
  return sum + a * b;
}

/// What is wanted of a product.
struct Part {
  Index first_row, rows;
  Index first_column, columns;  ///< the first of them a multiple of 32
};

/// A part of a b, to `out`, where rows begin `out_row` elements apart: for an (n, k) and a (k, m) matrix of
/// float, double or int64, in each of which rows or columns are contiguous. The bits of an element do not
/// depend on the part it is asked for with (but may, where the build uses another library).
template <class T>
void gemm(Index n, Index k, Index m, const Part& part, Strided<T> a, Strided<T> b, T* out, Index out_row);

namespace detail {
/// What the build's other library does of it: false when there is none or it cannot read such strides.
bool other_gemm(Index n, Index k, Index m, Strided<float> a, Strided<float> b, float* out, Index out_row);
bool other_gemm(Index n, Index k, Index m, Strided<double> a, Strided<double> b, double* out, Index out_row);
}  // namespace detail

}  // namespace gradweave
