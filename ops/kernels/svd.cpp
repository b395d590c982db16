// A is made bidiagonal by Householder's reflections. The bidiagonal matrix is made
// diagonal by implicit QR steps (Golub and Van Loan, "Matrix Computations", 8.6), without a shift where that
// would cost small singular values their accuracy (Demmel and Kahan, "Accurate singular values of bidiagonal
// matrices", 1990). Singular vectors are columns in memory, so that a rotation runs along two of them.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include <gradweave/graph/memory/storage.hpp>
#include <gradweave/ops/kernels/decompositions.hpp>

namespace gradweave::dense {
namespace {

template <class T>
using Columns = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>;

// (c s; -s c) (f; g) = (r; 0).
template <class T>
struct Rotation {
  T c = 1, s = 0, r = 0;
  Rotation() = default;
  Rotation(T f, T g) : r(f) {
    if (g == T(0)) return;
    const T square = f * f + g * g;
    const bool is_safe = square > std::numeric_limits<T>::min() / std::numeric_limits<T>::epsilon();
    r = is_safe ? std::sqrt(square) : std::hypot(f, g);
    c = f / r, s = g / r;
  }
};

// The smaller singular value of (f g; 0 h), as LAPACK's lasv2 and las2 compute it.
template <class T>
T smaller_of(T f, T g, T h) {
  f = std::abs(f), g = std::abs(g), h = std::abs(h);
  const T small = std::min(f, h), large = std::max(f, h);
  if (small == T(0)) return 0;
  if (g < large) {
    const T as = 1 + small / large, at = (large - small) / large, au = g / large * (g / large);
    return small * (2 / (std::sqrt(as * as + au) + std::sqrt(at * at + au)));
  }
  const T au = large / g;
  if (au == T(0)) return small * large / g;
  const T as = (1 + small / large) * au, at = (large - small) / large * au;
  return 2 * (small * (1 / (std::sqrt(1 + as * as) + std::sqrt(1 + at * at)))) * au;
}

// B = U' A V of an upper bidiagonal B, and what follows when it is rotated.
template <class T>
class Bidiagonal {
 public:
  Bidiagonal(Index n, T* diagonal, T* above, Index rows, T* u, T* v)
      : n_(n), d_(diagonal), e_(above), rows_(rows), u_(u), v_(v) {}

  void make_diagonal() {
    constexpr T epsilon = std::numeric_limits<T>::epsilon();
    for (Index last = n_ - 1, steps = 60 * n_; last > 0;) {
      Index first = last;
      while (first > 0) {
        T& e = e_[first - 1];
        if (std::abs(e) <= epsilon * (std::abs(d_[first - 1]) + std::abs(d_[first])) ||
            std::abs(e) < std::numeric_limits<T>::min()) {
          e = 0;
          break;
        }
        --first;
      }
      if (first == last) {
        --last;
        continue;
      }
      if (steps-- == 0) break;  // has not been seen; what is left is of the size of rounding
      step(first, last);
    }
  }

 private:
  // Columns k and k + 1 of U or V.
  static void rotate(T* all, Index rows, Index k, T c, T s) {
    if (all == nullptr) return;
    T* __restrict x = all + k * rows;
    T* __restrict y = x + rows;
    for (Index i = 0; i < rows; ++i) {
      const T a = x[i], b = y[i];
      x[i] = c * a + s * b;
      y[i] = c * b - s * a;
    }
  }
  void rotate_u(Index k, const Rotation<T>& by) { rotate(u_, rows_, k, by.c, by.s); }
  void rotate_v(Index k, const Rotation<T>& by) { rotate(v_, n_, k, by.c, by.s); }

  void step(Index first, Index last) {
    T largest = 0, least = std::abs(d_[first]), below = least;
    for (Index k = first; k <= last; ++k) largest = std::max(largest, std::abs(d_[k]));
    for (Index k = first; k < last; ++k) {
      largest = std::max(largest, std::abs(e_[k]));
      below = below == T(0) ? T(0) : std::abs(d_[k + 1]) * (below / (below + std::abs(e_[k])));
      least = std::min(least, below);
    }
    constexpr T epsilon = std::numeric_limits<T>::epsilon();
    T shift = 0;
    if (static_cast<T>(n_) * least / largest > epsilon)
      shift = smaller_of(d_[last - 1], e_[last - 1], d_[last]);
    const T ratio = shift == T(0) ? T(0) : shift / d_[first];
    if (ratio * ratio < epsilon) {
      step_without_shift(first, last);
    } else {
      step_with_shift(first, last, shift);
    }
  }

  void step_with_shift(Index first, Index last, T shift) {
    T f = (std::abs(d_[first]) - shift) * (std::copysign(T(1), d_[first]) + shift / d_[first]);
    T g = e_[first];
    for (Index k = first; k < last; ++k) {
      const Rotation<T> right(f, g);
      if (k > first) e_[k - 1] = right.r;
      f = right.c * d_[k] + right.s * e_[k];
      e_[k] = right.c * e_[k] - right.s * d_[k];
      g = right.s * d_[k + 1];
      d_[k + 1] *= right.c;
      rotate_v(k, right);

      const Rotation<T> left(f, g);
      d_[k] = left.r;
      f = left.c * e_[k] + left.s * d_[k + 1];
      d_[k + 1] = left.c * d_[k + 1] - left.s * e_[k];
      if (k + 1 < last) {
        g = left.s * e_[k + 1];
        e_[k + 1] *= left.c;
      }
      rotate_u(k, left);
    }
    e_[last - 1] = f;
  }

  void step_without_shift(Index first, Index last) {
    Rotation<T> right, left;
    for (Index k = first; k < last; ++k) {
      right = Rotation<T>(d_[k] * right.c, e_[k]);
      if (k > first) e_[k - 1] = left.s * right.r;
      left = Rotation<T>(left.c * right.r, d_[k + 1] * right.s);
      d_[k] = left.r;
      rotate_v(k, right);
      rotate_u(k, left);
    }
    const T h = d_[last] * right.c;
    d_[last] = h * left.c;
    e_[last - 1] = h * left.s;
  }

  Index n_;
  T *d_, *e_;
  Index rows_;
  T *u_, *v_;
};

template <class T>
using Vector = Eigen::Matrix<T, Eigen::Dynamic, 1>;

// Householder's reflection I - tau v v' that takes x to (first, 0, ...); x becomes v.
template <class T>
struct Reflection {
  T tau = 0, first = 0;
  explicit Reflection(Eigen::Ref<Vector<T>> x) {
    const T largest = x.size() == 0 ? T(0) : x.cwiseAbs().maxCoeff();
    if (largest == T(0)) return;
    x /= largest;
    const T beta = -std::copysign(x.norm(), x[0]);
    tau = (beta - x[0]) / beta;
    first = beta * largest;
    x /= x[0] - beta;
    x[0] = 1;
  }
};

// Reflections of vectors of one size, the k-th of their elements from `first + k` on.
template <class T>
class Reflections {
 public:
  Reflections(Index size, Index count, Index first)
      : first_(first), vectors_(Columns<T>::Zero(size, count)), tau_(Vector<T>::Zero(count)) {}
  auto vector(Index k) { return vectors_.col(k).tail(vectors_.rows() - first_ - k); }
  T tau(Index k) const { return tau_[k]; }
  // That of what `vector(k)` holds.
  T reflect(Index k) {
    const Reflection<T> reflection(vector(k));
    tau_[k] = reflection.tau;
    return reflection.first;
  }
  // The first columns of their product. Each column meets so many of them in the nearest cache.
  Columns<T> product(Index columns) const {
    constexpr Index together = 16;
    const Index size = vectors_.rows(), count = vectors_.cols();
    Columns<T> all = Columns<T>::Identity(size, columns);
    for (Index end = count; end > 0; end -= std::min(end, together)) {
      const Index begin = std::max<Index>(end - together, 0);
      for (Index j = std::min(columns, first_ + begin); j < columns; ++j) {
        for (Index k = end; k-- > begin;) {
          const Index length = size - first_ - k;
          if (length <= 0) continue;
          auto column = all.col(j).tail(length);
          const auto v = vectors_.col(k).tail(length);
          column -= tau_[k] * column.dot(v) * v;
        }
      }
    }
    return all;
  }

 private:
  Index first_;
  Columns<T> vectors_;
  Vector<T> tau_;
};

// Makes a bidiagonal in two passes for each column: one for what the left reflection takes away, one in which
// each row meets both reflections.
template <class T>
struct Bidiagonalization {
  Reflections<T> left, right;
  Vector<T> diagonal, above;
  explicit Bidiagonalization(Rows<T> a)
      : left(a.rows(), a.cols(), 0),
        right(a.cols(), std::max<Index>(a.cols() - 1, 0), 1),
        diagonal(a.cols()),
        above(a.cols()) {
    const Index m = a.rows(), n = a.cols();
    Vector<T> taken(n);
    for (Index k = 0; k < n; ++k) {
      auto v = left.vector(k);
      v = a.col(k).tail(m - k);
      diagonal[k] = left.reflect(k);
      const Index rest = n - k - 1;
      if (rest == 0) break;
      auto w = taken.tail(rest);
      w.setZero();
      for (Index i = k; i < m; ++i) w += v[i - k] * a.row(i).tail(rest).transpose();
      w *= left.tau(k);
      auto r = right.vector(k);
      r = a.row(k).tail(rest).transpose() - w;
      above[k] = right.reflect(k);
      for (Index i = k + 1; i < m; ++i) {
        auto row = a.row(i).tail(rest).transpose();
        row -= v[i - k] * w;
        row -= right.tau(k) * row.dot(r) * r;
      }
    }
  }
};

// Of a matrix with at least as many rows as columns: u, m x n, and v, n x n, may be null.
template <class T>
bool decompose(Rows<T> a, Columns<T>* u, T* s, Columns<T>* v) {
  const Index m = a.rows(), n = a.cols();
  if (!a.allFinite()) return false;
  // By a power of two, which rounds nothing: squares neither overflow nor vanish.
  int exponent = 0;
  std::frexp(a.cwiseAbs().maxCoeff(), &exponent);
  a = a.unaryExpr([exponent](T x) { return std::ldexp(x, -exponent); }).eval();
  Bidiagonalization<T> b(std::move(a));
  if (u != nullptr) {
    *u = b.left.product(n);
    *v = b.right.product(n);
  }
  Bidiagonal<T>(n, b.diagonal.data(), b.above.data(), m, u == nullptr ? nullptr : u->data(),
                v == nullptr ? nullptr : v->data())
      .make_diagonal();
  for (Index k = 0; k < n; ++k) {
    if (b.diagonal[k] < T(0) && v != nullptr) v->col(k) = -v->col(k);
    s[k] = std::ldexp(std::abs(b.diagonal[k]), exponent);
  }
  return true;
}

}  // namespace

template <class T>
bool svd(Index m, Index n, const T* a, T* u, T* s, T* vt) {
  // Of a wide matrix the transpose, which is how columns see its rows.
  const bool is_wide = m < n;
  const Index k = std::min(m, n);
  if (k == 0) return true;
  Rows<T> matrix(std::max(m, n), k);
  Columns<T> left, right;
  if (is_wide) {
    matrix = Eigen::Map<const Columns<T>>(a, n, m);
  } else {
    matrix = Eigen::Map<const Rows<T>>(a, m, n);
  }
  RecycledVector<T> values(static_cast<std::size_t>(k));
  const bool vectors = u != nullptr;
  if (!decompose<T>(std::move(matrix), vectors ? &left : nullptr, values.data(), vectors ? &right : nullptr))
    return false;
  RecycledVector<Index> order(static_cast<std::size_t>(k));
  std::iota(order.begin(), order.end(), Index{0});
  const auto value = [&](Index i) { return values[static_cast<std::size_t>(i)]; };
  std::ranges::sort(order,
                    [&](Index i, Index j) { return value(i) != value(j) ? value(i) > value(j) : i < j; });
  if (is_wide) std::swap(left, right);
  for (Index j = 0; j < k; ++j) {
    const Index from = order[static_cast<std::size_t>(j)];
    s[j] = value(from);
    if (!vectors) continue;
    Eigen::Map<Rows<T>>(u, m, k).col(j) = left.col(from);
    Eigen::Map<Rows<T>>(vt, k, n).row(j) = right.col(from);
  }
  return true;
}

template bool svd(Index, Index, const float*, float*, float*, float*);
template bool svd(Index, Index, const double*, double*, double*, double*);

}  // namespace gradweave::dense
