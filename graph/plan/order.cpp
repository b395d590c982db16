// The order in which a program is computed.
#include <algorithm>
#include <utility>

#include <gradweave/graph/plan/rewriting.hpp>

namespace gradweave {

std::vector<bool> backward_values(const Program& program) {
  std::vector<bool> in_backward(program.values.size(), false);
  for (Id id = 0; id < program.values.size(); ++id) {
    const Value& v = program.values[id];
    if (v.constant) continue;
    // Ops that may throw run before all in-place updates: as early as their inputs allow.
    const bool waits = v.in_reverse && (v.operation == nullptr || !v.operation->throws);
    in_backward[id] =
        waits || std::ranges::any_of(needs_of(program, id), [&](Id need) { return in_backward[need]; });
  }
  return in_backward;
}

namespace {

bool may_overwrite(const Operation& op) { return op.elementwise || op.in_place != Operation().in_place; }

}  // namespace

// Orders the live values so that the reverse pass frees forward values early: a value of the reverse pass
// that reads only late values of the forward pass comes before a value that reads earlier ones; and of a
// value's inputs the input with the longest path behind it comes first. An output that may be written over an
// input of the program waits for the other readers of this input.
Program order(Program program, const Passes& passes) {
  if (!passes.order || std::ranges::none_of(program.values, &Value::in_reverse)) return program;
  const std::size_t count = program.values.size();
  const std::vector<bool> in_backward = backward_values(program);
  std::vector<std::uint32_t> depth(count, 0);
  std::vector<Ids> readers(program.input_count);
  std::vector<bool> live(count, false), is_output(count, false);
  for (const Id id : program.outputs) live[id] = is_output[id] = true;
  for (Id id = static_cast<Id>(count); id-- > 0;) {
    if (!live[id]) continue;
    for (const Id need : needs_of(program, id)) live[need] = true;
  }
  for (Id id = 0; id < count; ++id) {
    if (!live[id]) continue;
    for (const Id need : needs_of(program, id)) {
      depth[id] = std::max(depth[id], depth[need] + 1);
      const Id buffer = program.values[need].buffer;
      if (buffer < program.input_count && program.is_computed(id)) readers[buffer].push_back(id);
    }
  }
  // By input: its one deepest reader, which alone may be written over it.
  std::vector<Id> last_reader(program.input_count, no_id);
  for (Id input = 0; input < program.input_count; ++input) {
    bool several = false;
    for (const Id reader : readers[input]) {
      Id& last = last_reader[input];
      if (last != no_id && depth[reader] <= depth[last]) {
        several |= depth[reader] == depth[last] && reader != last;
      } else {
        last = reader, several = false;
      }
    }
    if (several) last_reader[input] = no_id;
  }
  std::vector<Id> effect_before(count, no_id);  // by op with effects: the op with effects before it
  for (Id id = 0, last = no_id; id < count; ++id) {
    if (program.is_computed(id) && !program.values[id].operation->pure)
      effect_before[id] = std::exchange(last, id);
  }
  const auto needs = [&](Id id) {
    Ids all = needs_of(program, id);
    if (effect_before[id] != no_id) all.push_back(effect_before[id]);
    if (is_output[id] && program.is_computed(id) && may_overwrite(*program.values[id].operation)) {
      for (const Id input : program.inputs_of(program.values[id])) {
        if (input >= program.input_count || last_reader[input] != id) continue;
        if (program.bytes_of(program.values[input]) != program.bytes_of(program.values[id])) continue;
        for (const Id reader : readers[input]) {
          if (depth[reader] < depth[id]) all.push_back(reader);
        }
      }
    }
    std::ranges::stable_sort(all, std::greater(), [&](Id need) { return depth[need]; });
    return all;
  };
  std::vector<Id> reaches(count,
                          no_id);  // by backward value: the earliest forward value it depends on
  std::vector<Id> roots;
  // Ops that may throw come first, so that updates behind them can be done in place.
  for (Id id = 0; id < count; ++id) {
    if (live[id] && !in_backward[id] && program.is_computed(id) && program.values[id].operation->throws)
      roots.push_back(id);
  }
  for (const Id id : program.outputs) {
    if (!in_backward[id]) roots.push_back(id);
  }
  const auto forward_roots = static_cast<std::ptrdiff_t>(roots.size());
  for (Id id = 0; id < count; ++id) {
    if (!live[id] || !in_backward[id]) continue;
    bool is_root = is_output[id];
    for (const Id need : needs_of(program, id)) {
      const Id buffer = program.values[need].buffer;
      if (in_backward[need] || program.is_computed(buffer)) {
        reaches[id] = std::min(reaches[id], in_backward[need] ? reaches[need] : buffer);
        is_root |= !in_backward[need];
      }
    }
    if (is_root && reaches[id] != no_id) roots.push_back(id);
  }
  std::stable_sort(roots.begin() + forward_roots, roots.end(), [&](Id a, Id b) {
    return std::pair(reaches[b], depth[a]) < std::pair(reaches[a], depth[b]);
  });
  roots.insert(roots.end(), program.outputs.begin(), program.outputs.end());

  Rewriting result(program);
  std::vector<bool> done(count, false);
  std::fill_n(done.begin(), program.input_count, true);
  for (const Id root : roots) {
    add_with_needs(
        root, needs, [&](Id id) { return bool{done[id]}; },
        [&](Id id) {
          if (!done[id]) result.add(id, program.values[id].in_backward);
          done[id] = true;
        });
  }
  return result.finish();
}

}  // namespace gradweave
