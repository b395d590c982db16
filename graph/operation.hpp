// Operation: what the graph knows of an op. A table of functions, one per op type, made by `operation_of<Op>`
// (define.hpp) from the op's definition; the graph never asks which op it is.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <gradweave/graph/kernels/array.hpp>
#include <gradweave/graph/operand.hpp>
#include <gradweave/graph/tensor.hpp>

namespace gradweave {

struct Sample;         // samples.hpp
class FormulaBuilder;  // formula/builder.hpp
class Pullback;        // outputs.hpp
class Body;            // body.hpp
namespace detail {
struct RecordType;  // attributes.hpp
}
class Term;  // rewrite.hpp

/// A shorter way to compute a value (rewrite.hpp).
struct Rewrite {
  enum Values : std::uint8_t {
    of_op,      ///< values of the op that says so
    of_readers  ///< values all of whose inputs are the op's, and are read by nobody else
  };
  std::string_view name;  ///< as reports show it
  Values values;
  Term (*shorter)(const Term& y);  ///< the same value; empty where there is no shorter way
};

struct Operation {
  std::string_view name;

  // Attributes: the plain members of the op's type.
  std::size_t attribute_size = 0;
  void (*copy)(const void* from, void* to) = nullptr;
  void (*destroy)(void*) noexcept = nullptr;  ///< null when there is nothing to do
  bool (*equal)(const void*, const void*) = nullptr;
  std::size_t (*hash)(const void*) = nullptr;
  void (*construct)(void* to) = nullptr;                      ///< default values, in raw memory
  const detail::RecordType* attributes = nullptr;             ///< their names and types (attributes.hpp)
  std::vector<const Body*> (*bodies)(const void*) = nullptr;  ///< of the attributes, those that are bodies

  // Types: inputs are promoted to one dtype of `dtypes`, except those whose dtype is fixed. Kernels see them,
  // and give their results, as what elements of that dtype are computed as.
  DTypes dtypes = numeric;
  bool as_stored = false;  ///< kernels see elements of every dtype as they are: they only move them
  bool ordered = false;    ///< the result depends on which of two elements is larger
  std::array<std::optional<DType>, 3> fixed{};
  bool promotes = true;  ///< else each input keeps the dtype that it has
  Spec (*infer)(const void*, std::span<const Spec> inputs) = nullptr;  ///< null: the broadcast of the inputs
  /// Of an op with several outputs (outputs.hpp), whose `infer` says how many bytes they take together.
  std::vector<Spec> (*infer_outputs)(const void*, std::span<const Spec> inputs) = nullptr;

  /// Without effects: equal nodes may be computed once, known results while planning, unread ones not at all,
  /// and some twice. An op that is not pure (it reads a sensor, prints) runs once for each of its nodes
  /// whenever these are evaluated, in the order in which they were reached.
  bool pure = true;
  /// The input that the output overwrites (a kernel's, of one output of the same spec): `run` finds its
  /// elements in the output, and writes those that change.
  std::size_t in_place = static_cast<std::size_t>(-1);
  /// Its kernels may refuse the values they meet. Nothing is overwritten in place before the last of such.
  bool throws = true;

  /// Defined over its inputs' last axes, with anything in front: a stack of inputs gives the stack of
  /// results.
  bool leading_axes = true;
  /// So many of its last inputs are the same for all that stands in front, such as the indices of `take`.
  std::size_t shared_inputs = 0;
  /// What stands in front broadcasts.
  bool broadcasts = false;

  // Values: one of `block` (elementwise), `view`, `run`, `run_rows` and `run_outputs`; leaves have none.
  bool elementwise = false;
  bool plain = false;             ///< elementwise, and all inputs have the promoted dtype and broadcast
  std::size_t scalar_inputs = 0;  ///< so many of its last inputs are single elements
  /// By the dtype of the promoted inputs, if `as_stored`; else by what they are computed as.
  const BlockKernel* blocks = nullptr;
  const BlockKernel& block(DType inputs) const {
    return blocks[as_stored ? number_of(inputs) : kernel_of(inputs)];
  }
  bool (*view)(const void*, const ArrayView& input, ArrayView& output, std::span<Index> strides) = nullptr;
  void (*run)(const void*, const ArrayView& output, std::span<const ArrayView> inputs) = nullptr;
  void (*run_rows)(const void*, const RowRange&, const ArrayView& output,
                   std::span<const ArrayView> inputs) = nullptr;
  /// Of several outputs, those without data are not to be computed: nobody reads them.
  void (*run_outputs)(const void*, std::span<const ArrayView> outputs,
                      std::span<const ArrayView> inputs) = nullptr;
  using AboutRows = Index (*)(const void*, const ArrayView& output, std::span<const ArrayView> inputs);
  AboutRows row_width = nullptr;  ///< elements in a row
  /// Bytes that its kernel takes for itself, at most, in each thread; null: little (StepRunner::workspace).
  AboutRows workspace = nullptr;

  // Derivative: the cotangent of input `i`, from those of the output, the inputs and the output. Empty means
  // zero.
  Tensor (*vjp)(const void*, std::size_t i, const Tensor& g, std::span<const Tensor> inputs,
                const Tensor& y) = nullptr;
  /// The same for all inputs at once, in place of `vjp`.
  void (*pull_back)(const void*, Pullback&) = nullptr;
  bool stops_gradient = false;
  /// The tangent of the output from those of the inputs, which are empty where nothing moves; null: derived
  /// from the vjp. Empty means zero.
  Tensor (*jvp)(const void*, std::span<const Tensor> tangents, std::span<const Tensor> inputs,
                const Tensor& y) = nullptr;

  std::vector<Sample> (*samples)() = nullptr;

  // Hints: members of the same names of an op's struct, for the planner and for reports. Without them an op
  // is right, and perhaps slower.

  /// Of two inputs: where one is this number everywhere, the result is the other.
  std::optional<double> identity;
  /// Shorter ways to compute its values, or what is read from them: a static array.
  std::span<const Rewrite> rewrites;
  /// Every element is the same: `forward` computes one.
  bool splat = false;
  /// The kernel reads strided inputs itself; else it gets row-major ones.
  bool takes_strides = false;
  /// Of rows: row_cost(y, x...), what one costs, roughly, in nanoseconds; by default that of writing it.
  AboutRows row_cost = nullptr;
  /// row_tile(y, x...), how many to compute at a time, so that what reads them finds them in the cache, by
  /// default 256 KiB of them; it does not change their bits.
  AboutRows row_tile = nullptr;
  /// column_tile(y, x...): a multiple of so many columns is what threads had better take of all rows, which
  /// must be one tile of them (see RowRange); 0: threads take rows.
  AboutRows column_tile = nullptr;
  /// outer(y, a, b): whether it is the outer product of its two inputs as they lie, y[i, j] = a[i] b[j]. What
  /// follows may then take its rows as multiples of b,
  bool (*outer)(const void*, const ArrayView& output, std::span<const ArrayView> inputs) = nullptr;
  /// if that is an elementwise op for whose input `scaled` there are kernels which take elements and a number
  /// that these are multiplied by first; the number then comes behind all inputs.
  std::size_t scaled = static_cast<std::size_t>(-1);
  /// Of a reduction whose rows are single elements, each of neighbours of the input: `template <class T>
  /// using Tree` (kernels/reduce.hpp), by what elements are computed as.
  std::array<const ReductionKernel*, computed_count> joining{};
  /// flops(y, x...): how many floating-point operations it takes, for reports; arrays come without data. By
  /// default one for each element of an elementwise op's output, and of a kernel's inputs.
  double (*flops)(const void*, const ArrayView& output, std::span<const ArrayView> inputs) = nullptr;

  // Of an elementwise op, by the dtype of the promoted inputs as `blocks`: the last term of its formula, made
  // of those of its inputs (formula_of.hpp). Null where there is no kernel.
  using TermOf = std::uint16_t (*)(const void*, FormulaBuilder&, std::span<const std::uint16_t> inputs);
  const TermOf* formulas = nullptr;
};

/// The one description of an op, derived from its struct by define.hpp.
template <class Op>
const Operation& operation_of();

/// An operation's attributes in memory of their own, default ones or a copy; null where it has none.
std::shared_ptr<void> new_attributes(const Operation& operation, const void* from = nullptr);

/// Its name with its attributes: `matmul(transpose_a=false, transpose_b=true)`, or `exp`.
std::string to_string(const Operation& operation, const void* attributes);

/// Adds a node for `operation` to the graph: promotes dtypes, infers the shape, records place and line.
/// Errors of `infer` are thrown on with the op's name and place.
Tensor apply(const Operation& operation, const void* attributes, std::span<const Operand> inputs);

/// The kinds of leaf: data, data with gradients, and an argument of a body that is being traced, without
/// values.
extern const Operation constant_leaf;
extern const Operation variable_leaf;
extern const Operation argument_leaf;

}  // namespace gradweave
