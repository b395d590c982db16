// The one loop behind every reduction: fixed trees, so that the result does not depend on threads or block
// sizes. For those who define reductions.
//
// A monoid says how elements join:
//   struct Maximum { using Value = float; static Value identity(); static Value join(Value a, Value b); };
#pragma once
#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include <gradweave/graph/shape.hpp>

namespace gradweave {

template <class T>
struct Summing {
  using Value = T;
  static constexpr T identity() { return T(0); }
  static T join(T a, T b) { return a + b; }
};

/// The shape with the reduced axes kept as size 1.
inline Shape keep_axes(Dims shape, unsigned axes) {
  std::array<Index, max_rank> sizes{};
  for (std::size_t axis = 0; axis < shape.size(); ++axis)
    sizes[axis] = ((axes >> axis) & 1U) != 0 ? 1 : shape[axis];
  return Shape(Dims(sizes.data(), shape.size()));
}

namespace detail {

inline constexpr Index reduce_leaf = 256;  // below this, plain loops of `lanes` running results

template <class Monoid>
typename Monoid::Value reduce_run(const typename Monoid::Value* x, Index count) {
  constexpr Index lanes = 16;
  if (count > reduce_leaf) {  // pairwise: the rounding error grows with the logarithm of the count
    const Index half = (count / 2 + lanes - 1) / lanes * lanes;
    return Monoid::join(reduce_run<Monoid>(x, half), reduce_run<Monoid>(x + half, count - half));
  }
  std::array<typename Monoid::Value, lanes> lane;
  lane.fill(Monoid::identity());
  Index i = 0;
  for (; i + lanes <= count; i += lanes) {
    for (Index j = 0; j < lanes; ++j) {
      auto& into = lane[static_cast<std::size_t>(j)];
      into = Monoid::join(into, x[i + j]);
    }
  }
  for (Index j = 0; i < count; ++i, ++j) {
    auto& into = lane[static_cast<std::size_t>(j)];
    into = Monoid::join(into, x[i]);
  }
  for (std::size_t width = lanes / 2; width > 0; width /= 2) {
    for (std::size_t j = 0; j < width; ++j) lane[j] = Monoid::join(lane[j], lane[j + width]);
  }
  return lane[0];
}

// Joins `rows` rows of `width` elements into one.
template <class Monoid>
void reduce_rows(const typename Monoid::Value* x, Index rows, Index width, typename Monoid::Value* y) {
  constexpr Index leaf = 16;
  if (rows > leaf) {
    const Index half = rows / 2;
    std::vector<typename Monoid::Value> other(static_cast<std::size_t>(width));
    reduce_rows<Monoid>(x, half, width, y);
    reduce_rows<Monoid>(x + half * width, rows - half, width, other.data());
    for (Index j = 0; j < width; ++j) y[j] = Monoid::join(y[j], other[static_cast<std::size_t>(j)]);
    return;
  }
  std::fill(y, y + width, Monoid::identity());
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < width; ++j) y[j] = Monoid::join(y[j], x[i * width + j]);
  }
}

}  // namespace detail

/// Joins the elements of the row-major `x` over the axes whose bit is set, into the row-major `y`: one group
/// of neighbouring axes after the other. No elements give the identity.
template <class Monoid>
void reduce(const typename Monoid::Value* x, Dims shape, unsigned axes, typename Monoid::Value* y) {
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
  std::vector<Value> scratch;
  bool done = false;
  // From the last axis to the first: what is behind is then already kept, a row of `width`.
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
    std::vector<Value> next(last ? 0 : static_cast<std::size_t>(outer * width));
    Value* into = last ? y : next.data();
    for (Index o = 0; o < outer; ++o) {
      if (width == 1) {
        into[o] = detail::reduce_run<Monoid>(x + o * size, size);
      } else {
        detail::reduce_rows<Monoid>(x + o * size * width, size, width, into + o * width);
      }
    }
    scratch = std::move(next);
    x = scratch.data();
    total = outer * width;
    done = last;
  }
  if (!done) std::copy(x, x + total, y);
}

/// Whether the axes whose bit is set are the innermost: then each element of the result is a row of its own,
/// else the result is one row of `count` elements.
inline bool reduces_last_axes(Dims shape, unsigned axes) {
  std::size_t axis = shape.size();
  while (axis > 0 && (((axes >> (axis - 1)) & 1U) != 0 || shape[axis - 1] == 1)) --axis;
  while (axis > 0 && (((axes >> (axis - 1)) & 1U) == 0 || shape[axis - 1] == 1)) --axis;
  return axis == 0;
}
inline Index reduced_width(Dims shape, unsigned axes, Index count) {
  return reduces_last_axes(shape, axes) ? 1 : count;
}

/// `reduce`, but only rows [first, first + count) of the result, as `reduced_width` divides it.
template <class Monoid>
void reduce_rows(const typename Monoid::Value* x, Dims shape, unsigned axes, Index first, Index count,
                 typename Monoid::Value* y) {
  if (!reduces_last_axes(shape, axes)) return reduce<Monoid>(x, shape, axes, y);
  Index size = 1;
  for (std::size_t axis = 0; axis < shape.size(); ++axis)
    size *= ((axes >> axis) & 1U) != 0 ? shape[axis] : 1;
  for (Index row = 0; row < count; ++row) y[row] = detail::reduce_run<Monoid>(x + (first + row) * size, size);
}

}  // namespace gradweave
