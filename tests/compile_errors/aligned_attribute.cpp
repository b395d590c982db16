// Error: attributes lie at a multiple of eight bytes
#include <gradweave/graph/define.hpp>

namespace gradweave {

struct Shifted {
#ifdef MISTAKE
  alignas(32) double by;
#else
  double by;
#endif
  static constexpr std::string_view name = "shifted";
  auto forward(const auto& x) const noexcept { return x + by; }
  static Tensor vjp(const Tensor& g, const Tensor&, const Tensor&) { return g; }
};
const Operation& shifted = operation_of<Shifted>();

}  // namespace gradweave
