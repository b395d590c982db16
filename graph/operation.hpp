// Operation: what the graph knows of an op. A table of functions, one per op type, made by `operation_of<Op>`
// (define.hpp) from the op's definition; the graph never asks which op it is.
#pragma once
#include <array>
#include <functional>
#include <optional>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <gradweave/graph/tensor.hpp>

namespace gradweave {

/// What a kernel sees of a tensor: where its elements are and how they lie. Strides count elements.
struct Array {
  void* data = nullptr;
  DType dtype = DType::float32;
  Dims shape;
  Dims strides;  ///< empty when row-major

  bool row_major() const { return strides.empty(); }
  Index size() const { return numel(shape); }
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
  template <class T>
  std::span<T> span() const {
    return {as<T>(), static_cast<std::size_t>(size())};
  }
};

/// Some rows of an output that is seen as a matrix: those from `first` on, to be written one behind the other
/// to `data`. Of an op with `part_columns` perhaps not the whole rows.
struct Rows {
  void* data = nullptr;
  Index first = 0;
  Index count = 0;
  Index width = 1;
  Index first_column = 0;
  Index columns = width;
  Index stride = width;  ///< elements from one row in `data` to the next

  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

/// What a thread should have to do at the least, in nanoseconds: to hand it something takes some 1000, to
/// wake it 5000.
inline constexpr Index block_cost = 10'000;

/// Where the checker takes an input from: uniform numbers in [low, high), whole ones for int64 and bool.
struct Draw {
  double low = -1;
  double high = 1;
  Shape shape{2, 3};
  DType dtype = DType::float64;
};
inline Draw uniform(double low, double high, Shape shape = {2, 3}) {
  return {low, high, shape, DType::float64};
}
inline Draw integers(Index low, Index high, Shape shape = {2, 3}) {
  return {static_cast<double>(low), static_cast<double>(high), shape, DType::int64};
}
inline Draw booleans(Shape shape = {2, 3}) { return {0, 2, shape, DType::bool_}; }

/// One sample of an op: the inputs to draw, and the op (attributes included) as a function of them.
struct Sample {
  std::vector<Draw> inputs;
  std::function<Tensor(std::span<const Tensor>)> call;
};

/// How an elementwise op computes elements of one dtype.
struct BlockKernel {
  /// `count` consecutive elements from row-major inputs. The output may be an input.
  void (*run)(const void* attributes, std::span<const void* const> inputs, void* output,
              Index count) = nullptr;
  DType result = DType::bool_;
  Index cost = 0;  ///< of an element, roughly, in picoseconds
};

/// How a reduction joins elements that come piece by piece, so that it can be the end of a step. Its state
/// needs no destructor.
struct Joining {
  std::size_t bytes;  ///< of the state
  Index leaf;         ///< pieces are multiples of so many elements, but for the last one
  Index grain;        ///< states over so many elements each, the last over the rest, give what one gives
  void (*begin)(void* state);
  void (*add)(void* state, const void* x, Index count);
  void (*append)(void* state, const void* next);
  void (*finish)(const void* state, void* y);
  /// Joins rows of `width` elements, one behind the other, each into an element of `y`.
  void (*rows)(const void* x, Index rows, Index width, void* y);
};

struct Operation {
  std::string_view name;

  // Attributes: the plain members of the op's type.
  std::size_t attribute_size = 0;
  void (*copy)(const void* from, void* to) = nullptr;
  void (*destroy)(void*) noexcept = nullptr;  ///< null when there is nothing to do
  bool (*equal)(const void*, const void*) = nullptr;
  std::size_t (*hash)(const void*) = nullptr;
  std::string (*print)(const void*) = nullptr;

  // Types: inputs are promoted to one dtype of `dtypes`, except those whose dtype is fixed.
  DTypes dtypes = numeric;
  std::array<std::optional<DType>, 3> fixed{};
  Spec (*infer)(const void*, std::span<const Spec> inputs) = nullptr;  ///< null: the broadcast of the inputs

  std::optional<double>
      neutral;  ///< of two inputs: where one is this number everywhere, the result is the other

  // Values: one of `block` (elementwise), `view`, `run` and `run_rows`; leaves have none.
  bool elementwise = false;
  bool plain = false;       ///< elementwise, and all inputs have the promoted dtype and broadcast
  std::size_t numbers = 0;  ///< so many of its last inputs are single elements
  /// The input that its kernels also take as elements and a number that these are multiplied by first, which
  /// then comes behind all inputs.
  std::size_t scaled = static_cast<std::size_t>(-1);
  std::array<BlockKernel, dtype_count> block{};  ///< by the dtype of the promoted inputs
  bool (*view)(const void*, const Array& input, Array& output, std::span<Index> strides) = nullptr;
  void (*run)(const void*, const Array& output, std::span<const Array> inputs) = nullptr;
  void (*run_rows)(const void*, const Rows&, const Array& output, std::span<const Array> inputs) = nullptr;
  using AboutRows = Index (*)(const void*, const Array& output, std::span<const Array> inputs);
  AboutRows row_width = nullptr;  ///< elements in a row
  AboutRows row_cost = nullptr;   ///< roughly, in nanoseconds
  AboutRows part_rows = nullptr;  ///< how many to compute at a time; it does not change their bits
  /// A multiple of so many columns is what threads had better take of all rows, which must be one part of
  /// them; 0: threads take rows.
  AboutRows part_columns = nullptr;
  /// Whether it is the outer product of its two inputs, both in order: y[i, j] = a[i] b[j].
  bool (*outer)(const void*, const Array& output, std::span<const Array> inputs) = nullptr;
  /// How many floating-point operations it takes; arrays come without data.
  double (*flops)(const void*, const Array& output, std::span<const Array> inputs) = nullptr;
  std::array<const Joining*, dtype_count> joining{};  ///< by dtype; of a reduction whose rows are single
                                                      ///< elements, each of neighbours of the input
  bool takes_strides = false;  ///< the kernel reads strided inputs itself; else it gets row-major ones
  bool uniform = false;        ///< every element is the same: `run` computes one

  // Derivative: the cotangent of input `i`, from those of the output, the inputs and the output. Empty means
  // zero.
  Tensor (*vjp)(const void*, std::size_t i, const Tensor& g, std::span<const Tensor> inputs,
                const Tensor& y) = nullptr;
  bool stops_gradient = false;
  // The sum of at least two results of this op, where there is a shorter way than to add them; else empty.
  Tensor (*sum_of)(std::span<const Tensor> terms) = nullptr;

  std::vector<Sample> (*samples)() = nullptr;
};

/// What an op is applied to: a tensor, or a number that takes the dtype of the tensors beside it. It
/// remembers the source line it was written on. Only ever a parameter: it refers to the caller's tensor.
class Operand {
 public:
  Operand(const Tensor& tensor, std::source_location where = std::source_location::current())
      : tensor_(&tensor), where_(where) {}
  /// What holds a tensor (a parameter) stands for it.
  template <class T>
    requires(std::convertible_to<const T&, const Tensor&> && !std::same_as<T, Tensor>)
  Operand(const T& holder, std::source_location where = std::source_location::current())
      : Operand(static_cast<const Tensor&>(holder), where) {}
  template <class T>
    requires std::integral<T> || std::floating_point<T>
  Operand(T number, std::source_location where = std::source_location::current())
      : number_(static_cast<double>(number)),
        number_dtype_(std::is_same_v<T, bool> ? DType::bool_
                      : std::integral<T>      ? DType::int64
                                              : DType::float32),
        where_(where) {
    if constexpr (std::integral<T> && sizeof(T) > 4)
      static_cast<void>(Literal(number));  // exact, or an error
  }

  // Member by member: to copy all of it by one instruction would mean to wait for the stores that made it.
  Operand(const Operand& other)  // NOLINT(modernize-use-equals-default)
      : tensor_(other.tensor_),
        number_(other.number_),
        number_dtype_(other.number_dtype_),
        where_(other.where_) {}
  Operand& operator=(const Operand&) = default;
  ~Operand() = default;

  const Tensor* tensor() const { return tensor_; }
  double number() const { return number_; }
  DType number_dtype() const { return number_dtype_; }
  std::source_location where() const { return where_; }

 private:
  const Tensor* tensor_ = nullptr;
  double number_ = 0;
  DType number_dtype_ = DType::float32;
  std::source_location where_;
};

/// Adds a node for `operation` to the graph: promotes dtypes, infers the shape, records place and line.
/// Errors of `infer` are thrown on with the op's name and place.
Tensor apply(const Operation& operation, const void* attributes, std::span<const Operand> inputs);

/// The kinds of leaf: data, and data with gradients.
extern const Operation constant_leaf;
extern const Operation variable_leaf;

}  // namespace gradweave
