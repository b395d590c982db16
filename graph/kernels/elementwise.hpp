// How an elementwise op becomes a kernel: its array expression, run over pieces of sixteen elements.
#pragma once
#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>

#include <Eigen/Core>

#include <gradweave/graph/types/dtype.hpp>

namespace gradweave {

/// The types of the arrays that an elementwise op's `forward` is written for (its kernels pass pieces).
template <class T>
using ConstBlock = Eigen::Map<const Eigen::Array<T, Eigen::Dynamic, 1>>;
template <class T>
using Block = Eigen::Map<Eigen::Array<T, Eigen::Dynamic, 1>>;

namespace detail {

// The op with these attributes.
template <class Op>
const Op& as(const void* attributes) {
  if constexpr (std::is_empty_v<Op>) {
    static constexpr Op op{};
    return op;
  } else {
    return *static_cast<const Op*>(attributes);
  }
}

// An element type that the op has a kernel for. The op's arity is found with this type, since an expression
// of whole numbers or bools may not compile for other types.
template <class Op>
struct Probe {
  using Element = double;
};
template <class Op>
  requires(requires { Op::dtypes; } && !contains(Op::dtypes, DType::float64))
struct Probe<Op> {
  static constexpr DTypes kernels = computed_as(Op::dtypes);
  using Element = std::conditional_t<contains(kernels, DType::float32), float,
                                     std::conditional_t<contains(kernels, DType::int64), Index, bool>>;
};

template <class Op>
constexpr std::size_t elementwise_arity() {
  using X = ConstBlock<typename Probe<Op>::Element>;
  if constexpr (requires(const Op& op, const X& x) { op.forward(x); }) {
    return 1;
  } else if constexpr (requires(const Op& op, const X& x) { op.forward(x, x); }) {
    return 2;
  } else if constexpr (requires(const Op& op, const X& x) { op.forward(x, x, x); }) {
    return 3;
  } else {
    return 4;
  }
}

template <class Op>
constexpr auto fixed_dtypes() {
  std::array<std::optional<DType>, 3> fixed{};
  if constexpr (requires { Op::fixed; }) {
    for (std::size_t i = 0; i < Op::fixed.size(); ++i) fixed[i] = Op::fixed[i];
  }
  return fixed;
}

// Elementwise kernels compute pieces of one length: every element goes through the same vector instructions,
// whatever its position and the number of elements, and so has the same bits.
inline constexpr Index piece = 16;
template <class T>
using Piece = Eigen::Array<T, piece, 1>;

// The element type of input I when the promoted inputs are of type T.
template <class Op, std::size_t I>
inline constexpr std::optional<DType> fixed_dtype =
    I < fixed_dtypes<Op>().size() ? fixed_dtypes<Op>()[I] : std::nullopt;
template <class Op, class T, std::size_t I>
using Input = std::conditional_t<fixed_dtype<Op, I> == DType::bool_, bool,
                                 std::conditional_t<fixed_dtype<Op, I> == DType::int64, Index, T>>;

template <class T>
Eigen::Map<const Piece<T>> whole_piece(const void* data, Index first) {
  return Eigen::Map<const Piece<T>>(static_cast<const T*>(data) + first);
}
// The readers of an input: `Elements` of an array, piece by piece; `Number` of one element, which each piece
// repeats.
template <class T>
struct Elements {
  const void* data;
  Eigen::Map<const Piece<T>> whole(Index first) const { return whole_piece<T>(data, first); }
  /// The last `count` elements, fewer than a piece; copies of the first of them fill the piece up.
  Piece<T> last(Index first, Index count) const {
    Piece<T> values = one(first);
    for (Index i = 1; i < count; ++i) values[i] = static_cast<const T*>(data)[first + i];
    return values;
  }
  Piece<T> one(Index first) const { return Piece<T>::Constant(static_cast<const T*>(data)[first]); }
};
template <class T>
struct Number {
  explicit Number(const void* data) : value(Piece<T>::Constant(*static_cast<const T*>(data))) {}
  const Piece<T>& whole(Index) const { return value; }
  const Piece<T>& last(Index, Index) const { return value; }
  const Piece<T>& one(Index) const { return value; }
  Piece<T> value;
};

// The reader of a row of an outer product: each element is multiplied by the row's factor, and rounded,
// before the op reads the element.
template <class T>
struct Scaled {
  Elements<T> elements;
  Number<T> factor;
  auto whole(Index first) const { return product(elements.whole(first)); }
  Piece<T> last(Index first, Index count) const { return product(elements.last(first, count)); }
  Piece<T> one(Index first) const { return product(elements.one(first)); }
  /// Adds zero as a matrix product of one term does: the compiler then cannot contract the product with an
  /// addition of the op, so that both have the same bits.
  auto product(const auto& x) const { return x * factor.value + T(0); }
};

template <class Op>
constexpr std::size_t scalar_inputs_of() {
  if constexpr (requires { Op::scalar_inputs; }) {
    return Op::scalar_inputs;
  } else {
    return 0;
  }
}
// The input that may be passed as a row and a factor (`Scaled`); no_input if the op has none.
inline constexpr std::size_t no_input = static_cast<std::size_t>(-1);
template <class Op>
constexpr std::size_t scaled_of() {
  if constexpr (requires { Op::scaled; }) {
    return Op::scaled;
  } else {
    return no_input;
  }
}
// The reader of input I. Input `scaled` is a row whose factor is the extra, last input.
template <class Op, class T, std::size_t I, std::size_t scaled>
auto reader(std::span<const void* const> inputs) {
  using X = Input<Op, T, I>;
  if constexpr (I == scaled) {
    return Scaled<X>{{inputs[I]}, Number<X>(inputs.back())};
  } else if constexpr (I + scalar_inputs_of<Op>() < elementwise_arity<Op>()) {
    return Elements<X>{inputs[I]};
  } else {
    return Number<X>(inputs[I]);
  }
}

// The type of the array expression that `forward` returns.
template <class Op, class T, std::size_t... I>
auto expression(std::index_sequence<I...>)
    -> std::remove_cvref_t<decltype(std::declval<const Op&>().forward(whole_piece<Input<Op, T, I>>(nullptr,
                                                                                                   0)...))>;
template <class Op>
using Inputs = std::make_index_sequence<elementwise_arity<Op>()>;
template <class Op, class T>
using Expression = decltype(expression<Op, T>(Inputs<Op>()));
template <class Op, class T>
using Result = typename Expression<Op, T>::Scalar;

template <class Op, class T, std::size_t scaled, class R, std::size_t... I>
void run_pieces(const Op& op, std::span<const void* const> inputs, R* output, Index count,
                std::index_sequence<I...>) {
  const std::tuple readers{reader<Op, T, I, scaled>(inputs)...};
  Index first = 0;
  for (; first + piece <= count; first += piece) {
    const Piece<R> y = op.forward(std::get<I>(readers).whole(first)...);
    Eigen::Map<Piece<R>>(output + first) = y;
  }
  if (first == count) return;
  if (count - first == 1) {
    const Piece<R> y = op.forward(std::get<I>(readers).one(first)...);
    output[first] = y[0];
    return;
  }
  const Piece<R> y = op.forward(std::get<I>(readers).last(first, count - first)...);
  std::copy_n(y.data(), count - first, output + first);
}

template <class Op, class T>
inline constexpr bool takes_all_inputs = requires(std::span<const void* const> inputs, T* y, Index count) {
  Op::template run<T>(inputs, y, count);  // any number of inputs
};

template <class Op, class T>
void run_block(const void* attributes, std::span<const void* const> inputs, void* output, Index count) {
  if constexpr (takes_all_inputs<Op, T>) {
    Op::template run<T>(inputs, static_cast<T*>(output), count);
  } else {
    const Op& op = as<Op>(attributes);
    auto* y = static_cast<Result<Op, T>*>(output);
    if constexpr (scaled_of<Op>() != no_input) {
      if (inputs.size() > elementwise_arity<Op>())
        return run_pieces<Op, T, scaled_of<Op>()>(op, inputs, y, count, Inputs<Op>());
    }
    run_pieces<Op, T, no_input>(op, inputs, y, count, Inputs<Op>());
  }
}

template <class Op, class T>
constexpr DType block_result() {
  if constexpr (takes_all_inputs<Op, T>) {
    return dtype_of<T>;
  } else {
    return dtype_of<Result<Op, T>>;
  }
}

// Eigen knows the cost of an expression, in additions; reading and writing memory costs about three more.
template <class Op, class T>
constexpr Index block_cost_of() {
  constexpr Index addition = 25;  // picoseconds, in vectors of 32 bytes
  if constexpr (takes_all_inputs<Op, T>) {
    return 6 * addition;
  } else {
    return (3 + Index{Eigen::internal::evaluator<Expression<Op, T>>::CoeffReadCost}) * addition;
  }
}

}  // namespace detail
}  // namespace gradweave
