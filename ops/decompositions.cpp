#include <gradweave/ops/decompositions.hpp>

#include <array>
#include <cmath>
#include <limits>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/graph/memory/storage.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/kernels/decompositions.hpp>
#include <gradweave/ops/kernels/gemm.hpp>
#include <gradweave/ops/kernels/matrices.hpp>
#include <gradweave/ops/linalg.hpp>
#include <gradweave/ops/matmul.hpp>
#include <gradweave/ops/rearrange.hpp>
#include <gradweave/ops/reduction.hpp>
#include <gradweave/ops/shape.hpp>
#include <gradweave/ops/statistics.hpp>

namespace gradweave {
namespace {

// Rows and columns of a matrix, and the smaller of these.
struct Sizes {
  Index m, n, k;
  explicit Sizes(const Spec& a) {
    require_matrices(a);
    m = a.shape[a.shape.rank() - 2], n = a.shape[a.shape.rank() - 1], k = std::min(m, n);
  }
};
[[noreturn]] void refuse_matrix(const Matrices& all, Index k, const char* what) {
  throw ValueError(all.name(k) + " has no " + what + ": an element is not finite");
}

struct Qr {
  static constexpr std::string_view name = "qr";
  static constexpr DTypes dtypes = matrix_dtypes;
  static Specs infer(const Spec& a) {
    const Sizes size(a);
    return {{with_last(a.shape, 2, {size.m, size.k}), a.dtype},
            {with_last(a.shape, 2, {size.k, size.n}), a.dtype}};
  }
  static void forward(Outputs y, const ArrayView& a) {
    const Matrices all(a), q(y[0]), r(y[1]);
    dispatch<floating>(a.dtype, [&]<class T>() {
      for_each_matrix(all.count, 3 * all.cubic(), [&](Index i) {
        dense::qr(all.rows, all.columns, all.at<T>(a, i), q.at<T>(y[0], i), r.at<T>(y[1], i));
      });
    });
  }
  // (Q' + Q copyltu(R R'^T - Q'^T Q)) R^-T (Walter and Lehmann, "Algorithmic differentiation of linear
  // algebra functions with application in optimum experimental design", 2018), of the first columns; the
  // others are Q R's.
  static void vjp(Pullback& p) {
    const Tensor q = p.output(0), r = p.output(1);
    const Index m = q.size(-2), n = r.size(-1);
    Tensor to_q = p.cotangent(0), to_r = p.cotangent(1), first = r;
    Tensor rest;
    if (m < n) {
      const Tensor to_others = slice(to_r, -1, m, n);
      rest = matmul(q, to_others);
      to_q = to_q + matmul(slice(p.input(0), -1, m, n), transpose(to_others));
      to_r = slice(to_r, -1, 0, m);
      first = slice(r, -1, 0, m);
    }
    const Tensor both = matmul(first, transpose(to_r)) - matmul(transpose(to_q), q);
    const Tensor x = to_q + matmul(q, tril(both) + transpose(tril(both, -1)));
    const Tensor to_first = transpose(solve_triangular(first, transpose(x), true));
    p.give(0, rest.is_empty() ? to_first : concat({to_first, rest}, -1));
  }
  static Samples samples() {
    return {{uniform(-2, 2, {4, 2})}, {uniform(-2, 2, {2, 2, 3})}, {uniform(-2, 2, {3, 3})}};
  }
};

// Decompositions leave the sign of vectors open: here the largest element of each column of `v`, the first of
// such, is positive. `f(j)` turns what belongs to column j.
template <class T, class F>
void turn_columns(Index rows, Index columns, T* v, F f) {
  for (Index j = 0; j < columns; ++j) {
    T largest = 0;
    for (Index i = 0; i < rows; ++i) {
      if (std::abs(v[i * columns + j]) > std::abs(largest)) largest = v[i * columns + j];
    }
    if (!(largest < T(0))) continue;
    for (Index i = 0; i < rows; ++i) v[i * columns + j] *= T(-1);
    f(j);
  }
}

struct EigH {
  static constexpr std::string_view name = "eigh";
  static constexpr DTypes dtypes = matrix_dtypes;
  static Specs infer(const Spec& a) {
    require_square(a);
    return {{with_last(a.shape, 1, {}), a.dtype}, a};
  }
  static void forward(Outputs y, const ArrayView& a) {
    const Matrices all(a);
    const Index n = all.rows;
    dispatch<floating>(a.dtype, [&]<class T>() {
      for_each_matrix(all.count, 8 * all.cubic(), [&](Index i) {
        RecycledVector<T> unread(static_cast<std::size_t>(y[0].data == nullptr ? n : 0));
        T* w = y[0].data == nullptr ? unread.data() : y[0].as<T>() + i * n;
        T* v = all.at<T>(y[1], i);
        if (!dense::eigh(n, all.at<T>(a, i), w, v)) refuse_matrix(all, i, "eigenvalues");
        if (v != nullptr) turn_columns(n, n, v, [](Index) {});
      });
    });
  }
  // V (diag(w') + (V^T V') / E) V^T with E[i, j] = w[j] - w[i] (Giles, "An extended collection of matrix
  // derivative results for forward and reverse mode algorithmic differentiation", 2008); of what reads the
  // lower triangle alone.
  static void vjp(Pullback& p) {
    const Tensor v = p.output(1);
    Tensor inner = diag_embed(p.cotangent(0));
    if (p.has_cotangent(1)) {
      const Tensor w = p.output(0);
      const Tensor gaps = expand_dims(w, -2) - expand_dims(w, -1);
      const Tensor same_one = eye(w.size(-1), DType::bool_);
      inner = inner + where(same_one, 0, matmul(transpose(v), p.cotangent(1)) / where(same_one, 1, gaps));
    }
    const Tensor g = matmul(matmul(v, inner), transpose(v));
    p.give(0, tril(g + transpose(g)) * (1 - 0.5 * eye(g.size(-1), g.dtype())));
  }
  // Eigenvalues that stay apart.
  static std::vector<Sample> samples() {
    const auto call = [](std::span<const Tensor> in) {
      const Tensor apart = diag(constant({1.0, 3.0, 6.0}, DType::float64));
      return gradweave::apply(EigH{}, {in[0] + cast(apart, in[0].dtype())});
    };
    return {{{uniform(-0.5, 0.5, {3, 3})}, call}};
  }
};

struct Svd {
  static constexpr std::string_view name = "svd";
  static constexpr DTypes dtypes = matrix_dtypes;
  static Specs infer(const Spec& a) {
    const Sizes size(a);
    return {{with_last(a.shape, 2, {size.m, size.k}), a.dtype},
            {with_last(a.shape, 2, {size.k}), a.dtype},
            {with_last(a.shape, 2, {size.k, size.n}), a.dtype}};
  }
  static void forward(Outputs y, const ArrayView& a) {
    const Matrices all(a);
    const Index m = all.rows, n = all.columns, k = std::min(m, n);
    const bool vectors = y[0].data != nullptr || y[2].data != nullptr;
    dispatch<floating>(a.dtype, [&]<class T>() {
      for_each_matrix(all.count, 16 * all.cubic(), [&](Index i) {
        std::array<RecycledVector<T>, 3> unread;
        const auto place = [&](std::size_t output, Index size) {
          if (y[output].data != nullptr) return y[output].as<T>() + i * size;
          unread[output].resize(static_cast<std::size_t>(size));
          return unread[output].data();
        };
        T* s = place(1, k);
        T* u = vectors ? place(0, m * k) : nullptr;
        T* vt = vectors ? place(2, k * n) : nullptr;
        if (!dense::svd(m, n, all.at<T>(a, i), u, s, vt)) refuse_matrix(all, i, "singular values");
        if (!vectors) return;
        turn_columns(m, k, u, [&](Index j) {
          for (T& element : std::span(vt + j * n, static_cast<std::size_t>(n))) element *= T(-1);
        });
      });
    });
  }
  // U ((skew(U^T U') / E) S + S (skew(V^T V') / E) + diag(s')) V^T with E[i, j] = s[j]^2 - s[i]^2, and what
  // lies outside of the spaces that U and V span (Giles, as above; Townsend, "Differentiating the singular
  // value decomposition", 2016).
  static void vjp(Pullback& p) {
    const Tensor u = p.output(0), s = p.output(1), vh = p.output(2);
    Tensor inner = diag_embed(p.cotangent(1));
    const Tensor s_row = expand_dims(s, -2), s_column = expand_dims(s, -1);
    const Tensor same_one = eye(s.size(-1), DType::bool_);
    const Tensor gaps = where(same_one, 1, (s_row - s_column) * (s_row + s_column));
    const auto skew = [&](const Tensor& x) { return (x - transpose(x)) / gaps; };
    Tensor outside;
    const auto add_outside = [&](const Tensor& term) {
      outside = outside.is_empty() ? term : outside + term;
    };
    if (p.has_cotangent(0)) {
      const Tensor g = p.cotangent(0), within = matmul(transpose(u), g);
      inner = inner + skew(within) * s_row;
      if (u.size(-2) > s.size(-1)) add_outside(matmul((g - matmul(u, within)) / s_row, vh));
    }
    if (p.has_cotangent(2)) {
      const Tensor g = p.cotangent(2), within = matmul(vh, transpose(g));
      inner = inner + skew(within) * s_column;
      if (vh.size(-1) > s.size(-1)) add_outside(matmul(u, (g - matmul(transpose(within), vh)) / s_column));
    }
    const Tensor all = matmul(matmul(u, inner), vh);
    p.give(0, outside.is_empty() ? all : all + outside);
  }
  // Singular values that stay apart.
  static std::vector<Sample> samples() {
    const auto of = [](Index m, Index n) {
      return Sample{{uniform(-0.3, 0.3, {m, n})}, [m, n](std::span<const Tensor> in) {
                      const DType dtype = in[0].dtype();
                      const Tensor apart = eye(m, n, dtype) * (1 + cast(arange(n), dtype) * 2);
                      return gradweave::apply(Svd{}, {in[0] + apart});
                    }};
    };
    return {of(3, 2), of(2, 3), of(2, 2)};
  }
};

// What counts as 0 beside a largest singular value of 1, where nobody says it.
double default_rtol(DType dtype, Index m, Index n) {
  const double epsilon = dtype == DType::float64 ? std::numeric_limits<double>::epsilon()
                                                 : static_cast<double>(std::numeric_limits<float>::epsilon());
  return epsilon * static_cast<double>(std::max(m, n));
}

struct Pinv {
  double rtol;
  static constexpr std::string_view name = "pinv";
  static constexpr DTypes dtypes = matrix_dtypes;
  static Spec infer(const Spec& a) {
    const Sizes size(a);
    return {with_last(a.shape, 2, {size.n, size.m}), a.dtype};
  }
  void forward(const RowRange& rows, const ArrayView&, const ArrayView& a) const {
    const Matrices all(a);
    const Index m = all.rows, n = all.columns, k = std::min(m, n);
    dispatch<floating>(a.dtype, [&]<class T>() {
      const auto least = static_cast<T>(rtol < 0 ? default_rtol(a.dtype, m, n) : rtol);
      RecycledVector<T> u(static_cast<std::size_t>(m * k)), s(static_cast<std::size_t>(k)),
          vt(static_cast<std::size_t>(k * n));
      for (Index row = 0; row < rows.count; ++row) {
        if (!dense::svd(m, n, all.at<T>(a, rows.first + row), u.data(), s.data(), vt.data()))
          refuse_matrix(all, rows.first + row, "singular values");
        for (Index j = 0; j < k; ++j) {
          const T value = s[static_cast<std::size_t>(j)];
          const T factor = value > least * s[0] ? 1 / value : T(0);
          for (T& element :
               std::span(vt).subspan(static_cast<std::size_t>(j * n), static_cast<std::size_t>(n)))
            element *= factor;
        }
        T* to = rows.as<T>() + row * rows.stride;
        gemm<T>(n, k, m, {0, n, 0, m}, {vt.data(), 1, n}, {u.data(), 1, k}, to, m);
      }
    });
  }
  static Index row_width(const ArrayView& y, const ArrayView&) { return Matrices(y).size(); }
  static Index row_cost(const ArrayView&, const ArrayView& a) { return 16 * Matrices(a).cubic(); }
  static Tensor vjp(const Tensor& g, const Tensor& a, const Tensor& y) {
    const Tensor gt = transpose(g), yt = transpose(y);
    const Tensor k = matmul(gt, y), in_rows = matmul(k, yt);
    return in_rows - transpose(matmul(y, k)) - matmul(matmul(a, y), in_rows) +
           matmul(yt, matmul(y, gt - matmul(k, a)));
  }
  static SamplesOf<Pinv> samples() {
    return {{{-1}, {uniform(-1, 1, {3, 2})}}, {{1e-3}, {uniform(-1, 1, {2, 2, 3})}}};
  }
};

}  // namespace

QR qr(const Operand& a) {
  const auto [q, r] = apply_outputs<2>(Qr{}, {a});
  return {q, r};
}
Eigh eigh(const Operand& a, bool upper) {
  const Tensor turned = upper ? transpose(a) : tensor_of(a, "eigh");
  const auto [w, v] = apply_outputs<2>(EigH{}, {Operand(turned, a.where())});
  return {w, v};
}
Tensor eigvalsh(const Operand& a, bool upper) { return eigh(a, upper).eigenvalues; }
SVD svd(const Operand& a) {
  const auto [u, s, vh] = apply_outputs<3>(Svd{}, {a});
  return {u, s, vh};
}
Tensor svdvals(const Operand& a) { return svd(a).s; }

Tensor pinv(const Operand& a, double rtol) { return apply(Pinv{rtol}, {a}); }
Tensor matrix_rank(const Operand& a, double rtol) {
  const Tensor s = svdvals(a);
  if (rtol < 0) rtol = default_rtol(s.dtype(), a.tensor()->size(-2), a.tensor()->size(-1));
  if (s.size(-1) == 0) return zeros(with_last(s.shape(), 1, {}), DType::int64);
  return count_nonzero(s > slice(s, -1, 0, 1) * rtol, {-1});
}

Tensor matrix_norm(const Operand& a, MatrixNorm kind, bool keepdims) {
  if (tensor_of(a, "matrix_norm").rank() < 2) refuse<ShapeError>("matrix_norm", {a}, "expected matrices");
  if (kind == MatrixNorm::frobenius) return norm(a, 2, {-2, -1}, keepdims);
  const Tensor all = sum(svdvals(a), {-1}, keepdims);
  return keepdims ? expand_dims(all, -1) : all;
}
Tensor matrix_norm(const Operand& a, double order, bool keepdims) {
  if (tensor_of(a, "matrix_norm").rank() < 2) refuse<ShapeError>("matrix_norm", {a}, "expected matrices");
  const double size = std::abs(order);
  Tensor values;
  if (size == 2) {
    values = svdvals(a);
  } else if (size == 1 || std::isinf(size)) {
    values = sum(abs(a), {size == 1 ? -2 : -1});
  } else {
    refuse<ValueError>("matrix_norm", {a}, "the order is none of 1, -1, 2, -2, infinity and -infinity");
  }
  Tensor all = order > 0 ? max(values, {-1}, keepdims) : min(values, {-1}, keepdims);
  return keepdims ? expand_dims(all, -1) : all;
}
Tensor cond(const Operand& a, double order) {
  if (std::abs(order) != 2) return matrix_norm(a, order) * matrix_norm(inverse(a), order);
  const Tensor s = svdvals(a), largest = select(s, -1, 0), smallest = select(s, -1, -1);
  return order > 0 ? largest / smallest : smallest / largest;
}

std::vector<const Operation*> decomposition_operations() {
  return {&operation_of<Qr>(), &operation_of<EigH>(), &operation_of<Svd>(), &operation_of<Pinv>()};
}

}  // namespace gradweave
