#include <gradweave/graph/report/explain.hpp>

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/plan/plan.hpp>

namespace gradweave {
namespace {

class Explaining {
 public:
  explicit Explaining(const Plan& plan)
      : program_(plan.program()),
        placement_(plan.placement()),
        steps_(plan.steps()),
        step_of_(program_.values.size(), none),
        last_reader_(program_.values.size(), 0) {}

  PlanReport run() {
    for (std::size_t s = 0; s < steps_.size(); ++s) {
      for_each_value(steps_[s], [&](Id id) { step_of_[id] = s; });
    }
    for (std::size_t s = 0; s < steps_.size(); ++s) report_.steps.push_back(explain(s));
    for (PlanReport::Block& block : report_.arena) block.last_step = last_reader_[block.value];
    report_.arena_bytes = placement_.arena_bytes;
    report_.input_bytes = bytes_read(inputs_);
    for (const Placement::Output& output : placement_.outputs) report_.output_bytes += bytes_of(output.value);
    report_.nodes = program_.node_count;
    report_.constants_folded = program_.constants_folded;
    for (const Program::Rewritten& r : program_.rewrites)
      report_.rewrites.push_back({std::string(r.name), r.count});
    return std::move(report_);
  }

 private:
  static constexpr std::size_t none = static_cast<std::size_t>(-1);

  template <class F>
  static void for_each_value(const Step& step, const F& f) {
    if (step.lead != no_id) f(step.lead);
    for (const Id id : step.members) f(id);
    if (step.reduction != no_id) f(step.reduction);
  }
  std::size_t bytes_of(Id id) const { return program_.bytes_of(program_.values[id]); }

  std::string name_of_op(const Value& v) const {
    if (is_copy(v)) return "copy";
    return to_string(*v.operation, v.attributes);
  }
  bool is_copy(const Value& v) const {
    return v.operation == &cast_operation() && program_.values[program_.inputs_of(v)[0]].dtype == v.dtype;
  }

  double flops(const Value& v) const {
    if (v.operation->flops == nullptr || is_copy(v)) return 0;
    std::vector<ArrayView> inputs;
    for (const Id input : program_.inputs_of(v)) inputs.push_back(program_.array_of(program_.values[input]));
    return v.operation->flops(v.attributes, program_.array_of(v), inputs);
  }

  // The bytes that reading all of it touches: along a stride of 0 they are the same ones.
  std::size_t touched(const Value& v) const {
    const Dims shape = program_.shape_of(v), strides = program_.strides_of(v);
    std::size_t bytes = size_of(v.dtype);
    for (std::size_t axis = 0; axis < shape.size(); ++axis) {
      if (strides.empty() || strides[axis] != 0) bytes *= static_cast<std::size_t>(shape[axis]);
    }
    return program_.bytes_of(v) == 0 ? 0 : bytes;
  }

  PlanReport::Step explain(std::size_t s) {
    PlanReport::Step step;
    std::set<Id> read;
    std::set<std::size_t> after;
    for_each_value(steps_[s], [&](Id id) {
      const Value& v = program_.values[id];
      step.ops.push_back({name_of_op(v), {Shape(program_.shape_of(v)), v.dtype}});
      step.flops += flops(v);
      ++report_.values;
      if (v.rematerialized) {
        ++report_.computed_again;
        report_.flops_again += flops(v);
      }
      note_place(step, s, id);
      for (const Id input : program_.inputs_of(v)) {
        const Id buffer = program_.values[input].buffer;
        last_reader_[buffer] = s;
        if (step_of_[buffer] == s) continue;  // still in the cache
        read.insert(input);
        if (step_of_[buffer] != none) {
          after.insert(step_of_[buffer]);
        } else {
          inputs_.insert(input);
        }
      }
    });
    step.bytes_read = bytes_read(read);
    step.after.assign(after.begin(), after.end());
    return step;
  }

  void note_place(PlanReport::Step& step, std::size_t s, Id id) {
    const Placement::Place& at = placement_.places[id];
    if (at.kind == Placement::Kind::scratch) {
      ++step.scratch_values;
      return;
    }
    step.bytes_written += bytes_of(id);
    if (at.kind == Placement::Kind::output) {
      if (placement_.outputs[at.output].donor != no_id) ++step.in_place;
    } else {
      report_.arena.push_back({id, name_of_op(program_.values[id]), at.offset, bytes_of(id), s, s});
    }
  }

  // Views of one buffer may overlap: together they touch no more than all of it.
  std::size_t bytes_read(const std::set<Id>& values) const {
    std::map<Id, std::size_t> by_buffer;
    for (const Id id : values) {
      const Value& v = program_.values[id];
      std::size_t& bytes = by_buffer[v.buffer];
      bytes = std::min(bytes + touched(v), touched(program_.values[v.buffer]));
    }
    std::size_t all = 0;
    for (const auto& [buffer, bytes] : by_buffer) all += bytes;
    return all;
  }

  const Program& program_;
  const Placement& placement_;
  std::span<const Step> steps_;
  std::vector<std::size_t> step_of_;      // by value: the step that computes it
  std::vector<std::size_t> last_reader_;  // by buffer
  std::set<Id> inputs_;                   // read, computed by no step
  PlanReport report_;
};

}  // namespace

double PlanReport::flops() const {
  double all = 0;
  for (const Step& step : steps) all += step.flops;
  return all;
}

PlanReport explain_plan(const Plan& plan) { return Explaining(plan).run(); }

PlanReport explain_plan(std::span<const Tensor> tensors) {
  for (const Tensor& tensor : tensors) {
    if (tensor.is_empty()) throw GraphError("explain_plan of an empty Tensor");
  }
  PendingGraph pending;
  pending.take(tensors);
  const GraphKey structure(pending);
  return explain_plan(Plan(pending, structure));
}

std::string label_of(const PlanReport::Step& step) {
  std::string label;
  const Shape* shape = nullptr;
  for (const PlanReport::Op& op : step.ops) {
    if (shape != nullptr) label += " + ";
    label += op.name;
    if (shape == nullptr || *shape != op.spec.shape) label += " " + to_string(op.spec.shape);
    shape = &op.spec.shape;
  }
  return label;
}

std::string print_bytes(std::size_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  auto amount = static_cast<double>(bytes);
  const char* unit = "";
  for (const char* larger : {"KiB", "MiB", "GiB"}) {
    if (amount < 1024) break;
    amount /= 1024, unit = larger;
  }
  return fmt::format("{:.1f} {}", amount, unit);
}

std::string to_string(const PlanReport& report) {
  std::string text = fmt::format(
      "{} nodes: {} values in {} steps, {} constants folded; {:.3g} flops, arena {}, outputs {}\n",
      report.nodes, report.values, report.steps.size(), report.constants_folded, report.flops(),
      print_bytes(report.arena_bytes), print_bytes(report.output_bytes));
  for (const PlanReport::Rewrites& r : report.rewrites)
    text += fmt::format("{}{} ({})", &r == report.rewrites.data() ? "rewritten: " : ", ", r.name, r.count);
  if (!report.rewrites.empty()) text += '\n';
  if (report.computed_again != 0) {
    text += fmt::format("{} values computed again to save memory: {:.3g} flops\n", report.computed_again,
                        report.flops_again);
  }
  if (!report.steps.empty()) {
    text += fmt::format("{:>4} {:>9} {:>9} {:>8} {:>7} {:>8}  {}\n", "step", "reads", "writes", "flops",
                        "scratch", "in place", "ops");
  }
  for (std::size_t s = 0; s < report.steps.size(); ++s) {
    const PlanReport::Step& step = report.steps[s];
    text += fmt::format("{:>4} {:>9} {:>9} {:>8.3g} {:>7} {:>8}  {}\n", s, print_bytes(step.bytes_read),
                        print_bytes(step.bytes_written), step.flops, step.scratch_values, step.in_place,
                        label_of(step));
  }
  if (!report.arena.empty()) {
    text += fmt::format("{:>10} {:>9} {:>8}  {}\n", "arena at", "bytes", "steps", "value");
  }
  for (const PlanReport::Block& block : report.arena) {
    text += fmt::format("{:>10} {:>9} {:>8}  {}: {}\n", block.offset, print_bytes(block.bytes),
                        fmt::format("{}..{}", block.first_step, block.last_step), block.value, block.op);
  }
  return text;
}

}  // namespace gradweave
