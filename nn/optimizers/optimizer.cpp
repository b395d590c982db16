#include <gradweave/nn/optimizers/optimizer.hpp>

#include <algorithm>
#include <cmath>
#include <ranges>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/evaluate.hpp>
#include <gradweave/graph/gradients.hpp>
#include <gradweave/graph/node.hpp>
#include <gradweave/graph/plan/captured_program.hpp>
#include <gradweave/graph/plan/plan_cache.hpp>
#include <gradweave/graph/report/explain.hpp>

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

// What the step leaves with values.
std::vector<Tensor> held_by(const PendingGraph& pending) {
  std::vector<Tensor> held;
  held.reserve(pending.held.size());
  for (const std::uint32_t k : pending.held) held.emplace_back(pending.nodes[k]);
  return held;
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

// The program of a step, for losses of one structure.
struct Optimizer::Step {
  Step(const PendingGraph& pending, const GraphKey&, std::span<const Tensor> results,
       std::span<const Cell> cells)
      : replay(pending.inputs, results, cells) {}
  CapturedProgram replay;
};

class Optimizer::Steps {
 public:
  PendingGraph pending;
  PlanCache<Step> cache;
};

Optimizer::Optimizer(std::vector<Parameter> parameters, double learning_rate)
    : parameters_(without_repeats(std::move(parameters))),
      rate_(checked_rate(learning_rate)),
      programs_(std::make_unique<Steps>()) {}
Optimizer::~Optimizer() = default;

void Optimizer::set_learning_rate(double rate) {
  if (Capture::current() != nullptr)
    throw GraphError("set_learning_rate inside a function that is being compiled: set it between its calls");
  rate_.set(checked_rate(rate));
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
  if (!loss) throw GraphError("minimize: the loss is an empty Tensor");
  run({&loss, 1}, false);
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
  run(gradients, true);
}

PlanReport Optimizer::explain(const Tensor& loss) {
  if (!loss) throw GraphError("explain: the loss is an empty Tensor");
  if (Capture::current() != nullptr)
    throw GraphError("explain inside a function that is being compiled; ask the compiled function instead");
  PendingGraph pending;
  pending.take({&loss, 1});
  const std::vector<Cell> cells = next_cells(gradients_of(loss));
  return explain_plan(CapturedProgram(pending.inputs, held_by(pending), cells).plan());
}

std::vector<Tensor> Optimizer::gradients_of(const Tensor& loss) {
  std::vector<Tensor> values;
  values.reserve(parameters_.size());
  for (const Parameter& p : parameters_) values.push_back(p.value());
  try {
    return gradients(loss, values);
  } catch (const GraphError& error) {
    throw GraphError(
        fmt::format("minimize: {}\n(every parameter of the optimizer must take part in a loss that was built "
                    "after the last step)",
                    error.what()));
  }
}

// Gives up each gradient once its update is built: what somebody holds would be computed as a whole.
std::vector<Cell> Optimizer::next_cells(std::vector<Tensor> gradients) {
  cells_.clear();
  begin(steps_ + 1);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    Tensor next = update(i, parameters_[i].value(), gradients[i]);
    cells_.push_back({&parameters_[i].cell().value, std::move(next)});
    gradients[i] = Tensor();
  }
  return std::exchange(cells_, {});
}

Tensor Optimizer::advance(Tensor& state, Tensor next) {
  return cells_.emplace_back(&state, std::move(next)).next;
}

void Optimizer::run(std::span<const Tensor> roots, bool roots_are_gradients) {
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
    for (Cell& cell : next_cells(all_gradients())) capture->update(*cell.tensor, std::move(cell.next));
    capture->before_next_runs([this] { begin(steps_ + 1); });
    capture->after_runs([this] { ++steps_; });
    return;
  }

  PendingGraph& pending = programs_->pending;
  pending.take(roots);
  for (const Tensor& root : roots) pending.add_to_key(pending.number_of(root.node()));
  for (const Parameter& p : parameters_) pending.add_to_key(pending.number_of(p.value().node()));
  // What was evaluated before the step has a history that the pending does not show.
  const bool hides_history = std::ranges::any_of(
      pending.inputs, [](const Node* node) { return node->tracked && node->input_count > 0; });
  std::shared_ptr<Step> program = hides_history ? nullptr : programs_->cache.find(pending);
  if (program) {
    begin(steps_ + 1);
  } else {
    // Gone before the run, so that parameters have no other owners then.
    const std::vector<Tensor> results = held_by(pending);
    const std::vector<Cell> cells = next_cells(all_gradients());
    program = programs_->cache.make(pending, hides_history ? Keep::no : Keep::yes, results, cells);
  }

  program->replay.run(pending.inputs, pending.uses);
  for (std::size_t i = 0; i < pending.held.size(); ++i) {
    program->replay.give_result(i, *pending.nodes[pending.held[i]]);
  }
  program->replay.finish();
  for (const std::uint32_t k : pending.held) pending.nodes[k]->release_history();
  if (!roots_are_gradients && roots[0].node()->input_count > 0) roots[0].node()->release_history();
  ++steps_;
}

}  // namespace gradweave::nn
