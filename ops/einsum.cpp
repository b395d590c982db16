#include <gradweave/ops/einsum.hpp>

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/matmul.hpp>
#include <gradweave/ops/rearrange.hpp>
#include <gradweave/ops/reduction.hpp>
#include <gradweave/ops/shape.hpp>

namespace gradweave {
namespace {

// A letter, or one of the axes that "..." stands for: `dots` and more, counted from the last.
using Label = int;
using Labels = std::vector<Label>;
constexpr Label dots = 256;

bool has(const Labels& labels, Label label) { return std::ranges::find(labels, label) != labels.end(); }

std::size_t letters_in(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return c != '.' && c != ' '; }));
}

// A tensor whose axes have labels, each once.
struct Labelled {
  Tensor tensor;
  Labels labels;

  void sum_over(Label label) {
    const auto at = std::ranges::find(labels, label) - labels.begin();
    tensor = sum(tensor, at);
    labels.erase(labels.begin() + at);
  }
  // The axes in this order, which names all of them.
  void arrange(const Labels& order) {
    for (std::size_t k = 0; k < order.size(); ++k) {
      const auto at = static_cast<std::size_t>(std::ranges::find(labels, order[k]) - labels.begin());
      tensor = movedim(tensor, static_cast<Index>(at), static_cast<Index>(k));
      std::rotate(labels.begin() + static_cast<std::ptrdiff_t>(k),
                  labels.begin() + static_cast<std::ptrdiff_t>(at),
                  labels.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    }
  }
};

class Einsum {
 public:
  Einsum(std::string_view equation, std::span<const Tensor> operands) : equation_(equation) {
    const std::size_t arrow = equation.find("->");
    std::string_view inputs = equation.substr(0, arrow);
    for (const Tensor& operand : operands) {
      const std::size_t comma = inputs.find(',');
      const bool is_last = operands_.size() + 1 == operands.size();
      if (is_last != (comma == std::string_view::npos)) refuse("there are other operands than it names");
      add(inputs.substr(0, comma), operand);
      if (!is_last) inputs.remove_prefix(comma + 1);
    }
    result_ =
        arrow == std::string_view::npos ? implicit_result() : explicit_result(equation.substr(arrow + 2));
    for (Labelled& operand : operands_) broadcast_away(operand);
  }

  Tensor run() {
    Labelled all = operands_[0];
    for (std::size_t k = 1; k < operands_.size(); ++k) all = product(all, operands_[k], k + 1);
    drop_unneeded(all, operands_.size(), {});
    // What was broadcast away everywhere has size 1.
    for (const Label label : result_) {
      if (has(all.labels, label)) continue;
      all.tensor = expand_dims(all.tensor, 0);
      all.labels.insert(all.labels.begin(), label);
    }
    all.arrange(result_);
    return all.tensor;
  }

 private:
  [[noreturn]] void refuse(std::string_view reason) const {
    throw ValueError(fmt::format("einsum \"{}\": {}", equation_, reason));
  }
  [[noreturn]] void refuse_shape(const Tensor& tensor, std::string_view reason) const {
    throw ShapeError(fmt::format("einsum \"{}\": {} {}", equation_, to_string(tensor.shape()), reason));
  }

  // The labels that a text names, for `rank` axes.
  Labels read(std::string_view text, std::size_t rank) const {
    Labels labels;
    const std::size_t letters = letters_in(text);
    for (std::size_t at = 0; at < text.size(); ++at) {
      const char c = text[at];
      if (c == ' ') continue;
      if (text.substr(at).starts_with("...")) {
        if (std::ranges::any_of(labels, [](Label l) { return l >= dots; })) refuse("\"...\" occurs twice");
        for (std::size_t k = rank > letters ? rank - letters : 0; k-- > 0;)
          labels.push_back(dots + static_cast<Label>(k));
        at += 2;
      } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
        labels.push_back(c);
      } else {
        refuse(fmt::format("'{}' is no letter", c));
      }
    }
    return labels;
  }

  void add(std::string_view text, const Tensor& operand) {
    if (operand.is_empty()) refuse("an operand is an empty Tensor");
    Labelled labelled{operand, read(text, operand.rank())};
    if (labelled.labels.size() != operand.rank()) refuse_shape(operand, fmt::format("is not \"{}\"", text));
    for (std::size_t k = 0; k < labelled.labels.size(); ++k) {
      const Label label = labelled.labels[k];
      const Index size = operand.size(static_cast<Index>(k));
      Index& known = sizes_.try_emplace(label, size).first->second;
      if (known != size && known != 1 && size != 1)
        refuse_shape(operand, fmt::format("does not fit size {}", known));
      if (known == 1) known = size;
      ++uses_[label];
    }
    // A letter twice: the diagonal.
    for (std::size_t k = 0; k < labelled.labels.size(); ++k) {
      for (std::size_t j = k + 1; j < labelled.labels.size(); ++j) {
        if (labelled.labels[j] != labelled.labels[k]) continue;
        const Label label = labelled.labels[k];
        if (labelled.tensor.size(static_cast<Index>(j)) != labelled.tensor.size(static_cast<Index>(k)))
          refuse_shape(operand, "has no diagonal there");
        labelled.tensor = diagonal(labelled.tensor, 0, static_cast<Index>(k), static_cast<Index>(j));
        labelled.labels.erase(labelled.labels.begin() + static_cast<std::ptrdiff_t>(j));
        labelled.labels.erase(labelled.labels.begin() + static_cast<std::ptrdiff_t>(k));
        labelled.labels.push_back(label);
        k = static_cast<std::size_t>(-1);  // from the start
        break;
      }
    }
    operands_.push_back(std::move(labelled));
  }

  Labels implicit_result() const {
    Labels result;
    for (const auto& [label, size] : sizes_) {  // "..." first
      if (label >= dots) result.insert(result.begin(), label);
    }
    for (const auto& [label, count] : uses_) {
      if (label < dots && count == 1) result.push_back(label);
    }
    return result;
  }
  Labels explicit_result(std::string_view text) const {
    const std::size_t letters = letters_in(text);
    const auto dotted = static_cast<std::size_t>(
        std::ranges::count_if(sizes_, [](const auto& s) { return s.first >= dots; }));
    Labels result = read(text, letters + dotted);
    for (std::size_t k = 0; k < result.size(); ++k) {
      if (!sizes_.contains(result[k])) refuse("the result names an axis that no operand has");
      if (std::find(result.begin() + static_cast<std::ptrdiff_t>(k) + 1, result.end(), result[k]) !=
          result.end())
        refuse("the result names an axis twice");
    }
    return result;
  }

  // What has size 1 where others have more is the same for all of these.
  void broadcast_away(Labelled& operand) const {
    for (std::size_t k = operand.labels.size(); k-- > 0;) {
      if (operand.tensor.size(static_cast<Index>(k)) == sizes_.at(operand.labels[k])) continue;
      operand.tensor = squeeze(operand.tensor, static_cast<Index>(k));
      operand.labels.erase(operand.labels.begin() + static_cast<std::ptrdiff_t>(k));
    }
  }

  bool is_needed(Label label, std::size_t from) const {
    return has(result_, label) ||
           std::any_of(operands_.begin() + static_cast<std::ptrdiff_t>(from), operands_.end(),
                       [&](const Labelled& later) { return has(later.labels, label); });
  }
  // Sums over what neither the result nor a later operand nor `partner` has.
  void drop_unneeded(Labelled& operand, std::size_t from, const Labels& partner) const {
    for (const Label label : Labels(operand.labels)) {
      if (!is_needed(label, from) && !has(partner, label)) operand.sum_over(label);
    }
  }

  Labelled product(Labelled a, Labelled b, std::size_t from) const {
    drop_unneeded(a, from, b.labels);
    drop_unneeded(b, from, a.labels);
    Labels batch, summed, only_a, only_b;
    for (const Label label : a.labels)
      (!has(b.labels, label) ? only_a : is_needed(label, from) ? batch : summed).push_back(label);
    for (const Label label : b.labels) {
      if (!has(a.labels, label)) only_b.push_back(label);
    }
    const auto size_of_all = [&](const Labels& labels) {
      Index size = 1;
      for (const Label label : labels) size *= sizes_.at(label);
      return size;
    };
    const auto joined = [](std::initializer_list<const Labels*> parts) {
      Labels all;
      for (const Labels* part : parts) all.insert(all.end(), part->begin(), part->end());
      return all;
    };
    const Index stack = size_of_all(batch), rows = size_of_all(only_a), inner = size_of_all(summed),
                columns = size_of_all(only_b);
    a.arrange(joined({&batch, &only_a, &summed}));
    b.arrange(joined({&batch, &summed, &only_b}));
    const Labels labels = joined({&batch, &only_a, &only_b});
    Shape shape;
    for (const Label label : labels) shape.push_back(sizes_.at(label));
    const Tensor y =
        matmul(reshape(a.tensor, {stack, rows, inner}), reshape(b.tensor, {stack, inner, columns}));
    return {reshape(y, Dims(shape)), labels};
  }

  std::string_view equation_;
  std::vector<Labelled> operands_;
  std::map<Label, Index> sizes_;
  std::map<Label, int> uses_;
  Labels result_;
};

}  // namespace

Tensor einsum(std::string_view equation, std::span<const Tensor> operands, std::source_location where) {
  if (operands.empty()) throw ValueError(at_line("einsum: there are no operands", where));
  try {
    return Einsum(equation, operands).run();
  } catch (const ValueError& error) {
    throw ValueError(at_line(error.what(), where));
  }
}
Tensor einsum(std::string_view equation, std::initializer_list<Tensor> operands, std::source_location where) {
  return einsum(equation, std::span(operands.begin(), operands.size()), where);
}

Tensor tensordot(const Operand& a, const Operand& b, std::span<const Index> axes_a,
                 std::span<const Index> axes_b) {
  const Tensor &x = tensor_of(a, "tensordot"), &y = tensor_of(b, "tensordot");
  if (axes_a.size() != axes_b.size())
    refuse<ValueError>("tensordot", {a, b}, "as many axes of one as of the other");
  const auto arranged = [](const Operand& from, std::span<const Index> axes, bool last) {
    std::vector<Index> chosen, order;
    for (const Index axis : axes) chosen.push_back(static_cast<Index>(axis_of(from, axis, "tensordot")));
    for (Index k = 0; k < static_cast<Index>(from.tensor()->rank()); ++k) {
      if (std::ranges::find(chosen, k) == chosen.end()) order.push_back(k);
    }
    order.insert(last ? order.end() : order.begin(), chosen.begin(), chosen.end());
    if (order.size() != from.tensor()->rank())
      refuse<ShapeError>("tensordot", {from}, "an axis is named twice");
    return order;
  };
  Index inner = 1;
  for (std::size_t k = 0; k < axes_a.size(); ++k) {
    if (x.size(axes_a[k]) != y.size(axes_b[k]))
      refuse<ShapeError>("tensordot", {a, b}, "the axes differ in size");
    inner *= x.size(axes_a[k]);
  }
  const Tensor left = permute(a, arranged(a, axes_a, true)), right = permute(b, arranged(b, axes_b, false));
  Shape shape;
  Index rows = 1, columns = 1;
  for (std::size_t k = 0; k + axes_a.size() < x.rank(); ++k)
    shape.push_back(left.size(static_cast<Index>(k))), rows *= left.size(static_cast<Index>(k));
  for (std::size_t k = axes_b.size(); k < y.rank(); ++k)
    shape.push_back(right.size(static_cast<Index>(k))), columns *= right.size(static_cast<Index>(k));
  return reshape(matmul(reshape(left, {rows, inner}), reshape(right, {inner, columns})), Dims(shape));
}
Tensor tensordot(const Operand& a, const Operand& b, Index count) {
  const auto rank_a = static_cast<Index>(tensor_of(a, "tensordot").rank());
  if (count < 0 || count > rank_a || count > static_cast<Index>(tensor_of(b, "tensordot").rank()))
    refuse<ShapeError>("tensordot", {a, b}, fmt::format("{} axes of each", count));
  std::vector<Index> last(static_cast<std::size_t>(count)), first(last.size());
  std::iota(last.begin(), last.end(), rank_a - count);
  std::iota(first.begin(), first.end(), 0);
  return tensordot(a, b, last, first);
}

Tensor outer(const Operand& a, const Operand& b) {
  if (tensor_of(a, "outer").rank() != 1 || tensor_of(b, "outer").rank() != 1)
    refuse<ShapeError>("outer", {a, b}, "expected two vectors");
  return Operand(expand_dims(a, -1), a.where()) * b;
}
Tensor dot(const Operand& a, const Operand& b) {
  if (tensor_of(a, "dot").rank() != 1 || tensor_of(b, "dot").rank() != 1)
    refuse<ShapeError>("dot", {a, b}, "expected two vectors");
  return matmul(a, b);
}
Tensor vecdot(const Operand& a, const Operand& b, Index axis) { return sum(Operand(a * b, a.where()), axis); }

Tensor kron(const Operand& a, const Operand& b) {
  const std::size_t rank = std::max(tensor_of(a, "kron").rank(), tensor_of(b, "kron").rank());
  std::vector<Index> left, right, joined;
  for (std::size_t k = 0; k < rank; ++k) {
    const auto size = [&](const Operand& x) {
      const std::size_t missing = rank - x.tensor()->rank();
      return k < missing ? Index{1} : x.tensor()->size(static_cast<Index>(k - missing));
    };
    left.insert(left.end(), {size(a), 1});
    right.insert(right.end(), {1, size(b)});
    joined.push_back(size(a) * size(b));
  }
  return reshape(reshape(a, Dims(left)) * reshape(b, Dims(right)), Dims(joined));
}

Tensor cross(const Operand& a, const Operand& b, Index axis) {
  const Index at = axis_from_end(a, axis, "cross");
  const auto part = [&](const Operand& x, Index k) {
    if (x.tensor()->size(at) != 3) refuse<ShapeError>("cross", {a, b}, "expected vectors of three numbers");
    return slice(x, at, k, k + 1);
  };
  std::vector<Tensor> parts;
  for (Index k = 0; k < 3; ++k) {
    const Index i = (k + 1) % 3, j = (k + 2) % 3;
    parts.push_back(part(a, i) * part(b, j) - part(a, j) * part(b, i));
  }
  return concat(parts, at, a.where());
}

Tensor multi_dot(std::span<const Tensor> matrices) {
  const std::size_t n = matrices.size();
  if (n < 2) throw ValueError("multi_dot: expected at least two matrices");
  std::vector<Tensor> all(matrices.begin(), matrices.end());
  const bool from_vector = all.front().rank() == 1, to_vector = all.back().rank() == 1;
  if (from_vector) all.front() = expand_dims(all.front(), 0);
  if (to_vector) all.back() = expand_dims(all.back(), 1);
  for (const Tensor& matrix : all) {
    if (matrix.rank() != 2)
      throw ShapeError("multi_dot: expected matrices; the first and the last may be vectors");
  }
  // cost[i][j]: of the product of i to j, cut behind cut[i][j].
  std::vector<std::vector<double>> cost(n, std::vector<double>(n));
  std::vector<std::vector<std::size_t>> cut(n, std::vector<std::size_t>(n));
  for (std::size_t length = 1; length < n; ++length) {
    for (std::size_t i = 0; i + length < n; ++i) {
      const std::size_t j = i + length;
      cost[i][j] = std::numeric_limits<double>::infinity();
      for (std::size_t k = i; k < j; ++k) {
        const double here = cost[i][k] + cost[k + 1][j] +
                            static_cast<double>(all[i].size(0)) * static_cast<double>(all[k].size(1)) *
                                static_cast<double>(all[j].size(1));
        if (here < cost[i][j]) cost[i][j] = here, cut[i][j] = k;
      }
    }
  }
  const auto product = [&](const auto& self, std::size_t i, std::size_t j) -> Tensor {
    return i == j ? all[i] : matmul(self(self, i, cut[i][j]), self(self, cut[i][j] + 1, j));
  };
  Tensor y = product(product, 0, n - 1);
  if (from_vector) y = squeeze(y, 0);
  return to_vector ? squeeze(y, -1) : y;
}

}  // namespace gradweave
