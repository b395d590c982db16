#include <gradweave/graph/types/shape.hpp>

#include <algorithm>
#include <vector>

#include <fmt/format.h>

namespace gradweave {

// Not fmt::join: it would bring the whole of fmt's formatting of numbers into this object.
static std::string joined(Dims sizes) {
  std::string text;
  for (const Index size : sizes) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return text;
}

void Shape::refuse(Index size) const {
  const std::string sizes = fmt::format("({}{}{}, ...)", joined(*this), rank_ > 0 ? ", " : "", size);
  if (size < 0) throw ShapeError(fmt::format("shape {}: sizes must not be negative", sizes));
  if (rank_ == max_rank)
    throw ShapeError(fmt::format("shape {}: at most {} axes are supported", sizes, max_rank));
  throw ShapeError(fmt::format("shape {}: more elements than memory can address", sizes));
}

Shape row_major(Dims shape) {
  std::array<Index, max_rank> strides{};
  Index step = 1;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    strides[axis] = step;
    step *= std::max<Index>(shape[axis], 1);
  }
  return Shape::of_strides(Dims(strides.data(), shape.size()));
}

bool is_row_major(Dims shape, Dims strides) {
  Index step = 1;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    if (shape[axis] != 1 && strides[axis] != step) return numel(shape) == 0;
    step *= shape[axis];
  }
  return true;
}

std::string to_string(Dims shape) {
  return fmt::format("({}{})", joined(shape), shape.size() == 1 ? "," : "");
}

void AxisSet::refuse(std::size_t rank) const {
  throw ShapeError(fmt::format("axes {} of {} axes", to_string(*this), rank));
}
std::string to_string(AxisSet axes) {
  std::vector<Index> numbers;
  for (auto axis = -static_cast<Index>(max_rank); axis < 0; ++axis) {
    if (((axes.bits >> (-1 - axis)) & 1U) != 0) numbers.push_back(axis);
  }
  return to_string(Dims(numbers));
}

AxisOrder AxisOrder::from_front(Dims order) {
  AxisOrder result;
  std::size_t same = 0;
  while (same < order.size() && order[same] == static_cast<Index>(same)) ++same;
  for (const Index axis : order.subspan(same))
    result.axes[result.rank++] = static_cast<std::int8_t>(axis - static_cast<Index>(order.size()));
  return result;
}
AxisOrder AxisOrder::inverse() const {
  AxisOrder result;
  result.rank = rank;
  for (std::size_t i = 0; i < rank; ++i)
    result.axes[static_cast<std::size_t>(axes[i] + rank)] =
        static_cast<std::int8_t>(static_cast<int>(i) - rank);
  return result;
}

Shape broadcast(Dims a, Dims b) {
  if (a.size() < b.size()) std::swap(a, b);
  std::array<Index, max_rank> sizes{};
  std::copy(a.begin(), a.end(), sizes.begin());
  for (std::size_t back = 1; back <= b.size(); ++back) {
    Index& size = sizes[a.size() - back];
    const Index other = b[b.size() - back];
    if (size == 1) {
      size = other;
    } else if (other != 1 && other != size) {
      throw ShapeError(fmt::format("shapes {} and {} do not broadcast: sizes {} and {} at axis -{} differ",
                                   to_string(a), to_string(b), size, other, back));
    }
  }
  return Shape(Dims(sizes.data(), a.size()));
}

bool broadcasts_to(Dims from, Dims to) {
  if (from.size() > to.size()) return false;
  const Dims tail = to.last(from.size());
  return std::equal(from.begin(), from.end(), tail.begin(),
                    [](Index f, Index t) { return f == t || f == 1; });
}

std::size_t normalize_axis(Index axis, std::size_t rank) {
  const auto n = static_cast<Index>(rank);
  if (axis < -n || axis >= n) {
    throw ShapeError(fmt::format("axis {} is outside a tensor of {} axes", axis, rank));
  }
  return static_cast<std::size_t>(axis < 0 ? axis + n : axis);
}

std::size_t axis_from_last(Index axis, std::size_t rank) {
  if (axis >= 0) throw ShapeError(fmt::format("axis {} is not counted from the last", axis));
  return normalize_axis(axis, rank);
}

}  // namespace gradweave
