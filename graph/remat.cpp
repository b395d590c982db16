// Rematerialization: which values of the forward pass the reverse pass finds in memory, and which it computes
// again just before their first reader there. What to keep is a minimum cut between what is there anyway and
// what the reverse pass reads; how much may be computed again at all is tried out, from little to much, until
// the plan that comes of it stays within the budget.
#include <algorithm>
#include <numeric>

#include <boost/container/small_vector.hpp>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/boykov_kolmogorov_max_flow.hpp>

#include <gradweave/graph/memory.hpp>
#include <gradweave/graph/program.hpp>

namespace gradweave {

// A program written anew, value by value, some of them twice.
class Rewriting {
 public:
  explicit Rewriting(const Program& from)
      : from_(from), first_(from.values.size(), no_id), again_(from.values.size(), no_id) {
    to_.input_count = from.input_count;
    to_.sizes_ = from.sizes_;
    for (Id id = 0; id < from.input_count; ++id) {
      first_[id] = id;
      to_.values.push_back(from.values[id]);
    }
  }

  /// Adds the value, which reads what was computed again where there is such, if it is late itself.
  void add(Id id, bool late) { first_[id] = append(id, late); }
  void add_again(Id id) {
    again_[id] = append(id, true);
    to_.values.back().again = true;
  }
  bool has_again(Id id) const { return again_[id] != no_id; }

  Program finish() {
    for (const Id id : from_.outputs) to_.outputs.push_back(first_[id]);
    return std::move(to_);
  }

 private:
  Id append(Id old, bool late) {
    const auto id = static_cast<Id>(to_.values.size());
    const auto renumbered = [&](Id input) {
      return late && has_again(input) ? again_[input] : first_[input];
    };
    Value v = from_.values[old];
    v.buffer = v.is_view(old) ? renumbered(v.buffer) : id;
    v.late = late;
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

namespace {

using Ids = boost::container::small_vector<Id, 4>;

// What must be there before a value: its inputs and, for a view, its buffer.
Ids needs_of(const Program& program, Id id) {
  const Value& v = program.values[id];
  Ids needs;
  if (v.is_view(id)) needs.push_back(v.buffer);
  if (v.operation != nullptr && !v.constant) {
    const auto inputs = program.inputs_of(v);
    needs.insert(needs.end(), inputs.begin(), inputs.end());
  }
  return needs;
}

// Calls `add` for `root` and what it needs, needs first, but not for what is `done`.
void add_with_needs(Id root, const auto& needs, const auto& done, const auto& add) {
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

// What belongs to the reverse pass or comes after it.
std::vector<bool> late_values(const Program& program) {
  std::vector<bool> late(program.values.size(), false);
  for (Id id = 0; id < program.values.size(); ++id) {
    const Value& v = program.values[id];
    if (v.constant) continue;
    late[id] = v.reverse || std::ranges::any_of(needs_of(program, id), [&](Id need) { return late[need]; });
  }
  return late;
}

// The live values in an order in which the reverse pass soon lets go of what it has read: backwards through
// the forward pass, so that first comes what can do without the earlier values of that; and of the inputs of
// a value the one first that takes the longest way. What could be written in place of an input waits for the
// other readers of that.
Program ordered(const Program& program) {
  const std::size_t count = program.values.size();
  const std::vector<bool> late = late_values(program);
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
  const auto needs = [&](Id id) {
    Ids all = needs_of(program, id);
    if (is_output[id] && program.is_computed(id) && program.values[id].operation->elementwise) {
      for (const Id input : program.inputs_of(program.values[id])) {
        if (input >= program.input_count) continue;
        for (const Id reader : readers[input]) {
          if (depth[reader] < depth[id]) all.push_back(reader);
        }
      }
    }
    std::ranges::stable_sort(all, std::greater(), [&](Id need) { return depth[need]; });
    return all;
  };
  std::vector<Id> reaches(count, no_id);  // the first value of the forward pass that a late one depends on
  std::vector<Id> roots;
  for (const Id id : program.outputs) {
    if (!late[id]) roots.push_back(id);
  }
  const auto forward_roots = static_cast<std::ptrdiff_t>(roots.size());
  for (Id id = 0; id < count; ++id) {
    if (!live[id] || !late[id]) continue;
    bool is_root = is_output[id];
    for (const Id need : needs_of(program, id)) {
      const Id buffer = program.values[need].buffer;
      if (late[need] || program.is_computed(buffer)) {
        reaches[id] = std::min(reaches[id], late[need] ? reaches[need] : buffer);
        is_root |= !late[need];
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
          if (!done[id]) result.add(id, late[id]);
          done[id] = true;
        });
  }
  return result.finish();
}

// Capacities and the like, in bytes.
using Bytes = std::int64_t;
constexpr Bytes unbounded = std::numeric_limits<Bytes>::max() / 4;

// A network in which a minimum cut is looked for; vertices 0 and 1 are its source and sink.
class Network {
 public:
  explicit Network(std::size_t vertices) : graph_(vertices) {}
  void connect(std::size_t from, std::size_t to, Bytes capacity) {
    const Edge there = boost::add_edge(from, to, graph_).first,
               back = boost::add_edge(to, from, graph_).first;
    boost::put(boost::edge_capacity, graph_, there, capacity);
    boost::put(boost::edge_capacity, graph_, back, Bytes{0});
    boost::put(boost::edge_reverse, graph_, there, back);
    boost::put(boost::edge_reverse, graph_, back, there);
  }
  void cut() { boost::boykov_kolmogorov_max_flow(graph_, 0, 1); }
  /// After the cut. Of all minimum cuts it is the one next to the sink.
  bool on_sink_side(std::size_t vertex) const {
    return boost::get(boost::vertex_color, graph_, vertex) == boost::white_color;
  }

 private:
  using Traits = boost::adjacency_list_traits<boost::vecS, boost::vecS, boost::directedS>;
  using Edge = Traits::edge_descriptor;
  using Graph = boost::adjacency_list<
      boost::vecS, boost::vecS, boost::directedS,
      boost::property<boost::vertex_color_t, boost::default_color_type,
                      boost::property<boost::vertex_distance_t, Bytes,
                                      boost::property<boost::vertex_predecessor_t, Edge>>>,
      boost::property<boost::edge_capacity_t, Bytes,
                      boost::property<boost::edge_residual_capacity_t, Bytes,
                                      boost::property<boost::edge_reverse_t, Edge>>>>;
  Graph graph_;
};

class Search {
 public:
  Search(Program program, std::size_t budget, const Passes& passes)
      : program_(std::move(program)), budget_(budget), passes_(passes) {}

  Program run() {
    const bool has_checkpoints = std::ranges::any_of(program_.values, &Value::forget);
    if (!has_checkpoints && take(program_)) return std::move(best_);
    program_ = ordered(program_);
    look_at();
    if (!take(with({}))) {
      const auto end = static_cast<Id>(program_.values.size());
      const auto cheap = [](Id until) { return Allowed{0, until}; };
      if (!try_until(end, cheap) && !try_stretches(Again::once)) try_stretches(Again::per_reader);
    }
    return std::move(best_);
  }

 private:
  // Once, for whatever needs it; or what no kernel is needed for a second time, where otherwise it would wait
  // for the reverse pass together with its inputs.
  enum class Again : std::uint8_t { once, per_reader };
  // What may be computed again, besides checkpoints: up to `any_until` everything but what leads from one
  // stretch of the network to the next, and up to `cheap_until` what no kernel is needed for.
  struct Allowed {
    Id any_until = 0;
    Id cheap_until = 0;
    Again again = Again::once;
  };

  // Keeps it if it is better; true if it stays within the budget.
  bool take(Program candidate) {
    const std::size_t bytes = place(candidate, fuse(candidate, passes_), passes_).arena_bytes;
    const bool fits = bytes <= budget_;
    if (fits || bytes < best_bytes_) {
      best_bytes_ = bytes;
      best_ = std::move(candidate);
    }
    return fits;
  }

  // If the budget can be met with all of the values up to `most`, finds out how few will do.
  bool try_until(Id most, const auto& allowed) {
    if (!take(with(allowed(most)))) return false;
    for (Id too_few = 0; most - too_few > 1;) {
      const Id middle = std::midpoint(too_few, most);
      (take(with(allowed(middle))) ? most : too_few) = middle;
    }
    return true;
  }

  // Stretches of 2, 3, 4, ..., 10, 12, ... kernels. The last one is kept: the reverse pass begins with it.
  bool try_stretches(Again again) {
    const auto end = static_cast<Id>(program_.values.size());
    for (std::size_t length = 2; length < leads_.size(); length += std::max<std::size_t>(1, length / 5)) {
      stretched_.assign(end, false);
      Id last = 0;
      for (std::size_t k = length; k < leads_.size(); k += length) {
        last = narrowest(leads_[k - 1] + 1, leads_[k]);
        for (Id id = 0; id < last; ++id) {
          if (last_forward_reader_[id] >= last) stretched_[id] = true;
        }
      }
      if (try_until(last, [&](Id until) { return Allowed{until, end, again}; })) return true;
    }
    return false;
  }

  // Between two kernels, the place over which the forward pass carries least.
  Id narrowest(Id first, Id last) const {
    Id best = last;
    for (Id at = last; at >= first; --at) {
      if (carried_[at] < carried_[best]) best = at;
    }
    return best;
  }

  void look_at() {
    const std::size_t count = program_.values.size();
    late_.resize(count);
    free_.assign(count, false);
    needed_late_.assign(count, false);
    last_forward_reader_.assign(count, 0);
    carried_.assign(count + 1, 0);
    for (Id id = 0; id < count; ++id) {
      late_[id] = program_.values[id].late;
      free_[id] = !program_.values[id].is_view(id) && !program_.is_computed(id);
      for (const Id need : needs_of(program_, id)) {
        if (late_[id]) needed_late_[need] = true;
        if (!late_[id]) last_forward_reader_[program_.values[need].buffer] = id;
      }
    }
    for (const Id id : program_.outputs) free_[program_.values[id].buffer] = true;
    for (Id id = 0; id < count; ++id) {
      if (late_[id] || free_[id] || program_.values[id].is_view(id)) continue;
      if (!program_.values[id].operation->elementwise) leads_.push_back(id);
      for (Id at = id + 1; at <= last_forward_reader_[id]; ++at) carried_[at] += bytes_of(id);
    }
  }

  bool may_compute_again(Id id, const Allowed& allowed) const {
    const Value& v = program_.values[id];
    if (v.forget || v.is_view(id)) return true;
    if (id < allowed.any_until) return !stretched_[id];
    return id < allowed.cheap_until && v.operation->elementwise;
  }
  bool waits_with_inputs(Id id, const std::vector<bool>& again) const {
    return program_.values[id].operation->elementwise &&
           std::ranges::all_of(needs_of(program_, id),
                               [&](Id need) { return !again[need] || needed_late_[need]; });
  }
  Bytes bytes_of(Id id) const { return static_cast<Bytes>(program_.bytes_of(program_.values[id])); }

  // The values that are computed again: those beyond the cut.
  std::vector<bool> chosen(const Allowed& allowed) const {
    const auto count = static_cast<Id>(program_.values.size());
    const auto before = [](Id id) { return std::size_t{2} * id + 2; };
    const auto after = [](Id id) { return std::size_t{2} * id + 3; };
    Network network(before(count));
    for (Id id = 0; id < count; ++id) {
      if (late_[id]) continue;
      const Value& v = program_.values[id];
      const bool only_again = v.is_view(id) || v.forget;
      network.connect(before(id), after(id), free_[id] ? 0 : only_again ? unbounded : bytes_of(id));
      if (needed_late_[id]) network.connect(after(id), 1, unbounded);
      if (free_[id] || !may_compute_again(id, allowed)) {
        network.connect(0, before(id), unbounded);
      } else {
        for (const Id need : needs_of(program_, id)) network.connect(after(need), before(id), unbounded);
      }
    }
    network.cut();
    std::vector<bool> again(count, false);
    for (Id id = 0; id < count; ++id) {
      const Value& v = program_.values[id];
      if (late_[id] || free_[id]) continue;
      again[id] = v.is_view(id) ? bool{again[v.buffer]} : network.on_sink_side(before(id));
    }
    return again;
  }

  Program with(const Allowed& allowed) const {
    const std::vector<bool> again = chosen(allowed);
    std::vector<bool> on_the_way(program_.values.size(),
                                 false);  // so far only other such values have read it
    Rewriting result(program_);
    for (auto id = static_cast<Id>(program_.input_count); id < program_.values.size(); ++id) {
      if (late_[id]) {
        for (const Id need : needs_of(program_, id)) {
          const Id read = program_.values[need].buffer;
          add_with_needs(
              need, [&](Id i) { return needs_of(program_, i); },
              [&](Id i) { return !again[i] || result.has_again(i); },
              [&](Id i) {
                if (result.has_again(i)) return;
                result.add_again(i);
                on_the_way[i] = i != read;
              });
          if (allowed.again == Again::per_reader && on_the_way[read] && waits_with_inputs(read, again)) {
            result.add_again(read);
            if (need != read) result.add_again(need);
          }
          on_the_way[read] = false;
        }
      }
      result.add(id, late_[id]);
    }
    return result.finish();
  }

  Program program_;
  std::size_t budget_;
  const Passes& passes_;
  Program best_;
  std::size_t best_bytes_ = std::numeric_limits<std::size_t>::max();
  // By value: whether the forward pass does not need it, it takes no memory of the arena, the reverse pass
  // reads it, and it is needed by a later stretch.
  std::vector<bool> late_, free_, needed_late_, stretched_;
  std::vector<Id> last_forward_reader_;  // by buffer
  std::vector<Bytes> carried_;           // by place: what is computed before it and read from there on
  std::vector<Id> leads_;                // of the forward pass
};

}  // namespace

Program remat(Program program, std::size_t budget, const Passes& passes) {
  const bool is_free =
      budget == MemoryBudget::unlimited && std::ranges::none_of(program.values, &Value::forget);
  return is_free ? program : Search(std::move(program), budget, passes).run();
}

}  // namespace gradweave
