// Error: vjp has another signature than expected
#include <gradweave/graph/define.hpp>

namespace gradweave {

struct Cube {
  double factor = 1;
  static constexpr std::string_view name = "cube";
  auto forward(const auto& x) const noexcept { return x * x * x * factor; }
#ifdef MISTAKE  // not const, though the attributes are
  Tensor vjp(const Tensor& g, const Tensor&, const Tensor&) { return g; }
#else
  Tensor vjp(const Tensor& g, const Tensor&, const Tensor&) const { return g; }
#endif
};
const Operation& cube = operation_of<Cube>();

}  // namespace gradweave
