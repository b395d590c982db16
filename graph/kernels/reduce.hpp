// The one loop behind every reduction: fixed trees, so that the result does not depend on threads or block
// sizes. For those who define reductions.
//
// A monoid says how elements join:
//   struct Maximum { using Value = float; static Value identity(); template <class V> static V join(V a, V
//   b); };
// where V is Value, or a vector of them as GCC and Clang define it (with operators, comparisons and ?:).
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>
#include <vector>

#include <gradweave/graph/kernels/parallel.hpp>
#include <gradweave/graph/memory/storage.hpp>
#include <gradweave/graph/types/shape.hpp>

namespace gradweave {

template <class T>
struct Summing {
  using Value = T;
  static constexpr T identity() { return T(0); }
  template <class V>
  static V join(V a, V b) {
    return a + b;
  }
};

/// The shape with the reduced axes kept as size 1, or left out.
inline Shape reduced_shape(Dims shape, AxisSet axes, bool keepdims) {
  const unsigned reduced = axes.in_front_order(shape.size());
  Shape result;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    if (((reduced >> axis) & 1U) == 0) {
      result.push_back(shape[axis]);
    } else if (keepdims) {
      result.push_back(1);
    }
  }
  return result;
}

/// Joins elements that are added piece by piece, as a tree whose form depends on the number of elements
/// alone: leaves of 256 elements at multiples of 256, joined in pairs, so that the rounding error grows with
/// the logarithm of the count. Several trees, each over a multiple of `share` elements (the last over the
/// rest), added in order, give the same bits as one tree over all elements.
template <class Monoid>
class Pairwise {
 public:
  using Value = typename Monoid::Value;
  static constexpr Index leaf = 256;
  static constexpr Index share = 64 * leaf;
  static constexpr Index grain = 16 * share;  // worth a thread: some 20 us

  /// The next `count` elements: a multiple of `leaf`, but for the last piece.
  void add(const Value* x, Index count) {
    for (; count > leaf; x += leaf, count -= leaf) push(join_leaf(x, leaf), 0);
    if (count > 0) push(join_leaf(x, count), 0);
  }
  /// The elements that another tree has joined, which follow those of this tree.
  void add(const Pairwise& next) {
    for (std::size_t level = levels; level-- > 0;) {
      if (((next.filled_ >> level) & 1U) != 0) push(next.partial_[level], level);
    }
  }
  /// The identity when no elements were added.
  Value result() const {
    Value total = Monoid::identity();
    bool any = false;
    for (std::size_t level = 0; level < levels && filled_ >> level != 0; ++level) {
      if (((filled_ >> level) & 1U) == 0) continue;
      total = any ? Monoid::join(partial_[level], total) : partial_[level];
      any = true;
    }
    return total;
  }

  /// At most `leaf` elements, in sixteen lanes.
  static Value join_leaf(const Value* x, Index count) {
    constexpr std::size_t lanes = 16, parts = lanes / in_register;
    Register lane[parts];
    for (Register& part : lane) part = Register{} + Monoid::identity();
    for (; count >= static_cast<Index>(lanes); x += lanes, count -= static_cast<Index>(lanes)) {
      for (std::size_t p = 0; p < parts; ++p) {
        Register next;
        std::memcpy(&next, x + p * in_register, sizeof(next));
        lane[p] = Monoid::join(lane[p], next);
      }
    }
    std::array<Value, lanes> all;
    std::memcpy(all.data(), lane, sizeof(all));
    for (std::size_t j = 0; j < static_cast<std::size_t>(count); ++j) all[j] = Monoid::join(all[j], x[j]);
    for (std::size_t width = lanes / 2; width > 0; width /= 2) {
      for (std::size_t j = 0; j < width; ++j) all[j] = Monoid::join(all[j], all[j + width]);
    }
    return all[0];
  }

 private:
  // The size of the processor's vector registers; compilers split larger vectors badly.
#if defined(__AVX__)
  static constexpr std::size_t register_bytes = 32;
#else
  static constexpr std::size_t register_bytes = 16;
#endif
  static constexpr std::size_t in_register = register_bytes / sizeof(Value);
  using Register __attribute__((vector_size(register_bytes))) = Value;
  static constexpr std::size_t levels = 48;
  // As in counting: two partial results of a level make one of the next level.
  void push(Value value, std::size_t level) {
    for (; ((filled_ >> level) & 1U) != 0; ++level) {
      value = Monoid::join(partial_[level], value);
      filled_ ^= std::uint64_t{1} << level;
    }
    partial_[level] = value;
    filled_ |= std::uint64_t{1} << level;
  }
  std::uint64_t filled_ = 0;
  std::array<Value, levels> partial_;
};
template <class T>
using PairwiseSum = Pairwise<Summing<T>>;

namespace detail {

inline constexpr Index worth_a_thread = Index{1} << 16U;  // elements: some 10 us

// Memory for `count` values, recycled.
template <class T>
class Room {
 public:
  Room() = default;
  explicit Room(Index count) : storage_(allocate_storage(static_cast<std::size_t>(count) * sizeof(T))) {}
  T* data() const { return storage_ ? reinterpret_cast<T*>(storage_->data) : nullptr; }

 private:
  static_assert(std::is_trivially_copyable_v<T>);
  Ref<Storage> storage_;
};

// Joins `count` elements, on several threads when there are many elements.
template <class Monoid>
typename Monoid::Value reduce_run(const typename Monoid::Value* x, Index count) {
  using Tree = Pairwise<Monoid>;
  if (count <= Tree::leaf) return Tree::join_leaf(x, count);
  constexpr Index grain = Tree::grain;
  Tree all;
  if (count <= grain) {
    all.add(x, count);
  } else {
    RecycledVector<Tree> trees(static_cast<std::size_t>((count - 1) / grain + 1));
    parallel_for(count, grain, [&](Index first, Index last) {
      trees[static_cast<std::size_t>(first / grain)].add(x + first, last - first);
    });
    for (const Tree& tree : trees) all.add(tree);
  }
  return all.result();
}

// Joins `rows` rows of `width` elements, which are `stride` apart, into one.
template <class Monoid>
void reduce_rows(const typename Monoid::Value* x, Index rows, Index stride, Index width,
                 typename Monoid::Value* y) {
  constexpr Index leaf = 16;
  if (rows > leaf) {
    const Index half = rows / 2;
    const Room<typename Monoid::Value> other(width);
    reduce_rows<Monoid>(x, half, stride, width, y);
    reduce_rows<Monoid>(x + half * stride, rows - half, stride, width, other.data());
    for (Index j = 0; j < width; ++j) y[j] = Monoid::join(y[j], other.data()[j]);
    return;
  }
  std::fill(y, y + width, Monoid::identity());
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < width; ++j) y[j] = Monoid::join(y[j], x[i * stride + j]);
  }
}

// Joins the rows of all columns. When there are many elements, threads share out the columns: each thread
// takes at least a few cache lines of each row.
template <class Monoid>
void reduce_columns(const typename Monoid::Value* x, Index rows, Index width, typename Monoid::Value* y) {
  constexpr Index least = 64;
  const Index share = (width - 1) / get_num_threads() + 1;
  parallel_for(width, std::max({worth_a_thread / rows, share, least}), [&](Index begin, Index end) {
    reduce_rows<Monoid>(x + begin, rows, width, end - begin, y + begin);
  });
}

}  // namespace detail

/// Joins the elements of the row-major `x` over some axes, into the row-major `y`: one group
/// of neighbouring axes after the other. No elements give the identity.
template <class Monoid>
void reduce(const typename Monoid::Value* x, Dims shape, AxisSet axes_from_last, typename Monoid::Value* y) {
  const unsigned axes = axes_from_last.in_front_order(shape.size());
  using Value = typename Monoid::Value;
  // Neighbouring axes that are both reduced, or both kept, are as one.
  struct Group {
    Index size;
    bool reduced;
  };
  std::array<Group, max_rank + 1> groups{};
  std::size_t count = 0;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    const bool reduced = ((axes >> axis) & 1U) != 0;
    if (shape[axis] == 1) continue;
    if (count > 0 && groups[count - 1].reduced == reduced) {
      groups[count - 1].size *= shape[axis];
    } else {
      groups[count++] = {shape[axis], reduced};
    }
  }
  detail::Room<Value> scratch;
  bool done = false;
  // From the last axis to the first: the axes behind are then kept ones, a row of `width` elements.
  Index width = 1;
  Index total = numel(shape);
  if (total == 0) {
    Index kept = 1;
    for (std::size_t k = 0; k < count; ++k) kept *= groups[k].reduced ? 1 : groups[k].size;
    std::fill(y, y + kept, Monoid::identity());
    return;
  }
  for (std::size_t k = count; k-- > 0;) {
    if (!groups[k].reduced) {
      width *= groups[k].size;
      continue;
    }
    const Index size = groups[k].size;
    const Index outer = total / (size * width);
    const bool last = std::none_of(groups.begin(), groups.begin() + static_cast<std::ptrdiff_t>(k),
                                   [](const Group& g) { return g.reduced; });
    detail::Room<Value> next = last ? detail::Room<Value>() : detail::Room<Value>(outer * width);
    Value* into = last ? y : next.data();
    // A few large reductions are each shared out to threads, one after the other.
    const bool few = outer < get_num_threads() && size * width > detail::worth_a_thread;
    parallel_for(outer, few ? outer : std::max<Index>(detail::worth_a_thread / (size * width), 1),
                 [&](Index begin, Index end) {
                   for (Index o = begin; o < end; ++o) {
                     if (width == 1) {
                       into[o] = detail::reduce_run<Monoid>(x + o * size, size);
                     } else {
                       detail::reduce_columns<Monoid>(x + o * size * width, size, width, into + o * width);
                     }
                   }
                 });
    scratch = std::move(next);
    x = scratch.data();
    total = outer * width;
    done = last;
  }
  if (!done) std::copy(x, x + total, y);
}

/// Whether the axes are the innermost axes: then each element of the result is a row of its
/// own, else the result is one row of `count` elements.
inline bool reduces_last_axes(Dims shape, AxisSet axes_from_last) {
  const unsigned axes = axes_from_last.in_front_order(shape.size());
  std::size_t axis = shape.size();
  while (axis > 0 && (((axes >> (axis - 1)) & 1U) != 0 || shape[axis - 1] == 1)) --axis;
  while (axis > 0 && (((axes >> (axis - 1)) & 1U) == 0 || shape[axis - 1] == 1)) --axis;
  return axis == 0;
}
inline Index reduced_width(Dims shape, AxisSet axes, Index count) {
  return reduces_last_axes(shape, axes) ? 1 : count;
}

/// `reduce` of rows [first, first + count) of the result alone, whose rows have `reduced_width` elements.
template <class Monoid>
void reduce_rows(const typename Monoid::Value* x, Dims shape, AxisSet axes, Index first, Index count,
                 typename Monoid::Value* y) {
  if (!reduces_last_axes(shape, axes)) return reduce<Monoid>(x, shape, axes, y);
  Index size = 1;
  for (std::size_t k = 0; k < shape.size(); ++k)
    size *= ((axes.bits >> k) & 1U) != 0 ? shape[shape.size() - 1 - k] : 1;
  for (Index row = 0; row < count; ++row) y[row] = detail::reduce_run<Monoid>(x + (first + row) * size, size);
}

}  // namespace gradweave
