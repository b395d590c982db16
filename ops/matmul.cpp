#include <gradweave/ops/matmul.hpp>

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/graph/rewrite.hpp>
#include <gradweave/ops/kernels/batch.hpp>
#include <gradweave/ops/kernels/gemm.hpp>
#include <gradweave/ops/shape.hpp>

namespace gradweave {
namespace {

// A matrix that is no batch.
template <class T>
MatrixAt<T> matrix_of(const ArrayView& x, bool transposed) {
  const Index rows = x.shape[0], cols = x.shape[1];
  const MatrixAt<T> matrix{
      {x.as<const T>(), x.row_major() ? cols : x.strides[0], x.row_major() ? 1 : x.strides[1]}, rows, cols};
  return transposed ? matrix.transposed() : matrix;
}

// Of so few numbers that calling anything would take longer than multiplying them.
template <class T>
void few_products(const RowRange& rows, const MatrixAt<T>& a, const MatrixAt<T>& b) {
  T* out = rows.as<T>();
  for (Index i = rows.first; i < rows.first + rows.count; ++i, out += rows.stride) {
    for (Index j = 0; j < rows.columns; ++j) {
      T sum = 0;
      for (Index l = 0; l < a.cols; ++l)
        sum = add_product(sum, *a.at.from(i, l).data, *b.at.from(l, rows.first_column + j).data);
      out[j] = sum;
    }
  }
}

Tensor product(const Operand& a, const Operand& b, bool transpose_a, bool transpose_b);

// op(a) op(b), where op transposes the last two axes if asked to. All four cases are closed under
// differentiation, so a gradient comes out in the layout of what it is the gradient of.
struct MatMul {
  bool transpose_a, transpose_b;
  static constexpr std::string_view name = "matmul";
  static constexpr bool broadcasts = true;
  static constexpr bool throws = false;
  static constexpr bool takes_strides = true;
  Spec infer(const Spec& a, const Spec& b) const {
    const std::size_t ra = a.shape.rank(), rb = b.shape.rank();
    if (ra < 2 || rb < 2) throw ShapeError("expected matrices");
    const Index inner = a.shape[ra - (transpose_a ? 2 : 1)], other = b.shape[rb - (transpose_b ? 1 : 2)];
    if (inner != other) {
      throw ShapeError(fmt::format("inner sizes {} and {} differ{}", inner, other,
                                   transpose_a || transpose_b ? fmt::format(" (the {} is transposed)",
                                                                            transpose_a ? "first" : "second")
                                                              : ""));
    }
    Shape shape = broadcast(Dims(a.shape).first(ra - 2), Dims(b.shape).first(rb - 2));
    shape.push_back(a.shape[ra - (transpose_a ? 1 : 2)]);
    shape.push_back(b.shape[rb - (transpose_b ? 2 : 1)]);
    return {shape, a.dtype};
  }
  // Of the rows of all matrices of the batch, one behind the other.
  void forward(const RowRange& rows, const ArrayView& y, const ArrayView& a, const ArrayView& b) const {
    dispatch<numeric>(y.dtype, [&]<class T>() {
      if (a.shape.size() == 2 && b.shape.size() == 2 && a.row_major() && b.row_major()) {
        const MatrixAt<T> l = matrix_of<T>(a, transpose_a), r = matrix_of<T>(b, transpose_b);
        if (l.rows * l.cols * r.cols <= 16) return few_products(rows, l, r);
        const Part part{rows.first, rows.count, rows.first_column, rows.columns};
        return gemm(l.rows, l.cols, r.cols, part, l.at, r.at, rows.as<T>(), rows.stride);
      }
      const Dims batch = y.shape.first(y.shape.size() - 2);
      const Batch<T> left(a, batch, transpose_a), right(b, batch, transpose_b);
      const Index n = y.shape[y.shape.size() - 2];
      T* out = rows.as<T>();
      for (Index row = rows.first, end = rows.first + rows.count; row < end;) {
        const MatrixAt<T> l = left[row / n], r = right[row / n];
        const Index count = std::min(n - row % n, end - row);
        gemm(n, l.cols, r.cols, {row % n, count, 0, r.cols}, l.at, r.at, out, rows.stride);
        row += count;
        out += count * rows.width;
      }
    });
  }
  Index row_cost(const ArrayView& y, const ArrayView& a, const ArrayView&) const {
    const Index m = y.shape.back(), k = a.shape[a.shape.size() - (transpose_a ? 2 : 1)];
    return m * k / 40 + m / 8;
  }
  double flops(const ArrayView& y, const ArrayView& a, const ArrayView&) const {
    return 2.0 * static_cast<double>(y.size()) *
           static_cast<double>(a.shape[a.shape.size() - (transpose_a ? 2 : 1)]);
  }
  // Of small matrices several whole ones; of a large one at least as many rows as make up for laying out b
  // anew, unless so little is done with b that what follows had better find the rows in the first cache.
  Index row_tile(const ArrayView& y, const ArrayView& a, const ArrayView&) const {
    const Index m = std::max<Index>(y.shape.back(), 1), n = std::max<Index>(y.shape[y.shape.size() - 2], 1);
    const Index k = a.shape[a.shape.size() - (transpose_a ? 2 : 1)];
    if (k == 1) return std::max<Index>(4096 / m, 1);
    constexpr Index elements = 0x20000, least = 64;
    const Index rows = std::max(elements / m, least);
    return rows > n ? rows / n * n : rows;
  }
  // Of few rows a good part of the time goes into laying out b anew: each thread does its own columns of
  // that.
  Index column_tile(const ArrayView& y, const ArrayView& a, const ArrayView& b) const {
    constexpr Index few = 64, least = 32;
    const bool plain = a.shape.size() == 2 && b.shape.size() == 2 && a.row_major() && b.row_major();
    return plain && transpose_b && y.shape[0] <= few && y.shape[1] >= 2 * least ? least : 0;
  }
  // Such as the gradient of a weight that one sample gives.
  bool outer(const ArrayView&, const ArrayView& a, const ArrayView& b) const {
    const bool plain = a.shape.size() == 2 && b.shape.size() == 2 && a.row_major() && b.row_major();
    return plain && a.shape[transpose_a ? 0 : 1] == 1;
  }
  Tensor vjp(std::size_t i, const Tensor& g, const Tensor& a, const Tensor& b, const Tensor&) const {
    if (i == 0) return transpose_a ? product(b, g, transpose_b, true) : product(g, b, false, !transpose_b);
    return transpose_b ? product(g, a, true, transpose_a) : product(a, g, !transpose_a, false);
  }
  // Operands that are transposed are read as they lie.
  static Term of_transposed(const Term& y) {
    if (!y.is<MatMul>()) return {};
    MatMul op = *y.as<MatMul>();
    std::array inputs{y.input(0), y.input(1)};
    const Term plain_a = untransposed(inputs[0]), plain_b = untransposed(inputs[1]);
    if (plain_a) op.transpose_a = !op.transpose_a, inputs[0] = plain_a;
    if (plain_b) op.transpose_b = !op.transpose_b, inputs[1] = plain_b;
    return plain_a || plain_b ? term_of(op, inputs) : Term();
  }
  // (a b)' = b' a'
  static Term transposed(const Term& y) {
    const Term product = untransposed(y);
    if (!product || !product.is<MatMul>()) return {};
    const MatMul& op = *product.as<MatMul>();
    return term_of(MatMul{!op.transpose_b, !op.transpose_a}, {product.input(1), product.input(0)});
  }
  // The gradient of a weight that serves at every step of a sequence: a' b + c' d = (a; c)' (b; d), one long
  // product instead of many sums, where the products are larger than what they are made of.
  static Term long_product(const Term& y) {
    if (y.operation() != &add_operation() || !y.input(0).is<MatMul>()) return {};
    std::vector<Term> left, right;
    left.reserve(y.input_count()), right.reserve(y.input_count());
    for (std::size_t i = y.input_count();
         i-- > 0;) {  // in the order of the sequence, as its gradient is joined
      const Term term = y.input(i);
      const MatMul& op = *term.as<MatMul>();
      const Shape a = term.input(0).shape(), b = term.input(1).shape(), all = y.shape();
      if (!op.transpose_a || op.transpose_b || a.rank() != 2 || b.rank() != 2) return {};
      if (!same(term.shape(), all) || numel(a) + numel(b) > numel(all)) return {};
      left.push_back(term.input(0)), right.push_back(term.input(1));
    }
    return term_of(MatMul{true, false}, {concat(left, -2), concat(right, -2)});
  }
  static constexpr std::array rewrites{Rewrite{"matmul of transposed", Rewrite::of_op, of_transposed},
                                       Rewrite{"matmul transposed", Rewrite::of_readers, transposed},
                                       Rewrite{"one long matmul", Rewrite::of_readers, long_product}};
  static SamplesOf<MatMul> samples() {
    return {{{false, false}, {uniform(-2, 2, {2, 3}), uniform(-2, 2, {3, 4})}},
            {{true, false}, {uniform(-2, 2, {3, 2}), uniform(-2, 2, {3, 4})}},
            {{false, true}, {uniform(-2, 2, {3, 3}), uniform(-2, 2, {3, 3})}},
            {{true, true}, {uniform(-2, 2, {3, 2}), uniform(-2, 2, {4, 3})}},
            {{false, false}, {uniform(-2, 2, {2, 1, 2, 3}), uniform(-2, 2, {2, 3, 2})}}};
  }
};

Tensor product(const Operand& a, const Operand& b, bool transpose_a, bool transpose_b) {
  return apply(MatMul{transpose_a, transpose_b}, {a, b});
}

}  // namespace

Tensor matmul(const Operand& left, const Operand& right) {
  if (left.tensor() == nullptr || right.tensor() == nullptr)
    refuse<ShapeError>("matmul", {left, right}, "a number is not a matrix; use *");
  const Tensor &a = tensor_of(left, "matmul"), &b = tensor_of(right, "matmul");
  const std::size_t ra = a.rank(), rb = b.rank();
  if (ra == 0 || rb == 0) refuse<ShapeError>("matmul", {left, right}, "a scalar is not a matrix; use *");
  const std::source_location at = left.where();
  if (ra == 1) return squeeze(matmul(Operand(expand_dims(a, 0), at), right), rb == 1 ? -1 : -2);
  if (rb == 1) return squeeze(matmul(left, Operand(expand_dims(b, 1), at)), -1);
  if (ra > 2 && rb == 2 && a.numel() != 0) {  // one product of all rows instead of a batch of them
    const Shape shape = a.shape();
    std::vector<Index> sizes(shape.begin(), shape.end());
    sizes.back() = b.size(1);
    return reshape(matmul(Operand(reshape(a, {-1, shape[ra - 1]}), at), right), Dims(sizes));
  }
  return product(left, right, false, false);
}

Tensor linear(const Operand& x, const Operand& weight) {
  const bool plain = tensor_of(x, "linear").rank() == 2 && tensor_of(weight, "linear").rank() == 2;
  if (plain) return product(x, weight, false, true);
  return matmul(x, transpose(weight));
}

std::vector<const Operation*> matmul_operations() { return {&operation_of<MatMul>()}; }

}  // namespace gradweave
