// Discrete Fourier transforms of any length, along one axis of complex numbers that lie as pairs in memory.
#pragma once
#include <gradweave/graph/types/dtype.hpp>

namespace gradweave {

/// y[o, k, i] = scale sum_j x[o, j, i] exp(-2 pi i j k / n), for x and y of shape (outer, n, inner, 2), float
/// or double; `inverse`: with the other sign. Takes n log n steps for every n. The bits of a line do not
/// depend on how many there are.
template <class T>
void fourier_transform(Index outer, Index n, Index inner, bool inverse, T scale, const T* x, T* y);

}  // namespace gradweave
