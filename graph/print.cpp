// Tensors as text, in NumPy's manner.
#include <algorithm>
#include <ostream>

#include <fmt/format.h>

#include <gradweave/graph/evaluate.hpp>
#include <gradweave/graph/node.hpp>

namespace gradweave {
namespace {

constexpr Index shown_at_ends = 3;  // of an axis too long to show whole
constexpr Index summarize_above = 1000;

class Printer {
 public:
  Printer(const Tensor& tensor, std::vector<std::string> cells)
      : shape_(tensor.shape()), cells_(std::move(cells)) {
    for (const std::string& cell : cells_) width_ = std::max(width_, cell.size());
  }
  std::string text() { return axis(0, 0); }

 private:
  std::string axis(std::size_t depth, std::size_t first) {
    if (depth == shape_.rank()) return fmt::format("{:>{}}", cells_[first], width_);
    const bool shorten =
        static_cast<Index>(cells_.size()) > summarize_above && shape_[depth] > 2 * shown_at_ends;
    const auto step = static_cast<std::size_t>(numel(Dims(shape_).subspan(depth + 1)));
    const std::string separator =
        depth + 1 == shape_.rank()
            ? ", "
            : "," + std::string(shape_.rank() - depth - 1, '\n') + std::string(depth + 1, ' ');
    std::string text = "[";
    for (Index i = 0; i < shape_[depth]; ++i) {
      if (shorten && i == shown_at_ends) {
        text += separator + "...";
        i = shape_[depth] - shown_at_ends;
      }
      if (i > 0) text += separator;
      text += axis(depth + 1, first + static_cast<std::size_t>(i) * step);
    }
    return text + "]";
  }

  Shape shape_;
  std::vector<std::string> cells_;
  std::size_t width_ = 0;
};

std::vector<std::string> cells_of(const Tensor& tensor) {
  std::vector<std::string> cells;
  if (tensor.dtype() == DType::bool_) {
    for (const bool value : tensor.to_vector<bool>()) cells.emplace_back(value ? "true" : "false");
  } else if (tensor.dtype() == DType::int64) {
    for (const Index value : tensor.to_vector<Index>()) cells.push_back(fmt::format("{}", value));
  } else {
    for (const double value : tensor.to_vector<double>()) cells.push_back(fmt::format("{:.4g}", value));
  }
  return cells;
}

}  // namespace

std::string to_string(const Tensor& tensor) {
  if (!tensor) return "Tensor()";
  return fmt::format("{} {} {}", name_of(tensor.dtype()), to_string(tensor.shape()),
                     Printer(tensor, cells_of(tensor)).text());
}

std::ostream& operator<<(std::ostream& out, const Tensor& tensor) { return out << to_string(tensor); }

}  // namespace gradweave
