// Error: vjp is a template or overloaded. Expected one plain function: Tensor vjp(
#include <gradweave/graph/define.hpp>

namespace gradweave {

struct Cube {
  static constexpr std::string_view name = "cube";
  static auto forward(const auto& x) noexcept { return x * x * x; }
#ifdef MISTAKE
  static Tensor vjp(const auto& g, const auto&, const auto&) { return g; }
#else
  static Tensor vjp(const Tensor& g, const Tensor&, const Tensor&) { return g; }
#endif
};
const Operation& cube = operation_of<Cube>();

}  // namespace gradweave
