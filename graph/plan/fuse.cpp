// Fusion: which ops run together. Values come inputs first. A value joins the groups of its inputs where that
// is possible, and else begins a group of its own; each group becomes a step. A group may be moved down to
// the end of the program as long as no value outside has read from the group (late); a value may also be
// computed in a group that stays at its position, when the value's other inputs are computed before (early).
// A reduction of neighbours, to one element or to several, is the end of the group that computes its input.
#include <algorithm>
#include <numeric>

#include <gradweave/graph/plan/program.hpp>

namespace gradweave {
namespace {

class Fusion {
 public:
  Fusion(const Program& program, const Passes& passes)
      : program_(program),
        passes_(passes),
        group_of_(program.values.size(), no_id),
        live_(program.values.size(), false) {}

  std::vector<Step> run() {
    mark_live();
    for (Id id = 0; id < program_.values.size(); ++id) {
      if (live_[id] && program_.is_computed(id)) add(id);
    }
    std::vector<std::uint32_t> order;
    for (std::uint32_t g = 0; g < groups_.size(); ++g) {
      if (!groups_[g].merged) order.push_back(g);
    }
    std::ranges::sort(order, {}, [&](std::uint32_t g) { return groups_[g].position; });
    std::vector<Step> steps;
    steps.reserve(order.size());
    for (const std::uint32_t g : order) steps.push_back(std::move(groups_[g].step));
    return steps;
  }

 private:
  struct Group {
    Step step;
    std::uint32_t position = 0;
    Index count = 0;    // elements
    bool open = false;  // elementwise ops may join
    bool read_outside = false;
    bool merged = false;       // into another group
    bool in_backward = false;  // not a part of the forward pass
    Id not_in_order = no_id;   // a value that reads the group's elements in another order than one by one
  };

  // Values that simplification left without a reader are not computed.
  void mark_live() {
    for (const Id id : program_.outputs) live_[id] = true;
    for (Id id = static_cast<Id>(program_.values.size()); id-- > 0;) {
      if (!live_[id]) continue;
      const Value& v = program_.values[id];
      if (v.constant) continue;
      live_[v.buffer] = true;
      if (v.is_view(id)) continue;
      for (const Id input : program_.inputs_of(v)) live_[input] = true;
    }
  }

  // The group that computes an input's buffer; `no_id` for inputs of the program and constants.
  std::uint32_t source(Id input) const { return group_of_[program_.values[input].buffer]; }

  void add(Id id) {
    const Value& v = program_.values[id];
    const bool elementwise = v.operation->elementwise;
    const Index count = numel(program_.shape_of(v));
    note_reads(id);
    std::uint32_t joined = no_id;
    if (passes_.fuse && v.operation->pure) joined = elementwise ? choose(id, count) : ended_by(id);
    const std::uint32_t g = joined != no_id ? joined : begin(v, count);
    Group& group = groups_[g];
    group_of_[id] = g;
    if (elementwise) {
      group.step.members.push_back(id);
    } else if (joined != no_id) {
      group.step.reduction = id;
    } else {
      group.step.lead = id;
    }
    for (const Id input : program_.inputs_of(v)) {
      const std::uint32_t from = source(input);
      if (from != no_id && from != g) groups_[from].read_outside = true;
    }
  }

  std::uint32_t begin(const Value& v, Index count) {
    Group group;
    group.position = position_++;
    group.count = count;
    group.in_backward = v.in_backward;
    // An op with effects is not delayed.
    group.open = v.operation->pure && (v.operation->elementwise || v.operation->run_rows != nullptr);
    groups_.push_back(std::move(group));
    return static_cast<std::uint32_t>(groups_.size() - 1);
  }

  void note_reads(Id id) {
    for (const Id input : program_.inputs_of(program_.values[id])) {
      const std::uint32_t g = source(input);
      if (g == no_id) continue;
      const Value& x = program_.values[input];
      if (!program_.is_whole(x) || x.buffer == groups_[g].step.reduction) groups_[g].not_in_order = id;
    }
  }
  // A group takes values that read the group's elements one by one, in order.
  bool takes(std::uint32_t g, Id id, Index count) const {
    return groups_[g].open && groups_[g].count == count && groups_[g].not_in_order != id;
  }

  // The group that a reduction can be the end of.
  std::uint32_t ended_by(Id id) const {
    const Value& v = program_.values[id];
    if (v.edge_count != 1) return no_id;
    const Value& x = program_.values[program_.inputs_of(v)[0]];
    const Index count = numel(program_.shape_of(x));
    const std::uint32_t g = group_of_[x.buffer];
    if (v.operation->joining[kernel_of(x.dtype)] == nullptr || g == no_id) return no_id;
    const Index results = numel(program_.shape_of(v));
    if (results == 0 || count < 2 * results || about_rows(v, v.operation->row_width) != 1) return no_id;
    const Step& step = groups_[g].step;
    const bool has_room =
        step.reduction == no_id && groups_[g].in_backward == v.in_backward && !v.rematerialized;
    if (!has_room || !takes(g, id, count)) return no_id;
    if (step.lead == no_id) return g;
    if (results == 1) return is_joined_by_one(step.lead, v) ? g : no_id;
    const Value& lead = program_.values[step.lead];
    return about_rows(lead, lead.operation->row_width) % (count / results) == 0 ? g : no_id;
  }

  Index about_rows(const Value& v, Operation::AboutRows f) const {
    std::vector<ArrayView> inputs;
    for (const Id input : program_.inputs_of(v)) inputs.push_back(program_.array_of(program_.values[input]));
    return f(v.attributes, program_.array_of(v), inputs);
  }

  // Whether one thread can reduce the lead's rows as they are computed, and the rows are too little work for
  // several threads, since threads cannot share out a lead whose rows are reduced.
  bool is_joined_by_one(Id lead, const Value& reduction) const {
    const Value& v = program_.values[lead];
    const Operation& op = *v.operation;
    const Index width = about_rows(v, op.row_width), rows = numel(program_.shape_of(v)) / width;
    const Value& x = program_.values[program_.inputs_of(reduction)[0]];
    const ReductionKernel& joining = *reduction.operation->joining[kernel_of(x.dtype)];
    const Index part = about_rows(v, op.row_tile);
    return rows * about_rows(v, op.row_cost) < 2 * min_task_ns &&
           (part >= rows || part >= rows_to_join(joining, width));
  }

  std::uint32_t choose(Id id, Index count) {
    const Value& v = program_.values[id];
    std::uint32_t late = no_id, early = no_id;
    for (const Id input : program_.inputs_of(v)) {
      const std::uint32_t g = source(input);
      if (g == no_id || g == late || !takes(g, id, count)) continue;
      if (groups_[g].read_outside) {
        if (v.rematerialized || groups_[g].in_backward != v.in_backward) continue;
        if (early == no_id || groups_[g].position > groups_[early].position) early = g;
      } else {
        late = late == no_id ? g : merge(late, g);
      }
    }
    if (late != no_id) {
      groups_[late].position = position_++;
      groups_[late].in_backward = v.in_backward;
      return late;
    }
    return early != no_id && inputs_precede(v, early) ? early : no_id;
  }

  bool inputs_precede(const Value& v, std::uint32_t g) const {
    return std::ranges::all_of(program_.inputs_of(v), [&](Id input) {
      const std::uint32_t from = source(input);
      return from == no_id || from == g || groups_[from].position < groups_[g].position;
    });
  }

  // Neither group's values have been read outside, so the earlier group may be moved down to the later
  // group's position. Two groups that each have a lead or a reduction are never merged: both stay as they
  // are, and the value joins the later group.
  std::uint32_t merge(std::uint32_t a, std::uint32_t b) {
    const auto is_special = [&](std::uint32_t g) {
      return groups_[g].step.lead != no_id || groups_[g].step.reduction != no_id;
    };
    if (is_special(a) && is_special(b)) {
      return groups_[a].position > groups_[b].position ? a : b;
    }
    if (groups_[a].step.members.size() < groups_[b].step.members.size()) std::swap(a, b);
    Step &into = groups_[a].step, &from = groups_[b].step;
    for (const Id id : from.members) group_of_[id] = a;
    if (from.lead != no_id) group_of_[into.lead = from.lead] = a;
    if (from.reduction != no_id) group_of_[into.reduction = from.reduction] = a;
    const auto middle = static_cast<std::ptrdiff_t>(into.members.size());
    const bool in_order =
        into.members.empty() || from.members.empty() || into.members.back() < from.members[0];
    into.members.insert(into.members.end(), from.members.begin(), from.members.end());
    if (!in_order)
      std::inplace_merge(into.members.begin(), into.members.begin() + middle, into.members.end());
    from = {};
    groups_[a].position = std::max(groups_[a].position, groups_[b].position);
    groups_[b].merged = true;
    return a;
  }

  const Program& program_;
  const Passes& passes_;
  std::vector<std::uint32_t> group_of_;  // by value
  std::vector<bool> live_;
  std::vector<Group> groups_;
  std::uint32_t position_ = 0;
};

}  // namespace

Index rows_to_join(const ReductionKernel& joining, Index width) {
  return joining.leaf / std::gcd(joining.leaf, width);
}

std::vector<Step> fuse(const Program& program, const Passes& passes) { return Fusion(program, passes).run(); }

}  // namespace gradweave
