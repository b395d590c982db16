// Optimizer: gradients, updates and loss as one program, run in place.
//
// A common beginner's error in an optimizer of one's own: `update` is called once for each structure of loss,
// not at each step. A number that changes from step to step is a ScalarInput, set in `begin`; a rule that
// changes says so in `variant`. (What `update` sees of values, of `steps()` or of `learning_rate()` is right
// all the same: it is then called at every step, which costs time, and is refused inside `compile`.)
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <gradweave/graph/capture.hpp>
#include <gradweave/nn/module.hpp>

namespace gradweave {
class Session;
struct PlanReport;
}  // namespace gradweave

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

/// Parameters that share options of their own: `SGD({{body.parameters(), {.learning_rate = 1e-3}}, ...})`.
template <class Options>
struct ParameterGroup {
  std::vector<Parameter> parameters;
  Options options;
};

/// Changes all gradients of a step, as a part of its program: those of the parameters that take part, which
/// it replaces by tensors of the same shapes. Called as `Optimizer::update` is.
using GradientTransform = std::function<void(std::span<Tensor> gradients)>;
/// Scales all gradients together so that their Euclidean norm is at most `max_norm` (PyTorch's
/// clip_grad_norm_). Throws ValueError unless it is positive.
GradientTransform clip_by_global_norm(double max_norm);
/// Clamps each element to [-max_value, max_value]. Throws ValueError unless it is positive.
GradientTransform clip_by_value(double max_value);

/// Owns the state of the training of some parameters. Neither moves nor copies: compiled functions refer to
/// it.
class Optimizer {
 public:
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;
  virtual ~Optimizer();

  /// One step down the gradient of `loss`, which has one element: evaluates the loss, its gradients and the
  /// updates as one program. Afterwards the loss, and what it was computed from and somebody holds, has
  /// values and no history, and the parameters have new values; old values that nobody holds are overwritten
  /// in place. A parameter that takes no part in the loss, or is frozen, stays as it is, and so does its
  /// state. Throws GraphError when none takes part. If anything throws, parameters, state and step count are
  /// as before. The program is kept by the structure of the loss: a loop differentiates and plans its first
  /// step only.
  void minimize(const Tensor& loss);
  /// What `minimize(loss)` would run now: loss, gradients and updates as one plan (report/explain.hpp). Takes
  /// no step and computes nothing. Throws what `minimize` throws before it runs, and GraphError inside a
  /// function that is being compiled.
  PlanReport explain(const Tensor& loss);
  /// One step with given gradients, one for each parameter, of its shape and dtype. Throws ShapeError or
  /// DTypeError.
  void step(std::span<const Tensor> gradients);

  /// From the next step on, after those that were added before. Functions that are compiled already go on
  /// without it.
  void add_transform(GradientTransform transform);

  /// Of the first group.
  double learning_rate() const;
  /// Of all groups, from the next step on. Throws ValueError unless it is finite and not negative.
  void set_learning_rate(double rate);
  /// Of one group. Throws ValueError for a group that is not there, too.
  void set_learning_rate(std::size_t group, double rate);
  /// How many steps were taken.
  Index steps() const;
  const std::vector<Parameter>& parameters() const { return parameters_; }

 protected:
  /// Parameters and learning rate of a group.
  struct Group {
    std::vector<Parameter> parameters;
    double learning_rate;
  };
  /// Throws ValueError for no parameters, for a bad learning rate and for a parameter in two groups. One that
  /// comes twice in a group counts once.
  Optimizer(std::vector<Parameter> parameters, double learning_rate);
  explicit Optimizer(std::vector<Group> groups);

  /// Called before the updates of step number `step`, which counts from 1, and when that is explained: sets
  /// ScalarInputs. After a step that failed it is called with the same number again.
  virtual void begin(Index step) { static_cast<void>(step); }
  /// What else than ScalarInputs tells the rule of step number `step` from that of others: each answer has a
  /// program of its own.
  virtual std::uint64_t variant(Index step) const {
    static_cast<void>(step);
    return 0;
  }
  /// The next value of parameter `i`: a node whose first input is `value`.
  virtual Tensor update(std::size_t i, const Tensor& value, const Tensor& gradient) = 0;
  /// Lets `next`, a node whose first input is `state`, be the state's value after the step; returns it.
  Tensor advance(Tensor& state, Tensor next);
  /// Zeros of the shapes of the parameters: where a state begins.
  std::vector<Tensor> zeros_like_parameters() const;
  /// The learning rate of the parameter whose update is being built.
  const Tensor& rate(DType dtype) const;
  std::size_t group_of(std::size_t parameter) const { return group_of_[parameter]; }

 private:
  void run(std::span<const Tensor> roots, bool roots_are_gradients);
  std::vector<StateSlot> next_slots(std::vector<Tensor> gradients);
  std::vector<Tensor> gradients_of(const Tensor& loss) const;
  void require_known() const;

  std::vector<Parameter> parameters_;
  std::vector<std::size_t> group_of_;  // by parameter
  std::vector<ScalarInput> rates_;     // by group
  std::vector<GradientTransform> transforms_;
  Index steps_ = 0;
  std::vector<StateSlot> slots_;  // of the step that is being built
  std::size_t building_;          // which parameter's update that is at; `nothing` outside
  static constexpr std::size_t nothing = static_cast<std::size_t>(-1);
  std::vector<const Node*> leaves_;  // of the parameters, at this step
  std::unique_ptr<Session> session_;
};

namespace detail {

/// The base's groups of those with options.
template <class Base, class Options>
std::vector<Base> groups_of(const std::vector<ParameterGroup<Options>>& groups) {
  std::vector<Base> all;
  all.reserve(groups.size());
  for (const auto& group : groups) all.push_back({group.parameters, group.options.learning_rate});
  return all;
}
template <class Options>
std::vector<Options> options_of(const std::vector<ParameterGroup<Options>>& groups) {
  std::vector<Options> all;
  all.reserve(groups.size());
  for (const auto& group : groups) all.push_back(group.options);
  return all;
}

}  // namespace detail
}  // namespace gradweave::nn
