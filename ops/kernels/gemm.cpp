// Products in tiles: a few rows times two vectors of columns, whose sums stay in registers while k goes by.
// The right operand is copied strip by strip (the columns of one tile) so that it is read in order; the left
// one only where its columns are contiguous and used often. As in Goto and van de Geijn, "Anatomy of
// High-Performance Matrix Multiplication" (2008), but with vectors that GCC and Clang translate for any
// processor.
#include <gradweave/ops/kernels/gemm.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>

#include <gradweave/graph/memory/storage.hpp>

namespace gradweave {
namespace {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64, tile_rows = 12;  // 24 of 32 registers hold sums
#elif defined(__AVX__)
constexpr int vector_bytes = 32, tile_rows = 6;  // 12 of 16
#else
constexpr int vector_bytes = 16, tile_rows = 6;
#endif
constexpr Index depth_limit = 512;  // of k at a time: a strip of the right operand stays in the cache
constexpr Index left_limit = Index{240} * 512;  // and so do this many elements of the left one

template <class T>
struct VectorOf {
  using type __attribute__((vector_size(vector_bytes))) = T;
};
template <class T>
using Vector = typename VectorOf<T>::type;
template <class T>
constexpr Index lanes = vector_bytes / sizeof(T);
template <class T>
constexpr Index strip_width = 2 * lanes<T>;

// By memcpy, which no compiler takes for aligned.
template <class T, class V = Vector<T>>
V load(const T* from) {
  V values;
  std::memcpy(&values, from, sizeof(V));
  return values;
}
template <class T>
void store(T* to, Vector<T> values, bool add) {
  if (add) values += load(to);
  std::memcpy(to, &values, sizeof(values));
}

// `count` elements, less than 2 `most`, in pieces of fixed size.
template <class T, Index most>
void store_some(T* to, const T* from, Index count, bool add) {
  if ((count & most) != 0) {
    for (Index j = 0; j < most; ++j) to[j] = add ? to[j] + from[j] : from[j];
    to += most, from += most;
  }
  if constexpr (most > 1) store_some<T, most / 2>(to, from, count, add);
}

// R rows times N vectors of columns, of which `columns` are wanted. RowRange are reached from every third
// one, for a processor adds one or two strides to a pointer at no cost; they lie side by side when
// `by_columns`. (Operands come by reference: copies of what was just written in parts wait for all stores
// before.)
template <class T, int R, int N, bool by_columns>
void tile(Index k, const Strided<T>& a, const Strided<T>& b, T* out, Index out_row, Index columns, bool add) {
  constexpr int near = by_columns ? R : 3;
  const Index step = by_columns ? 1 : a.row, next_left = a.col, next_right = b.row;
  std::array<const T*, (R - 1) / near + 1> left;
  left[0] = a.data;
  for (std::size_t q = 1; q < left.size(); ++q) left[q] = left[q - 1] + near * a.row;
  Vector<T> sum[R][N];
#pragma GCC unroll 16
  for (auto& row : sum) {
    for (Vector<T>& s : row) s = Vector<T>{};
  }
  const T* from = b.data;
  for (Index l = 0; l < k; ++l, from += next_right) {
    Vector<T> right[N];
    for (int j = 0; j < N; ++j) right[j] = load(from + j * lanes<T>);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      const T factor = left[i / near][i % near * step];
      for (int j = 0; j < N; ++j) sum[i][j] += factor * right[j];
    }
    for (const T*& at : left) at += next_left;
  }
  // Unrolled, for what is indexed by a variable has to lie in memory.
  if (columns == N * lanes<T>) {
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i, out += out_row) {
      for (int j = 0; j < N; ++j) store(out + j * lanes<T>, sum[i][j], add);
    }
    return;
  }
  T rows[R][N * lanes<T>];
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
    for (int j = 0; j < N; ++j) store(&rows[i][j * lanes<T>], sum[i][j], false);
  }
  for (int i = 0; i < R; ++i) store_some<T, N * lanes<T> / 2>(out + i * out_row, rows[i], columns, add);
}

// The left operand, `rows` by `depth`: as it lies, or panel after panel of tile_rows rows.
template <class T>
struct Left {
  Index rows, depth;
  Strided<T> a;
  bool panels;
  Strided<T> from(Index i) const {
    return panels ? Strided<T>{a.data + i / tile_rows * tile_rows * depth + i % tile_rows, 1, tile_rows}
                  : a.from(i, 0);
  }
};

template <class T, int N, bool by_columns>
void tiles(const Left<T>& left, const Strided<T>& b, T* out, Index out_row, Index columns, bool add) {
  Index i = 0;
  const auto rows_by = [&]<int R>() {
    for (; i + R <= left.rows; i += R)
      tile<T, R, N, by_columns>(left.depth, left.from(i), b, out + i * out_row, out_row, columns, add);
  };
  rows_by.template operator()<tile_rows>();
  if constexpr (tile_rows > 8) rows_by.template operator()<8>();
  rows_by.template operator()<4>();
  rows_by.template operator()<2>();
  rows_by.template operator()<1>();
}

template <class T>
void strip(const Left<T>& left, const Strided<T>& b, T* out, Index out_row, Index columns, bool add) {
  const bool narrow = columns <= lanes<T>, by_columns = left.a.row == 1;
  const auto run = narrow ? (by_columns ? tiles<T, 1, true> : tiles<T, 1, false>)
                          : (by_columns ? tiles<T, 2, true> : tiles<T, 2, false>);
  run(left, b, out, out_row, columns, add);
}

template <class T>
void pack_left(Left<T>& left, T* to) {
  // A few columns of k at a time: what a panel leaves of a cache line is still near when the next one comes.
  constexpr Index near = 8;
  for (Index first = 0; first < left.depth; first += near) {
    const Index last = std::min(first + near, left.depth);
    for (Index i = 0; i < left.rows; i += tile_rows) {
      const Index count = std::min<Index>(tile_rows, left.rows - i);
      T* panel = to + i * left.depth + first * tile_rows;
      const T* from = left.a.data + i + first * left.a.col;
      for (Index l = first; l < last; ++l, panel += tile_rows, from += left.a.col) {
        if (count == tile_rows) {
          std::memcpy(panel, from, tile_rows * sizeof(T));
        } else {
          std::copy_n(from, count, panel);
        }
      }
    }
  }
  left.a = {to, 1, tile_rows};
  left.panels = true;
}

// RowRange of a strip; what is beyond `columns` may be anything.
template <class T>
void pack_rows(Strided<T> b, Index depth, Index columns, T* to) {
  for (Index l = 0; l < depth; ++l, to += strip_width<T>) {
    const T* from = b.data + l * b.row;
    if ((depth - 1 - l) * b.row >= strip_width<T> - columns) {  // reads on into the rows that follow
      store(to, load(from), false);
      store(to + lanes<T>, load(from + lanes<T>), false);
    } else {
      std::copy_n(from, columns, to);
    }
  }
}

// The same of columns that are contiguous: transposed, four by four.
template <class T>
void pack_columns(Strided<T> b, Index depth, Index columns, T* to) {
  using Four __attribute__((vector_size(4 * sizeof(T)))) = T;
  constexpr Index width = strip_width<T>;
  const auto column = [&](Index j) { return b.data + std::min(j, columns - 1) * b.col; };
  Index l = 0;
  for (; b.row == 1 && l + 4 <= depth; l += 4) {
    for (Index j = 0; j < width; j += 4) {
      const auto four = [&](Index s) { return load<T, Four>(column(j + s) + l); };
      const Four p = four(0), q = four(1), r = four(2), s = four(3);
      const Four front_a = __builtin_shufflevector(p, q, 0, 4, 1, 5),
                 front_b = __builtin_shufflevector(r, s, 0, 4, 1, 5);
      const Four back_a = __builtin_shufflevector(p, q, 2, 6, 3, 7),
                 back_b = __builtin_shufflevector(r, s, 2, 6, 3, 7);
      const auto put = [&](Index row, Four v) { std::memcpy(to + (l + row) * width + j, &v, sizeof(v)); };
      put(0, __builtin_shufflevector(front_a, front_b, 0, 1, 4, 5));
      put(1, __builtin_shufflevector(front_a, front_b, 2, 3, 6, 7));
      put(2, __builtin_shufflevector(back_a, back_b, 0, 1, 4, 5));
      put(3, __builtin_shufflevector(back_a, back_b, 2, 3, 6, 7));
    }
  }
  for (; l < depth; ++l) {
    for (Index j = 0; j < width; ++j) to[l * width + j] = column(j)[l * b.row];
  }
}

template <class T>
void tiled(Index n, Index k, Index m, Strided<T> a, Strided<T> b, T* out, Index out_row) {
  constexpr Index width = strip_width<T>;
  alignas(64) T right[depth_limit * width];
  Ref<Storage> panels;
  const Index rows_limit = left_limit / std::min(depth_limit, k) / tile_rows * tile_rows;
  for (Index i = 0; i < n; i += rows_limit) {
    for (Index l = 0; l < k; l += depth_limit) {
      Left<T> left{std::min(rows_limit, n - i), std::min(depth_limit, k - l), a.from(i, l), false};
      if (a.row == 1 && a.col != 1 && m > 2 * width) {
        if (!panels) panels = allocate_storage(left_limit * sizeof(T));
        pack_left(left, reinterpret_cast<T*>(panels->data));
      }
      for (Index j = 0; j < m; j += width) {
        const Index columns = std::min(width, m - j);
        Strided<T> strip_of_b = b.from(l, j);
        if (b.col != 1 || columns < width || left.rows > 3 * tile_rows) {
          (b.col == 1 ? pack_rows<T> : pack_columns<T>)(strip_of_b, left.depth, columns, right);
          strip_of_b = {right, width, 1};
        }
        strip(left, strip_of_b, out + i * out_row + j, out_row, columns, l > 0);
      }
    }
  }
}

// A column times a row.
template <class T>
void outer(Index n, Index m, Strided<T> a, const T* row, T* out, Index out_row) {
  for (Index i = 0; i < n; ++i, out += out_row) {
    const T factor = *a.from(i, 0).data;
    Index j = 0;
    for (; j + lanes<T> <= m; j += lanes<T>) store(out + j, factor * load(row + j), false);
    for (; j < m; ++j) out[j] = factor * row[j];
  }
}

// One row: the wider the tile, the more sums are under way at once.
template <class T>
void row_times(Index k, Index m, Strided<T> a, Strided<T> b, T* out) {
  for (Index first = 0; first < k; first += depth_limit) {
    const Index depth = std::min(depth_limit, k - first);
    Index j = 0;
    const auto columns_by = [&]<int N>() {
      for (; j + N * lanes<T> <= m; j += N * lanes<T>)
        tile<T, 1, N, true>(depth, a.from(0, first), b.from(first, j), out + j, m, N * lanes<T>, first > 0);
    };
    columns_by.template operator()<8>();
    columns_by.template operator()<4>();
    columns_by.template operator()<1>();
    for (; j < m; ++j) {
      T sum = 0;
      for (Index l = first; l < first + depth; ++l)
        sum = add_product(sum, *a.from(0, l).data, *b.from(l, j).data);
      out[j] = first > 0 ? out[j] + sum : sum;
    }
  }
}

// One column: a sum of products for each row of a, whose columns are contiguous as those of x are.
template <class T>
void times_column(Index n, Index k, Strided<T> a, const T* x, T* out) {
  constexpr Index step = 4 * lanes<T>;
  for (Index i = 0; i < n; ++i) {
    const T* row = a.from(i, 0).data;
    Vector<T> sum[4] = {};
    Index l = 0;
    for (; l + step <= k; l += step) {
      for (int q = 0; q < 4; ++q) sum[q] += load(row + l + q * lanes<T>) * load(x + l + q * lanes<T>);
    }
    const Vector<T> all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    T total = 0;
    for (Index q = 0; q < lanes<T>; ++q) total += all[q];
    for (; l < k; ++l) total = add_product(total, row[l], x[l]);
    out[i] = total;
  }
}

template <class T>
void times_column(Index n, Index k, Strided<T> a, Strided<T> x, T* out) {
  if (a.col != 1) return row_times(k, n, {x.data, 0, x.row}, {a.data, a.col, a.row}, out);
  if (x.row == 1) return times_column(n, k, a, x.data, out);
  const Ref<Storage> near = allocate_storage(static_cast<std::size_t>(k) * sizeof(T));
  T* copy = reinterpret_cast<T*>(near->data);
  for (Index l = 0; l < k; ++l) copy[l] = x.data[l * x.row];
  times_column(n, k, a, copy, out);
}

}  // namespace

template <class T>
void gemm(Index n, Index k, Index m, const Part& part, Strided<T> a, Strided<T> b, T* out, Index out_row) {
  const Index rows = part.rows, columns = part.columns;
  a = a.from(part.first_row, 0);
  b = b.from(0, part.first_column);
  constexpr Index small = 256;  // multiply-adds below which preparing anything takes longer
  if (k == 0) {                 // nothing to add up
    for (Index i = 0; i < rows; ++i) std::fill_n(out + i * out_row, columns, T(0));
  } else if (m == 1 && (a.col == 1 || a.row == 1)) {
    times_column(rows, k, a, b, out);
  } else if (n == 1) {
    b.col == 1 ? row_times(k, columns, a, b, out)
               : times_column(columns, k, {b.data, b.col, b.row}, {a.data, a.col, 1}, out);
  } else if (k == 1 && b.col == 1) {
    outer(rows, columns, a, b.data, out, out_row);
  } else if (n * k * m <= small && m < 4) {
    for (Index i = 0; i < rows; ++i, out += out_row) {
      for (Index j = 0; j < columns; ++j) {
        T total = 0;
        for (Index l = 0; l < k; ++l) total = add_product(total, *a.from(i, l).data, *b.from(l, j).data);
        out[j] = total;
      }
    }
  } else if (n * k * m <= small) {
    for (Index i = 0; i < rows; ++i, out += out_row) {
      std::fill_n(out, columns, T(0));
      for (Index l = 0; l < k; ++l) {
        const T factor = *a.from(i, l).data;
        const T* row = b.from(l, 0).data;
        for (Index j = 0; j < columns; ++j) out[j] = add_product(out[j], factor, row[j * b.col]);
      }
    }
  } else {
    if constexpr (!std::is_integral_v<T>) {
      if (detail::other_gemm(rows, k, columns, a, b, out, out_row)) return;
    }
    tiled(rows, k, columns, a, b, out, out_row);
  }
}
template void gemm(Index, Index, Index, const Part&, Strided<float>, Strided<float>, float*, Index);
template void gemm(Index, Index, Index, const Part&, Strided<double>, Strided<double>, double*, Index);
template void gemm(Index, Index, Index, const Part&, Strided<Index>, Strided<Index>, Index*, Index);

}  // namespace gradweave
