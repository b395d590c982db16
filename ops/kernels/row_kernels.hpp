// For kernels that work on rows with Eigen's array expressions. Eigen itself begins with single elements
// until an address is aligned; functions of single elements and of vectors differ in their last bits, so
// results would depend on where a row lies. These begin with vectors at once.
#pragma once
#include <algorithm>
#include <array>

#include <gradweave/graph/define.hpp>
#include <gradweave/graph/kernels/reduce.hpp>

namespace gradweave {
namespace detail {

/// Elements [first, first + count) of an expression, to `y`.
template <class T, class Expression>
void copy_elements(const Eigen::internal::evaluator<Expression>& values, Index first, Index count, T* y) {
  using namespace Eigen::internal;
  Index i = 0;
  if constexpr ((int(evaluator<Expression>::Flags) & Eigen::PacketAccessBit) != 0) {
    using Packet = typename packet_traits<T>::type;
    constexpr Index lanes = packet_traits<T>::size;
    for (; i + lanes <= count; i += lanes)
      pstoreu(y + i, values.template packet<Eigen::Unaligned, Packet>(first + i));
  }
  for (; i < count; ++i) y[i] = values.coeff(first + i);
}

}  // namespace detail

/// Calls f<n>(row, first) for pieces of n elements of rows of `count`; n is a power of two, at most `lanes`,
/// and the last piece of a row overlaps the one before.
template <Index lanes, class F>
void in_pieces(Index rows, Index count, const F& f) {
  if constexpr (lanes > 1) {
    if (count < lanes) return in_pieces<lanes / 2>(rows, count, f);
  }
  for (Index i = 0; i < rows; ++i) {
    for (Index k = 0; k < count; k += lanes) f.template operator()<lanes>(i, std::min(k, count - lanes));
  }
}

/// y = expression, which may read y itself element by element.
template <class T, class Expression>
void assign(Block<T> y, const Expression& expression) {
  detail::copy_elements(Eigen::internal::evaluator<Expression>(expression), 0, y.size(), y.data());
}

/// The sum of an expression's elements, pairwise.
template <class T, class Expression>
T sum_of(const Expression& expression) {
  PairwiseSum<T> total;
  if constexpr (requires { expression.data(); }) {  // there already
    total.add(expression.data(), expression.size());
    return total.result();
  }
  const Eigen::internal::evaluator<Expression> values(expression);
  alignas(64) std::array<T, PairwiseSum<T>::leaf> leaf;
  for (Index first = 0; first < expression.size(); first += PairwiseSum<T>::leaf) {
    const Index count = std::min<Index>(PairwiseSum<T>::leaf, expression.size() - first);
    detail::copy_elements(values, first, count, leaf.data());
    total.add(leaf.data(), count);
  }
  return total.result();
}

}  // namespace gradweave
