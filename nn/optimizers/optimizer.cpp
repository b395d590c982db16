#include <gradweave/nn/optimizers/optimizer.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <unordered_map>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/evaluate.hpp>
#include <gradweave/graph/gradients.hpp>
#include <gradweave/graph/node.hpp>
#include <gradweave/graph/plan/session.hpp>
#include <gradweave/graph/report/explain.hpp>

namespace gradweave::nn {
namespace {

double checked_rate(double rate) {
  if (!std::isfinite(rate) || rate < 0) {
    throw ValueError(fmt::format("the learning rate is {}; it must be finite and not negative", rate));
  }
  return rate;
}

}  // namespace

ScalarInput::ScalarInput(double value)
    : value_(value), leaves_{constant(value, DType::float32), constant(value, DType::float64)} {}

void ScalarInput::set(double value) {
  value_ = value;
  for (const Tensor& leaf : leaves_) {
    dispatch<floating>(leaf.dtype(),
                       [&]<class T>() { *reinterpret_cast<T*>(leaf.node()->data) = static_cast<T>(value); });
  }
}

Optimizer::Optimizer(std::vector<Parameter> parameters, double learning_rate)
    : Optimizer(std::vector<Group>{{std::move(parameters), learning_rate}}) {}

Optimizer::Optimizer(std::vector<Group> groups) : building_(nothing), session_(std::make_unique<Session>()) {
  std::unordered_map<const void*, std::size_t> seen;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    rates_.emplace_back(checked_rate(groups[g].learning_rate));
    for (Parameter& p : groups[g].parameters) {
      if (!p) throw ValueError("an optimizer was given an empty Parameter");
      const auto [at, is_new] = seen.try_emplace(p.cell_.get(), g);
      if (!is_new && at->second != g)
        throw ValueError(fmt::format("parameter \"{}\" stands in two groups of an optimizer", p.name()));
      if (!is_new) continue;
      parameters_.push_back(std::move(p));
      group_of_.push_back(g);
    }
  }
  if (parameters_.empty())
    throw ValueError("an optimizer was given no parameters: are the children registered with `child`?");
}
Optimizer::~Optimizer() = default;

// What a rule sees here is not what it would see at the steps that its program is run for.
void Optimizer::require_known() const {
  if (building_ == nothing) return;
  if (Capture::current() != nullptr) {
    throw GraphError(
        "an optimizer's update asks for steps() or learning_rate() inside a function that is being compiled, "
        "which "
        "would keep what they are now: use a ScalarInput, or override `variant`");
  }
  note_look();
}

Index Optimizer::steps() const {
  require_known();
  return steps_;
}
double Optimizer::learning_rate() const {
  require_known();
  return rates_[0].value();
}
const Tensor& Optimizer::rate(DType dtype) const {
  return rates_[building_ == nothing ? 0 : group_of_[building_]].as(dtype);
}

void Optimizer::set_learning_rate(double rate) {
  checked_rate(rate);
  for (std::size_t g = 0; g < rates_.size(); ++g) set_learning_rate(g, rate);
}
void Optimizer::set_learning_rate(std::size_t group, double rate) {
  if (Capture::current() != nullptr)
    throw GraphError("set_learning_rate inside a function that is being compiled: set it between its calls");
  if (group >= rates_.size())
    throw ValueError(
        fmt::format("set_learning_rate: there are {} groups, no number {}", rates_.size(), group));
  rates_[group].set(checked_rate(rate));
}

void Optimizer::add_transform(GradientTransform transform) {
  if (!transform) throw ValueError("add_transform: the function is empty");
  transforms_.push_back(std::move(transform));
}

std::vector<Tensor> Optimizer::zeros_like_parameters() const {
  std::vector<Tensor> all;
  all.reserve(parameters_.size());
  for (const Parameter& p : parameters_) {
    all.push_back(contiguous(zeros(p.shape(), p.dtype())));
    eval(all.back());
  }
  return all;
}

void Optimizer::minimize(const Tensor& loss) {
  if (loss.is_empty()) throw GraphError("minimize: the loss is an empty Tensor");
  run({&loss, 1}, false);
}

void Optimizer::step(std::span<const Tensor> gradients) {
  if (gradients.size() != parameters_.size()) {
    throw ShapeError(
        fmt::format("step: {} gradients for {} parameters", gradients.size(), parameters_.size()));
  }
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    const Parameter& p = parameters_[i];
    if (gradients[i].is_empty())
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
  run(gradients, true);
}

PlanReport Optimizer::explain(const Tensor& loss) {
  if (loss.is_empty()) throw GraphError("explain: the loss is an empty Tensor");
  if (Capture::current() != nullptr)
    throw GraphError("explain inside a function that is being compiled: explain the compiled function");
  PlanReport report;
  session_->explain(
      {.roots = {&loss, 1}, .leaves = {}, .variant = {}}, [&] { return next_slots(gradients_of(loss)); },
      [&](const Plan& plan) { report = explain_plan(plan); });
  return report;
}

// Empty where a parameter takes no part.
std::vector<Tensor> Optimizer::gradients_of(const Tensor& loss) const {
  std::vector<Tensor> values;
  values.reserve(parameters_.size());
  for (const Parameter& p : parameters_) values.push_back(p.value());
  constexpr const char* advice =
      "the loss must be built from parameters of the optimizer, after the last step, and not all of them may "
      "be frozen";
  try {
    std::vector<Tensor> all = gradients(loss, values, {}, Unconnected::empty, {});
    if (std::ranges::all_of(all, &Tensor::is_empty)) {
      throw GraphError(
          fmt::format("the loss depends on none of the optimizer's {} parameters (the first is \"{}\")",
                      parameters_.size(), parameters_[0].name()));
    }
    return all;
  } catch (const GraphError& error) {
    throw GraphError(fmt::format("minimize: {}\n({})", error.what(), advice));
  }
}

// Gives up each gradient once its update is built: what somebody holds would be computed as a whole.
std::vector<StateSlot> Optimizer::next_slots(std::vector<Tensor> gradients) {
  slots_.clear();
  begin(steps_ + 1);
  if (!transforms_.empty()) {
    std::vector<Tensor> present;
    std::vector<std::size_t> from;
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      if (gradients[i].is_empty()) continue;
      present.push_back(std::exchange(gradients[i], {}));
      from.push_back(i);
    }
    for (const GradientTransform& transform : transforms_) transform(present);
    for (std::size_t k = 0; k < from.size(); ++k) gradients[from[k]] = std::move(present[k]);
  }
  struct Building {
    std::size_t& at;
    ~Building() { at = nothing; }
  };
  const Building building{building_};
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (gradients[i].is_empty()) continue;
    building_ = i;
    Parameter& p = parameters_[i];
    Tensor next = update(i, p.value(), gradients[i]);
    slots_.push_back({.tensor = &p.cell().value, .next = std::move(next), .lock = &p.cell().lock});
    gradients[i] = Tensor();
  }
  return std::exchange(slots_, {});
}

Tensor Optimizer::advance(Tensor& state, Tensor next) {
  if (!state.is_evaluated())
    throw GraphError("advance: an optimizer's state has no values yet: call eval(state) where it is made");
  return slots_.emplace_back(StateSlot{.tensor = &state, .next = std::move(next)}).next;
}

void Optimizer::run(std::span<const Tensor> roots, bool roots_are_gradients) {
  refuse_while_tracing("an optimizer takes a step");
  const auto all_gradients = [&] {
    return roots_are_gradients ? std::vector<Tensor>(roots.begin(), roots.end()) : gradients_of(roots[0]);
  };
  if (Capture* capture = Capture::current()) {
    for (const Parameter& p : parameters_) {
      if (!capture->is_updated(p.cell().value)) continue;
      throw GraphError(fmt::format(
          "minimize: \"{}\" has already taken a step in the function that is being compiled; a compiled "
          "function can take one step with each parameter: call it again for the next",
          p.name()));
    }
    for (StateSlot& slot : next_slots(all_gradients())) capture->update(std::move(slot));
    capture->depends_on([this] { return variant(steps_ + 1); });
    capture->before_next_runs([this] { begin(steps_ + 1); }, {});
    capture->after_runs([this] { ++steps_; });
    return;
  }
  leaves_.clear();
  for (const Parameter& p : parameters_) leaves_.push_back(p.value().node());
  const std::array variants{variant(steps_ + 1), std::uint64_t{transforms_.size()}};
  begin(steps_ + 1);
  session_->run({roots, leaves_, variants}, [&] { return next_slots(all_gradients()); });
  ++steps_;
}

}  // namespace gradweave::nn
