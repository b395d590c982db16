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
using PieceMap = Eigen::Map<const Piece<T>>;
// Fewer elements than a piece; copies of the first of them fill the piece up. Not inlined, as the other one:
// every kernel would have a copy.
template <class T>
[[gnu::noinline]] void fill_piece(const T* from, Index count, Piece<T>& to) {
  to.setConstant(*from);
  for (Index i = 1; i < count; ++i) to[i] = from[i];
}
template <class T>
[[gnu::noinline]] void copy_some(const Piece<T>& from, Index count, T* to) {
  for (Index i = 0; i < count; ++i) to[i] = from[i];
}
// The readers of an input: `Elements` of an array, piece by piece; `Number` of one element, which each piece
// repeats. At the end, what is left is laid out in a piece of its own, and read there.
template <class T>
struct Elements {
  const T* data;
  PieceMap<T> whole(Index first) const { return PieceMap<T>(data + first); }
  void lay_out(Index first, Index count, Piece<T>& room) {
    fill_piece(data + first, count, room);
    data = room.data();
  }
  void lay_out_one(Piece<T>& room) {
    room.setConstant(*data);
    data = room.data();
  }
};
template <class T>
struct Number {
  explicit Number(const void* data) : value(Piece<T>::Constant(*static_cast<const T*>(data))) {}
  PieceMap<T> whole(Index) const { return PieceMap<T>(value.data()); }
  void lay_out(Index, Index, Piece<T>&) {}
  void lay_out_one(Piece<T>&) {}
  Piece<T> value;
};

// The reader of a row of an outer product: each element is multiplied by the row's factor, and rounded,
// before the op reads the element.
template <class T>
struct Scaled {
  Elements<T> elements;
  Number<T> factor;
  auto whole(Index first) const { return product(elements.whole(first)); }
  void lay_out(Index first, Index count, Piece<T>& room) { elements.lay_out(first, count, room); }
  void lay_out_one(Piece<T>& room) { elements.lay_out_one(room); }
  /// Adds zero as a matrix product of one term does, so that both have the same bits.
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
    return Scaled<X>{{static_cast<const X*>(inputs[I])}, Number<X>(inputs.back())};
  } else if constexpr (I + scalar_inputs_of<Op>() < elementwise_arity<Op>()) {
    return Elements<X>{static_cast<const X*>(inputs[I])};
  } else {
    return Number<X>(inputs[I]);
  }
}

// The type of the array expression that `forward` returns.
template <class Op, class T, std::size_t... I>
auto expression(std::index_sequence<I...>) -> std::remove_cvref_t<
    decltype(std::declval<const Op&>().forward(std::declval<const PieceMap<Input<Op, T, I>>&>()...))>;
template <class Op>
using Inputs = std::make_index_sequence<elementwise_arity<Op>()>;
template <class Op, class T>
using Expression = decltype(expression<Op, T>(Inputs<Op>()));
template <class Op, class T>
using Result = typename Expression<Op, T>::Scalar;

// The values of an expression. Where Eigen has no vector instructions for them it writes one element after
// the other; of a loop the compiler makes vector instructions.
template <class R, class E>
Piece<R> evaluated(const E& e) {
  using Evaluator = Eigen::internal::evaluator<E>;
  if constexpr (std::is_same_v<E, Piece<R>> || (Evaluator::Flags & Eigen::PacketAccessBit) != 0) {
    return e;
  } else {
    const Evaluator values(e);
    Piece<R> result;
    for (Index i = 0; i < piece; ++i) result.data()[i] = values.coeff(i);
    return result;
  }
}

// Of one element, in registers: long chains of single numbers are common.
template <class Op, class T, std::size_t scaled, class R, std::size_t... I>
void run_one(const Op& op, std::span<const void* const> inputs, R* output, std::index_sequence<I...>) {
  std::tuple readers{reader<Op, T, I, scaled>(inputs)...};
  std::tuple<Piece<Input<Op, T, I>>...> room;
  (std::get<I>(readers).lay_out_one(std::get<I>(room)), ...);
  output[0] = evaluated<R>(op.forward(std::get<I>(readers).whole(0)...))[0];
}

template <class Op, class T, std::size_t scaled, class R, std::size_t... I>
[[gnu::noinline]] void run_pieces(const Op& op, std::span<const void* const> inputs, R* output, Index count,
                                  std::index_sequence<I...>) {
  std::tuple readers{reader<Op, T, I, scaled>(inputs)...};
  std::tuple<Piece<Input<Op, T, I>>...> room;
  Piece<R> last;
  R* to = output;
  Index pieces = count / piece;
  const Index done = pieces * piece, rest = count - done;
  for (;;) {  // what is left takes the same loop once more
    for (Index i = 0; i < pieces; ++i) {
      const Piece<R> y = evaluated<R>(op.forward(std::get<I>(readers).whole(i * piece)...));
      Eigen::Map<Piece<R>>(to + i * piece) = y;
    }
    if (rest == 0) return;
    if (to == last.data()) return copy_some(last, rest, output + done);
    (std::get<I>(readers).lay_out(done, rest, std::get<I>(room)), ...);
    to = last.data();
    pieces = 1;
  }
}

// Whether `forward` of two inputs takes any number of them, from the left.
template <class Op>
constexpr bool folds() {
  if constexpr (requires { Op::folds; }) {
    return Op::folds;
  } else {
    return false;
  }
}

template <class Op, class T>
void run_fold_of_one(const Op& op, std::span<const void* const> inputs, T* output) {
  const auto at = [](const void* input) { return *static_cast<const T*>(input); };
  Piece<T> y = Piece<T>::Constant(at(inputs[0]));
  for (const void* input : inputs.subspan(1)) {
    const Piece<T> x = Piece<T>::Constant(at(input));
    y = evaluated<T>(op.forward(PieceMap<T>(y.data()), PieceMap<T>(x.data())));
  }
  output[0] = y[0];
}

template <class Op, class T>
[[gnu::noinline]] void run_fold(const Op& op, std::span<const void* const> inputs, T* output, Index count) {
  const auto at = [&](const void* input, Index first) { return static_cast<const T*>(input) + first; };
  Index first = 0;
  for (; first + piece <= count; first += piece) {
    Piece<T> y(PieceMap<T>(at(inputs[0], first)));
    for (const void* input : inputs.subspan(1))
      y = evaluated<T>(op.forward(PieceMap<T>(y.data()), PieceMap<T>(at(input, first))));
    Eigen::Map<Piece<T>>(output + first) = y;
  }
  if (first == count) return;
  Piece<T> y, x;
  fill_piece(at(inputs[0], first), count - first, y);
  for (const void* input : inputs.subspan(1)) {
    fill_piece(at(input, first), count - first, x);
    y = evaluated<T>(op.forward(PieceMap<T>(y.data()), PieceMap<T>(x.data())));
  }
  copy_some(y, count - first, output + first);
}

template <class Op, class T>
void run_block(const void* attributes, std::span<const void* const> inputs, void* output, Index count) {
  const Op& op = as<Op>(attributes);
  auto* y = static_cast<Result<Op, T>*>(output);
  if constexpr (folds<Op>()) {
    count == 1 ? run_fold_of_one<Op, T>(op, inputs, y) : run_fold<Op, T>(op, inputs, y, count);
  } else {
    if constexpr (scaled_of<Op>() != no_input) {
      if (inputs.size() > elementwise_arity<Op>())
        return run_pieces<Op, T, scaled_of<Op>()>(op, inputs, y, count, Inputs<Op>());
    }
    count == 1 ? run_one<Op, T, no_input>(op, inputs, y, Inputs<Op>())
               : run_pieces<Op, T, no_input>(op, inputs, y, count, Inputs<Op>());
  }
}

template <class Op, class T>
constexpr DType block_result() {
  return dtype_of<Result<Op, T>>;
}

// Eigen knows the cost of an expression, in additions; reading and writing memory costs about three more.
template <class Op, class T>
constexpr Index block_cost_of() {
  constexpr Index addition = 25;  // picoseconds, in vectors of 32 bytes
  return (3 + Index{Eigen::internal::evaluator<Expression<Op, T>>::CoeffReadCost}) * addition;
}

}  // namespace detail
}  // namespace gradweave
