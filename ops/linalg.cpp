#include <gradweave/ops/linalg.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <Eigen/Dense>
#include <unsupported/Eigen/MatrixFunctions>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/matmul.hpp>
#include <gradweave/ops/rearrange.hpp>
#include <gradweave/ops/reduction.hpp>
#include <gradweave/ops/shape.hpp>

namespace gradweave {
namespace {

// Sums of many products are too much for halves.
constexpr DTypes matrix_dtypes = only(DType::float32) | only(DType::float64);

template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// The last two axes of an array, as stacks of matrices.
struct Matrices {
  Index rows, columns, count;
  explicit Matrices(const ArrayView& x)
      : rows(x.shape[x.shape.size() - 2]),
        columns(x.shape.back()),
        count(numel(x.shape.first(x.shape.size() - 2))) {}
  Index size() const { return rows * columns; }
  template <class T>
  auto at(const ArrayView& x, Index k) const {
    return Eigen::Map<const Matrix<T>>(x.as<T>() + k * size(), rows, columns);
  }
  template <class T>
  auto output(void* y, Index k) const {
    return Eigen::Map<Matrix<T>>(static_cast<T*>(y) + k * size(), rows, columns);
  }
};

void require_matrices(const Spec& a) {
  if (a.shape.rank() < 2) throw ShapeError("expected matrices");
}
void require_square(const Spec& a) {
  require_matrices(a);
  if (a.shape[a.shape.rank() - 1] != a.shape[a.shape.rank() - 2])
    throw ShapeError("expected square matrices");
}
void require_system(const Spec& a, const Spec& b) {
  require_square(a);
  if (b.shape.rank() != a.shape.rank() || b.shape[b.shape.rank() - 2] != a.shape[a.shape.rank() - 1] ||
      !same(Dims(a.shape).first(a.shape.rank() - 2), Dims(b.shape).first(b.shape.rank() - 2)))
    throw ShapeError("expected matrices A and B with as many rows, in stacks alike");
}
// A shape in front, then these axes.
Shape behind(Dims front, std::initializer_list<Index> axes) {
  std::vector<Index> sizes(front.begin(), front.end());
  sizes.insert(sizes.end(), axes);
  return Shape(Dims(sizes));
}
Shape without_last(const Shape& shape, std::size_t count, std::initializer_list<Index> axes) {
  return behind(Dims(shape).first(shape.rank() - count), axes);
}
std::string matrix_name(Index k, Index count) {
  return count == 1 ? "the matrix" : fmt::format("matrix {}", k);
}

Index cubic(const ArrayView& a) {
  const Index n = Matrices(a).rows;
  return n * n * n / 8 + 100;
}

// The gradient of what reads the lower triangle alone of a symmetric matrix whose gradient is `g`.
Tensor of_lower_triangle(const Tensor& g) {
  const Index n = g.size(-1);
  return tril(g + transpose(g)) * (1 - 0.5 * eye(n, g.dtype()));
}
Sample positive_definite_sample(const Operation& op) {  // reads no more than the lower triangle
  return {{uniform(-1, 1, {3, 3})}, [&op](std::span<const Tensor> in) {
            return apply(op, nullptr, std::vector<Operand>{in[0] + 4 * eye(3, in[0].dtype())});
          }};
}
// Decompositions leave the sign of a vector open: here its largest element, the first of such, is positive.
template <class Column>
bool is_turned(const Column& v) {
  Index largest = 0;
  for (Index i = 1; i < v.size(); ++i) {
    if (std::abs(v[i]) > std::abs(v[largest])) largest = i;
  }
  return v.size() > 0 && v[largest] < 0;
}

struct SolveTriangular {
  bool upper, unitriangular;
  static constexpr std::string_view name = "solve_triangular";
  static constexpr DTypes dtypes = matrix_dtypes;
  static constexpr bool throws = false;
  static Spec infer(const Spec& a, const Spec& b) {
    require_system(a, b);
    return b;
  }
  void forward(const RowRange& rows, const ArrayView& y, const ArrayView& a, const ArrayView& b) const {
    dispatch<floating>(a.dtype, [&]<class T>() {
      for (Index row = 0; row < rows.count; ++row) {
        const auto matrix = Matrices(a).at<T>(a, rows.first + row);
        auto x = Matrices(y).output<T>(rows.data, row);
        x = Matrices(b).at<T>(b, rows.first + row);
        if (upper && unitriangular) {
          matrix.template triangularView<Eigen::UnitUpper>().solveInPlace(x);
        } else if (upper) {
          matrix.template triangularView<Eigen::Upper>().solveInPlace(x);
        } else if (unitriangular) {
          matrix.template triangularView<Eigen::UnitLower>().solveInPlace(x);
        } else {
          matrix.template triangularView<Eigen::Lower>().solveInPlace(x);
        }
      }
    });
  }
  static Index row_width(const ArrayView& y, const ArrayView&, const ArrayView&) {
    return Matrices(y).size();
  }
  static Index row_cost(const ArrayView&, const ArrayView& a, const ArrayView&) { return cubic(a); }
  Tensor vjp(std::size_t i, const Tensor& g, const Tensor& a, const Tensor&, const Tensor& x) const {
    Tensor to_b = gradweave::apply(SolveTriangular{!upper, unitriangular}, {transpose(a), g});
    if (i == 1) return to_b;
    const Tensor to_a = -matmul(to_b, transpose(x));
    const Index diagonal = unitriangular ? 1 : 0;
    return upper ? triu(to_a, diagonal) : tril(to_a, -diagonal);
  }
  static SamplesOf<SolveTriangular> samples() {
    return {{{false, false}, {uniform(1, 2, {3, 3}), uniform(-2, 2, {3, 2})}},
            {{true, false}, {uniform(1, 2, {2, 2, 2}), uniform(-2, 2, {2, 2, 3})}},
            {{true, true}, {uniform(-1, 1, {3, 3}), uniform(-2, 2, {3, 1})}},
            {{false, true}, {uniform(-1, 1, {2, 2}), uniform(-2, 2, {2, 1})}}};
  }
};
Tensor triangular(const Tensor& a, const Tensor& b, bool upper) {
  return apply(SolveTriangular{upper, false}, {a, b});
}

struct Cholesky {
  static constexpr std::string_view name = "cholesky";
  static constexpr DTypes dtypes = matrix_dtypes;
  static Spec infer(const Spec& a) {
    require_square(a);
    return a;
  }
  static void forward(const RowRange& rows, const ArrayView& y, const ArrayView& a) {
    const Matrices all(a);
    dispatch<floating>(a.dtype, [&]<class T>() {
      for (Index row = 0; row < rows.count; ++row) {
        const Index k = rows.first + row;
        const Eigen::LLT<Matrix<T>> l(all.at<T>(a, k));
        const bool is_finite =
            all.at<T>(a, k).template triangularView<Eigen::Lower>().toDenseMatrix().allFinite();
        if (l.info() != Eigen::Success || !is_finite)
          throw ValueError(matrix_name(k, all.count) + " is not positive definite");
        Matrices(y).output<T>(rows.data, row) = l.matrixL();
      }
    });
  }
  static Index row_width(const ArrayView& y, const ArrayView&) { return Matrices(y).size(); }
  static Index row_cost(const ArrayView&, const ArrayView& a) { return cubic(a); }
  // L^-T P L^-1, where P is the lower triangle of L^T G with half its diagonal (Murray, "Differentiation of
  // the Cholesky decomposition", 2016).
  static Tensor vjp(const Tensor& g, const Tensor&, const Tensor& l) {
    const Tensor p = tril(matmul(transpose(l), tril(g))) * (1 - 0.5 * eye(l.size(-1), l.dtype()));
    const Tensor half = triangular(transpose(l), p, true);
    return of_lower_triangle(triangular(transpose(l), transpose(half), true));
  }
  static std::vector<Sample> samples();
};
std::vector<Sample> Cholesky::samples() { return {positive_definite_sample(operation_of<Cholesky>())}; }

template <class T>
auto decomposed(const Matrices& all, const ArrayView& a, Index k) {
  return Eigen::PartialPivLU<Matrix<T>>(all.at<T>(a, k));
}

struct Solve {
  static constexpr std::string_view name = "solve";
  static constexpr DTypes dtypes = matrix_dtypes;
  static Spec infer(const Spec& a, const Spec& b) {
    require_system(a, b);
    return b;
  }
  static void forward(const RowRange& rows, const ArrayView& y, const ArrayView& a, const ArrayView& b) {
    const Matrices all(a);
    if (all.rows == 0) return;
    dispatch<floating>(a.dtype, [&]<class T>() {
      for (Index row = 0; row < rows.count; ++row) {
        const Index k = rows.first + row;
        const auto lu = decomposed<T>(all, a, k);
        if ((lu.matrixLU().diagonal().array() == T(0)).any())
          throw ValueError(matrix_name(k, all.count) + " is singular");
        Matrices(y).output<T>(rows.data, row) = lu.solve(Matrices(b).at<T>(b, k));
      }
    });
  }
  static Index row_width(const ArrayView& y, const ArrayView&, const ArrayView&) {
    return Matrices(y).size();
  }
  static Index row_cost(const ArrayView&, const ArrayView& a, const ArrayView&) { return 2 * cubic(a); }
  static Tensor vjp(std::size_t i, const Tensor& g, const Tensor& a, const Tensor&, const Tensor& x) {
    const Tensor to_b = gradweave::apply(Solve{}, {transpose(a), g});
    return i == 1 ? to_b : -matmul(to_b, transpose(x));
  }
  static std::vector<Sample> samples();
};
// Far from singular.
std::vector<Sample> Solve::samples() {
  const auto call = [](std::span<const Tensor> in) {
    return gradweave::apply(Solve{}, {in[0] + 3 * eye(in[0].size(-1), in[0].dtype()), in[1]});
  };
  return {{{uniform(-1, 1, {3, 3}), uniform(-2, 2, {3, 2})}, call},
          {{uniform(-1, 1, {2, 2, 2}), uniform(-2, 2, {2, 2, 1})}, call}};
}

// The matrix of cofactors, det(A) A^-T where A is not singular.
struct Cofactors {
  static constexpr std::string_view name = "cofactors";
  static constexpr DTypes dtypes = matrix_dtypes;
  static constexpr bool throws = false;
  static Spec infer(const Spec& a) {
    require_square(a);
    return a;
  }
  static void forward(const RowRange& rows, const ArrayView& y, const ArrayView& a) {
    const Matrices all(a);
    if (all.rows == 0) return;
    dispatch<floating>(a.dtype, [&]<class T>() {
      for (Index row = 0; row < rows.count; ++row) {
        auto to = Matrices(y).output<T>(rows.data, row);
        const auto lu = decomposed<T>(all, a, rows.first + row);
        if (lu.rcond() > std::numeric_limits<T>::epsilon()) {
          to = lu.determinant() * lu.inverse().transpose();
          continue;
        }
        // U diag(product of the other singular values) V', with the sign of both.
        const Eigen::JacobiSVD<Matrix<T>> svd(all.at<T>(a, rows.first + row),
                                              Eigen::ComputeFullU | Eigen::ComputeFullV);
        auto others = svd.singularValues().eval();
        for (Index i = 0; i < others.size(); ++i) {
          others[i] = 1;
          for (Index j = 0; j < others.size(); ++j) others[i] *= j == i ? T(1) : svd.singularValues()[j];
        }
        const T sign = svd.matrixU().determinant() * svd.matrixV().determinant();
        to = (sign < 0 ? T(-1) : T(1)) * (svd.matrixU() * others.asDiagonal() * svd.matrixV().transpose());
      }
    });
  }
  static Index row_width(const ArrayView& y, const ArrayView&) { return Matrices(y).size(); }
  static Index row_cost(const ArrayView&, const ArrayView& a) { return 4 * cubic(a); }
  static Tensor vjp(const Tensor& g, const Tensor& a, const Tensor& c) {
    const Tensor all = sum(g * c, {-1, -2}, true) * c - matmul(matmul(c, transpose(g)), c);
    return all / expand_dims(expand_dims(det(a), -1), -1);
  }
  static std::vector<Sample> samples();
};

struct Det {
  static constexpr std::string_view name = "det";
  static constexpr DTypes dtypes = matrix_dtypes;
  static constexpr bool throws = false;
  static Spec infer(const Spec& a) {
    require_square(a);
    return {without_last(a.shape, 2, {}), a.dtype};
  }
  static void forward(const ArrayView& y, const ArrayView& a) {
    const Matrices all(a);
    dispatch<floating>(a.dtype, [&]<class T>() {
      for (Index k = 0; k < all.count; ++k)
        y.as<T>()[k] = all.rows == 0 ? T(1) : decomposed<T>(all, a, k).determinant();
    });
  }
  static Tensor vjp(const Tensor& g, const Tensor& a, const Tensor&) {
    return expand_dims(expand_dims(g, -1), -1) * gradweave::apply(Cofactors{}, {a});
  }
  static std::vector<Sample> samples();
};
template <class Op>
std::vector<Sample> far_from_singular() {
  const auto call = [](std::span<const Tensor> in) {
    return gradweave::apply(Op{}, {in[0] + 2 * eye(in[0].size(-1), in[0].dtype())});
  };
  return {{{uniform(-1, 1, {3, 3})}, call}, {{uniform(-1, 1, {2, 2, 2})}, call}};
}
std::vector<Sample> Cofactors::samples() { return far_from_singular<Cofactors>(); }
std::vector<Sample> Det::samples() { return far_from_singular<Det>(); }

struct SlogDet {
  static constexpr std::string_view name = "slogdet";
  static constexpr DTypes dtypes = matrix_dtypes;
  static constexpr bool throws = false;
  static Specs infer(const Spec& a) {
    require_square(a);
    const Spec each{without_last(a.shape, 2, {}), a.dtype};
    return {each, each};
  }
  static void forward(Outputs y, const ArrayView& a) {
    const Matrices all(a);
    dispatch<floating>(a.dtype, [&]<class T>() {
      for (Index k = 0; k < all.count; ++k) {
        T sign = 1, logarithm = 0;
        if (all.rows > 0) {
          const auto lu = decomposed<T>(all, a, k);
          sign = static_cast<T>(lu.permutationP().determinant());
          for (const T pivot : lu.matrixLU().diagonal()) {
            sign *= pivot == T(0) ? T(0) : std::copysign(T(1), pivot);
            logarithm += std::log(std::abs(pivot));
          }
        }
        if (y[0].data != nullptr) y[0].as<T>()[k] = sign;
        if (y[1].data != nullptr) y[1].as<T>()[k] = logarithm;
      }
    });
  }
  static void vjp(Pullback& p) {
    if (!p.has_cotangent(1)) return;
    p.give(0, expand_dims(expand_dims(p.cotangent(1), -1), -1) * transpose(inverse(p.input(0))));
  }
  static std::vector<Sample> samples() { return far_from_singular<SlogDet>(); }
};

struct Qr {
  static constexpr std::string_view name = "qr";
  static constexpr DTypes dtypes = matrix_dtypes;
  static constexpr bool throws = false;
  static Specs infer(const Spec& a) {
    require_matrices(a);
    const Index m = a.shape[a.shape.rank() - 2], n = a.shape[a.shape.rank() - 1], k = std::min(m, n);
    return {{without_last(a.shape, 2, {m, k}), a.dtype}, {without_last(a.shape, 2, {k, n}), a.dtype}};
  }
  static void forward(Outputs y, const ArrayView& a) {
    const Matrices all(a);
    const Index k = std::min(all.rows, all.columns);
    if (k == 0) return;
    dispatch<floating>(a.dtype, [&]<class T>() {
      for (Index i = 0; i < all.count; ++i) {
        const Eigen::HouseholderQR<Matrix<T>> qr(all.at<T>(a, i));
        if (y[0].data != nullptr)
          Matrices(y[0]).output<T>(y[0].data, i) = qr.householderQ() * Matrix<T>::Identity(all.rows, k);
        if (y[1].data != nullptr)
          Matrices(y[1]).output<T>(y[1].data, i) =
              qr.matrixQR().topRows(k).template triangularView<Eigen::Upper>();
      }
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
      rest = matmul(q, slice(to_r, -1, m, n));
      to_q = to_q + matmul(slice(p.input(0), -1, m, n), transpose(slice(to_r, -1, m, n)));
      to_r = slice(to_r, -1, 0, m);
      first = slice(r, -1, 0, m);
    }
    const Tensor both = matmul(first, transpose(to_r)) - matmul(transpose(to_q), q);
    const Tensor symmetric = tril(both) + transpose(tril(both, -1));
    const Tensor x = to_q + matmul(q, symmetric);
    const Tensor to_first = transpose(triangular(first, transpose(x), true));
    p.give(0, rest.is_empty() ? to_first : concat({to_first, rest}, -1));
  }
  static Samples samples() { return {{uniform(-2, 2, {4, 2})}, {uniform(-2, 2, {2, 2, 3})}}; }
};

struct EigH {
  static constexpr std::string_view name = "eigh";
  static constexpr DTypes dtypes = matrix_dtypes;
  static Specs infer(const Spec& a) {
    require_square(a);
    return {{without_last(a.shape, 1, {}), a.dtype}, a};
  }
  static void forward(Outputs y, const ArrayView& a) {
    const Matrices all(a);
    if (all.rows == 0) return;
    dispatch<floating>(a.dtype, [&]<class T>() {
      for (Index i = 0; i < all.count; ++i) {
        const bool vectors = y[1].data != nullptr;
        const Eigen::SelfAdjointEigenSolver<Matrix<T>> solver(
            all.at<T>(a, i), vectors ? Eigen::ComputeEigenvectors : Eigen::EigenvaluesOnly);
        if (solver.info() != Eigen::Success || !solver.eigenvalues().allFinite())
          throw ValueError(matrix_name(i, all.count) + " has no eigenvalues: an element is not finite");
        if (y[0].data != nullptr) std::ranges::copy(solver.eigenvalues(), y[0].as<T>() + i * all.rows);
        if (!vectors) continue;
        auto v = Matrices(y[1]).output<T>(y[1].data, i);
        v = solver.eigenvectors();
        for (Index k = 0; k < v.cols(); ++k) {
          if (is_turned(v.col(k))) v.col(k) *= T(-1);
        }
      }
    });
  }
  // V (diag(w') + (V^T V') / E) V^T with E[i, j] = w[j] - w[i] (Giles, "An extended collection of matrix
  // derivative results for forward and reverse mode algorithmic differentiation", 2008).
  static void vjp(Pullback& p) {
    const Tensor v = p.output(1);
    Tensor inner = diag_embed(p.cotangent(0));
    if (p.has_cotangent(1)) {
      const Tensor w = p.output(0);
      const Tensor gaps = expand_dims(w, -2) - expand_dims(w, -1);
      const Tensor same_one = eye(w.size(-1), DType::bool_);
      const Tensor apart =
          where(same_one, 0, matmul(transpose(v), p.cotangent(1)) / where(same_one, 1, gaps));
      inner = inner + apart;
    }
    p.give(0, of_lower_triangle(matmul(matmul(v, inner), transpose(v))));
  }
  static std::vector<Sample> samples();
};
// Eigenvalues that stay apart. The sign of a vector is open, but steady near a point.
std::vector<Sample> EigH::samples() {
  const auto call = [](std::span<const Tensor> in) {
    const Tensor apart = diag(constant({1.0, 3.0, 6.0}, DType::float64));
    return gradweave::apply(EigH{}, {in[0] + cast(apart, in[0].dtype())});
  };
  return {{{uniform(-0.5, 0.5, {3, 3})}, call}};
}

struct Svd {
  static constexpr std::string_view name = "svd";
  static constexpr DTypes dtypes = matrix_dtypes;
  static Specs infer(const Spec& a) {
    require_matrices(a);
    const Index m = a.shape[a.shape.rank() - 2], n = a.shape[a.shape.rank() - 1], k = std::min(m, n);
    return {{without_last(a.shape, 2, {m, k}), a.dtype},
            {without_last(a.shape, 2, {k}), a.dtype},
            {without_last(a.shape, 2, {k, n}), a.dtype}};
  }
  static void forward(Outputs y, const ArrayView& a) {
    const Matrices all(a);
    const Index k = std::min(all.rows, all.columns);
    if (k == 0) return;
    dispatch<floating>(a.dtype, [&]<class T>() {
      for (Index i = 0; i < all.count; ++i) {
        if (!all.at<T>(a, i).allFinite())
          throw ValueError(matrix_name(i, all.count) + " has no singular values: an element is not finite");
        const bool vectors = y[0].data != nullptr || y[2].data != nullptr;
        const Eigen::BDCSVD<Matrix<T>> svd(all.at<T>(a, i),
                                           vectors ? Eigen::ComputeThinU | Eigen::ComputeThinV : 0);
        if (y[1].data != nullptr) std::ranges::copy(svd.singularValues(), y[1].as<T>() + i * k);
        if (!vectors) continue;
        for (Index j = 0; j < k; ++j) {
          const T sign = is_turned(svd.matrixU().col(j)) ? T(-1) : T(1);
          if (y[0].data != nullptr)
            Matrices(y[0]).output<T>(y[0].data, i).col(j) = sign * svd.matrixU().col(j);
          if (y[2].data != nullptr)
            Matrices(y[2]).output<T>(y[2].data, i).row(j) = sign * svd.matrixV().col(j).transpose();
        }
      }
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
  static std::vector<Sample> samples();
};
std::vector<Sample> Svd::samples() {
  const auto of = [](Index m, Index n) {
    return Sample{{uniform(-0.3, 0.3, {m, n})}, [m, n](std::span<const Tensor> in) {
                    const Tensor apart = eye(m, n, in[0].dtype()) * (1 + cast(arange(n), in[0].dtype()) * 2);
                    return gradweave::apply(Svd{}, {in[0] + apart});
                  }};
  };
  return {of(3, 2), of(2, 3), of(2, 2)};
}

struct MatrixExp {
  static constexpr std::string_view name = "matrix_exp";
  static constexpr DTypes dtypes = matrix_dtypes;
  static constexpr bool throws = false;
  static Spec infer(const Spec& a) {
    require_square(a);
    return a;
  }
  static void forward(const RowRange& rows, const ArrayView& y, const ArrayView& a) {
    const Matrices all(a);
    if (all.rows == 0) return;
    dispatch<floating>(a.dtype, [&]<class T>() {
      for (Index row = 0; row < rows.count; ++row) {
        const Matrix<T> matrix = all.at<T>(a, rows.first + row);
        auto to = Matrices(y).output<T>(rows.data, row);
        if (matrix.allFinite()) {
          to = matrix.exp();
        } else {
          to.setConstant(std::numeric_limits<T>::quiet_NaN());
        }
      }
    });
  }
  static Index row_width(const ArrayView& y, const ArrayView&) { return Matrices(y).size(); }
  static Index row_cost(const ArrayView&, const ArrayView& a) { return 20 * cubic(a); }
  // The corner of exp((A', G; 0, A')) (Al-Mohy and Higham, "Computing the Frechet derivative of the matrix
  // exponential", 2009).
  static Tensor vjp(const Tensor& g, const Tensor& a, const Tensor&) {
    const Index n = a.size(-1);
    const Tensor at = transpose(a);
    const Tensor block = concat({concat({at, g}, -1), concat({zeros(a.shape(), a.dtype()), at}, -1)}, -2);
    return slice(slice(gradweave::apply(MatrixExp{}, {block}), -2, 0, n), -1, n, 2 * n);
  }
  static Samples samples() { return {{uniform(-1, 1, {3, 3})}, {uniform(-1, 1, {2, 2, 2})}}; }
};

// Both with the axes in front that they have together.
struct System {
  Tensor a, b;
  bool is_vector;
  System(const Operand& matrix, const Operand& right, std::string_view op) {
    a = tensor_of(matrix, op), b = tensor_of(right, op);
    if (a.rank() < 2) refuse<ShapeError>(op, {matrix, right}, "expected matrices");
    // As NumPy 2 and PyTorch: a vector, or a stack of those for a stack of matrices.
    is_vector =
        b.rank() == 1 || (b.rank() + 1 == a.rank() && same(b.shape(), Dims(a.shape()).first(b.rank())));
    if (is_vector) b = expand_dims(Operand(b, right.where()), -1);
    if (b.rank() < 2) refuse<ShapeError>(op, {matrix, right}, "expected a matrix or a vector");
    const Shape front_a = without_last(a.shape(), 2, {}), front_b = without_last(b.shape(), 2, {});
    Shape front;
    try {
      front = broadcast(front_a, front_b);
    } catch (const Error&) {
      rethrow_situated(op, std::array{matrix, right});
    }
    a = broadcast_to(Operand(a, matrix.where()), behind(front, {a.size(-2), a.size(-1)}));
    b = broadcast_to(Operand(b, right.where()), behind(front, {b.size(-2), b.size(-1)}));
  }
  Tensor result(const Tensor& x) const { return is_vector ? squeeze(x, -1) : x; }
};

}  // namespace

Tensor cholesky(const Operand& a) { return gradweave::apply(Cholesky{}, {a}); }
Tensor cholesky_solve(const Operand& b, const Operand& l) {
  const System s(l, b, "cholesky_solve");
  return s.result(triangular(transpose(s.a), triangular(s.a, s.b, false), true));
}
Tensor solve(const Operand& a, const Operand& b) {
  const System s(a, b, "solve");
  return s.result(gradweave::apply(Solve{}, {Operand(s.a, a.where()), s.b}));
}
Tensor solve_triangular(const Operand& a, const Operand& b, bool upper, bool unitriangular) {
  const System s(a, b, "solve_triangular");
  return s.result(apply(SolveTriangular{upper, unitriangular}, {Operand(s.a, a.where()), s.b}));
}
Tensor inverse(const Operand& a) {
  if (tensor_of(a, "inverse").rank() < 2) refuse<ShapeError>("inverse", {a}, "expected matrices");
  const Tensor identity = eye(a.tensor()->size(-1), a.tensor()->dtype());
  return gradweave::apply(Solve{}, {a, broadcast_to(identity, a.tensor()->shape())});
}
Tensor det(const Operand& a) { return gradweave::apply(Det{}, {a}); }
SignAndLog slogdet(const Operand& a) {
  const auto [sign, logabsdet] = apply_outputs<2>(SlogDet{}, {a});
  return {sign, logabsdet};
}
QR qr(const Operand& a) {
  const auto [q, r] = apply_outputs<2>(Qr{}, {a});
  return {q, r};
}
Eigh eigh(const Operand& a) {
  const auto [w, v] = apply_outputs<2>(EigH{}, {a});
  return {w, v};
}
SVD svd(const Operand& a) {
  const auto [u, s, vh] = apply_outputs<3>(Svd{}, {a});
  return {u, s, vh};
}

Tensor lstsq(const Operand& a, const Operand& b) {
  const System s(a, b, "lstsq");
  if (s.a.size(-2) < s.a.size(-1))
    refuse<ShapeError>("lstsq", {a, b}, "expected at least as many rows as columns");
  const auto [q, r] = qr(Operand(s.a, a.where()));
  return s.result(triangular(r, matmul(transpose(q), s.b), true));
}
Tensor pinv(const Operand& a, double rcond) {
  const auto [u, s, vh] = svd(a);
  if (s.numel() == 0) return transpose(zeros(a.tensor()->shape(), a.tensor()->dtype()));
  const DType dtype = a.tensor()->dtype();
  const double epsilon = dtype == DType::float64 ? std::numeric_limits<double>::epsilon()
                                                 : static_cast<double>(std::numeric_limits<float>::epsilon());
  if (rcond < 0) rcond = epsilon * static_cast<double>(std::max(a.tensor()->size(-1), a.tensor()->size(-2)));
  const Tensor counts = s > max(s, {-1}, true) * rcond;
  const Tensor inverted = where(counts, 1 / where(counts, s, 1), 0);
  return matmul(transpose(vh) * expand_dims(inverted, -2), transpose(u));
}
Tensor matrix_exp(const Operand& a) { return gradweave::apply(MatrixExp{}, {a}); }
Tensor matrix_power(const Operand& a, Index exponent) {
  const Tensor& matrix = tensor_of(a, "matrix_power");
  if (matrix.rank() < 2 || matrix.size(-1) != matrix.size(-2))
    refuse<ShapeError>("matrix_power", {a}, "expected square matrices");
  Tensor power = exponent < 0 ? inverse(a) : matrix, result;
  // The bits of the exponent, squaring between them.
  for (std::uint64_t left = exponent < 0 ? 0 - static_cast<std::uint64_t>(exponent)
                                         : static_cast<std::uint64_t>(exponent);
       left != 0; left >>= 1U) {
    if ((left & 1U) != 0) result = result.is_empty() ? power : matmul(result, power);
    if (left > 1) power = matmul(power, power);
  }
  return result.is_empty() ? broadcast_to(eye(matrix.size(-1), matrix.dtype()), matrix.shape()) : result;
}

std::vector<const Operation*> linalg_operations() {
  return {&operation_of<SolveTriangular>(),
          &operation_of<Cholesky>(),
          &operation_of<Solve>(),
          &operation_of<Cofactors>(),
          &operation_of<Det>(),
          &operation_of<SlogDet>(),
          &operation_of<Qr>(),
          &operation_of<EigH>(),
          &operation_of<Svd>(),
          &operation_of<MatrixExp>()};
}

}  // namespace gradweave
