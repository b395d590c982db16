#include <gradweave/ops/kernels/window.hpp>

#include <functional>

#include <fmt/format.h>

#include <gradweave/graph/attributes.hpp>

namespace gradweave {
namespace {

void require(const char* what, Pair given, Index least) {
  constexpr Index most = Index{1} << 30U;  // so that the arithmetic below cannot overflow
  if (given.rows < least || given.cols < least || given.rows > most || given.cols > most) {
    throw ValueError(fmt::format("{} {} is outside [{}, {}]", what, to_string(given), least, most));
  }
}

}  // namespace

std::string to_string(const Pair& pair) { return fmt::format("{}x{}", pair.rows, pair.cols); }

std::size_t hash_member(const Pair& pair) {
  return std::hash<Index>{}(pair.rows) * 31 + std::hash<Index>{}(pair.cols);
}

AttributeValue to_value(const Pair& pair) { return detail::value_of(std::array{pair.rows, pair.cols}); }
void from_value(const AttributeValue& value, Pair& pair) {
  std::array<Index, 2> sizes{};
  detail::read_value(value, sizes);
  pair = {sizes[0], sizes[1]};
}

Pair window_count(Pair size, Pair window, Pair stride, Pair padding, Pair dilation, bool ceil_mode) {
  require("window", window, 1);
  require("stride", stride, 1);
  require("padding", padding, 0);
  require("dilation", dilation, 1);
  const Pair padded(size.rows + 2 * padding.rows, size.cols + 2 * padding.cols);
  const Pair reach(dilation.rows * (window.rows - 1) + 1, dilation.cols * (window.cols - 1) + 1);
  const auto along = [&](Index Pair::*axis) {
    const Index step = stride.*axis, room = padded.*axis - reach.*axis + (ceil_mode ? step - 1 : 0);
    const Index count = room < 0 ? 0 : room / step + 1;
    return ceil_mode && (count - 1) * step >= size.*axis + padding.*axis ? count - 1 : count;
  };
  const Pair count(along(&Pair::rows), along(&Pair::cols));
  if (count.rows < 1 || count.cols < 1) {
    throw ShapeError(
        fmt::format("a window that reaches over {} does not fit into an image of {} with padding {}",
                    to_string(reach), to_string(size), to_string(padding)));
  }
  return count;
}

}  // namespace gradweave
