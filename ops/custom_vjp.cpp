#include <gradweave/ops/custom_vjp.hpp>

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include <gradweave/graph/define.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/graph/node.hpp>
#include <gradweave/ops/elementwise.hpp>

namespace gradweave {
namespace {

// What a function gives, its m results, as it is, followed by the n inputs that the rule is for and by what
// the rule reads beside its arguments: the cotangents of the results and the inputs and the results
// themselves. No cotangent goes to the results: they were built as if the function had no rule.
void apply_rule(const Body& rule, Pullback& p) {
  const std::size_t m = p.output_count(), n = rule.outputs().size();
  std::vector<Tensor> operands;
  for (std::size_t k = 0; k < m; ++k) operands.push_back(p.cotangent(k));
  for (std::size_t i = 0; i < n; ++i) operands.push_back(p.input(m + i));
  for (std::size_t k = 0; k < m; ++k) operands.push_back(p.output(k));
  for (std::size_t i = m + n; i < p.input_count(); ++i) operands.push_back(p.input(i));
  const std::vector<Tensor> terms = rule(operands);
  for (std::size_t i = 0; i < n; ++i) p.give(m + i, terms[i]);
}

// Of a function with one result: a view, so that nothing of it is left in a plan.
struct Ruled {
  Body rule;
  static constexpr std::string_view name = "custom_vjp";
  static constexpr DTypes dtypes = floating;
  static constexpr bool promotes = false;
  static constexpr bool leading_axes = false;
  static Spec infer(std::span<const Spec> inputs) { return inputs[0]; }
  static bool view(const ArrayView& x, ArrayView&, std::span<Index> strides) {
    const Shape packed = row_major(x.shape);
    std::ranges::copy(x.row_major() ? Dims(packed) : x.strides, strides.begin());
    return true;
  }
  void vjp(Pullback& p) const { apply_rule(rule, p); }
  static std::vector<Sample> samples();
};

// Of a function with several results: copies.
struct RuledOutputs {
  Body rule;
  static constexpr std::string_view name = "custom_vjp_outputs";
  static constexpr bool as_stored = true;
  static constexpr DTypes dtypes = floating;
  static constexpr bool promotes = false;
  static constexpr bool leading_axes = false;
  static constexpr bool throws = false;
  Specs infer(std::span<const Spec> inputs) const {
    const std::size_t results = rule.inputs().size() - inputs.size();
    return {inputs.begin(), inputs.begin() + static_cast<std::ptrdiff_t>(results)};
  }
  static void forward(Outputs y, std::span<const ArrayView> x) {
    for (std::size_t k = 0; k < y.size(); ++k) {
      if (y[k].data == nullptr || y[k].size() == 0) continue;
      std::memcpy(y[k].data, x[k].data, static_cast<std::size_t>(y[k].size()) * size_of(y[k].dtype));
    }
  }
  void vjp(Pullback& p) const { apply_rule(rule, p); }
  static std::vector<Sample> samples();
};

// What f gives, built as if there were no rule. An error where a gradient would flow to what f reads beside
// its inputs: the rule has no cotangent for that, and the term would be missing.
std::vector<Tensor> results_of(const Body::Function& f, std::span<const Tensor> inputs) {
  std::vector<Tensor> all(inputs.begin(), inputs.end()), captured;
  const Body body = Body::trace(f, inputs, captured);
  all.insert(all.end(), captured.begin(), captured.end());
  std::vector<Tensor> data;
  data.reserve(all.size());
  for (const Tensor& tensor : all) data.push_back(tensor.is_tracked() ? detach(tensor) : tensor);
  for (std::size_t i = inputs.size(); i < all.size(); ++i) {
    if (!all[i].is_tracked()) continue;
    const Tensor alone = std::exchange(data[i], all[i]);
    if (std::ranges::any_of(body(data), &Tensor::is_tracked)) {
      refuse<GraphError>(
          "custom_vjp", {Operand(all[i], all[i].node()->where)},
          "the function reads this tensor, which has gradients, and the rule has none for it: make it "
          "an input, or take detach(x) if it is meant as data");
    }
    data[i] = alone;
  }
  if (body.outputs().empty()) throw GraphError("custom_vjp: the function gives no tensor");
  return body(all);
}

Tensor add_node(const std::vector<Tensor>& results, const Body::Function& rule,
                std::span<const Tensor> inputs) {
  const auto cotangents = [&](std::span<const Tensor> given) {
    std::vector<Tensor> terms = rule(given);
    if (terms.size() != inputs.size()) {
      throw ShapeError(
          fmt::format("custom_vjp: the rule gives {} cotangents for {} inputs", terms.size(), inputs.size()));
    }
    for (std::size_t i = 0; i < terms.size(); ++i) {
      const Tensor& x = inputs[i];
      if (terms[i].is_empty() || !is_floating(x.dtype())) terms[i] = zeros(x.shape(), x.dtype());
      if (terms[i].shape() != x.shape()) {
        refuse<ShapeError>("custom_vjp", {Operand(x, x.node()->where)},
                           fmt::format("the rule gives a cotangent of shape {} for this input",
                                       to_string(terms[i].shape())));
      }
      terms[i] = cast(terms[i], x.dtype());
    }
    return terms;
  };
  std::vector<Tensor> read(results), like(results), captured;
  read.insert(read.end(), inputs.begin(), inputs.end());
  like.insert(like.end(), inputs.begin(), inputs.end());
  like.insert(like.end(), results.begin(), results.end());
  const Body body = Body::trace(cotangents, like, captured);
  read.insert(read.end(), captured.begin(), captured.end());
  std::vector<Operand> operands;
  operands.reserve(read.size());
  for (const Tensor& tensor : read) operands.emplace_back(tensor, results[0].node()->where);
  return results.size() == 1 ? apply_all(Ruled{body}, operands) : apply_all(RuledOutputs{body}, operands);
}

std::vector<Sample> Ruled::samples() {
  const auto product = [](std::span<const Tensor> x) { return std::vector{x[0] * x[1] * x[1]}; };
  const auto call = [=](std::span<const Tensor> in) {
    const Tensor two = in[1] * 0 + 2;  // read by the rule
    const auto derivative = [&](std::span<const Tensor> gxy) {
      return std::vector{gxy[0] * gxy[2] * gxy[2], two * gxy[0] * gxy[1] * gxy[2]};
    };
    return add_node(results_of(product, in), derivative, in);
  };
  return {{{uniform(1, 2), uniform(1, 2)}, call}};
}

std::vector<Sample> RuledOutputs::samples() {
  const auto f = [](std::span<const Tensor> x) { return std::vector{x[0] * x[1], x[0] + x[1]}; };
  const auto derivative = [](std::span<const Tensor> in) {
    return std::vector{in[0] * in[3] + in[1], in[0] * in[2] + in[1]};
  };
  const auto call = [=](std::span<const Tensor> in) { return add_node(results_of(f, in), derivative, in); };
  return {{{uniform(1, 2), uniform(1, 2)}, call}};
}

}  // namespace

std::vector<Tensor> apply_with_rule(const Body::Function& f, const Body::Function& rule,
                                    std::span<const Tensor> inputs) {
  std::vector<Tensor> results = results_of(f, inputs);
  if (std::ranges::none_of(inputs, &Tensor::is_tracked)) return results;
  const Tensor node = add_node(results, rule, inputs);
  return results.size() == 1 ? std::vector{node} : outputs_of(node);
}

std::vector<const Operation*> custom_vjp_operations() {
  return {&operation_of<Ruled>(), &operation_of<RuledOutputs>()};
}

}  // namespace gradweave
