// Error: the op has a floating result and no derivative: write `static Tensor vjp(
#include <gradweave/graph/define.hpp>

namespace gradweave {

struct Cube {
  static constexpr std::string_view name = "cube";
  static auto forward(const auto& x) noexcept { return x * x * x; }
#ifndef MISTAKE
  static Tensor vjp(const Tensor& g, const Tensor&, const Tensor&) { return g; }
#endif
};
const Operation& cube = operation_of<Cube>();

}  // namespace gradweave
