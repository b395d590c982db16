#include <gradweave/ops/linalg.hpp>

#include <array>
#include <limits>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/decompositions.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/kernels/decompositions.hpp>
#include <gradweave/ops/kernels/matrices.hpp>
#include <gradweave/ops/matmul.hpp>
#include <gradweave/ops/rearrange.hpp>
#include <gradweave/ops/reduction.hpp>
#include <gradweave/ops/shape.hpp>

namespace gradweave {
namespace {

Spec square_like(const Spec& a) {
  require_square(a);
  return a;
}
Spec solution_of(const Spec& a, const Spec& b) {
  require_square(a);
  if (b.shape.rank() != a.shape.rank() || b.shape[b.shape.rank() - 2] != a.shape[a.shape.rank() - 1] ||
      !same(Dims(a.shape).first(a.shape.rank() - 2), Dims(b.shape).first(b.shape.rank() - 2)))
    throw ShapeError("expected matrices A and B with as many rows, in stacks alike");
  return b;
}
// A sample with a multiple of the identity added to its matrix: far from singular.
template <class Op>
Sample away_from_singular(double shift, std::vector<InputSpec> inputs) {
  return {std::move(inputs), [shift](std::span<const Tensor> in) {
            const Tensor matrix = in[0] + shift * eye(in[0].size(-1), in[0].dtype());
            return in.size() == 1 ? gradweave::apply(Op{}, {matrix})
                                  : gradweave::apply(Op{}, {matrix, in.back()});
          }};
}
template <class Op>
std::vector<Sample> square_samples() {
  return {away_from_singular<Op>(2, {uniform(-1, 1, {3, 3})}),
          away_from_singular<Op>(2, {uniform(-1, 1, {2, 2, 2})})};
}
Tensor as_matrix_factor(const Tensor& number) { return expand_dims(expand_dims(number, -1), -1); }

// kernel(n, A, Y) for each matrix of a stack; where it says that there is no Y, `refusal` says why.
template <class Kernel>
void each_square(const RowRange& rows, const ArrayView& a, std::string_view refusal, const Kernel& kernel) {
  const Matrices all(a);
  dispatch<floating>(a.dtype, [&]<class T>() {
    for (Index row = 0; row < rows.count; ++row) {
      const Index k = rows.first + row;
      if (!kernel(all.rows, all.at<T>(a, k), rows.as<T>() + row * rows.stride))
        throw ValueError(all.name(k).append(refusal));
    }
  });
}

struct SolveTriangular {
  bool upper, unitriangular;
  static constexpr std::string_view name = "solve_triangular";
  static constexpr DTypes dtypes = matrix_dtypes;
  static constexpr bool throws = false;
  static Spec infer(const Spec& a, const Spec& b) { return solution_of(a, b); }
  void forward(const RowRange& rows, const ArrayView& y, const ArrayView& a, const ArrayView& b) const {
    const Matrices systems(a), right(y);
    dispatch<floating>(a.dtype, [&]<class T>() {
      for (Index row = 0; row < rows.count; ++row) {
        const Index k = rows.first + row;
        T* x = rows.as<T>() + row * rows.stride;
        std::copy_n(right.at<T>(b, k), right.size(), x);
        dense::solve_triangular(right.rows, right.columns, upper, unitriangular, systems.at<T>(a, k), x);
      }
    });
  }
  static Index row_width(const ArrayView& y, const ArrayView&, const ArrayView&) {
    return Matrices(y).size();
  }
  static Index row_cost(const ArrayView& y, const ArrayView&, const ArrayView&) {
    return Matrices(y).size() * Matrices(y).rows / 8 + 100;
  }
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
  static Spec infer(const Spec& a) { return square_like(a); }
  static void forward(const RowRange& rows, const ArrayView&, const ArrayView& a) {
    each_square(rows, a, " is not positive definite",
                [](Index n, const auto* from, auto* to) { return dense::cholesky(n, from, to); });
  }
  static Index row_width(const ArrayView& y, const ArrayView&) { return Matrices(y).size(); }
  static Index row_cost(const ArrayView&, const ArrayView& a) { return Matrices(a).cubic() / 2; }
  // L^-T P L^-1, where P is the lower triangle of L^T G with half its diagonal (Murray, "Differentiation of
  // the Cholesky decomposition", 2016); of what reads the lower triangle alone.
  static Tensor vjp(const Tensor& g, const Tensor&, const Tensor& l) {
    const Tensor half_diagonal = 1 - 0.5 * eye(l.size(-1), l.dtype());
    const Tensor p = tril(matmul(transpose(l), tril(g))) * half_diagonal;
    const Tensor half = triangular(transpose(l), p, true);
    const Tensor to_a = triangular(transpose(l), transpose(half), true);
    return tril(to_a + transpose(to_a)) * half_diagonal;
  }
  static std::vector<Sample> samples() {  // reads no more than the lower triangle
    return {away_from_singular<Cholesky>(4, {uniform(-1, 1, {3, 3})})};
  }
};

struct Solve {
  static constexpr std::string_view name = "solve";
  static constexpr DTypes dtypes = matrix_dtypes;
  static Spec infer(const Spec& a, const Spec& b) { return solution_of(a, b); }
  static void forward(const RowRange& rows, const ArrayView& y, const ArrayView& a, const ArrayView& b) {
    const Matrices systems(a), right(y);
    dispatch<floating>(a.dtype, [&]<class T>() {
      for (Index row = 0; row < rows.count; ++row) {
        const Index k = rows.first + row;
        if (!dense::solve(right.rows, right.columns, systems.at<T>(a, k), right.at<T>(b, k),
                          rows.as<T>() + row * rows.stride))
          throw ValueError(systems.name(k) + " is singular");
      }
    });
  }
  static Index row_width(const ArrayView& y, const ArrayView&, const ArrayView&) {
    return Matrices(y).size();
  }
  static Index row_cost(const ArrayView&, const ArrayView& a, const ArrayView&) {
    return 2 * Matrices(a).cubic();
  }
  static Tensor vjp(std::size_t i, const Tensor& g, const Tensor& a, const Tensor&, const Tensor& x) {
    const Tensor to_b = gradweave::apply(Solve{}, {transpose(a), g});
    return i == 1 ? to_b : -matmul(to_b, transpose(x));
  }
  static std::vector<Sample> samples() {
    return {away_from_singular<Solve>(3, {uniform(-1, 1, {3, 3}), uniform(-2, 2, {3, 2})}),
            away_from_singular<Solve>(3, {uniform(-1, 1, {2, 2, 2}), uniform(-2, 2, {2, 2, 1})})};
  }
};

struct Inverse {
  static constexpr std::string_view name = "inverse";
  static constexpr DTypes dtypes = matrix_dtypes;
  static Spec infer(const Spec& a) { return square_like(a); }
  static void forward(const RowRange& rows, const ArrayView&, const ArrayView& a) {
    each_square(rows, a, " is singular", []<class T>(Index n, const T* from, T* to) {
      return dense::solve<T>(n, n, from, nullptr, to);
    });
  }
  static Index row_width(const ArrayView& y, const ArrayView&) { return Matrices(y).size(); }
  static Index row_cost(const ArrayView&, const ArrayView& a) { return 3 * Matrices(a).cubic(); }
  static Tensor vjp(const Tensor& g, const Tensor&, const Tensor& y) {
    return -matmul(transpose(y), matmul(g, transpose(y)));
  }
  static std::vector<Sample> samples() { return square_samples<Inverse>(); }
};

// The derivative of the determinant.
struct Cofactors {
  static constexpr std::string_view name = "cofactors";
  static constexpr DTypes dtypes = matrix_dtypes;
  static Spec infer(const Spec& a) { return square_like(a); }
  static void forward(const RowRange& rows, const ArrayView&, const ArrayView& a) {
    each_square(rows, a, "", [](Index n, const auto* from, auto* to) {
      dense::cofactors(n, from, to);
      return true;
    });
  }
  static Index row_width(const ArrayView& y, const ArrayView&) { return Matrices(y).size(); }
  static Index row_cost(const ArrayView&, const ArrayView& a) { return 4 * Matrices(a).cubic(); }
  static Tensor vjp(const Tensor& g, const Tensor& a, const Tensor& c) {
    const Tensor all = sum(g * c, {-1, -2}, true) * c - matmul(matmul(c, transpose(g)), c);
    return all / as_matrix_factor(det(a));
  }
  static std::vector<Sample> samples() { return square_samples<Cofactors>(); }
};

struct Det {
  static constexpr std::string_view name = "det";
  static constexpr DTypes dtypes = matrix_dtypes;
  static Spec infer(const Spec& a) {
    require_square(a);
    return {with_last(a.shape, 2, {}), a.dtype};
  }
  static void forward(const ArrayView& y, const ArrayView& a) {
    const Matrices all(a);
    dispatch<floating>(a.dtype, [&]<class T>() {
      for_each_matrix(all.count, all.cubic(),
                      [&](Index k) { y.as<T>()[k] = dense::determinant(all.rows, all.at<T>(a, k)).value; });
    });
  }
  static Tensor vjp(const Tensor& g, const Tensor& a, const Tensor&) {
    return as_matrix_factor(g) * gradweave::apply(Cofactors{}, {a});
  }
  static std::vector<Sample> samples() { return square_samples<Det>(); }
};

struct SlogDet {
  static constexpr std::string_view name = "slogdet";
  static constexpr DTypes dtypes = matrix_dtypes;
  static Specs infer(const Spec& a) {
    require_square(a);
    const Spec each{with_last(a.shape, 2, {}), a.dtype};
    return {each, each};
  }
  static void forward(Outputs y, const ArrayView& a) {
    const Matrices all(a);
    dispatch<floating>(a.dtype, [&]<class T>() {
      for_each_matrix(all.count, all.cubic(), [&](Index k) {
        const auto found = dense::determinant(all.rows, all.at<T>(a, k));
        if (y[0].data != nullptr) y[0].as<T>()[k] = found.sign;
        if (y[1].data != nullptr) y[1].as<T>()[k] = found.logarithm;
      });
    });
  }
  static void vjp(Pullback& p) {
    if (p.has_cotangent(1)) p.give(0, as_matrix_factor(p.cotangent(1)) * transpose(inverse(p.input(0))));
  }
  static std::vector<Sample> samples() { return square_samples<SlogDet>(); }
};

struct MatrixExp {
  static constexpr std::string_view name = "matrix_exp";
  static constexpr DTypes dtypes = matrix_dtypes;
  static Spec infer(const Spec& a) { return square_like(a); }
  static void forward(const RowRange& rows, const ArrayView&, const ArrayView& a) {
    each_square(rows, a, "", [](Index n, const auto* from, auto* to) {
      dense::matrix_exp(n, from, to);
      return true;
    });
  }
  static Index row_width(const ArrayView& y, const ArrayView&) { return Matrices(y).size(); }
  static Index row_cost(const ArrayView&, const ArrayView& a) { return 10 * Matrices(a).cubic(); }
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

// A and B of A X = B, with the axes in front that they have together; of X A = B transposed.
struct System {
  Tensor a, b;
  bool is_vector, left;
  System(const Operand& matrix, const Operand& right, std::string_view op, bool from_left = true)
      : a(tensor_of(matrix, op)), b(tensor_of(right, op)), left(from_left) {
    if (a.rank() < 2) refuse<ShapeError>(op, {matrix, right}, "expected matrices");
    // As NumPy 2 and PyTorch: a vector, or a stack of those for a stack of matrices.
    is_vector =
        b.rank() == 1 || (b.rank() + 1 == a.rank() && same(b.shape(), Dims(a.shape()).first(b.rank())));
    if (is_vector) b = expand_dims(Operand(b, right.where()), left ? -1 : -2);
    if (b.rank() < 2) refuse<ShapeError>(op, {matrix, right}, "expected a matrix or a vector");
    if (!left) a = transpose(Operand(a, matrix.where())), b = transpose(Operand(b, right.where()));
    const Shape front_a = with_last(a.shape(), 2, {}), front_b = with_last(b.shape(), 2, {});
    Shape front;
    try {
      front = broadcast(front_a, front_b);
    } catch (const Error&) {
      rethrow_situated(op, std::array{matrix, right});
    }
    a = broadcast_to(Operand(a, matrix.where()), behind(front, {a.size(-2), a.size(-1)}));
    b = broadcast_to(Operand(b, right.where()), behind(front, {b.size(-2), b.size(-1)}));
  }
  Tensor result(const Tensor& x) const {
    if (is_vector) return squeeze(x, -1);
    return left ? x : transpose(x);
  }
};

}  // namespace

Tensor cholesky(const Operand& a, bool upper) {
  if (!upper) return apply<Cholesky>(a);
  const Tensor turned = transpose(a);
  return transpose(apply<Cholesky>(Operand(turned, a.where())));
}
Tensor cholesky_solve(const Operand& b, const Operand& l, bool upper) {
  const System s(l, b, "cholesky_solve");
  const Tensor lower = upper ? transpose(s.a) : s.a;
  return s.result(triangular(transpose(lower), triangular(lower, s.b, false), true));
}
Tensor cholesky_inverse(const Operand& l, bool upper) {
  const Tensor& factor = tensor_of(l, "cholesky_inverse");
  if (factor.rank() < 2) refuse<ShapeError>("cholesky_inverse", {l}, "expected a matrix");
  return cholesky_solve(eye(factor.size(-1), factor.dtype()), l, upper);
}
Tensor solve(const Operand& a, const Operand& b, bool left) {
  const System s(a, b, "solve", left);
  return s.result(gradweave::apply(Solve{}, {Operand(s.a, a.where()), s.b}));
}
Tensor solve_triangular(const Operand& a, const Operand& b, bool upper, bool left, bool unitriangular) {
  const System s(a, b, "solve_triangular", left);
  return s.result(apply(SolveTriangular{upper == left, unitriangular}, {Operand(s.a, a.where()), s.b}));
}
Tensor inverse(const Operand& a) { return apply<Inverse>(a); }
Tensor lstsq(const Operand& a, const Operand& b) {
  const System s(a, b, "lstsq");
  if (s.a.size(-2) >= s.a.size(-1)) {
    const auto [q, r] = qr(Operand(s.a, a.where()));
    return s.result(triangular(r, matmul(transpose(q), s.b), true));
  }
  const auto [q, r] = qr(Operand(transpose(s.a), a.where()));
  return s.result(matmul(q, triangular(transpose(r), s.b, false)));
}

Tensor det(const Operand& a) { return apply<Det>(a); }
SignAndLog slogdet(const Operand& a) {
  const auto [sign, logabsdet] = apply_outputs<2>(SlogDet{}, {a});
  return {sign, logabsdet};
}
Tensor logdet(const Operand& a) {
  const auto [sign, logabsdet] = slogdet(a);
  return where(sign < 0, std::numeric_limits<double>::quiet_NaN(), logabsdet);
}

Tensor matrix_exp(const Operand& a) { return apply<MatrixExp>(a); }
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
  return {&operation_of<SolveTriangular>(), &operation_of<Cholesky>(),  &operation_of<Solve>(),
          &operation_of<Inverse>(),         &operation_of<Cofactors>(), &operation_of<Det>(),
          &operation_of<SlogDet>(),         &operation_of<MatrixExp>()};
}

}  // namespace gradweave
