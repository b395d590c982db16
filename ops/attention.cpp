#include <gradweave/ops/attention.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include <gradweave/graph/define.hpp>
#include <gradweave/graph/kernels/parallel.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/graph/memory/storage.hpp>
#include <gradweave/ops/dropout.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/index.hpp>
#include <gradweave/ops/kernels/batch.hpp>
#include <gradweave/ops/kernels/elementary.hpp>
#include <gradweave/ops/kernels/row_kernels.hpp>
#include <gradweave/ops/matmul.hpp>
#include <gradweave/ops/reduction.hpp>
#include <gradweave/ops/shape.hpp>
#include <gradweave/ops/softmax.hpp>

namespace gradweave {
namespace {

constexpr double minus_infinity = -std::numeric_limits<double>::infinity();

// Sizes of one head: n rows of queries, m rows of keys and values, of this width and that of the result.
struct Sizes {
  Index n, m, width, result;
};

// q (..., n, width), k (..., m, width), v (..., m, result), with the same axes in front.
template <class Each>
Sizes sizes_of(const Each& in) {
  const auto size = [&](std::size_t i, std::size_t from_end) {
    return in[i].shape[in[i].shape.size() - from_end];
  };
  return {size(0, 2), size(1, 2), size(0, 1), size(2, 1)};
}
Dims leading(Dims shape) { return shape.first(shape.size() - 2); }
Shape with_last(Dims lead, Index rows, Index columns) {
  Shape shape(lead);
  shape.push_back(rows), shape.push_back(columns);
  return shape;
}
void require_heads(std::span<const Spec> in, std::size_t mask) {
  for (const Spec& x : in) {
    if (x.shape.rank() < 2 || !same(leading(x.shape), leading(in[0].shape)))
      throw ShapeError("expected matrices with the same axes in front");
  }
  const Sizes s = sizes_of(in);
  if (in[1].shape[in[1].shape.rank() - 1] != s.width)
    throw ShapeError(fmt::format("queries of width {} and keys of width {}", s.width,
                                 in[1].shape[in[1].shape.rank() - 1]));
  if (in[2].shape[in[2].shape.rank() - 2] != s.m)
    throw ShapeError(fmt::format("{} keys and {} values", s.m, in[2].shape[in[2].shape.rank() - 2]));
  if (in.size() > mask && in[mask].shape != with_last(leading(in[0].shape), s.n, s.m))
    throw ShapeError("the mask is not a number for each query and key");
}

// The mask of one head, where there is one: read as it lies.
template <class T>
class Mask {
 public:
  Mask(std::span<const ArrayView> in, std::size_t at, Dims batch) {
    if (in.size() > at) all_.emplace(in[at], batch, false, true);
  }
  explicit operator bool() const { return all_.has_value(); }
  // Adds row i from column j on.
  void add(Index head, Index i, Index j, Block<T> row) const {
    if (!all_) return;
    const Strided<T> at = (*all_)[head].at.from(i, j);
    if (at.col == 1) {
      assign<T>(row, row + ConstBlock<T>(at.data, row.size()));
    } else {
      for (Index c = 0; c < row.size(); ++c) row[c] += at.data[c * at.col];
    }
  }

 private:
  std::optional<Batch<T>> all_;
};

// Scratch memory for several arrays, one behind the other.
template <class T>
class Arrays {
 public:
  explicit Arrays(Index count) : memory_(static_cast<std::size_t>(count) * sizeof(T)) {}
  T* take(Index count) {
    T* array = reinterpret_cast<T*>(memory_.data()) + used_;
    used_ += count;
    return array;
  }

 private:
  Scratch memory_;
  Index used_ = 0;
};

template <class T>
void add_elements(T* y, const T* x, Index count) {
  assign<T>(Block<T>(y, count), Block<T>(y, count) + ConstBlock<T>(x, count));
}

// How many of `count` keys from number `first` on row i sees.
Index seen_by(Index i, Index first, Index count, bool causal) {
  return causal ? std::clamp<Index>(i + 1 - first, 0, count) : count;
}

// So many tasks of so many products each, at 30 a nanosecond, are worth a thread.
Index worthwhile(Index products) { return min_task_ns * 30 / std::max<Index>(products, 1) + 1; }

// The result, and of each query the logarithm of the sum of what its scores are the logarithms of.
struct Attention {
  double scale;
  bool causal;
  static constexpr std::string_view name = "attention";
  static constexpr bool throws = false;
  static constexpr bool takes_strides = true;
  static constexpr DTypes dtypes = floating;
  static constexpr Index query_rows = 128, key_columns = 512;  // their scores stay in the second cache

  static Specs infer(std::span<const Spec> in) {
    require_heads(in, 3);
    const Sizes s = sizes_of(in);
    const Dims lead = leading(in[0].shape);
    return {{with_last(lead, s.n, s.result), in[0].dtype}, {with_last(lead, s.n, 1), in[0].dtype}};
  }
  void forward(Outputs y, std::span<const ArrayView> in) const {
    dispatch<floating>(in[0].dtype, [&]<class T>() {
      const Sizes s = sizes_of(in);
      const Dims batch = leading(in[0].shape);
      const Batch<T> q(in[0], batch, false), k(in[1], batch, false), v(in[2], batch, false);
      const Mask<T> mask(in, 3, batch);
      const Index blocks = (s.n + query_rows - 1) / query_rows;
      parallel_for(numel(batch) * blocks, worthwhile(query_rows * s.m * (s.width + s.result + 8)),
                   [&](Index first, Index last) {
                     Arrays<T> scratch(query_rows * (s.width + key_columns + 2 * s.result));
                     Rows<T> rows{scratch.take(query_rows * s.width), scratch.take(query_rows * key_columns),
                                  scratch.take(query_rows * s.result), scratch.take(query_rows * s.result)};
                     T* const own = rows.result;
                     for (Index task = first; task < last; ++task) {
                       const Index head = task / blocks, i = task % blocks * query_rows, at = head * s.n + i;
                       rows.result = y[0].data == nullptr ? own : y[0].as<T>() + at * s.result;
                       const Index count = std::min(query_rows, s.n - i);
                       this->attend(s, head, i, count, q[head].at, k[head].at, v[head].at, mask, rows);
                       if (y[1].data != nullptr) std::copy_n(rows.largest.data(), count, y[1].as<T>() + at);
                     }
                   });
    });
  }
  // What is at hand for a block of queries.
  template <class T>
  struct Rows {
    T *queries, *scores, *part, *result;
    std::array<T, query_rows> largest = {}, total = {};
  };
  template <class T>
  void attend(const Sizes& s, Index head, Index i, Index count, Strided<T> q, Strided<T> k, Strided<T> v,
              const Mask<T>& mask, Rows<T>& rows) const {
    const T by = static_cast<T>(scale);
    for (Index r = 0; r < count; ++r) {
      const Strided<T> from = q.from(i + r, 0);
      T* const to = rows.queries + r * s.width;
      if (from.col == 1) {
        assign<T>(Block<T>(to, s.width), ConstBlock<T>(from.data, s.width) * by);
      } else {
        for (Index c = 0; c < s.width; ++c) to[c] = from.data[c * from.col] * by;
      }
    }
    rows.largest.fill(static_cast<T>(minus_infinity));
    rows.total.fill(T(0));
    if (s.m == 0) std::fill_n(rows.result, count * s.result, T(0));
    const Index end = causal ? std::min(s.m, i + count) : s.m;
    for (Index j = 0; j < end; j += key_columns) {
      const Index columns = std::min(key_columns, end - j);
      const Strided<T> keys = k.from(j, 0);
      gemm(count, s.width, columns, {0, count, 0, columns}, {rows.queries, s.width, 1},
           {keys.data, keys.col, keys.row}, rows.scores, columns);
      for (Index r = 0; r < count; ++r) {
        const Index seen = seen_by(i + r, j, columns, causal);
        T* const row = rows.scores + r * columns;
        std::fill(row + seen, row + columns, T(0));
        if (seen == 0) continue;
        const Block<T> scores(row, seen);
        mask.add(head, i + r, j, scores);
        T &largest = rows.largest[static_cast<std::size_t>(r)],
          &total = rows.total[static_cast<std::size_t>(r)];
        const T before = largest, here = scores.template maxCoeff<Eigen::PropagateNaN>();
        if (!(here <= largest)) largest = here;
        const T base = largest == static_cast<T>(minus_infinity) ? T(0) : largest;
        assign<T>(scores, exp_of(scores - base));
        if (j > 0 && before != base) {  // what was there shrinks
          const T shrinks = std::exp(before - base);
          total *= shrinks;
          const Block<T> result(rows.result + r * s.result, s.result);
          assign<T>(result, result * shrinks);
        }
        total += sum_of<T>(scores);
      }
      gemm(count, columns, s.result, {0, count, 0, s.result}, {rows.scores, columns, 1}, v.from(j, 0),
           j == 0 ? rows.result : rows.part, s.result);
      if (j > 0) add_elements(rows.result, rows.part, count * s.result);
    }
    for (Index r = 0; r < count; ++r) {
      T &largest = rows.largest[static_cast<std::size_t>(r)], total = rows.total[static_cast<std::size_t>(r)];
      if (total == T(0)) {  // nothing to look at
        largest = T(0);
        continue;
      }
      const Block<T> result(rows.result + r * s.result, s.result);
      assign<T>(result, result * (T(1) / total));
      largest += std::log(total);
    }
  }
  static Index workspace(const ArrayView&, std::span<const ArrayView> in) {
    const Sizes s = sizes_of(in);
    Index copies = 0;
    for (std::size_t i = 0; i < 3; ++i) copies += in[i].size();
    return 8 * (query_rows * (s.width + key_columns + 2 * s.result) + copies);
  }
  void vjp(Pullback& p) const;
  static double flops(const ArrayView&, std::span<const ArrayView> in) {
    const Sizes s = sizes_of(in);
    return static_cast<double>(numel(leading(in[0].shape)) * s.n) *
           static_cast<double>(s.m * (2 * s.width + 2 * s.result + 4));
  }
  static SamplesOf<Attention> samples() {
    const InputSpec q = uniform(-1, 1, {2, 3, 2}), k = uniform(-1, 1, {2, 4, 2}),
                    v = uniform(-1, 1, {2, 4, 3});
    return {{{0.7, false}, {q, k, v}},
            {{0.7, true}, {q, k, v}},
            {{1.2, false}, {q, k, v, uniform(-1, 1, {2, 3, 4})}}};
  }
};

// From cotangents g of the result, `delta` (the sum of g times the result, less the cotangent of the
// logarithms) and the logarithms, those of q, k, v and the mask: with P the weights, D = P (g v' - delta) is
// that of the scores; D k, D' q and P' g. Weights are computed again, a block at a time.
struct AttentionVjp {
  double scale;
  bool causal;
  static constexpr std::string_view name = "attention_vjp";
  static constexpr bool throws = false;
  static constexpr bool takes_strides = true;
  static constexpr DTypes dtypes = floating;
  static constexpr Index query_rows = 128, key_columns = 128;
  static constexpr Index stride = key_columns + 16;  // of rows whose columns do not share sets of the cache
  static constexpr std::size_t of_mask = 6;

  static Specs infer(std::span<const Spec> in) {
    require_heads(in, of_mask);
    const Sizes s = sizes_of(in);
    const Dims lead = leading(in[0].shape);
    if (in[3].shape != with_last(lead, s.n, s.result) || in[4].shape != with_last(lead, s.n, 1) ||
        in[5].shape != in[4].shape)
      throw ShapeError("the cotangents are not of the result's shape");
    Specs all{in[0], in[1], in[2]};
    if (in.size() > of_mask) all.push_back(in[of_mask]);
    return all;
  }
  // Keys are shared out in chunks where there are few heads; each chunk has its own sum for the queries.
  static Index chunks_of(Index heads, Index keys) {
    const Index blocks = (keys + key_columns - 1) / key_columns;
    return std::clamp<Index>(16 / std::max<Index>(heads, 1), 1, std::max<Index>(blocks, 1));
  }
  void forward(Outputs y, std::span<const ArrayView> in) const {
    dispatch<floating>(in[0].dtype, [&]<class T>() {
      const Sizes s = sizes_of(in);
      const Dims batch = leading(in[0].shape);
      const Heads<T> heads(in, batch);
      const Index count = numel(batch), chunks = chunks_of(count, s.m), of_queries = s.n * s.width;
      const bool wants_queries = y[0].data != nullptr;
      RecycledVector<T> sums(wants_queries ? static_cast<std::size_t>(count * (chunks - 1) * of_queries) : 0);
      const auto sum_at = [&](Index head, Index chunk) {
        if (!wants_queries) return static_cast<T*>(nullptr);
        if (chunk == 0) return y[0].as<T>() + head * of_queries;
        return sums.data() + (head * (chunks - 1) + chunk - 1) * of_queries;
      };
      const Index blocks = (s.m + key_columns - 1) / key_columns, each = (blocks + chunks - 1) / chunks;
      parallel_for(count * chunks, worthwhile(s.n * each * key_columns * (3 * s.width + 2 * s.result)),
                   [&](Index first, Index last) {
                     for (Index task = first; task < last; ++task) {
                       const Index head = task / chunks, chunk = task % chunks;
                       T* const dq = sum_at(head, chunk);
                       if (dq != nullptr) std::fill_n(dq, of_queries, T(0));
                       for (Index block = chunk * each; block < std::min(blocks, (chunk + 1) * each); ++block)
                         this->pull_back(s, heads, head, block * key_columns, dq, y);
                     }
                   });
      if (wants_queries) {
        for (Index head = 0; head < count; ++head) {
          for (Index chunk = 1; chunk < chunks; ++chunk)
            add_elements(sum_at(head, 0), sum_at(head, chunk), of_queries);
        }
      }
    });
  }
  template <class T>
  struct Heads {
    Batch<T> q, k, v, g, logs, delta;
    Mask<T> mask;
    Heads(std::span<const ArrayView> in, Dims batch)
        : q(in[0], batch, false),
          k(in[1], batch, false),
          v(in[2], batch, false),
          g(in[3], batch, false),
          logs(in[4], batch, false),
          delta(in[5], batch, false),
          mask(in, of_mask, batch) {}
  };
  // What a block of keys from j on takes part in.
  template <class T>
  void pull_back(const Sizes& s, const Heads<T>& heads, Index head, Index j, T* dq, Outputs y) const {
    const Index columns = std::min(key_columns, s.m - j), widest = std::max(s.width, s.result);
    Arrays<T> scratch(2 * query_rows * stride + std::max(query_rows, key_columns) * widest);
    T* const weights = scratch.take(query_rows * stride);
    T* const slopes = scratch.take(query_rows * stride);
    T* const part = scratch.take(std::max(query_rows, key_columns) * widest);
    const auto rows_at = [&](std::size_t output, Index width) {
      return y[output].data == nullptr ? nullptr : y[output].as<T>() + (head * s.m + j) * width;
    };
    T *const dk = rows_at(1, s.width), *const dv = rows_at(2, s.result);
    T* const d_mask = y.size() > 3 && y[3].data != nullptr ? y[3].as<T>() + head * s.n * s.m + j : nullptr;
    if (dk != nullptr) std::fill_n(dk, columns * s.width, T(0));
    if (dv != nullptr) std::fill_n(dv, columns * s.result, T(0));
    const auto add_product = [&](T* to, Index n, Index inner, Index m, Strided<T> a, Strided<T> b) {
      if (to == nullptr || m == 0) return;
      gemm(n, inner, m, {0, n, 0, m}, a, b, part, m);
      add_elements(to, part, n * m);
    };
    const Strided<T> q = heads.q[head].at, k = heads.k[head].at.from(j, 0), v = heads.v[head].at.from(j, 0),
                     g = heads.g[head].at, logs = heads.logs[head].at, delta = heads.delta[head].at;
    const Index begin = causal ? j / query_rows * query_rows : 0;
    for (Index i = 0; d_mask != nullptr && i < std::min(begin, s.n); ++i)
      std::fill_n(d_mask + i * s.m, columns, T(0));
    for (Index i = begin; i < s.n; i += query_rows) {
      const Index count = std::min(query_rows, s.n - i);
      const Part all{0, count, 0, columns};
      gemm(count, s.width, columns, all, q.from(i, 0), {k.data, k.col, k.row}, weights, stride);
      gemm(count, s.result, columns, all, g.from(i, 0), {v.data, v.col, v.row}, slopes, stride);
      for (Index r = 0; r < count; ++r) {
        const Index seen = seen_by(i + r, j, columns, causal);
        T *const weight = weights + r * stride, *const slope = slopes + r * stride;
        std::fill(weight + seen, weight + columns, T(0));
        std::fill(slope + seen, slope + columns, T(0));
        const Block<T> p(weight, seen), d(slope, seen);
        const T log = *logs.from(i + r, 0).data;
        if (heads.mask) {
          assign<T>(p, p * static_cast<T>(scale));
          heads.mask.add(head, i + r, j, p);
          assign<T>(p, exp_of(p - log));
        } else {
          assign<T>(p, exp_of(p * static_cast<T>(scale) - log));
        }
        assign<T>(d, p * (d - *delta.from(i + r, 0).data));
        if (d_mask != nullptr) std::copy_n(slope, columns, d_mask + (i + r) * s.m);
        assign<T>(d, d * static_cast<T>(scale));
      }
      add_product(dv, columns, count, s.result, {weights, 1, stride}, g.from(i, 0));
      add_product(dk, columns, count, s.width, {slopes, 1, stride}, q.from(i, 0));
      if (dq != nullptr) add_product(dq + i * s.width, count, columns, s.width, {slopes, stride, 1}, k);
    }
  }
  static Index workspace(const ArrayView&, std::span<const ArrayView> in) {
    const Sizes s = sizes_of(in);
    const Index heads = numel(leading(in[0].shape));
    Index copies = 0;
    for (std::size_t i = 0; i < of_mask; ++i) copies += in[i].size();
    return 8 * (query_rows * (2 * stride + std::max(s.width, s.result)) + copies +
                (chunks_of(heads, s.m) - 1) * heads * s.n * s.width);
  }
  static double flops(const ArrayView&, std::span<const ArrayView> in) {
    const Sizes s = sizes_of(in);
    return static_cast<double>(numel(leading(in[0].shape)) * s.n) *
           static_cast<double>(s.m * (6 * s.width + 4 * s.result + 6));
  }
  // With the cotangents a, b, c of D k, D' q and P' g, times the scale where that is; all of the matrix.
  void vjp(Pullback& p) const {
    const Tensor &q = p.input(0), &k = p.input(1), &v = p.input(2), &g = p.input(3);
    Tensor scores = matmul(q, transpose(k)) * scale;
    if (p.input_count() > of_mask) scores = scores + p.input(of_mask);
    if (causal) {
      const Tensor sees = expand_dims(arange(q.size(-2)), -1) >= arange(k.size(-2));
      scores = where(sees, scores, minus_infinity);
    }
    const Tensor weights = exp(scores - p.input(4)), slope = matmul(g, transpose(v)) - p.input(5);
    const Tensor d = weights * slope;
    const bool has_mask = p.input_count() > of_mask, has_a = p.has_cotangent(0), has_b = p.has_cotangent(1),
               has_c = p.has_cotangent(2), has_d = has_a || has_b || (has_mask && p.has_cotangent(3));
    const Tensor a = p.cotangent(0), b = p.cotangent(1), c = p.cotangent(2);
    Tensor of_weights = zeros(weights.shape(), weights.dtype());
    if (has_c) of_weights = matmul(g, transpose(c));
    Tensor of_g = matmul(weights, c);
    if (has_d) {
      Tensor of_d = (matmul(a, transpose(k)) + matmul(q, transpose(b))) * scale;
      if (has_mask) of_d = of_d + p.cotangent(3);
      const Tensor of_slope = of_d * weights;
      of_weights = of_weights + of_d * slope;
      p.give(2, matmul(transpose(of_slope), g));
      of_g = of_g + matmul(of_slope, v);
      p.give(5, -sum(of_slope, {-1}, true));
    }
    p.give(3, of_g);
    const Tensor of_scores = weights * of_weights;
    p.give(0, (matmul(of_scores, k) + matmul(d, b)) * scale);
    p.give(1, (matmul(transpose(of_scores), q) + matmul(transpose(d), a)) * scale);
    p.give(4, -sum(of_scores, {-1}, true));
    if (has_mask) p.give(of_mask, of_scores);
  }
  static SamplesOf<AttentionVjp> samples() {
    const InputSpec q = uniform(-1, 1, {2, 3, 2}), k = uniform(-1, 1, {2, 4, 2}),
                    v = uniform(-1, 1, {2, 4, 3}), g = uniform(-1, 1, {2, 3, 3}),
                    row = uniform(-1, 1, {2, 3, 1});
    return {{{0.7, false}, {q, k, v, g, row, row}},
            {{0.7, true}, {q, k, v, g, row, row}},
            {{1.2, false}, {q, k, v, g, row, row, uniform(-1, 1, {2, 3, 4})}}};
  }
};

void Attention::vjp(Pullback& p) const {
  const Tensor g = p.cotangent(0);
  const Tensor delta = sum(g * p.output(0), {-1}, true) - p.cotangent(1), logs = p.output(1);
  std::vector<Operand> inputs{p.input(0), p.input(1), p.input(2), g, logs, delta};
  if (p.input_count() > 3) inputs.emplace_back(p.input(3));
  const std::vector<Tensor> all = outputs_of(apply_all(AttentionVjp{scale, causal}, inputs));
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i != 2 || p.has_cotangent(0)) p.give(i, all[i]);  // the logarithms know nothing of the values
  }
}

// With weights that are dropped, the matrix of which is held.
Tensor with_dropout(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask, double scale,
                    const AttentionOptions& options) {
  Tensor scores = matmul(q, transpose(k)) * scale;
  if (!mask.is_empty()) scores = scores + mask;
  if (options.causal) {
    const Tensor sees = expand_dims(arange(q.size(-2)), -1) >= arange(k.size(-2));
    scores = where(sees, scores, minus_infinity);
  }
  const Tensor sees_nothing = max(scores, {-1}, true) == minus_infinity;
  const Tensor weights = where(sees_nothing, 0, softmax(where(sees_nothing, 0, scores)));
  return matmul(dropout(weights, *options.generator, options.dropout), v);
}

}  // namespace

Tensor scaled_dot_product_attention(const Operand& q, const Operand& k, const Operand& v,
                                    const AttentionOptions& options) {
  constexpr std::string_view op = "scaled_dot_product_attention";
  for (const Operand& x : {q, k, v}) {
    if (x.tensor() == nullptr || x.tensor()->is_empty() || x.tensor()->rank() < 2)
      throw ShapeError("scaled_dot_product_attention takes tensors of at least two axes (..., rows, width)");
  }
  const Index width = q.tensor()->size(-1), n = q.tensor()->size(-2), m = k.tensor()->size(-2);
  if (width == 0) throw ShapeError("scaled_dot_product_attention: queries of width 0");
  if (k.tensor()->size(-1) != width) refuse<ShapeError>(op, {q, k, v}, "queries and keys differ in width");
  if (v.tensor()->size(-2) != m) refuse<ShapeError>(op, {q, k, v}, "there is not one value for each key");
  const bool is_probability = options.dropout >= 0 && options.dropout <= 1;
  if (!is_probability)
    refuse<ValueError>(op, {q, k, v}, fmt::format("dropout {} is no probability", options.dropout));
  if (options.dropout > 0 && options.generator == nullptr)
    refuse<ValueError>(op, {q, k, v}, "dropout draws from a generator");
  const double scale = options.scale.value_or(1 / std::sqrt(static_cast<double>(width)));

  // The matrix of scores of short sequences stays in the cache, and is faster than blocks of it. (Halves
  // would be rounded at each step.)
  constexpr Index short_enough = 128;
  if (options.mask.is_empty() && options.dropout == 0 && !options.grouped_heads && m > 0 &&
      std::max(n, m) <= short_enough && has_kernels(q.tensor()->dtype())) {
    const Tensor scores = matmul(q, Operand(transpose(k), k.where()));
    return matmul(options.causal ? causal_softmax(scores, scale) : softmax(scores * scale), v);
  }

  Tensor queries = *q.tensor(), keys = *k.tensor(), values = *v.tensor(), mask = options.mask;
  if (!mask.is_empty()) {
    mask = mask.dtype() == DType::bool_ ? where(mask, zeros({}, queries.dtype()), minus_infinity)
                                        : cast(mask, queries.dtype());
  }
  const bool grouped = options.grouped_heads && queries.rank() > 2 && queries.size(-3) != keys.size(-3);
  if (grouped) {  // heads that share keys get an axis of their own
    const Index heads = queries.size(-3), groups = keys.rank() > 2 ? keys.size(-3) : 1;
    if (groups == 0 || heads % groups != 0)
      refuse<ShapeError>(op, {q, k, v}, fmt::format("{} heads in {} groups", heads, groups));
    const auto split = [&](const Tensor& x) {
      if (x.rank() < 3) return x;
      Shape shape(Dims(x.shape()).first(x.rank() - 3));
      const bool is_one = x.size(-3) == 1;
      shape.push_back(is_one ? 1 : groups), shape.push_back(is_one ? 1 : heads / groups);
      shape.push_back(x.size(-2)), shape.push_back(x.size(-1));
      return reshape(x, Dims(shape));
    };
    queries = split(queries);
    if (!mask.is_empty()) mask = split(mask);
    if (keys.rank() > 2) keys = expand_dims(keys, -3);
    if (values.rank() > 2) values = expand_dims(values, -3);
  }
  Shape lead = broadcast(leading(queries.shape()), leading(keys.shape()));
  lead = broadcast(lead, leading(values.shape()));
  if (!mask.is_empty() && mask.rank() > 2) lead = broadcast(lead, leading(mask.shape()));
  const auto spread_out = [&](const Tensor& x, const Operand& from) {
    return broadcast_to(Operand(x, from.where()), with_last(lead, x.size(-2), x.size(-1)));
  };
  queries = spread_out(queries, q), keys = spread_out(keys, k), values = spread_out(values, v);
  if (!mask.is_empty()) mask = broadcast_to(Operand(mask, q.where()), with_last(lead, n, m));

  Tensor result;
  if (options.dropout > 0) {
    result = with_dropout(queries, keys, values, mask, scale, options);
  } else {
    std::vector<Operand> inputs{Operand(queries, q.where()), keys, values};
    if (!mask.is_empty()) inputs.emplace_back(mask);
    result = output_of(apply_all(Attention{scale, options.causal}, inputs), 0);
  }
  if (!grouped) return result;
  const Shape shape = result.shape();  // (..., groups, heads of each, n, e)
  Shape joined(Dims(shape).first(shape.rank() - 4));
  joined.push_back(q.tensor()->size(-3)), joined.push_back(n), joined.push_back(shape[shape.rank() - 1]);
  return reshape(result, Dims(joined));
}

Tensor scaled_dot_product_attention(const Operand& q, const Operand& k, const Operand& v, bool causal) {
  return scaled_dot_product_attention(q, k, v, AttentionOptions{.causal = causal});
}

std::vector<const Operation*> attention_operations() {
  return {&operation_of<Attention>(), &operation_of<AttentionVjp>()};
}

}  // namespace gradweave
