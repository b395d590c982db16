#include <gradweave/graph/explain.hpp>

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <gradweave/graph/plan.hpp>

namespace gradweave {
namespace {

class Explanation {
 public:
  explicit Explanation(const Plan& plan) : plan_(plan), program_(plan.program()) {}

  PlanReport run() {
    for (const Step& step : plan_.steps()) add(step);
    report_.arena_bytes = plan_.bytes();
    for (const Placement::Output& output : plan_.placement().outputs) {
      report_.result_bytes += program_.bytes_of(program_.values[output.value]);
    }
    return std::move(report_);
  }

 private:
  const Placement::Place& place_of(Id id) const { return plan_.placement().places[id]; }
  std::string label(const Value& v) const {
    return fmt::format("{} {}", v.operation->name, to_string(program_.shape_of(v)));
  }

  void add(const Step& step) {
    report_.steps.emplace_back();
    seen_.clear();
    if (step.lead != no_id) add(step.lead);
    for (const Id id : step.members) add(id);
  }

  void add(Id id) {
    PlannedStep& step = report_.steps.back();
    const Value& v = program_.values[id];
    ++report_.values;
    step.ops.push_back(label(v));
    step.flops += flops(v);
    for (const Id input : program_.inputs_of(v)) read(input);
    if (place_of(id).kind == Placement::Kind::scratch) return;
    step.bytes_written += program_.bytes_of(v);
    if (place_of(id).kind != Placement::Kind::arena) return;
    arena_of_.resize(program_.values.size(), no_id);
    arena_of_[id] = static_cast<std::uint32_t>(report_.arena.size());
    report_.arena.push_back({label(v), place_of(id).offset, program_.bytes_of(v), report_.steps.size() - 1,
                             report_.steps.size() - 1});
  }

  void read(Id input) {
    const Id buffer = program_.values[input].buffer;
    if (buffer < arena_of_.size() && arena_of_[buffer] != no_id) {
      report_.arena[arena_of_[buffer]].last_step = report_.steps.size() - 1;
    }
    if (place_of(buffer).kind == Placement::Kind::scratch || std::ranges::find(seen_, input) != seen_.end())
      return;
    seen_.push_back(input);
    report_.steps.back().bytes_read += program_.bytes_of(program_.values[input]);
  }

  Index flops(const Value& v) const {
    std::vector<Array> inputs;
    for (const Id id : program_.inputs_of(v)) inputs.push_back(program_.array_of(program_.values[id]));
    if (v.operation->flops != nullptr) return v.operation->flops(v.attributes, program_.array_of(v), inputs);
    Index most = numel(program_.shape_of(v));
    if (v.operation->elementwise) return most;
    for (const Array& x : inputs) most = std::max(most, x.size());
    return most;
  }

  const Plan& plan_;
  const Program& program_;
  PlanReport report_;
  std::vector<Id> seen_;                 // what the step at hand has read
  std::vector<std::uint32_t> arena_of_;  // by value: its place in the report
};

}  // namespace

PlanReport explain_plan(std::span<const Tensor> tensors) {
  for (const Tensor& tensor : tensors) {
    if (!tensor) throw GraphError("explain_plan of an empty Tensor");
  }
  Snapshot snapshot;
  snapshot.take(tensors);
  const Structure structure(snapshot);
  const Plan plan(snapshot, structure);
  PlanReport report = Explanation(plan).run();
  report.nodes = snapshot.nodes.size();
  return report;
}

std::string to_string(const PlanReport& report) {
  std::string text =
      fmt::format("{} nodes, {} values in {} steps, {} bytes of arena, {} bytes of results\n\n", report.nodes,
                  report.values, report.steps.size(), report.arena_bytes, report.result_bytes);
  text += fmt::format("{:>4} {:>12} {:>12} {:>12}  {}\n", "step", "flops", "bytes read", "written", "ops");
  for (std::size_t k = 0; k < report.steps.size(); ++k) {
    const PlannedStep& step = report.steps[k];
    text += fmt::format("{:>4} {:>12} {:>12} {:>12}  {}\n", k, step.flops, step.bytes_read,
                        step.bytes_written, fmt::join(step.ops, ", "));
  }
  if (!report.arena.empty())
    text += fmt::format("\n{:>12} {:>12}  {:<9}  {}\n", "offset", "bytes", "steps", "value");
  for (const PlannedValue& value : report.arena) {
    text += fmt::format("{:>12} {:>12}  {:<9}  {}\n", value.offset, value.bytes,
                        fmt::format("{}-{}", value.first_step, value.last_step), value.op);
  }
  return text;
}

}  // namespace gradweave
