// Error: vjp is a template or overloaded
#include <gradweave/graph/define.hpp>

namespace gradweave {

struct Cube {
  static constexpr std::string_view name = "cube";
  static auto forward(const auto& x) noexcept { return x * x * x; }
  static Tensor vjp(const Tensor& g, const Tensor&, const Tensor&) { return g; }
#ifdef MISTAKE
  static Tensor vjp(const Tensor& g) { return g; }
#endif
};
const Operation& cube = operation_of<Cube>();

}  // namespace gradweave
