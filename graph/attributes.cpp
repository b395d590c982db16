#include <gradweave/graph/attributes.hpp>

#include <fmt/format.h>

namespace gradweave::detail {

std::size_t combine(std::size_t seed, std::size_t hash) {
  return seed ^ (hash + 0x9e3779b97f4a7c15U + (seed << 6) + (seed >> 2));
}
std::string print_number(double value) { return fmt::format("{}", value); }

}  // namespace gradweave::detail
