#include <gradweave/ops/matmul.hpp>

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/blocks.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/graph/refuse.hpp>
#include <gradweave/ops/shape.hpp>

namespace gradweave {
namespace {

template <class T>
using RowMajor = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using ColMajor = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::ColMajor>;
template <class Matrix>
using Mapped = Eigen::Map<const Matrix, Eigen::Unaligned, Eigen::OuterStride<>>;
template <class T>
using Column = Eigen::Matrix<T, Eigen::Dynamic, 1>;

// One matrix of a batch, as it lies in memory.
template <class T>
struct MatrixAt {
  const T* data;
  Index rows, cols, row_stride, col_stride;

  bool readable() const { return col_stride == 1 || row_stride == 1; }
  bool by_rows() const { return col_stride == 1; }
  Mapped<RowMajor<T>> rows_map() const { return {data, rows, cols, Eigen::OuterStride<>(row_stride)}; }
  Mapped<ColMajor<T>> cols_map() const { return {data, rows, cols, Eigen::OuterStride<>(col_stride)}; }
  template <class F>
  void visit(const F& f) const {
    if (by_rows()) {
      f(rows_map());
    } else {
      f(cols_map());
    }
  }
};

template <class T>
void multiply(const MatrixAt<T>& a, const MatrixAt<T>& b, T* out) {
  const Index n = a.rows, k = a.cols, m = b.cols;
  // Eigen prepares blocks for a product of any size; below some size a plain loop is faster.
  constexpr Index small = 1024;
  Eigen::Map<RowMajor<T>> y(out, n, m);
  if (k == 0) {
    y.setZero();
  } else if (n == 1 && m == 1) {
    T total = 0;
    for (Index i = 0; i < k; ++i) total += a.data[i * a.col_stride] * b.data[i * b.row_stride];
    *out = total;
  } else if (n * k * m <= small) {
    std::fill_n(out, n * m, T(0));
    for (Index i = 0; i < n; ++i) {
      for (Index l = 0; l < k; ++l) {
        const T factor = a.data[i * a.row_stride + l * a.col_stride];
        const T* row = b.data + l * b.row_stride;
        for (Index j = 0; j < m; ++j) out[i * m + j] += factor * row[j * b.col_stride];
      }
    }
  } else if (n == 1) {
    const Column<T> x =
        Eigen::Map<const Column<T>, 0, Eigen::InnerStride<>>(a.data, k, Eigen::InnerStride<>(a.col_stride));
    b.visit([&](const auto& matrix) { Eigen::Map<Column<T>>(out, m).noalias() = matrix.transpose() * x; });
  } else if (m == 1) {
    const Column<T> x =
        Eigen::Map<const Column<T>, 0, Eigen::InnerStride<>>(b.data, k, Eigen::InnerStride<>(b.row_stride));
    a.visit([&](const auto& matrix) { Eigen::Map<Column<T>>(out, n).noalias() = matrix * x; });
  } else {
    a.visit([&](const auto& left) { b.visit([&](const auto& right) { y.noalias() = left * right; }); });
  }
}

// Where each matrix of a batch lies, repeating along axes of size 1.
template <class T>
class Batch {
 public:
  Batch(const Array& x, Dims batch, bool transposed) : batch_(batch) {
    const Shape packed = row_major(x.shape);
    Dims strides = x.row_major() ? Dims(packed) : x.strides;
    const std::size_t r = x.shape.size();
    first_ = {x.as<const T>(), x.shape[r - 2], x.shape[r - 1], strides[r - 2], strides[r - 1]};
    if (first_.rows == 1) first_.row_stride = std::max<Index>(first_.cols, 1);
    if (first_.cols == 1 && first_.row_stride != 1) first_.col_stride = 1;
    if (!first_.readable()) {  // such as a broadcast: laid out plainly
      copy_.resize(static_cast<std::size_t>(x.size()));
      gather({x.data, x.dtype, x.shape, strides}, 0, x.size(), copy_.data());
      first_ = {copy_.data(), first_.rows, first_.cols, first_.cols, 1};
      strides = packed;
    }
    if (transposed) first_ = {first_.data, first_.cols, first_.rows, first_.col_stride, first_.row_stride};
    const std::size_t lead = batch.size() - (r - 2);
    for (std::size_t axis = 0; axis + 2 < r; ++axis) {
      strides_[lead + axis] = x.shape[axis] == 1 ? 0 : strides[axis];
    }
  }
  MatrixAt<T> operator[](Index number) const {
    MatrixAt<T> matrix = first_;
    for (std::size_t axis = batch_.size(); axis-- > 0;) {
      matrix.data += number % batch_[axis] * strides_[axis];
      number /= batch_[axis];
    }
    return matrix;
  }

 private:
  Dims batch_;
  MatrixAt<T> first_{};
  std::array<Index, max_rank> strides_{};
  std::vector<T> copy_;
};

Tensor product(const Operand& a, const Operand& b, bool transpose_a, bool transpose_b);

// op(a) op(b), where op transposes the last two axes if asked to. All four cases are closed under
// differentiation, so a gradient comes out in the layout of what it is the gradient of.
struct MatMul {
  bool transpose_a, transpose_b;
  static constexpr std::string_view name = "matmul";
  static constexpr bool takes_strides = true;
  Spec infer(const Spec& a, const Spec& b) const {
    const std::size_t ra = a.shape.rank(), rb = b.shape.rank();
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
  void forward(const Array& y, const Array& a, const Array& b) const {
    dispatch<numeric>(y.dtype, [&]<class T>() {
      const Dims batch = y.shape.first(y.shape.size() - 2);
      const Batch<T> left(a, batch, transpose_a), right(b, batch, transpose_b);
      const Index size = y.shape[y.shape.size() - 2] * y.shape[y.shape.size() - 1];
      if (size == 0) return;
      for (Index i = 0; i < numel(batch); ++i) multiply(left[i], right[i], y.as<T>() + i * size);
    });
  }
  Tensor vjp(std::size_t i, const Tensor& g, const Tensor& a, const Tensor& b, const Tensor&) const {
    if (i == 0) return transpose_a ? product(b, g, transpose_b, true) : product(g, b, false, !transpose_b);
    return transpose_b ? product(g, a, true, transpose_a) : product(a, g, !transpose_a, false);
  }
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

// What was transposed, if `x` only swaps the last two axes of it.
Tensor absorb_transpose(const Tensor& x, bool& transposed) {
  const Tensor plain = untransposed(x);
  transposed = static_cast<bool>(plain);
  return transposed ? plain : x;
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
  bool transpose_a = false, transpose_b = false;
  const Tensor plain_a = absorb_transpose(a, transpose_a), plain_b = absorb_transpose(b, transpose_b);
  return product(Operand(plain_a, at), Operand(plain_b, at), transpose_a, transpose_b);
}

std::vector<const Operation*> matmul_operations() { return {&operation_of<MatMul>()}; }

}  // namespace gradweave
