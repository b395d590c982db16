// What max-pooling computes, of one image in memory: where its windows lie, and four loops. The ops are in
// pooling.cpp.
#pragma once
#include <gradweave/graph/memory/storage.hpp>
#include <gradweave/graph/types/dtype.hpp>
#include <gradweave/ops/kernels/window.hpp>

namespace gradweave {

/// Where windows lie that slide over an image, or that share it out. An attribute.
struct Sliding {
  Pair window, stride, padding, dilation;
  bool ceil_mode = false;
  Pair shares = 0;  ///< if there are, so many windows share out the image, and nothing else counts

  bool shares_out() const { return shares != Pair(0); }
  /// How many there are. Throws ShapeError or ValueError for what does not fit.
  Pair count(Pair size) const;
};

/// What a window holds of an axis: elements first, first + dilation, ... before end; one at least.
struct Reach {
  Index first, end;
};

/// Windows over images of one size.
struct Windows : Sliding {
  Pair size, count;
  RecycledVector<Reach> rows, cols;

  /// Throws as Sliding::count, and ShapeError for a window that holds nothing but padding.
  Windows(const Sliding& sliding, Pair of_size);
  Index elements() const { return size.rows * size.cols; }
  Index windows() const { return count.rows * count.cols; }
  /// At most so many bytes do these tables and the loops below take, in each thread.
  Index workspace() const {
    return static_cast<Index>(sizeof(Reach)) * (count.rows + count.cols) + 16 * count.cols;
  }
  /// How many elements the windows hold, roughly.
  Index elements_held() const { return shares_out() ? elements() : windows() * window.rows * window.cols; }

 private:
  RecycledVector<Reach> reaches(Index Pair::*axis) const;
};

/// For float and double: y, the largest element of each window of x. NaN is larger than all.
template <class T>
void max_of_windows(const Windows& w, const T* x, T* y);
/// Where they are in the row-major image, the first among equals.
template <class T>
void find_largest(const Windows& w, const T* x, Index* places);
/// What h has there.
template <class T>
void take_largest(const Windows& w, const T* h, const T* x, T* y);
/// The adjoint: zeros, plus g there.
template <class T>
void scatter_to_largest(const Windows& w, const T* g, const T* x, T* dx);

}  // namespace gradweave
