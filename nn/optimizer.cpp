#include <gradweave/nn/optimizer.hpp>

#include <algorithm>
#include <cmath>
#include <ranges>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/evaluate.hpp>
#include <gradweave/graph/gradients.hpp>
#include <gradweave/graph/node.hpp>

namespace gradweave::nn {
namespace {

double checked_rate(double rate) {
  if (!std::isfinite(rate) || rate < 0) {
    throw ValueError(fmt::format("the learning rate is {}; it must be finite and not negative", rate));
  }
  return rate;
}

std::vector<Parameter> without_repeats(std::vector<Parameter> all) {
  std::vector<Parameter> unique;
  for (Parameter& p : all) {
    if (!p) throw ValueError("an optimizer was given an empty Parameter");
    if (std::ranges::none_of(unique, [&](const Parameter& seen) { return is_same(seen, p); }))
      unique.push_back(std::move(p));
  }
  if (unique.empty())
    throw ValueError("an optimizer was given no parameters: are the children registered with `child`?");
  return unique;
}

}  // namespace

void ScalarInput::set(double value) {
  if (value == value_) return;
  value_ = value;
  leaves_ = {};
}

const Tensor& ScalarInput::as(DType dtype) {
  Tensor& leaf = leaves_[dtype == DType::float64 ? 1 : 0];
  if (!leaf) {
    leaf = dispatch<floating>(dtype, [&]<class T>() {
      const T number = static_cast<T>(value_);
      return constant(std::span(&number, 1), {});
    });
  }
  return leaf;
}

Optimizer::Optimizer(std::vector<Parameter> parameters, double learning_rate)
    : parameters_(without_repeats(std::move(parameters))), rate_(checked_rate(learning_rate)) {}

void Optimizer::set_learning_rate(double rate) { rate_.set(checked_rate(rate)); }

std::vector<Tensor> Optimizer::zeros_like_parameters() const {
  std::vector<Tensor> all;
  all.reserve(parameters_.size());
  for (const Parameter& p : parameters_) all.push_back(zeros(p.shape(), p.dtype()));
  return all;
}

void Optimizer::minimize(const Tensor& loss) {
  for (const Parameter& p : parameters_) values_.push_back(p.value());
  std::vector<Tensor> slopes;
  try {
    slopes = gradients(loss, values_);
  } catch (const GraphError& error) {
    values_.clear();
    throw GraphError(
        fmt::format("minimize: {}\n(every parameter of the optimizer must take part in a loss that was built "
                    "after the last step)",
                    error.what()));
  } catch (...) {
    values_.clear();
    throw;
  }
  values_.clear();
  program_.push_back(loss);  // first, so that nothing is updated before the loss has its value
  run(slopes);
}

void Optimizer::step(std::span<const Tensor> gradients) {
  if (gradients.size() != parameters_.size()) {
    throw ShapeError(
        fmt::format("step: {} gradients for {} parameters", gradients.size(), parameters_.size()));
  }
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    const Parameter& p = parameters_[i];
    if (!gradients[i])
      throw GraphError(fmt::format("step: the gradient of \"{}\" is an empty Tensor", p.name()));
    if (gradients[i].shape() != p.shape()) {
      throw ShapeError(fmt::format("step: the gradient of \"{}\" has shape {}, expected {}", p.name(),
                                   to_string(gradients[i].shape()), to_string(p.shape())));
    }
    if (gradients[i].dtype() != p.dtype()) {
      throw DTypeError(fmt::format("step: the gradient of \"{}\" is {}, expected {}", p.name(),
                                   name_of(gradients[i].dtype()), name_of(p.dtype())));
    }
  }
  std::vector<Tensor> slopes(gradients.begin(), gradients.end());
  run(slopes);
}

const Tensor& Optimizer::advance(Tensor& state, Tensor next) {
  pending_.push_back(&state);
  state = std::move(next);
  return state;
}

// Here all handles to old values and to gradients are given up, so that only the update refers to them and
// may write where they lie.
void Optimizer::run(std::span<Tensor> gradients) {
  try {
    begin(steps_ + 1);
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      Tensor& value = parameters_[i].cell().value;
      program_.push_back(advance(value, update(i, value, gradients[i])));
      gradients[i] = Tensor();
    }
    evaluate(program_, History::release);
  } catch (...) {
    undo();
    finish();
    throw;
  }
  ++steps_;
  finish();
}

// What was not computed goes back to the value that it was to replace.
void Optimizer::undo() noexcept {
  for (Tensor* state : pending_ | std::views::reverse) {
    if (!state->is_evaluated()) *state = Tensor(state->node()->inputs()[0]);
  }
}

void Optimizer::finish() {
  pending_.clear();
  program_.clear();
  for (const Parameter& p : parameters_) {
    Tensor& value = p.cell().value;
    if (value.node()->operation == &variable_leaf) continue;
    value = variable(value);
    value.node()->place = p.cell().place;
  }
}

}  // namespace gradweave::nn
