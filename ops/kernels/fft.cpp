// Stockham's autosort algorithm with radices 4, 2, 3, 5 and other small primes (Van Loan, "Computational
// frameworks for the fast Fourier transform", 1992, 1.7 and 2.4), on several lines at once: their elements
// lie side by side, real parts apart from imaginary ones, so that all loops vectorise. A length with a large
// prime factor becomes a convolution of a length without (Bluestein, "A linear filtering approach to the
// computation of discrete Fourier transform", 1970).
#include <gradweave/ops/kernels/fft.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include <gradweave/graph/kernels/array.hpp>
#include <gradweave/graph/kernels/parallel.hpp>
#include <gradweave/graph/memory/storage.hpp>

namespace gradweave {
namespace {

constexpr Index largest_radix = 31;

RecycledVector<Index> factors_of(Index n) {
  RecycledVector<Index> all;
  for (Index radix : {4, 2, 3, 5}) {
    for (; n % radix == 0; n /= radix) all.push_back(radix);
  }
  for (Index radix = 7; n > 1 && radix * radix <= n; radix += 2) {
    for (; n % radix == 0; n /= radix) all.push_back(radix);
  }
  if (n > 1) all.push_back(n);
  return all;
}

// Complex numbers, real parts apart from imaginary ones.
template <class T>
struct Complexes {
  RecycledVector<T> re, im;
  explicit Complexes(Index count)
      : re(static_cast<std::size_t>(count)), im(static_cast<std::size_t>(count)) {}
};
template <class T>
struct Parts {
  T *re, *im;
  Parts from(Index i) const { return {re + i, im + i}; }
  Parts swapped() const { return {im, re}; }
};
template <class T>
Parts<T> parts(Complexes<T>& all) {
  return {all.re.data(), all.im.data()};
}

// exp(-2 pi i k / n) for k = 0, ..., n - 1, each the product of two of about 2 sqrt(n) that are computed.
template <class T>
Complexes<T> roots_of_unity(Index n) {
  Index few = 1;
  while (few * few < n) few *= 2;
  Complexes<double> fine(few), coarse(n / few + 1);
  const auto fill = [n](Complexes<double>& all, Index step) {
    for (std::size_t k = 0; k < all.re.size(); ++k) {
      // By symmetry from the first eighth, where sine and cosine are exact at the ends.
      const Index at = static_cast<Index>(k) * step % n, eighth = 8 * at / n;
      const Index rest = eighth % 2 == 0 ? 8 * at - eighth * n : (eighth + 1) * n - 8 * at;
      const double angle = std::numbers::pi / 4 * static_cast<double>(rest) / static_cast<double>(n);
      double c = std::cos(angle), s = std::sin(angle);
      if ((eighth + 1) / 2 % 2 == 1) std::swap(c, s);
      all.re[k] = eighth >= 2 && eighth < 6 ? -c : c;
      all.im[k] = eighth < 4 ? -s : s;
    }
  };
  fill(fine, 1);
  fill(coarse, few);
  Complexes<T> all(n);
  for (Index k = 0; k < n; ++k) {
    const auto i = static_cast<std::size_t>(k % few), j = static_cast<std::size_t>(k / few);
    const auto at = static_cast<std::size_t>(k);
    all.re[at] = static_cast<T>(fine.re[i] * coarse.re[j] - fine.im[i] * coarse.im[j]);
    all.im[at] = static_cast<T>(fine.re[i] * coarse.im[j] + fine.im[i] * coarse.re[j]);
  }
  return all;
}

// Calls f<V>(q) for every q below count, V being as many elements at once as a register holds, or one.
template <class T, class F>
void for_packets(Index count, F f) {
  using Packet = typename Eigen::internal::packet_traits<T>::type;
  constexpr Index width = Eigen::internal::packet_traits<T>::size;
  Index q = 0;
  for (; q + width <= count; q += width) f.template operator()<Packet>(q);
  for (; q < count; ++q) f.template operator()<T>(q);
}
template <class V>
struct Number {
  V re, im;
  friend Number operator+(Number a, Number b) {
    using namespace Eigen::internal;
    return {padd(a.re, b.re), padd(a.im, b.im)};
  }
  friend Number operator-(Number a, Number b) {
    using namespace Eigen::internal;
    return {psub(a.re, b.re), psub(a.im, b.im)};
  }
  friend Number operator*(Number a, Number b) {
    using namespace Eigen::internal;
    return {psub(pmul(a.re, b.re), pmul(a.im, b.im)), padd(pmul(a.re, b.im), pmul(a.im, b.re))};
  }
  Number times(V real) const { return {Eigen::internal::pmul(re, real), Eigen::internal::pmul(im, real)}; }
  Number times_minus_i() const { return {im, Eigen::internal::pnegate(re)}; }
};
template <class V, class T>
Number<V> load(Parts<T> x, Index at) {
  return {Eigen::internal::ploadu<V>(x.re + at), Eigen::internal::ploadu<V>(x.im + at)};
}
template <class V, class T>
Number<V> everywhere(Parts<T> x, Index at) {  // one number for all
  return {Eigen::internal::pset1<V>(x.re[at]), Eigen::internal::pset1<V>(x.im[at])};
}
template <class V, class T>
void store(Parts<T> y, Index at, Number<V> value) {
  Eigen::internal::pstoreu(y.re + at, value.re);
  Eigen::internal::pstoreu(y.im + at, value.im);
}

// One step of a transform: of `radix` inputs `in` apart, their small transform, `out` apart, each but the
// first multiplied by a power of `root`. `count` of these lie side by side.
template <class T>
struct Butterfly {
  Index in, out, count;
  Parts<const T> root;
  Index power;

  void two(Parts<const T> x, Parts<T> y) const {
    for_packets<T>(count, [&]<class V>(Index q) {
      const auto a = load<V>(x, q), b = load<V>(x, q + in);
      store(y, q, a + b);
      store(y, q + out, (a - b) * everywhere<V>(root, power));
    });
  }
  void three(Parts<const T> x, Parts<T> y) const {
    for_packets<T>(count, [&]<class V>(Index q) {
      const auto a = load<V>(x, q), b = load<V>(x, q + in), c = load<V>(x, q + 2 * in);
      const auto sum = b + c, mean = a - sum.times(Eigen::internal::pset1<V>(T(0.5)));
      const auto turned =  // by sqrt(3) / 2
          (b - c).times(Eigen::internal::pset1<V>(static_cast<T>(0.86602540378443864676))).times_minus_i();
      store(y, q, a + sum);
      store(y, q + out, (mean + turned) * everywhere<V>(root, power));
      store(y, q + 2 * out, (mean - turned) * everywhere<V>(root, 2 * power));
    });
  }
  void four(Parts<const T> x, Parts<T> y) const {
    for_packets<T>(count, [&]<class V>(Index q) {
      const auto a = load<V>(x, q), b = load<V>(x, q + in), c = load<V>(x, q + 2 * in),
                 d = load<V>(x, q + 3 * in);
      const auto even = a + c, odd = b + d, difference = a - c, turned = (b - d).times_minus_i();
      store(y, q, even + odd);
      store(y, q + out, (difference + turned) * everywhere<V>(root, power));
      store(y, q + 2 * out, (even - odd) * everywhere<V>(root, 2 * power));
      store(y, q + 3 * out, (difference - turned) * everywhere<V>(root, 3 * power));
    });
  }
  // By its definition; root number k n / radix is number k of the small transform.
  void any(Index radix, Index n, Parts<const T> x, Parts<T> y) const {
    for_packets<T>(count, [&]<class V>(Index q) {
      for (Index k = 0; k < radix; ++k) {
        auto sum = load<V>(x, q);
        for (Index j = 1; j < radix; ++j)
          sum = sum + load<V>(x, q + j * in) * everywhere<V>(root, j * k % radix * (n / radix));
        store(y, q + k * out, k == 0 ? sum : sum * everywhere<V>(root, k * power));
      }
    });
  }
};

// The transform of lines side by side.
template <class T>
class SmoothTransform {
 public:
  explicit SmoothTransform(Index n) : n_(n), factors_(factors_of(n)), roots_(roots_of_unity<T>(n)) {}

  // Of n elements of `lines` lines in x, with as much scratch memory in y: where the result is.
  Parts<T> run(Index lines, Parts<T> x, Parts<T> y) const {
    Index left = n_, stride = lines;
    const Parts<const T> roots{roots_.re.data(), roots_.im.data()};
    for (const Index radix : factors_) {
      const Index m = left / radix, step = n_ / left;
      for (Index p = 0; p < m; ++p) {
        const Butterfly<T> butterfly{stride * m, stride, stride, roots, p * step};
        const Parts<const T> from{x.re + stride * p, x.im + stride * p};
        const Parts<T> to = y.from(stride * radix * p);
        if (radix == 4) {
          butterfly.four(from, to);
        } else if (radix == 2) {
          butterfly.two(from, to);
        } else if (radix == 3) {
          butterfly.three(from, to);
        } else {
          butterfly.any(radix, n_, from, to);
        }
      }
      left = m, stride *= radix;
      std::swap(x, y);
    }
    return x;
  }

 private:
  Index n_;
  RecycledVector<Index> factors_;
  Complexes<T> roots_;
};

// The smallest number from `least` on with no prime factor above 5.
Index smooth_from(Index least) {
  Index best = 1;
  while (best < least) best *= 2;
  for (Index fives = 1; fives < best; fives *= 5) {
    for (Index threes = fives; threes < best; threes *= 3) {
      Index all = threes;
      while (all < least) all *= 2;
      best = std::min(best, all);
    }
  }
  return best;
}

// exp(-pi i k^2 / n): x is multiplied by it, convolved with its conjugate, and multiplied again.
template <class T>
class ChirpTransform {
 public:
  explicit ChirpTransform(Index n)
      : n_(n), longer_(smooth_from(2 * n - 1)), smooth_(longer_), chirp_(n), spectrum_(longer_) {
    const Complexes<T> roots = roots_of_unity<T>(2 * n);
    for (Index k = 0, at = 0; k < n; at = (at + 2 * k + 1) % (2 * n), ++k) {
      chirp_.re[static_cast<std::size_t>(k)] = roots.re[static_cast<std::size_t>(at)];
      chirp_.im[static_cast<std::size_t>(k)] = roots.im[static_cast<std::size_t>(at)];
    }
    Complexes<T> a(longer_), b(longer_);
    for (Index k = 0; k < n; ++k) {
      for (const Index at : {k, (longer_ - k) % longer_}) {
        a.re[static_cast<std::size_t>(at)] = chirp_.re[static_cast<std::size_t>(k)];
        a.im[static_cast<std::size_t>(at)] = -chirp_.im[static_cast<std::size_t>(k)];
      }
    }
    const Parts<T> result = smooth_.run(1, parts(a), parts(b));
    for (std::size_t k = 0; k < static_cast<std::size_t>(longer_); ++k) {
      spectrum_.re[k] = result.re[k] / static_cast<T>(longer_);
      spectrum_.im[k] = result.im[k] / static_cast<T>(longer_);
    }
  }

  Index room() const { return longer_; }
  Parts<T> run(Index lines, Parts<T> x, Parts<T> y) const {
    multiply(n_, lines, chirp_, x);
    std::fill(x.re + n_ * lines, x.re + longer_ * lines, T(0));
    std::fill(x.im + n_ * lines, x.im + longer_ * lines, T(0));
    const Parts<T> there = smooth_.run(lines, x, y);
    multiply(longer_, lines, spectrum_, there);
    // Real and imaginary parts swapped before and after make it the inverse.
    const Parts<T> other = there.re == x.re ? y : x;
    const Parts<T> back = smooth_.run(lines, there.swapped(), other.swapped()).swapped();
    multiply(n_, lines, chirp_, back);
    return back;
  }

 private:
  static void multiply(Index n, Index lines, const Complexes<T>& by, Parts<T> x) {
    for (Index k = 0; k < n; ++k) {
      const T wr = by.re[static_cast<std::size_t>(k)], wi = by.im[static_cast<std::size_t>(k)];
      for (Index q = k * lines; q < (k + 1) * lines; ++q) {
        const T re = x.re[q], im = x.im[q];
        x.re[q] = re * wr - im * wi, x.im[q] = re * wi + im * wr;
      }
    }
  }

  Index n_, longer_;
  SmoothTransform<T> smooth_;
  Complexes<T> chirp_, spectrum_;
};

template <class T, class Transform>
void transform_lines(const Transform& transform, Index room, Index outer, Index n, Index inner, bool inverse,
                     T scale, const T* x, T* y) {
  const Index together = std::clamp<Index>((Index{1} << 16) / room, 1, 16);
  const Index count = outer * inner, blocks = (count + together - 1) / together;
  const Index cost = room * together * 8 + 1;  // of a block, roughly, in nanoseconds
  parallel_for(blocks, 2 * min_task_ns / cost + 1, [&](Index first_block, Index last_block) {
    Complexes<T> a(room * together), b(room * together);
    for (Index block = first_block; block < last_block; ++block) {
      const Index first = block * together, lines = std::min(together, count - first);
      const auto start = [&](Index line) {  // of a line, in complex numbers
        return (first + line) / inner * n * inner + (first + line) % inner;
      };
      Parts<T> from = parts(a), to = parts(b);
      for (Index line = 0; line < lines; ++line) {
        const T* source = x + 2 * start(line);
        for (Index k = 0; k < n; ++k, source += 2 * inner)
          from.re[k * lines + line] = source[0], from.im[k * lines + line] = source[1];
      }
      // Real and imaginary parts swapped before and after make it the inverse.
      if (inverse) from = from.swapped(), to = to.swapped();
      Parts<T> result = transform.run(lines, from, to);
      if (inverse) result = result.swapped();
      for (Index line = 0; line < lines; ++line) {
        T* target = y + 2 * start(line);
        for (Index k = 0; k < n; ++k, target += 2 * inner)
          target[0] = scale * result.re[k * lines + line], target[1] = scale * result.im[k * lines + line];
      }
    }
  });
}

}  // namespace

template <class T>
void fourier_transform(Index outer, Index n, Index inner, bool inverse, T scale, const T* x, T* y) {
  if (outer * n * inner == 0) return;
  if (std::ranges::any_of(factors_of(n), [](Index factor) { return factor > largest_radix; })) {
    const ChirpTransform<T> chirp(n);
    transform_lines(chirp, chirp.room(), outer, n, inner, inverse, scale, x, y);
  } else {
    transform_lines(SmoothTransform<T>(n), n, outer, n, inner, inverse, scale, x, y);
  }
}

template void fourier_transform(Index, Index, Index, bool, float, const float*, float*);
template void fourier_transform(Index, Index, Index, bool, double, const double*, double*);

}  // namespace gradweave
