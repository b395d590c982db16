// Tensors as text, in NumPy's manner.
#include <algorithm>
#include <cmath>
#include <ostream>

#include <fmt/format.h>

#include <gradweave/graph/evaluate.hpp>
#include <gradweave/graph/kernels/convert.hpp>
#include <gradweave/graph/node.hpp>

namespace gradweave {
namespace {

constexpr Index shown_at_ends = 3;  // of an axis too long to show whole
constexpr Index summarize_above = 1000;

// Reads the elements where they lie, and only those that are shown.
class Printer {
 public:
  explicit Printer(const Node& node)
      : node_(node),
        strides_(node.strided ? Shape::of_strides(node.strides()) : row_major(node.shape())),
        shortens_(brackets(node.shape()) > summarize_above) {
    visit_cells(0, 0, [&](Index at) { width_ = std::max(width_, cell(at).size()); });
  }

  std::string axis(std::size_t depth, Index at) const {
    if (depth == node_.rank) return fmt::format("{:>{}}", cell(at), width_);
    const std::size_t inner = node_.rank - depth - 1;
    const std::string separator =
        inner == 0 ? ", " : "," + std::string(inner, '\n') + std::string(depth + 1, ' ');
    std::string text = "[";
    Index last = -1;
    for_shown(depth, [&](Index i) {
      if (i > 0) text += separator;
      if (i != last + 1) text += "..." + separator;
      text += axis(depth + 1, at + i * strides_[depth]);
      last = i;
    });
    return text + "]";
  }

 private:
  // As many as elements, but for empty axes, whose brackets are printed too.
  static Index brackets(Dims shape) {
    Index count = 1;
    for (const Index size : shape) count *= std::max<Index>(size, 1);
    return count;
  }

  void for_shown(std::size_t depth, const auto& f) const {
    const Index size = node_.shape()[depth];
    const bool is_shortened = shortens_ && size > 2 * shown_at_ends;
    for (Index i = 0; i < size; ++i) {
      if (is_shortened && i == shown_at_ends) i = size - shown_at_ends;
      f(i);
    }
  }

  void visit_cells(std::size_t depth, Index at, const auto& f) const {
    if (depth == node_.rank) return f(at);
    for_shown(depth, [&](Index i) { visit_cells(depth + 1, at + i * strides_[depth], f); });
  }

  std::string cell(Index at) const {
    const std::byte* element = node_.data + at * static_cast<Index>(size_of(node_.dtype));
    switch (kind_of(node_.dtype)) {
      case DTypeKind::boolean:
        return *reinterpret_cast<const bool*>(element) ? "true" : "false";
      case DTypeKind::integer: {
        Index value = 0;
        convert_elements(node_.dtype, element, DType::int64, &value, 1);
        return node_.dtype == DType::uint64 ? fmt::format("{}", static_cast<std::uint64_t>(value))
                                            : fmt::format("{}", value);
      }
      case DTypeKind::floating: {
        const double value = number_at(node_.dtype, element);
        return std::isnan(value) ? "nan" : fmt::format("{:.4g}", value);  // which has no sign to show
      }
    }
    return {};
  }

  const Node& node_;
  Shape strides_;
  bool shortens_;
  std::size_t width_ = 0;
};

}  // namespace

std::string to_string(const Tensor& tensor) {
  if (tensor.is_empty()) return "Tensor()";
  evaluate({&tensor, 1});
  return fmt::format("{} {} {}", name_of(tensor.dtype()), to_string(tensor.shape()),
                     Printer(*tensor.node()).axis(0, 0));
}

std::ostream& operator<<(std::ostream& out, const Tensor& tensor) { return out << to_string(tensor); }

}  // namespace gradweave
