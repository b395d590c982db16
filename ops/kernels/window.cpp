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

Pair window_count(Pair size, Pair window, Pair stride, Pair padding, Pair dilation) {
  require("window", window, 1);
  require("stride", stride, 1);
  require("padding", padding, 0);
  require("dilation", dilation, 1);
  const Pair padded(size.rows + 2 * padding.rows, size.cols + 2 * padding.cols);
  const Pair reach(dilation.rows * (window.rows - 1) + 1, dilation.cols * (window.cols - 1) + 1);
  if (reach.rows > padded.rows || reach.cols > padded.cols) {
    throw ShapeError(
        fmt::format("a window that reaches over {} does not fit into an image of {} with padding {}",
                    to_string(reach), to_string(size), to_string(padding)));
  }
  return {(padded.rows - reach.rows) / stride.rows + 1, (padded.cols - reach.cols) / stride.cols + 1};
}

}  // namespace gradweave
