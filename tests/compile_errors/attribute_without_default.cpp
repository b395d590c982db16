// Error: each attribute needs a default constructor
#include <gradweave/graph/define.hpp>

namespace gradweave {

struct Unit {
#ifdef MISTAKE
  explicit Unit(double p) : power(p) {}
#endif
  double power;
  friend bool operator==(const Unit&, const Unit&) = default;
};
struct Scaled {
  Unit unit;
  static constexpr std::string_view name = "scaled";
  static auto forward(const auto& x) noexcept { return x * 2; }
  static Tensor vjp(const Tensor& g, const Tensor&, const Tensor&) { return g; }
};
const Operation& scaled = operation_of<Scaled>();

}  // namespace gradweave
