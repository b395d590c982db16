#include <gradweave/ops/axis_map.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <gradweave/graph/define.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/graph/memory/storage.hpp>

namespace gradweave {
namespace {

// The product of a sparse matrix, or of its transpose, with the places of an axis. Columns that are not there
// stand for the nearest ones, so that no input can lead outside.
struct MapAxis {
  Index axis, size;  // of the result
  bool transposed;
  static constexpr std::string_view name = "map_axis";
  static constexpr bool throws = false;
  static constexpr DTypes dtypes = floating;
  static constexpr std::array<std::optional<DType>, 3> fixed{std::nullopt, DType::int64, DType::float64};
  Spec infer(const Spec& x, const Spec& places, const Spec& weights) const {
    const std::size_t at = axis_from_last(axis, x.shape.rank());
    if (weights.shape.rank() != 1 || places.shape != Shape{weights.shape[0], 2})
      throw ShapeError("expected a row, a column and a weight for each element of the matrix");
    if (weights.shape[0] > 0 && (size < 1 || x.shape[at] < 1)) throw ShapeError("an empty axis");
    Shape shape;
    for (std::size_t k = 0; k < x.shape.rank(); ++k) shape.push_back(k == at ? size : x.shape[k]);
    return {shape, x.dtype};
  }
  void forward(const RowRange& rows, const ArrayView& y, const ArrayView& x, const ArrayView& places,
               const ArrayView& weights) const {
    const auto behind = static_cast<std::size_t>(-axis);
    const Index inner = numel(y.shape.last(behind - 1)), from = x.shape[x.shape.size() - behind];
    const Index elements = weights.size();
    dispatch<floating>(y.dtype, [&]<class T>() {
      struct Element {
        Index to, from;
        T weight;
      };
      RecycledVector<Element> matrix(static_cast<std::size_t>(elements));
      for (Index e = 0; e < elements; ++e) {
        const Index* place = places.as<const Index>() + 2 * e;
        matrix[static_cast<std::size_t>(e)] = {std::clamp(place[transposed ? 1 : 0], Index{0}, size - 1),
                                               std::clamp(place[transposed ? 0 : 1], Index{0}, from - 1),
                                               static_cast<T>(weights.as<const double>()[e])};
      }
      for (Index row = 0; row < rows.count; ++row) {
        const T* read = x.as<const T>() + (rows.first + row) * from * inner;
        T* written = rows.as<T>() + row * rows.stride;
        std::fill_n(written, rows.width, T(0));
        if (inner == 1) {
          for (const Element& e : matrix) written[e.to] += e.weight * read[e.from];
          continue;
        }
        for (const Element& e : matrix) {
          for (Index k = 0; k < inner; ++k) written[e.to * inner + k] += e.weight * read[e.from * inner + k];
        }
      }
    });
  }
  Index row_width(const ArrayView& y, const ArrayView&, const ArrayView&, const ArrayView&) const {
    return numel(y.shape.last(static_cast<std::size_t>(-axis)));
  }
  Index row_cost(const ArrayView& y, const ArrayView&, const ArrayView&, const ArrayView& weights) const {
    const Index width = numel(y.shape.last(static_cast<std::size_t>(-axis)));
    return (width + weights.size() * (width / std::max<Index>(size, 1) + 3)) / 4;
  }
  static Index workspace(const ArrayView&, const ArrayView&, const ArrayView&, const ArrayView& weights) {
    return 24 * weights.size();
  }
  // The matrix is data.
  Tensor vjp(std::size_t i, const Tensor& g, const Tensor& x, const Tensor& places, const Tensor& weights,
             const Tensor&) const {
    if (i > 0) return {};
    return gradweave::apply(MapAxis{axis, x.size(axis), !transposed}, {g, places, weights});
  }
  // Of (1 0 2), (0 -3 0), (0 0 0), (0 0 1), and its transpose.
  static std::vector<Sample> samples() {
    const auto sample = [](Index at, bool back, const Shape& shape) {
      return Sample{{uniform(-2, 2, shape)}, [at, back](std::span<const Tensor> in) {
                      return gradweave::apply(
                          MapAxis{at, back ? 3 : 4, back},
                          {in[0], constant({{0, 0}, {0, 2}, {1, 1}, {3, 2}}, DType::int64),
                           constant({1, 2, -3, 1}, DType::float64)});
                    }};
    };
    return {sample(-1, false, {2, 3}), sample(-2, false, {3, 2}), sample(-1, true, {2, 4}),
            sample(-2, true, {4, 2})};
  }
};

}  // namespace

void AxisMap::add_row(Index first, std::span<const double> weights) {
  for (const double weight : weights) {
    if (weight != 0) {
      places_.insert(places_.end(), {rows_, first});
      weights_.push_back(weight);
    }
    ++first;
  }
  ++rows_;
}
void AxisMap::add_row(Index first, Index count, double weight) {
  add_row(first, std::vector<double>(static_cast<std::size_t>(count), weight));
}

Tensor AxisMap::apply(const Operand& x, Index axis) const {
  return gradweave::apply(
      MapAxis{axis_from_end(x, axis, MapAxis::name), rows_, false},
      {x, constant(places_, {static_cast<Index>(weights_.size()), 2}), constant(weights_)});
}

std::vector<const Operation*> axis_map_operations() { return {&operation_of<MapAxis>()}; }

}  // namespace gradweave
