#include <gradweave/graph/algebra.hpp>

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include <gradweave/graph/define.hpp>
#include <gradweave/graph/kernels/convert.hpp>
#include <gradweave/graph/kernels/reduce.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/graph/node.hpp>
#include <gradweave/graph/outputs.hpp>
#include <gradweave/graph/rewrite.hpp>

namespace gradweave {
namespace {

struct Fill {
  double value;
  Shape shape;
  DType dtype;
  static constexpr std::string_view name = "full";
  static constexpr bool leading_axes = false;
  static constexpr bool throws = false;
  static constexpr bool splat = true;
  static constexpr bool as_stored = true;
  static constexpr DTypes dtypes = any_dtype;
  Spec infer() const { return {shape, dtype}; }
  void forward(const ArrayView& y) const { convert_elements(DType::float64, &value, dtype, y.data, 1); }
  static SamplesOf<Fill> samples() {
    return {{{.value = 1.5, .shape = {2, 3}, .dtype = DType::float64}, {}}};
  }
};

// As the same dtype it is a copy that lays the elements out in order.
struct Cast {
  DType dtype;
  static constexpr std::string_view name = "cast";
  static constexpr bool throws = false;
  static constexpr bool as_stored = true;
  static constexpr DTypes dtypes = any_dtype;
  static const std::array<BlockKernel, dtype_count> kernels;
  static constexpr const BlockKernel* blocks = kernels.data();
  static const std::array<Operation::TermOf, dtype_count> terms;
  static constexpr const Operation::TermOf* formulas = terms.data();
  Spec infer(const Spec& x) const { return {x.shape, dtype}; }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return cast(g, x.dtype()); }
  static SamplesOf<Cast> samples() { return {{{.dtype = DType::float64}, {uniform(-3, 3)}}}; }
};
constexpr std::array<BlockKernel, dtype_count> Cast::kernels =
    []<std::size_t... From>(std::index_sequence<From...>) {
      constexpr Index cost = 200;
      return std::array{
          BlockKernel{[](const void* attributes, std::span<const void* const> inputs, void* y, Index count) {
                        convert_elements(static_cast<DType>(From), inputs[0],
                                         static_cast<const Cast*>(attributes)->dtype, y, count);
                      },
                      DType::bool_, cost}...};
    }(std::make_index_sequence<dtype_count>());

constexpr std::array<Operation::TermOf, dtype_count> Cast::terms = [] {
  std::array<Operation::TermOf, dtype_count> all;
  all.fill([](const void* attributes, FormulaBuilder& b, std::span<const TermId> inputs) {
    return b.apply(ElementFunction::cast, static_cast<const Cast*>(attributes)->dtype, inputs[0]);
  });
  return all;
}();

// The sign bit of whole numbers flipped: makes of the bits of uint64 an int64 in the same order, and back.
struct FlipSign {
  static constexpr std::string_view name = "flip_sign";
  static constexpr DTypes dtypes = only(DType::int64);
  static auto forward(const auto& x) noexcept {
    return x.binaryExpr(filled(x, std::numeric_limits<Index>::min()), detail::BitwiseXor());
  }
  static Samples samples() { return {{integers(-3, 3)}}; }
};

struct Add {
  static constexpr std::string_view name = "add";
  static constexpr double identity = -0.0;  // 0 would make a negative zero positive
  static constexpr DTypes dtypes = any_dtype;
  static constexpr bool folds = true;
  static auto forward(const auto& a, const auto& b) noexcept { return a + b; }
  static Tensor vjp(std::size_t, const Tensor& g, std::span<const Tensor>, const Tensor&) { return g; }
  static Samples samples() {
    return {{uniform(-2, 2), uniform(-2, 2, {3})}, {uniform(-2, 2), uniform(-2, 2), uniform(-2, 2, {2, 1})}};
  }
};

struct Sum {
  template <class T>
  using Tree = Pairwise<Summing<T>>;
  AxisSet axes;
  bool keepdims;
  static constexpr std::string_view name = "sum";
  static constexpr bool throws = false;
  // Of whole numbers it has the widest dtype that is signed if they are.
  Spec infer(const Spec& x) const {
    const DType widest = about(x.dtype).is_signed ? DType::int64 : DType::uint64;
    return {reduced_shape(x.shape, axes, keepdims), is_integral(x.dtype) ? widest : x.dtype};
  }
  void forward(const RowRange& rows, const ArrayView&, const ArrayView& x) const {
    dispatch<numeric>(x.dtype, [&]<class T>() {
      reduce_rows<Summing<T>>(x.as<T>(), x.shape, axes, rows.first, rows.count, rows.as<T>());
    });
  }
  Index row_width(const ArrayView& y, const ArrayView& x) const {
    return reduced_width(x.shape, axes, y.size());
  }
  Index row_cost(const ArrayView& y, const ArrayView& x) const {
    return x.size() / std::max<Index>(y.size(), 1) * row_width(y, x) / 8;
  }
  Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) const {
    const Shape shape = x.shape(), kept = reduced_shape(shape, axes, true);
    return broadcast_to(same_when_padded(g.shape(), kept) ? g : reshape(g, kept), shape);
  }
  static bool same_when_padded(const Shape& shape, Dims kept) {  // (3) stands for (1, 3)
    return std::all_of(kept.begin(), kept.end() - static_cast<std::ptrdiff_t>(shape.rank()),
                       [](Index s) { return s == 1; }) &&
           same(shape, kept.last(shape.rank()));
  }
  static SamplesOf<Sum> samples() {
    return {{{.axes = {0b10}, .keepdims = false}, {uniform(-2, 2)}},
            {{.axes = {0b01}, .keepdims = true}, {uniform(-2, 2)}},
            {{.axes = {0b101}, .keepdims = false}, {uniform(-2, 2, {2, 3, 4})}},
            {{.axes = {0b11}, .keepdims = false}, {uniform(-2, 2)}}};
  }
};

struct BroadcastTo {
  Shape shape;
  static constexpr std::string_view name = "broadcast_to";
  static constexpr bool leading_axes = false;
  Spec infer(const Spec& x) const {
    if (!broadcasts_to(x.shape, shape)) {
      throw ShapeError(fmt::format("{} does not broadcast to {}", to_string(x.shape), to_string(shape)));
    }
    return {shape, x.dtype};
  }
  static bool view(const ArrayView& x, ArrayView& y, std::span<Index> strides) {
    const Shape packed = row_major(x.shape);
    const Dims from = x.row_major() ? Dims(packed) : x.strides;
    const std::size_t lead = y.shape.size() - x.shape.size();
    for (std::size_t axis = 0; axis < strides.size(); ++axis) {
      const bool repeated = axis < lead || x.shape[axis - lead] == 1;
      strides[axis] = repeated ? 0 : from[axis - lead];
    }
    return true;
  }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return sum_to(g, x.shape()); }
  static SamplesOf<BroadcastTo> samples() {
    return {{{.shape = {2, 3}}, {uniform(-2, 2, {3})}},
            {{.shape = {2, 3}}, {uniform(-2, 2, {2, 1})}},
            {{.shape = {2, 3}}, {uniform(-2, 2, {})}}};
  }
};

struct Reshape {
  Shape shape;
  static constexpr std::string_view name = "reshape";
  static constexpr bool leading_axes = false;
  Spec infer(const Spec& x) const {
    if (numel(x.shape) != numel(shape)) {
      throw ShapeError(fmt::format("{} elements do not fill shape {}", numel(x.shape), to_string(shape)));
    }
    return {shape, x.dtype};
  }
  static bool view(const ArrayView& x, ArrayView& y, std::span<Index> strides) {
    if (!x.row_major()) return false;
    const Shape packed = row_major(y.shape);
    std::copy(packed.begin(), packed.end(), strides.begin());
    return true;
  }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return reshape(g, x.shape()); }
  static SamplesOf<Reshape> samples() {
    return {{{.shape = {3, 2}}, {uniform(-2, 2)}}, {{.shape = {6}}, {uniform(-2, 2)}}};
  }
};

struct Detach {
  static constexpr std::string_view name = "detach";
  static constexpr bool stops_gradient = true;
  static Spec infer(const Spec& x) { return x; }
  static bool view(const ArrayView& x, ArrayView&, std::span<Index> strides) {
    const Shape packed = row_major(x.shape);
    std::ranges::copy(x.row_major() ? Dims(packed) : x.strides, strides.begin());
    return true;
  }
  static Samples samples() { return {{uniform(-2, 2)}}; }
};

// `sizes` with the one that is -1 worked out.
Shape resolve_sizes(const Operand& x, Dims sizes) try {
  std::vector<Index> resolved(sizes.begin(), sizes.end());
  const auto unknown = std::find(resolved.begin(), resolved.end(), -1);
  if (unknown == resolved.end()) return Shape(sizes);
  if (std::count(unknown, resolved.end(), -1) > 1)
    throw ShapeError(fmt::format("only one size of {} can be -1", to_string(sizes)));
  *unknown = 1;
  const Index known = numel(Shape(resolved)), all = x.tensor()->numel();
  if (known == 0 || all % known != 0)
    throw ShapeError(fmt::format("no size for -1 in {} fits {} elements", to_string(sizes), all));
  *unknown = all / known;
  return Shape(resolved);
} catch (const ShapeError&) {
  rethrow_situated("reshape", {&x, 1});
}

}  // namespace

Tensor full(const Shape& shape, double value, DType dtype) { return apply(Fill{value, shape, dtype}, {}); }

Tensor cast(const Operand& x, DType dtype) {
  if (x.tensor() == nullptr) return full({}, x.number(), dtype);
  if (!x.tensor()->is_empty() && x.tensor()->dtype() == dtype) return *x.tensor();
  return apply(Cast{dtype}, {x});
}

const Operation& add_operation() { return operation_of<Add>(); }
const Operation& cast_operation() { return operation_of<Cast>(); }
const void* cast_to(DType dtype) {
  static constexpr auto all = []<std::size_t... To>(std::index_sequence<To...>) {
    return std::array{Cast{static_cast<DType>(To)}...};
  }(std::make_index_sequence<dtype_count>());
  return &all[number_of(dtype)];
}
const Operation& flip_sign_operation() { return operation_of<FlipSign>(); }

Tensor add(const Operand& a, const Operand& b) { return apply<Add>(a, b); }
Tensor add(std::span<const Tensor> terms) {
  if (terms.empty()) throw GraphError("add: no terms");
  if (terms.size() == 1) return terms[0];
  return apply_all(Add{}, std::vector<Operand>(terms.begin(), terms.end()));
}

// Whether a sum over these axes of a node has one term for each of its elements.
static bool has_one_term(const Node& node, AxisSet axes) {
  const Dims shape = node.shape();
  if (!contains(numeric, node.dtype)) return false;
  for (std::size_t k = 1; k <= shape.size(); ++k) {
    if ((axes.bits >> (k - 1) & 1U) != 0 && shape[shape.size() - k] != 1) return false;
  }
  return true;
}

Tensor sum_axes(const Operand& x, AxisSet axes, bool keepdims) {
  const Sum op{axes, keepdims};
  if (x.tensor() != nullptr && !x.tensor()->is_empty() && has_one_term(*x.tensor()->node(), axes)) {
    const Spec to = op.infer(x.tensor()->node()->spec());
    if (x.tensor()->dtype() == to.dtype) return reshape(x, Dims(to.shape));
  }
  return apply(op, {x});
}

Tensor broadcast_to(const Operand& x, const Shape& shape) {
  if (x.tensor() != nullptr && !x.tensor()->is_empty() && same(x.tensor()->shape(), shape))
    return *x.tensor();
  return apply(BroadcastTo{shape}, {x});
}

Tensor sum_to(const Operand& x, const Shape& shape) {
  const Shape from = tensor_of(x, "sum_to").shape();
  if (same(from, shape)) return *x.tensor();
  if (!broadcasts_to(shape, from))
    refuse<ShapeError>("sum_to", {x}, fmt::format("{} does not broadcast to it", to_string(shape)));
  const std::size_t lead = from.rank() - shape.rank();
  unsigned in_front = (1U << lead) - 1, repeated = 0;
  for (std::size_t axis = lead; axis < from.rank(); ++axis) {
    if (shape[axis - lead] == 1 && from[axis] != 1) repeated |= 1U << axis;
  }
  const auto axes = [&](unsigned front) { return AxisSet::from_front(front, from.rank()); };
  if (repeated == 0) return sum_axes(x, axes(in_front), false);
  const Tensor kept = sum_axes(x, axes(in_front | repeated), true);
  return reshape(Operand(kept, x.where()), Dims(shape));
}

Tensor reshape(const Operand& x, std::initializer_list<Index> sizes) {
  return reshape(x, Dims(sizes.begin(), sizes.size()));
}
Tensor reshape(const Operand& x, Dims sizes) {
  const Tensor& tensor = tensor_of(x, "reshape");
  if (same(tensor.shape(), sizes)) return tensor;
  return apply(Reshape{resolve_sizes(x, sizes)}, {x});
}

Term reshape(const Term& x, const Shape& shape) { return term_of(Reshape{shape}, {x}); }

Tensor detach(const Tensor& tensor, std::source_location where) {
  return apply<Detach>(Operand(tensor, where));
}

Tensor contiguous(const Tensor& tensor) {
  if (tensor.is_empty()) throw GraphError("contiguous of an empty Tensor");
  if (tensor.is_evaluated() && !tensor.node()->strided) return tensor;
  return apply(Cast{tensor.dtype()}, {Operand(tensor)});
}

std::vector<const Operation*> algebra_operations() {
  return {&output_operation(),          &operation_of<Fill>(),    &operation_of<Cast>(),
          &operation_of<FlipSign>(),    &operation_of<Add>(),     &operation_of<Sum>(),
          &operation_of<BroadcastTo>(), &operation_of<Reshape>(), &operation_of<Detach>()};
}

}  // namespace gradweave
