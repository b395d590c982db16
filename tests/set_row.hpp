// An op in place, as a user writes it: x with v in place of row i.
#pragma once
#include <algorithm>

#include <gradweave/graph/define.hpp>
#include <gradweave/ops/ops.hpp>

namespace gradweave {

Tensor set_row(const Operand& x, const Operand& i, const Operand& v);

struct SetRow {
  static constexpr std::string_view name = "set_row";
  static constexpr std::size_t in_place = 0;
  static constexpr bool throws = false, leading_axes = false, as_stored = true;
  static constexpr DTypes dtypes = any_dtype;
  static constexpr std::array<std::optional<DType>, 2> fixed{std::nullopt, DType::int64};
  static Spec infer(const Spec& x, const Spec& i, const Spec& v) {
    if (numel(i.shape) != 1 || v.shape != Shape(Dims(x.shape).subspan(1))) throw ShapeError("not a row");
    return x;
  }
  static void forward(const ArrayView& y, const ArrayView&, const ArrayView& i, const ArrayView& v) {
    const Index row = *i.as<const Index>(), bytes = v.size() * static_cast<Index>(size_of(v.dtype));
    if (row < 0 || row >= y.shape[0]) return;
    std::copy_n(v.as<const std::byte>(), bytes, y.as<std::byte>() + row * bytes);
  }
  static Tensor vjp(std::size_t k, const Tensor& g, const Tensor&, const Tensor& i, const Tensor& v,
                    const Tensor&) {
    if (k == 0) return set_row(g, i, zeros(v.shape(), v.dtype()));
    return reshape(take(g, reshape(i, {1}), 0), Dims(v.shape()));
  }
  static Samples samples() { return {{uniform(-2, 2, {4, 3}), integers(0, 4, {}), uniform(-2, 2, {3})}}; }
};

inline Tensor set_row(const Operand& x, const Operand& i, const Operand& v) { return apply<SetRow>(x, i, v); }

}  // namespace gradweave
