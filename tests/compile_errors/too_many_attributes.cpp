// Error: an op has at most eight attributes
#include <gradweave/graph/define.hpp>

namespace gradweave {

struct Polynomial {
  double a, b, c, d, e, f, g, h;
#ifdef MISTAKE
  double i;
#endif
  static constexpr std::string_view name = "polynomial";
  auto forward(const auto& x) const noexcept { return x * a; }
  static Tensor vjp(const Tensor& u, const Tensor&, const Tensor&) { return u; }
};
const Operation& polynomial = operation_of<Polynomial>();

}  // namespace gradweave
