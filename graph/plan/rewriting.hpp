// Writing a program anew, for the passes between `lower` and `fuse`.
#pragma once
#include <vector>

#include <gradweave/graph/plan/program.hpp>

namespace gradweave {

// A program written anew, value by value, some of them twice.
class Rewriting {
 public:
  explicit Rewriting(const Program& from)
      : from_(from), first_(from.values.size(), no_id), again_(from.values.size(), no_id) {
    to_.input_count = from.input_count;
    to_.node_count = from.node_count;
    to_.constants_folded = from.constants_folded;
    to_.rewrites = from.rewrites;
    to_.kept_attributes = from.kept_attributes;
    to_.sizes_ = from.sizes_;
    to_.layouts = from.layouts;
    to_.values.reserve(from.values.size());
    to_.edges_.reserve(from.edges_.size());
    for (Id id = 0; id < from.input_count; ++id) {
      first_[id] = id;
      to_.values.push_back(from.values[id]);
    }
  }

  /// Adds a value. A value of the backward phase reads the rematerialized copy of an input where there is
  /// one.
  void add(Id id, bool in_backward) { first_[id] = append(id, in_backward); }
  /// Adds a rematerialized copy of a value, in the backward phase.
  void add_again(Id id) {
    again_[id] = append(id, true);
    to_.values.back().rematerialized = true;
  }
  bool has_again(Id id) const { return again_[id] != no_id; }

  Program finish() {
    for (const Id id : from_.outputs) to_.outputs.push_back(first_[id]);
    return std::move(to_);
  }

 private:
  Id append(Id old, bool in_backward) {
    const auto id = static_cast<Id>(to_.values.size());
    const auto renumbered = [&](Id input) {
      return in_backward && has_again(input) ? again_[input] : first_[input];
    };
    Value v = from_.values[old];
    v.buffer = v.is_view(old) ? renumbered(v.buffer) : id;
    v.in_backward = in_backward;
    const auto inputs = v.constant ? std::span<const Id>() : from_.inputs_of(v);
    v.first_edge = static_cast<std::uint32_t>(to_.edges_.size());
    v.edge_count = static_cast<std::uint32_t>(inputs.size());
    for (const Id input : inputs) to_.edges_.push_back(renumbered(input));
    to_.values.push_back(std::move(v));
    return id;
  }

  const Program& from_;
  Program to_;
  std::vector<Id> first_, again_;  // by old number
};

using Ids = std::vector<Id>;

// The values that must be computed before a value: its inputs and, for a view, its buffer.
inline Ids needs_of(const Program& program, Id id) {
  const Value& v = program.values[id];
  Ids needs;
  if (v.is_view(id)) needs.push_back(v.buffer);
  if (v.operation != nullptr && !v.constant) {
    const auto inputs = program.inputs_of(v);
    needs.insert(needs.end(), inputs.begin(), inputs.end());
  }
  return needs;
}

// By value: whether the value belongs to the backward phase: built by the reverse pass, unless its op may
// throw, or dependent on such a value.
std::vector<bool> backward_values(const Program& program);

// Calls `add` for `root` and, before, for the values it needs, except values that are `done`.
inline void add_with_needs(Id root, const auto& needs, const auto& done, const auto& add) {
  struct Frame {
    Id id;
    Ids needs;
    std::size_t next = 0;
  };
  if (done(root)) return;
  std::vector<Frame> path;
  path.push_back({root, needs(root)});
  while (!path.empty()) {
    Frame& top = path.back();
    if (top.next < top.needs.size()) {
      const Id need = top.needs[top.next++];
      if (!done(need)) path.push_back({need, needs(need)});
      continue;
    }
    add(top.id);
    path.pop_back();
  }
}

}  // namespace gradweave
