// Everything needed to define an op: write a struct, and `operation_of` derives the rest from it. An op is
//
//   struct Softplus {
//     static constexpr std::string_view name = "softplus";
//     // An Eigen array expression:
//     static auto forward(const auto& x) { return x.max(0) + (-x.abs()).exp().log1p(); }
//     // Written with ops:
//     static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return g * sigmoid(x); }
//     // What the checker feeds it:
//     static Samples samples() { return {{uniform(-6, 6)}}; }
//   };
//   Tensor softplus(const Operand& x) { return apply<Softplus>(x); }
//
// Attributes are plain data members, at most eight, each with a default constructor: numbers, bools, dtypes,
// enumerators, strings, shapes, vectors, arrays or structs of such (attributes.hpp), or graphs (body.hpp).
// Their names, comparison, hash, text and JSON are derived; registry.hpp gives an op back by its name and
// attributes. With attributes the functions are const members, and `samples` returns `SamplesOf<Op>`: pairs
// of an op and its inputs (or whole `Sample`s, where attributes depend on inputs).
//
// What an op defines tells its kind:
//
// - elementwise: forward(x...), an array expression of pieces of sixteen elements. The inputs broadcast. A
//   member `fixed` gives inputs (such as a condition) a dtype of their own, `scalar_inputs` says how many of
//   the last ones are always single elements (such as a learning rate), which then stay in a register;
//   `folds = true` that forward(a, b) takes any number of inputs, from the left.
// - view: infer(Spec) and view(const ArrayView& x, ArrayView& y, std::span<Index> strides) moves no data.
//   It may advance y.data and must fill the strides; false means "not without a copy", and x comes again
//   row-major.
// - kernel: infer(Spec...) and forward(const ArrayView& y, const ArrayView& x...), anything else, on
//   row-major arrays.
// - rows: the same, but forward(const RowRange& rows, const ArrayView& y, const ArrayView& x...): a kernel
//   whose output is a matrix of independent rows. It computes those that it is asked for, the same bits
//   whichever they are; threads and fusion come from that. Of y it reads shape and dtype only. A row is the
//   last axis of y, or row_width(y, x...) elements.
// - kernel in place: `static constexpr std::size_t in_place = i;` says that the output, of the same spec, is
//   input i with changes. When forward is called, y has its elements already, and so has the i-th x: in the
//   memory of the input where nobody needs it any more, else in a copy. It writes what changes.
// - several outputs: infer returns Specs, one for each output, and forward(Outputs y, const ArrayView& x...)
//   fills those that have data. `apply_outputs` gives them as tensors of their own.
//
// Dtypes. `dtypes` are kinds: floating (the default of elementwise ops), integral, numeric, any_dtype, or
// `only(t)` of some. Inputs are promoted to one of them, unless `promotes = false` says that each stays as it
// is. Kernels are made for what elements are computed as (types/dtype.hpp): bool, std::int64_t, float and
// double. Elements of other dtypes are converted to these and back; `infer` sees the dtypes themselves. An op
// that only moves elements says `as_stored = true` and gets them as they are, in any dtype. One that asks
// which of two whole numbers is larger says `ordered = true`: uint64 then comes as int64 in the same order,
// else as int64 of the same bits.
//
// Axes are counted from the last, and whatever stands in front of an op's own axes is carried along: a stack
// of inputs gives the stack of the results, which the checker tries. `leading_axes = false` says that an op
// is not like that (its attributes are a whole shape); `shared_inputs` how many of its last inputs are the
// same for the whole stack (indices); `broadcasts = true` that axes in front broadcast, as those of
// elementwise ops do.
//
// Promises. An elementwise forward that is noexcept, or a member `throws = false` of any op, says that the
// kernel takes all values as they come: an optimizer may then update in place before it runs. Without it an
// op in a reverse pass costs memory, since nothing is overwritten before what may throw. What a kernel that
// does not throw takes from `allocate_block` (Recycled) is set aside before anything is overwritten: beyond
// its inputs and 1 MiB, workspace(y, x...) says how many bytes that is. `pure = false` says that the op has
// effects (Operation::pure).
//
// Formulas. What an elementwise forward computes can be read (formula_of.hpp): as C, LaTeX, a range. It is
// written with Eigen's array functions and those of formula/vocabulary.hpp (select, larger, smaller,
// multiply_add). A lambda, a loop or an array computed beforehand runs as well, and the formula says that it
// hides something. Compile ops with -ffp-contract=off, as the library is, if products and sums shall be
// rounded as their formula says.
//
// Derivatives. vjp(g, x, y) gives the cotangent of the input; with several inputs vjp(i, g, a, b, y) that of
// input i. An op of any number of inputs takes them as a std::span. vjp(Pullback& p) sees everything: all
// cotangents and outputs, and gives those of all inputs (outputs.hpp). jvp(dx, x, y), or jvp(tangents,
// inputs, y) with spans, may give the tangent of the output in a shorter way than the one derived from vjp;
// of several inputs, those that do not move have an empty tangent. An op without a rule says so:
// `not_differentiable = true` makes asking for its derivative an error, `stops_gradient = true` makes its
// result data; a result that is not floating needs neither.
//
// An op is right with no more than this. What makes some plans faster, and what reports want to know, is said
// by further members that few ops have: see "Hints" in operation.hpp.
#pragma once
#include <algorithm>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gradweave/graph/attributes.hpp>
#include <gradweave/graph/derivative_rule.hpp>
#include <gradweave/graph/formula/vocabulary.hpp>
#include <gradweave/graph/op_formula.hpp>
#include <gradweave/graph/op_traits.hpp>
#include <gradweave/graph/samples.hpp>

namespace gradweave {

using Samples = std::vector<std::vector<InputSpec>>;
template <class Op>
using SamplesOf = std::vector<std::pair<Op, std::vector<InputSpec>>>;

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

/// Applies an op with several outputs: `auto [q, r] = apply_outputs<2>(Qr{}, {x});`
template <std::size_t N, class Op>
std::array<Tensor, N> apply_outputs(const Op& op, std::initializer_list<Operand> inputs) {
  std::array<Tensor, N> all;
  std::ranges::move(outputs_of(apply(op, inputs)), all.begin());
  return all;
}
/// The same where their number depends on attributes.
template <class Op>
std::vector<Tensor> apply_outputs(const Op& op, std::initializer_list<Operand> inputs) {
  return outputs_of(apply(op, inputs));
}

namespace detail {

template <class Op, class T>
constexpr BlockKernel block_of() {
  if constexpr (contains(computed_as(dtypes_of<Op>()), dtype_of<T>)) {
    return {&run_block<Op, T>, block_result<Op, T>(), block_cost_of<Op, T>()};
  } else {
    return {};
  }
}
template <class Op>
inline constexpr BlockKernel blocks_of[computed_count] = {block_of<Op, bool>(), block_of<Op, Index>(),
                                                          block_of<Op, float>(), block_of<Op, double>()};

template <class Op, class T>
constexpr Operation::TermOf formula_kernel_of() {
  if constexpr (contains(computed_as(dtypes_of<Op>()), dtype_of<T>)) {
    return &term_of_op<Op, T>;
  } else {
    return nullptr;
  }
}
template <class Op>
inline constexpr Operation::TermOf formulas_of[computed_count] = {
    formula_kernel_of<Op, bool>(), formula_kernel_of<Op, Index>(), formula_kernel_of<Op, float>(),
    formula_kernel_of<Op, double>()};

template <class Op>
[[gnu::cold]] std::vector<Sample> collect_samples() {  // as little code as can be, since every op has its own
  std::vector<Sample> all;
  for (auto& item : Op::samples()) {
    if constexpr (requires { all.push_back(item); }) {
      all.push_back(item);
    } else if constexpr (requires { sample_of(operation_of<Op>(), &item.first, item.second); }) {
      all.push_back(sample_of(operation_of<Op>(), &item.first, item.second));
    } else {
      const Op op{};
      all.push_back(sample_of(operation_of<Op>(), &op, item));
    }
  }
  return all;
}

template <class Op>
void run_rows(const void* attributes, const RowRange& rows, const ArrayView& y,
              std::span<const ArrayView> inputs) {
  const Op& op = as<Op>(attributes);
  spread([&](const auto&... x) -> decltype(op.forward(rows, y, x...)) { op.forward(rows, y, x...); }, inputs);
}

template <class Op>
Index row_width(const void* attributes, const ArrayView& y, std::span<const ArrayView> inputs) {
  if constexpr (requires { &Op::row_width; }) {
    const Op& op = as<Op>(attributes);
    return spread([&](const auto&... x) -> decltype(op.row_width(y, x...)) { return op.row_width(y, x...); },
                  inputs);
  } else {
    return y.shape.empty() ? 1 : y.shape.back();
  }
}

template <class Op>
Index row_cost(const void* attributes, const ArrayView& y, std::span<const ArrayView> inputs) {
  if constexpr (requires { &Op::row_cost; }) {
    const Op& op = as<Op>(attributes);
    return spread([&](const auto&... x) -> decltype(op.row_cost(y, x...)) { return op.row_cost(y, x...); },
                  inputs);
  } else {
    return row_width<Op>(attributes, y, inputs) * static_cast<Index>(size_of(y.dtype)) / 16;
  }
}

template <class Op>
Index row_tile(const void* attributes, const ArrayView& y, std::span<const ArrayView> inputs) {
  if constexpr (requires { &Op::row_tile; }) {
    const Op& op = as<Op>(attributes);
    return spread([&](const auto&... x) -> decltype(op.row_tile(y, x...)) { return op.row_tile(y, x...); },
                  inputs);
  } else {
    constexpr Index bytes = Index{256} * 1024;
    const Index width = row_width<Op>(attributes, y, inputs) * static_cast<Index>(size_of(y.dtype));
    return bytes / std::max<Index>(width, 1) + 1;
  }
}

template <class Op>
Index column_tile(const void* attributes, const ArrayView& y, std::span<const ArrayView> inputs) {
  const Op& op = as<Op>(attributes);
  return spread(
      [&](const auto&... x) -> decltype(op.column_tile(y, x...)) { return op.column_tile(y, x...); }, inputs);
}

template <class Op>
Index workspace(const void* attributes, const ArrayView& y, std::span<const ArrayView> inputs) {
  const Op& op = as<Op>(attributes);
  return spread([&](const auto&... x) -> decltype(op.workspace(y, x...)) { return op.workspace(y, x...); },
                inputs);
}

template <class Op>
bool outer(const void* attributes, const ArrayView& y, std::span<const ArrayView> inputs) {
  return as<Op>(attributes).outer(y, inputs[0], inputs[1]);
}

inline void require_like(const Spec& y, const Spec& x) {
  if (y != x) throw ShapeError("the output is not like the input that it overwrites");
}

template <class Op>
double flops(const void* attributes, const ArrayView& y, std::span<const ArrayView> inputs) {
  const Op& op = as<Op>(attributes);
  return spread([&](const auto&... x) -> decltype(op.flops(y, x...)) { return op.flops(y, x...); }, inputs);
}
// What is not said: one for each element of an elementwise op's output, and of a kernel's inputs.
inline double flops_of_output(const void*, const ArrayView& y, std::span<const ArrayView>) {
  return static_cast<double>(y.size());
}
inline double flops_of_inputs(const void*, const ArrayView&, std::span<const ArrayView> inputs) {
  double all = 0;
  for (const ArrayView& x : inputs) all += static_cast<double>(x.size());
  return all;
}

template <class Tree>
inline constexpr ReductionKernel joining_by{
    sizeof(Tree),
    Tree::leaf,
    Tree::grain,
    [](void* state) { new (state) Tree; },
    [](void* state, const void* x, Index count) {
      static_cast<Tree*>(state)->add(static_cast<const typename Tree::Value*>(x), count);
    },
    [](void* state, const void* next) { static_cast<Tree*>(state)->add(*static_cast<const Tree*>(next)); },
    [](const void* state, void* y) {
      *static_cast<typename Tree::Value*>(y) = static_cast<const Tree*>(state)->result();
    },
    [](const void* x, Index rows, Index width, void* y) {
      for (Index row = 0; row < rows; ++row) {
        Tree tree;
        tree.add(static_cast<const typename Tree::Value*>(x) + row * width, width);
        static_cast<typename Tree::Value*>(y)[row] = tree.result();
      }
    }};

template <class Op, class T>
constexpr void add_joining(Operation& table) {
  if constexpr (contains(computed_as(dtypes_of<Op>()), dtype_of<T>))
    table.joining[kernel_of(dtype_of<T>)] = &joining_by<typename Op::template Tree<T>>;
}

template <class Op, std::size_t... I>
constexpr bool holds_bodies(std::index_sequence<I...>) {
  using Members = decltype(members(std::declval<const Op&>()));
  return (std::same_as<std::tuple_element_t<I, Members>, const Body&> || ...);
}

template <class Op>
constexpr Operation describe() {
  check_rule<Op>();
  Operation table;
  table.name = Op::name;
  table.dtypes = dtypes_of<Op>();
  table.fixed = fixed_dtypes<Op>();
  table.throws = throws_of<Op>();
  if constexpr (requires { Op::promotes; }) table.promotes = Op::promotes;
  if constexpr (requires { Op::pure; }) table.pure = Op::pure;
  if constexpr (requires { Op::leading_axes; }) table.leading_axes = Op::leading_axes;
  table.broadcasts = ElementwiseOp<Op>;
  if constexpr (requires { Op::broadcasts; }) table.broadcasts = Op::broadcasts;
  table.shared_inputs = scalar_inputs_of<Op>();
  if constexpr (requires { Op::shared_inputs; }) table.shared_inputs = Op::shared_inputs;
  if constexpr (requires { Op::as_stored; }) table.as_stored = Op::as_stored;
  if constexpr (requires { Op::ordered; }) table.ordered = Op::ordered;

  if constexpr (!std::is_empty_v<Op>) {
    static_assert(
        requires { Op{}; }, "each attribute needs a default constructor");
    table.attribute_size = sizeof(Op);
    table.copy = [](const void* from, void* to) { new (to) Op(as<Op>(from)); };
    table.equal = [](const void* a, const void* b) {
      return [&]<std::size_t... I>(std::index_sequence<I...>, const auto& x, const auto& y) {
        return (same_member(std::get<I>(x), std::get<I>(y)) && ...);
      }(std::make_index_sequence<member_count<Op>()>(), members(as<Op>(a)), members(as<Op>(b)));
    };
    table.hash = [](const void* attributes) {
      return std::apply(
          [](const auto&... m) {
            std::size_t seed = 0;
            ((seed = combine(seed, hash_member(m))), ...);
            return seed;
          },
          members(as<Op>(attributes)));
    };
    table.attributes = &record_type<Op>;
    table.construct = [](void* to) { new (to) Op{}; };
    static_assert(alignof(Op) <= alignof(std::int64_t), "attributes lie at a multiple of eight bytes");
    if constexpr (holds_bodies<Op>(std::make_index_sequence<member_count<Op>()>())) {
      table.bodies = [](const void* attributes) {
        std::vector<const Body*> all;
        const auto add = [&](const auto& m) {
          if constexpr (std::same_as<decltype(m), const Body&>) all.push_back(&m);
        };
        std::apply([&](const auto&... m) { (add(m), ...); }, members(as<Op>(attributes)));
        return all;
      };
    }
    if constexpr (!std::is_trivially_destructible_v<Op>) {
      table.destroy = [](void* attributes) noexcept { static_cast<Op*>(attributes)->~Op(); };
    }
  }

  if constexpr (ElementwiseOp<Op>) {
    table.elementwise = true;
    table.scalar_inputs = scalar_inputs_of<Op>();
    table.scaled = scaled_of<Op>();
    table.plain = table.scalar_inputs == 0 && !requires { Op::fixed; };
    table.blocks = blocks_of<Op>;
    table.formulas = formulas_of<Op>;
  } else {
    if constexpr (OutputsOp<Op>) {
      table.infer_outputs = [](const void* attributes, std::span<const Spec> inputs) {
        return inferred(as<Op>(attributes), inputs);
      };
      table.infer = [](const void* attributes, std::span<const Spec> inputs) {
        return Spec{{static_cast<Index>(lay_out(inferred(as<Op>(attributes), inputs)).bytes)}, DType::bool_};
      };
      table.run_outputs = [](const void* attributes, std::span<const ArrayView> y,
                             std::span<const ArrayView> inputs) {
        const Op& op = as<Op>(attributes);
        spread([&](const auto&... x) -> decltype(op.forward(y, x...)) { op.forward(y, x...); }, inputs);
      };
    } else {
      table.infer = [](const void* attributes, std::span<const Spec> inputs) {
        Spec y = inferred(as<Op>(attributes), inputs);
        if constexpr (requires { Op::in_place; }) require_like(y, inputs[Op::in_place]);
        return y;
      };
    }
    if constexpr (OutputsOp<Op>) {
      static_assert(!ViewOp<Op>, "a view has one output");
    } else if constexpr (ViewOp<Op>) {
      table.view = [](const void* attributes, const ArrayView& x, ArrayView& y, std::span<Index> strides) {
        return as<Op>(attributes).view(x, y, strides);
      };
    } else if constexpr (RowKernelOp<Op>) {
      table.run_rows = &run_rows<Op>;
      table.row_width = &row_width<Op>;
      table.row_cost = &row_cost<Op>;
      table.row_tile = &row_tile<Op>;
      if constexpr (requires { &Op::column_tile; }) table.column_tile = &column_tile<Op>;
      if constexpr (requires { &Op::outer; }) table.outer = &outer<Op>;
    } else if constexpr (requires { Op::blocks; }) {  // elementwise, with kernels of its own
      table.elementwise = true;
      table.blocks = Op::blocks;
      if constexpr (requires { Op::formulas; }) table.formulas = Op::formulas;
    } else {
      table.run = [](const void* attributes, const ArrayView& y, std::span<const ArrayView> inputs) {
        spread(
            [&](const auto&... x) -> decltype(as<Op>(attributes).forward(y, x...)) {
              as<Op>(attributes).forward(y, x...);
            },
            inputs);
      };
    }
    if constexpr (requires { &Op::workspace; }) table.workspace = &workspace<Op>;
    if constexpr (requires { typename Op::template Tree<float>; }) {
      add_joining<Op, Index>(table);
      add_joining<Op, float>(table);
      add_joining<Op, double>(table);
    }
    if constexpr (requires { Op::in_place; }) {
      static_assert(!OutputsOp<Op> && !ViewOp<Op> && !RowKernelOp<Op>, "a kernel of one output is in place");
      table.in_place = Op::in_place;
    }
    if constexpr (requires { Op::takes_strides; }) table.takes_strides = Op::takes_strides;
    if constexpr (requires { Op::splat; }) table.splat = Op::splat;
  }

  if constexpr (requires { &Op::flops; }) {
    table.flops = &flops<Op>;
  } else if constexpr (!ViewOp<Op>) {
    table.flops = ElementwiseOp<Op> ? &flops_of_output : &flops_of_inputs;
  }
  if constexpr (requires { Op::identity; }) table.identity = Op::identity;
  if constexpr (requires(const Op& op, Pullback& p) { op.vjp(p); }) {
    table.pull_back = [](const void* attributes, Pullback& p) { as<Op>(attributes).vjp(p); };
  } else if constexpr (requires { &Op::vjp; }) {
    table.vjp = &call_vjp<Op>;
  }
  if constexpr (requires { &Op::jvp; }) table.jvp = &call_jvp<Op>;
  if constexpr (requires { Op::stops_gradient; }) table.stops_gradient = Op::stops_gradient;
  if constexpr (requires { Op::rewrites; }) table.rewrites = Op::rewrites;
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
