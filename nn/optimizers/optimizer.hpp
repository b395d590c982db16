// Optimizer: gradients, updates and loss as one program, run in place.
#pragma once
#include <array>
#include <memory>
#include <span>
#include <vector>

#include <gradweave/graph/capture.hpp>
#include <gradweave/nn/module.hpp>

namespace gradweave {
struct PlanReport;
}
namespace gradweave::nn {

/// A number that the update ops take as an input, in either dtype. A new value is written where the old one
/// was, so that programs which read it find the new one at their next run.
class ScalarInput {
 public:
  explicit ScalarInput(double value = 0);
  double value() const { return value_; }
  void set(double value);
  const Tensor& as(DType dtype) const { return leaves_[dtype == DType::float64 ? 1 : 0]; }

 private:
  double value_;
  std::array<Tensor, 2> leaves_;  // float32, float64
};

/// Owns the state of the training of some parameters. Moves, but does not copy.
class Optimizer {
 public:
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;
  virtual ~Optimizer();

  /// One step down the gradient of `loss`, which has one element: evaluates the loss, its gradients and the
  /// updates as one program. Afterwards the loss has its value and no history, and the parameters have new
  /// values; old values that nobody holds are overwritten in place. Throws GraphError when a parameter does
  /// not take part in the loss. If evaluating the loss throws, parameters and state are as before; if a later
  /// part does, each has either its old or its new value. The program is kept by the structure of the loss: a
  /// loop differentiates and plans its first step only.
  void minimize(const Tensor& loss);
  /// What `minimize(loss)` would run now: loss, gradients and updates as one plan. Takes no step and computes
  /// nothing. Throws what `minimize` throws before it runs, and GraphError inside a function that is being
  /// compiled.
  PlanReport explain(const Tensor& loss);
  /// One step with given gradients, one for each parameter, of its shape and dtype. Throws ShapeError or
  /// DTypeError.
  void step(std::span<const Tensor> gradients);

  double learning_rate() const { return rate_.value(); }
  /// From the next step on. Throws ValueError unless it is finite and not negative.
  void set_learning_rate(double rate);
  /// How many steps were taken.
  Index steps() const { return steps_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }

 protected:
  /// Throws ValueError for no parameters and for a bad learning rate. A parameter that comes twice counts
  /// once.
  Optimizer(std::vector<Parameter> parameters, double learning_rate);

  /// Called before the updates of step number `step`, which counts from 1, and when that is explained.
  virtual void begin(Index step) { static_cast<void>(step); }
  /// The next value of parameter `i`: a node whose first input is `value`.
  virtual Tensor update(std::size_t i, const Tensor& value, const Tensor& gradient) = 0;
  /// Lets `next`, a node whose first input is `state`, be the state's value after the step; returns it.
  Tensor advance(Tensor& state, Tensor next);
  /// Zeros of the shapes of the parameters: where a state begins.
  std::vector<Tensor> zeros_like_parameters() const;
  const Tensor& rate(DType dtype) const { return rate_.as(dtype); }

 private:
  struct Step;
  class Steps;
  void run(std::span<const Tensor> roots, bool roots_are_gradients);
  std::vector<Cell> next_cells(std::vector<Tensor> gradients);
  std::vector<Tensor> gradients_of(const Tensor& loss);

  std::vector<Parameter> parameters_;
  ScalarInput rate_;
  Index steps_ = 0;
  std::vector<Cell> cells_;  // of the step that is being built
  std::unique_ptr<Steps> programs_;
};

}  // namespace gradweave::nn
