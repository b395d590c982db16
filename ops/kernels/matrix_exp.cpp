#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

#include <gradweave/graph/memory/storage.hpp>
#include <gradweave/ops/kernels/decompositions.hpp>
#include <gradweave/ops/kernels/gemm.hpp>

namespace gradweave::dense {
namespace {

template <class T>
using Elements = RecycledVector<T>;

template <class T>
Elements<T> product(Index n, const Elements<T>& a, const Elements<T>& b) {
  Elements<T> c(a.size());
  gemm<T>(n, n, n, {0, n, 0, n}, {a.data(), n, 1}, {b.data(), n, 1}, c.data(), n);
  return c;
}
template <class T>
void add(Elements<T>& to, T factor, const Elements<T>& x) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += factor * x[i];
}
template <class T>
void add_identity(Elements<T>& to, T factor, Index n) {
  for (Index i = 0; i < n; ++i) to[static_cast<std::size_t>(i * n + i)] += factor;
}
// The largest sum of absolute values of a column.
template <class T>
T one_norm(Index n, const T* a) {
  Elements<T> sums(static_cast<std::size_t>(n));
  for (Index i = 0; i < n * n; ++i) sums[static_cast<std::size_t>(i % n)] += std::abs(a[i]);
  return *std::ranges::max_element(sums);
}

}  // namespace

// Pade's approximant of order 7, or of 13 where float64 needs it, of A / 2^s, squared s times (Higham, "The
// scaling and squaring method for the matrix exponential revisited", 2005, algorithm 2.3 and its bounds).
template <class T>
void matrix_exp(Index n, const T* a, T* y) {
  if (n == 0) return;
  const Index size = n * n;
  if (!std::ranges::all_of(a, a + size, [](T x) { return std::isfinite(x); })) {
    std::fill(y, y + size, std::numeric_limits<T>::quiet_NaN());
    return;
  }
  const T norm = one_norm(n, a);
  const bool is_short = std::is_same_v<T, float> || norm < T(0.9504178996162932);
  const double bound = std::is_same_v<T, float> ? 3.925724783138660 : 5.371920351148152;
  int squarings = 0;
  if (static_cast<double>(norm) > bound) std::frexp(static_cast<double>(norm) / bound, &squarings);

  const int order = is_short ? 7 : 13;
  std::array<T, 14> b{};
  double coefficient = 1;
  for (int k = 0; k <= order; ++k) {
    b[static_cast<std::size_t>(k)] = static_cast<T>(coefficient);
    coefficient *= static_cast<double>(order - k) / ((k + 1.0) * (2 * order - k));
  }
  Elements<T> x(a, a + size);
  for (T& element : x) element = std::ldexp(element, -squarings);
  const Elements<T> x2 = product(n, x, x), x4 = product(n, x2, x2), x6 = product(n, x4, x2);
  // The odd and the even terms: b1 + b3 X^2 + ..., which X multiplies in the end, and b0 + b2 X^2 + ...
  const auto terms = [&](std::size_t first) {
    Elements<T> all(x.size());
    if (order == 13) {
      add(all, b[first + 8], x2);
      add(all, b[first + 10], x4);
      add(all, b[first + 12], x6);
      all = product(n, x6, all);
    }
    add(all, b[first + 2], x2);
    add(all, b[first + 4], x4);
    add(all, b[first + 6], x6);
    add_identity(all, b[first], n);
    return all;
  };
  const Elements<T> odd = product(n, x, terms(1));
  Elements<T> even = terms(0), sum = even;
  add(sum, T(1), odd);
  add(even, T(-1), odd);
  Elements<T> result(x.size());
  if (!solve(n, n, even.data(), sum.data(), result.data()))
    std::ranges::fill(result, std::numeric_limits<T>::quiet_NaN());  // overflow
  for (; squarings > 0; --squarings) result = product(n, result, result);
  std::ranges::copy(result, y);
}

template void matrix_exp(Index, const float*, float*);
template void matrix_exp(Index, const double*, double*);

}  // namespace gradweave::dense
