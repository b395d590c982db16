#include <gradweave/ops/control.hpp>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <gradweave/graph/define.hpp>
#include <gradweave/graph/gradients.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/graph/node.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/reduction.hpp>

namespace gradweave {
namespace {

struct Cond {
  Body then, otherwise;
  static constexpr std::string_view name = "cond";
  static constexpr DTypes dtypes = any_dtype;
  static constexpr bool promotes = false;
  static constexpr bool as_stored = true;  // its bodies convert
  static constexpr bool leading_axes = false;
  static constexpr std::array<std::optional<DType>, 1> fixed{DType::bool_};
  Specs infer(std::span<const Spec>) const { return {then.outputs().begin(), then.outputs().end()}; }
  void forward(Outputs y, std::span<const ArrayView> x) const {
    (*x[0].as<const bool>() ? then : otherwise).run(x.subspan(1), y);
  }
  void vjp(Pullback& p) const;
  static std::vector<Sample> samples();
};

// The same for branches that have effects.
constexpr Operation cond_with_effects = [] {
  Operation op = detail::table<Cond>;
  op.pure = false;
  return op;
}();

struct Branches {
  Cond op;
  std::vector<Tensor> inputs;  // the predicate, the operands, and what the functions read beside these
};

Branches look_at(const Tensor& predicate, const Body::Function& then, const Body::Function& otherwise,
                 std::span<const Tensor> operands) {
  Branches all;
  std::vector<Tensor> captured;
  all.op.then = Body::trace(then, operands, captured);
  all.op.otherwise = Body::trace(otherwise, operands, captured);
  all.inputs.push_back(predicate);
  all.inputs.insert(all.inputs.end(), operands.begin(), operands.end());
  all.inputs.insert(all.inputs.end(), captured.begin(), captured.end());
  return all;
}

Tensor add_node(const Branches& branches, std::source_location where) {
  const bool pure = branches.op.then.is_pure() && branches.op.otherwise.is_pure();
  std::vector<Operand> inputs;
  inputs.reserve(branches.inputs.size());
  for (const Tensor& input : branches.inputs) inputs.emplace_back(input, where);
  return apply(pure ? operation_of<Cond>() : cond_with_effects, &branches.op, inputs);
}

// The derivative of a branch: a function of the cotangents that there are, then of the operands, which gives
// the cotangents of those that are wanted.
Body::Function pulled_back(const Body& branch, const Pullback& p) {
  return [&branch, &p](std::span<const Tensor> given) {
    std::vector<std::size_t> outputs;
    for (std::size_t k = 0; k < p.output_count(); ++k) {
      if (p.has_cotangent(k)) outputs.push_back(k);
    }
    const std::span<const Tensor> operands = given.subspan(outputs.size());
    const std::vector<Tensor> y = branch(operands);
    std::vector<Tensor> terms, wanted;
    for (std::size_t j = 0; j < outputs.size(); ++j)
      terms.push_back(cast(sum(y[outputs[j]] * given[j]), DType::float64));
    for (std::size_t i = 0; i < operands.size(); ++i) {
      if (p.wants(i + 1)) wanted.push_back(operands[i]);
    }
    return gradients(add(terms), wanted, {}, Unconnected::zeros);
  };
}

void Cond::vjp(Pullback& p) const {
  std::vector<Tensor> operands;
  for (std::size_t k = 0; k < p.output_count(); ++k) {
    if (p.has_cotangent(k)) operands.push_back(p.cotangent(k));
  }
  if (operands.empty()) return;
  for (std::size_t i = 1; i < p.input_count(); ++i) operands.push_back(p.input(i));
  const Branches branches = look_at(p.input(0), pulled_back(then, p), pulled_back(otherwise, p), operands);
  if (!branches.op.then.is_pure() || !branches.op.otherwise.is_pure()) {
    throw GraphError(
        "cond: the derivative needs the result of an op with effects, which would run again for that; move "
        "it "
        "out of the branch");
  }
  const std::vector<Tensor> terms = outputs_of(add_node(branches, {}));
  for (std::size_t i = 0, next = 0; i < p.input_count(); ++i) {
    if (p.wants(i)) p.give(i, terms[next++]);
  }
}

std::vector<Sample> Cond::samples() {
  const auto call = [](std::span<const Tensor> in) {
    const Tensor scale = in[1] * 2;
    const auto products = [&](std::span<const Tensor> x) {
      return std::vector{x[0] * x[1] + scale, sum(x[0] * x[1] * x[1])};
    };
    const auto cubes = [](std::span<const Tensor> x) {
      return std::vector{x[0] * x[0] * x[1] + x[1] * 2, sum(x[0] * x[1])};
    };
    return add_node(look_at(in[0], products, cubes, in.subspan(1)), {});
  };
  const InputSpec yes{1, 2, {}, DType::bool_}, no{0, 1, {}, DType::bool_};
  return {{{yes, uniform(-2, 2), uniform(-2, 2)}, call}, {{no, uniform(-2, 2), uniform(-2, 2)}, call}};
}

void require_alike(const Branches& branches, const Operand& predicate) {
  const std::span<const Spec> a = branches.op.then.outputs(), b = branches.op.otherwise.outputs();
  if (a.size() != b.size()) {
    refuse<GraphError>("cond", {predicate},
                       fmt::format("one branch gives {} tensors, the other {}", a.size(), b.size()));
  }
  if (a.empty()) refuse<GraphError>("cond", {predicate}, "the branches give no tensor");
  for (std::size_t k = 0; k < a.size(); ++k) {
    const auto reason = [&] {
      return fmt::format("the branches differ: result {} is {} if the predicate is true, else {}", k,
                         describe(a[k]), describe(b[k]));
    };
    if (a[k].dtype != b[k].dtype) refuse<DTypeError>("cond", {predicate}, reason());
    if (a[k].shape != b[k].shape) refuse<ShapeError>("cond", {predicate}, reason());
  }
}

}  // namespace

std::vector<Tensor> cond(const Operand& predicate, const Body::Function& then,
                         const Body::Function& otherwise, std::span<const Tensor> operands) {
  const Tensor known = cast(predicate, DType::bool_);
  if (known.numel() != 1)
    refuse<ShapeError>("cond", {predicate}, "the predicate needs one element; join several with any or all");
  const Branches branches = look_at(known, then, otherwise, operands);
  require_alike(branches, predicate);
  return outputs_of(add_node(branches, predicate.where()));
}

std::vector<const Operation*> control_operations() { return {&operation_of<Cond>()}; }

}  // namespace gradweave
