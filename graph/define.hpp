// Everything needed to define an op: write a struct, and `operation_of` derives the rest from it. An op is
//
//   struct Softplus {
//     static constexpr std::string_view name = "softplus";
//     static auto forward(const auto& x) { return x.max(0) + (-x.abs()).exp().log1p(); }  // Eigen array
//     expressions static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return g * sigmoid(x);
//     }  // written with ops static Samples samples() { return {{uniform(-6, 6)}}; }  // what the checker
//     feeds it
//   };
//   Tensor softplus(const Operand& x) { return apply<Softplus>(x); }
//
// Attributes are plain data members, at most six; then the functions are const members, and `samples` returns
// `SamplesOf<Op>`: pairs of an op and its inputs. What an op defines tells its kind:
//   elementwise  forward(x...): an array expression. `dtypes` (default: floating) says for which elements.
//   The inputs
//                broadcast. A member `fixed` gives inputs (such as a condition) a dtype of their own.
//   view         infer(Spec) and view(const Array& x, Array& y, std::span<Index> strides): moves no data. It
//   may advance
//                y.data and must fill the strides; false means "not without a copy", and x comes again
//                row-major.
//   kernel       infer(Spec...) and forward(const Array& y, const Array& x...): anything else, on row-major
//   arrays.
// vjp(g, x, y) gives the cotangent of the input; with several inputs vjp(i, g, a, b, y) that of input i. An
// op of any number of inputs takes them as a std::span. No vjp means: not differentiable, and asking is an
// error.
#pragma once
#include <tuple>
#include <type_traits>
#include <utility>

#include <Eigen/Core>

#include <gradweave/graph/operation.hpp>

namespace gradweave {

using Samples = std::vector<std::vector<Draw>>;
template <class Op>
using SamplesOf = std::vector<std::pair<Op, std::vector<Draw>>>;

/// What Elementwise::forward computes with.
template <class T>
using ConstBlock = Eigen::Map<const Eigen::Array<T, Eigen::Dynamic, 1>>;
template <class T>
using Block = Eigen::Map<Eigen::Array<T, Eigen::Dynamic, 1>>;

/// Applies `op` to tensors and numbers: a new node, nothing computed.
template <class Op>
Tensor apply_all(const Op& op, std::span<const Operand> inputs);
template <class Op>
Tensor apply(const Op& op, std::initializer_list<Operand> inputs) {
  return apply_all(op, {inputs.begin(), inputs.size()});
}
/// For an op without attributes.
template <class Op, std::same_as<Operand>... Operands>
Tensor apply(const Operands&... inputs) {
  return apply(Op{}, {inputs...});
}

namespace detail {

// The kind of an op shows in what it defines.
template <class Op>
concept ViewOp = requires { &Op::view; };
template <class Op>
concept ElementwiseOp = !requires { &Op::infer; };

// Attributes by reflection: how many members can be brace-initialised, then one structured binding.
struct Anything {
  template <class T>
  operator T() const;
};
template <class Op, class... Members>
constexpr std::size_t member_count() {
  if constexpr (std::is_empty_v<Op>) {
    return 0;
  } else if constexpr (requires { Op{Members{}..., Anything{}}; }) {
    return member_count<Op, Members..., Anything>();
  } else {
    return sizeof...(Members);
  }
}

template <class Op>
constexpr auto members(const Op& op) {
  constexpr std::size_t n = member_count<Op>();
  static_assert(n <= 6, "an op has at most six attributes");
  if constexpr (n == 0) {
    return std::tie();
  } else if constexpr (n == 1) {
    const auto& [a] = op;
    return std::tie(a);
  } else if constexpr (n == 2) {
    const auto& [a, b] = op;
    return std::tie(a, b);
  } else if constexpr (n == 3) {
    const auto& [a, b, c] = op;
    return std::tie(a, b, c);
  } else if constexpr (n == 4) {
    const auto& [a, b, c, d] = op;
    return std::tie(a, b, c, d);
  } else if constexpr (n == 5) {
    const auto& [a, b, c, d, e] = op;
    return std::tie(a, b, c, d, e);
  } else {
    const auto& [a, b, c, d, e, f] = op;
    return std::tie(a, b, c, d, e, f);
  }
}

std::size_t combine(std::size_t seed, std::size_t hash);
std::string print_number(double value);
inline std::string print_member(bool value) { return value ? "true" : "false"; }
inline std::string print_member(DType value) { return std::string(name_of(value)); }
inline std::string print_member(const Shape& value) { return to_string(value); }
inline std::string print_member(AxisSet value) { return to_string(value); }
template <class T>
  requires std::integral<T>
std::string print_member(T value) {
  return std::to_string(value);
}
template <std::floating_point T>
std::string print_member(T value) {
  return print_number(static_cast<double>(value));
}
inline std::size_t hash_member(AxisSet axes) { return axes.bits; }
inline std::size_t hash_member(const Shape& shape) {
  std::size_t seed = shape.rank();
  for (Index size : shape) seed = combine(seed, std::hash<Index>{}(size));
  return seed;
}
template <class T>
  requires std::is_arithmetic_v<T> || std::is_enum_v<T>
std::size_t hash_member(T value) {
  return std::hash<T>{}(value);
}

template <class Op>
const Op& as(const void* attributes) {
  if constexpr (std::is_empty_v<Op>) {
    static constexpr Op op{};
    return op;
  } else {
    return *static_cast<const Op*>(attributes);
  }
}

// Calls f(items...) with as many items as `f` takes (at most three), or with the span if it takes that.
template <class F, class Item>
decltype(auto) spread(const F& f, std::span<const Item> items) {
  if constexpr (requires { f(items); }) {
    return f(items);
  } else if constexpr (requires { f(); }) {
    return f();
  } else if constexpr (requires { f(items[0]); }) {
    return f(items[0]);
  } else if constexpr (requires { f(items[0], items[1]); }) {
    return f(items[0], items[1]);
  } else {
    return f(items[0], items[1], items[2]);
  }
}

template <class Op>
constexpr std::size_t elementwise_arity() {
  using X = ConstBlock<double>;
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

template <class Op>
constexpr DTypes dtypes_of() {
  if constexpr (requires { Op::dtypes; }) {
    return Op::dtypes;
  } else {
    return ElementwiseOp<Op> ? floating : ViewOp<Op> ? any_dtype : numeric;
  }
}

template <class Op, class T, std::size_t I>
auto input_block(const void* data, Index count) {
  constexpr std::optional<DType> own = I < fixed_dtypes<Op>().size() ? fixed_dtypes<Op>()[I] : std::nullopt;
  if constexpr (own == DType::bool_) {
    return ConstBlock<bool>(static_cast<const bool*>(data), count);
  } else if constexpr (own == DType::int64) {
    return ConstBlock<Index>(static_cast<const Index*>(data), count);
  } else {
    return ConstBlock<T>(static_cast<const T*>(data), count);
  }
}

template <class Op, class T, std::size_t... I>
auto block_expression(const Op& op, std::span<const void* const> inputs, Index count,
                      std::index_sequence<I...>) {
  return op.forward(input_block<Op, T, I>(inputs[I], count)...);
}

// Stores an expression from its first element on. Eigen's own loop begins with single elements until the
// output is aligned; as functions of single elements and of vectors differ in their last bits, results would
// depend on addresses.
template <class T, class Expression>
void store(const Expression& y, T* output, Index count) {
  using namespace Eigen::internal;
  const evaluator<Expression> value(y);
  Index i = 0;
  if constexpr ((int(evaluator<Expression>::Flags) & Eigen::PacketAccessBit) != 0) {
    using Packet = typename packet_traits<T>::type;
    constexpr Index width = packet_traits<T>::size;
    for (; i + width <= count; i += width)
      pstoreu(output + i, value.template packet<Eigen::Unaligned, Packet>(i));
  }
  for (; i < count; ++i) output[i] = value.coeff(i);
}

template <class Op, class T>
void run_block(const void* attributes, std::span<const void* const> inputs, void* output, Index count) {
  if constexpr (requires(T* y) { Op::template run<T>(inputs, y, count); }) {  // any number of inputs
    Op::template run<T>(inputs, static_cast<T*>(output), count);
  } else {
    const auto y = block_expression<Op, T>(as<Op>(attributes), inputs, count,
                                           std::make_index_sequence<elementwise_arity<Op>()>());
    using Result = typename std::decay_t<decltype(y)>::Scalar;
    store(y, static_cast<Result*>(output), count);
  }
}

template <class Op, class T>
constexpr DType block_result() {
  if constexpr (requires(T* y) { Op::template run<T>(std::span<const void* const>(), y, Index()); }) {
    return dtype_of<T>;
  } else {
    using Y = decltype(block_expression<Op, T>(std::declval<const Op&>(), std::span<const void* const>(),
                                               Index(), std::make_index_sequence<elementwise_arity<Op>()>()));
    return dtype_of<typename Y::Scalar>;
  }
}

template <class Op, class T>
constexpr void add_block(Operation& table) {
  if constexpr (contains(dtypes_of<Op>(), dtype_of<T>)) {
    constexpr auto slot = static_cast<std::size_t>(dtype_of<T>);
    table.block[slot] = &run_block<Op, T>;
    table.block_result[slot] = block_result<Op, T>();
  }
}

template <class Op>
Tensor call_vjp(const void* attributes, std::size_t i, const Tensor& g, std::span<const Tensor> inputs,
                const Tensor& y) {
  const Op& op = as<Op>(attributes);
  if constexpr (requires { op.vjp(g, inputs[0], y); }) {
    return op.vjp(g, inputs[0], y);
  } else if constexpr (requires { op.vjp(i, g, inputs, y); }) {
    return op.vjp(i, g, inputs, y);
  } else if constexpr (requires { op.vjp(i, g, inputs[0], inputs[1], y); }) {
    return op.vjp(i, g, inputs[0], inputs[1], y);
  } else {
    return op.vjp(i, g, inputs[0], inputs[1], inputs[2], y);
  }
}

template <class Op>
std::vector<Sample> collect_samples() {
  std::vector<Sample> all;
  const auto add = [&](const Op& op, const std::vector<Draw>& inputs) {
    all.push_back({inputs, [op](std::span<const Tensor> tensors) {
                     return apply_all(op, std::vector<Operand>(tensors.begin(), tensors.end()));
                   }});
  };
  for (const auto& item : Op::samples()) {
    if constexpr (requires { add(item.first, item.second); }) {
      add(item.first, item.second);
    } else {
      add(Op{}, item);
    }
  }
  return all;
}

template <class Op>
constexpr Operation describe() {
  Operation table;
  table.name = Op::name;
  table.dtypes = dtypes_of<Op>();
  table.fixed = fixed_dtypes<Op>();

  if constexpr (!std::is_empty_v<Op>) {
    table.attribute_size = sizeof(Op);
    table.copy = [](const void* from, void* to) { new (to) Op(as<Op>(from)); };
    table.equal = [](const void* a, const void* b) { return members(as<Op>(a)) == members(as<Op>(b)); };
    table.hash = [](const void* attributes) {
      return std::apply(
          [](const auto&... m) {
            std::size_t seed = 0;
            ((seed = combine(seed, hash_member(m))), ...);
            return seed;
          },
          members(as<Op>(attributes)));
    };
    table.print = [](const void* attributes) {
      return std::apply(
          [](const auto&... m) {
            std::string text;
            ((text += (text.empty() ? "" : ", ") + print_member(m)), ...);
            return text;
          },
          members(as<Op>(attributes)));
    };
    if constexpr (!std::is_trivially_destructible_v<Op>) {
      table.destroy = [](void* attributes) noexcept { static_cast<Op*>(attributes)->~Op(); };
    }
  }

  if constexpr (ElementwiseOp<Op>) {
    table.elementwise = true;
    add_block<Op, bool>(table);
    add_block<Op, Index>(table);
    add_block<Op, float>(table);
    add_block<Op, double>(table);
  } else {
    table.infer = [](const void* attributes, std::span<const Spec> inputs) {
      return spread(
          [&](const auto&... x) -> decltype(as<Op>(attributes).infer(x...)) {
            return as<Op>(attributes).infer(x...);
          },
          inputs);
    };
    if constexpr (ViewOp<Op>) {
      table.view = [](const void* attributes, const Array& x, Array& y, std::span<Index> strides) {
        return as<Op>(attributes).view(x, y, strides);
      };
    } else {
      table.run = [](const void* attributes, const Array& y, std::span<const Array> inputs) {
        spread(
            [&](const auto&... x) -> decltype(as<Op>(attributes).forward(y, x...)) {
              as<Op>(attributes).forward(y, x...);
            },
            inputs);
      };
      if constexpr (requires { Op::takes_strides; }) table.takes_strides = Op::takes_strides;
      if constexpr (requires { Op::uniform; }) table.uniform = Op::uniform;
    }
  }

  if constexpr (requires { &Op::vjp; }) table.vjp = &call_vjp<Op>;
  if constexpr (requires { Op::stops_gradient; }) table.stops_gradient = Op::stops_gradient;
  if constexpr (requires { Op::samples(); }) table.samples = &collect_samples<Op>;
  return table;
}

template <class Op>
inline constexpr Operation table = describe<Op>();

}  // namespace detail

/// The one description of `Op`, made at compile time.
template <class Op>
const Operation& operation_of() {
  return detail::table<Op>;
}

template <class Op>
Tensor apply_all(const Op& op, std::span<const Operand> inputs) {
  return apply(detail::table<Op>, static_cast<const void*>(&op), inputs);
}

}  // namespace gradweave
