// Rematerialization: which values of the forward pass are kept in memory for the reverse pass, and which are
// computed again just before their first reader there. The values to keep are a minimum cut between the
// values that are in memory anyway and those that the reverse pass reads. Which values may be computed again
// at all is tried out, from few to many, until the plan stays within the budget.
#include <algorithm>
#include <numeric>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // a false alarm in Boost's max-flow
#endif

#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/boykov_kolmogorov_max_flow.hpp>

#include <gradweave/graph/memory.hpp>
#include <gradweave/graph/plan/rewriting.hpp>

namespace gradweave {

namespace {

// Capacities and sizes, in bytes.
using Bytes = std::int64_t;
constexpr Bytes unbounded = std::numeric_limits<Bytes>::max() / 4;

// A flow network, for its minimum cut; vertices 0 and 1 are its source and sink.
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
  /// Whether a vertex is behind the cut; call `cut` before. Of all minimum cuts the one next to the sink
  /// counts.
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
    const bool has_checkpoints = std::ranges::any_of(program_.values, &Value::checkpointed);
    if (!has_checkpoints && take(program_)) return std::move(best_);
    if (!passes_.order) program_ = order(std::move(program_), {});
    const std::vector<bool> in_backward = backward_values(program_);
    for (Id id = 0; id < program_.values.size(); ++id) program_.values[id].in_backward = in_backward[id];
    look_at();
    if (!take(with({}))) {
      const auto end = static_cast<Id>(program_.values.size());
      const auto cheap = [](Id until) { return Allowed{0, until}; };
      if (!try_until(end, cheap) && !try_stretches(Again::once)) try_stretches(Again::per_reader);
    }
    return std::move(best_);
  }

 private:
  // `once`: a value is computed again at its first backward reader and kept for the other readers.
  // `per_reader`: a cheap elementwise value is computed again for each reader, so that its inputs need not
  // stay in memory between readers.
  enum class Again : std::uint8_t { once, per_reader };
  // The values that may be computed again, besides checkpointed ones: before `any_until` all values but those
  // that a later stretch of the network reads, and before `cheap_until` the elementwise ones.
  struct Allowed {
    Id any_until = 0;
    Id cheap_until = 0;
    Again again = Again::once;
  };

  // Keeps the candidate if it needs less memory; true if the candidate stays within the budget.
  bool take(Program candidate) {
    const std::size_t bytes = assign_memory(candidate, fuse(candidate, passes_), passes_).arena_bytes;
    const bool fits = bytes <= budget_;
    if (fits || bytes < best_bytes_) {
      best_bytes_ = bytes;
      best_ = std::move(candidate);
    }
    return fits;
  }

  // If the budget can be met with all values before `most`, finds out how few values suffice.
  bool try_until(Id most, const auto& allowed) {
    if (!take(with(allowed(most)))) return false;
    for (Id too_few = 0; most - too_few > 1;) {
      const Id middle = std::midpoint(too_few, most);
      (take(with(allowed(middle))) ? most : too_few) = middle;
    }
    return true;
  }

  // Stretches of 2, 3, 4, ..., 10, 12, ... kernels. The last stretch is kept: the reverse pass begins there.
  bool try_stretches(Again again) {
    const auto end = static_cast<Id>(program_.values.size());
    for (std::size_t length = 2; length < leads_.size(); length += std::max<std::size_t>(1, length / 5)) {
      stretched_.assign(end, false);
      Id last = 0;
      for (std::size_t k = length; k < leads_.size(); k += length) {
        const Id first = std::exchange(last, narrowest(leads_[k - 1] + 1, leads_[k]));
        for (Id id = first; id < last; ++id) stretched_[id] = last_forward_reader_[id] >= last;
      }
      if (try_until(last, [&](Id until) { return Allowed{until, end, again}; })) return true;
    }
    return false;
  }

  // Between two kernels, the position across which the forward pass carries the fewest bytes.
  Id narrowest(Id first, Id last) const {
    Id best = last;
    for (Id at = last; at >= first; --at) {
      if (carried_[at] < carried_[best]) best = at;
    }
    return best;
  }

  void look_at() {
    const std::size_t count = program_.values.size();
    in_backward_.resize(count);
    free_.assign(count, false);
    needed_in_backward_.assign(count, false);
    last_forward_reader_.assign(count, 0);
    carried_.assign(count + 1, 0);
    for (Id id = 0; id < count; ++id) {
      in_backward_[id] = program_.values[id].in_backward;
      free_[id] = !program_.values[id].is_view(id) && !program_.is_computed(id);
      for (const Id need : needs_of(program_, id)) {
        if (in_backward_[id]) needed_in_backward_[need] = true;
        if (!in_backward_[id]) last_forward_reader_[program_.values[need].buffer] = id;
      }
    }
    for (const Id id : program_.outputs) free_[program_.values[id].buffer] = true;
    for (Id id = 0; id < count; ++id) {
      if (in_backward_[id] || free_[id] || program_.values[id].is_view(id)) continue;
      if (!program_.values[id].operation->elementwise) leads_.push_back(id);
      if (last_forward_reader_[id] <= id) continue;
      carried_[id + 1] += bytes_of(id);
      carried_[last_forward_reader_[id] + 1] -= bytes_of(id);
    }
    std::partial_sum(carried_.begin(), carried_.end(), carried_.begin());
  }

  bool may_compute_again(Id id, const Allowed& allowed) const {
    const Value& v = program_.values[id];
    if (v.checkpointed || v.is_view(id)) return true;
    if (!v.operation->pure) return false;
    if (id < allowed.any_until) return !stretched_[id];
    return id < allowed.cheap_until && v.operation->elementwise;
  }
  bool waits_with_inputs(Id id, const std::vector<bool>& again) const {
    return program_.values[id].operation->elementwise &&
           std::ranges::all_of(needs_of(program_, id),
                               [&](Id need) { return !again[need] || needed_in_backward_[need]; });
  }
  Bytes bytes_of(Id id) const { return static_cast<Bytes>(program_.bytes_of(program_.values[id])); }

  // By value: whether the value is computed again, since it is behind the cut.
  std::vector<bool> chosen(const Allowed& allowed) const {
    const auto count = static_cast<Id>(program_.values.size());
    const auto before = [](Id id) { return std::size_t{2} * id + 2; };
    const auto after = [](Id id) { return std::size_t{2} * id + 3; };
    Network network(before(count));
    for (Id id = 0; id < count; ++id) {
      if (in_backward_[id]) continue;
      const Value& v = program_.values[id];
      const bool only_again = v.is_view(id) || v.checkpointed;
      network.connect(before(id), after(id), free_[id] ? 0 : only_again ? unbounded : bytes_of(id));
      if (needed_in_backward_[id]) network.connect(after(id), 1, unbounded);
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
      if (in_backward_[id] || free_[id]) continue;
      again[id] = v.is_view(id) ? bool{again[v.buffer]} : network.on_sink_side(before(id));
    }
    return again;
  }

  Program with(const Allowed& allowed) const {
    const std::vector<bool> again = chosen(allowed);
    std::vector<bool> on_the_way(program_.values.size(),
                                 false);  // only rematerialized values have read the value so far
    Rewriting result(program_);
    for (auto id = static_cast<Id>(program_.input_count); id < program_.values.size(); ++id) {
      if (in_backward_[id]) {
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
      result.add(id, in_backward_[id]);
    }
    return result.finish();
  }

  Program program_;
  std::size_t budget_;
  const Passes& passes_;
  Program best_;
  std::size_t best_bytes_ = std::numeric_limits<std::size_t>::max();
  // By value: whether the value is not a part of the forward pass; takes no memory of the arena; is read by
  // the reverse pass; is read by a later stretch.
  std::vector<bool> in_backward_, free_, needed_in_backward_, stretched_;
  std::vector<Id> last_forward_reader_;  // by buffer
  std::vector<Bytes> carried_;           // by position: bytes computed before and read from there on
  std::vector<Id> leads_;                // of the forward pass
};

}  // namespace

Program remat(Program program, std::size_t budget, const Passes& passes) {
  const bool is_free =
      budget == MemoryBudget::unlimited && std::ranges::none_of(program.values, &Value::checkpointed);
  if (is_free) return program;
  return Search(std::move(program), budget, passes).run();
}

}  // namespace gradweave
