// Evaluation: the pending graph, the plan for graphs of its structure, and a run of this plan.
#include <gradweave/graph/evaluate.hpp>

#include <algorithm>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include <gradweave/graph/capture.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/graph/plan/plan.hpp>
#include <gradweave/graph/plan/plan_cache.hpp>
#include <gradweave/graph/plan/session.hpp>
#include <gradweave/graph/scope.hpp>
#include <gradweave/graph/traverse.hpp>

namespace gradweave {

constinit thread_local CacheStatistics detail::cache_totals{};

namespace {

struct Planner {
  NodeList order;
  PendingGraph pending;
  PlanCache<Plan> plans;
  bool busy = false;
};

// Null at the end of the thread, when destructors of static and thread-local objects may still evaluate.
Planner* planner_of_thread() {
  constinit thread_local static bool ended = false;
  struct Kept {
    std::unique_ptr<Planner> planner = std::make_unique<Planner>();
    ~Kept() { ended = true; }
  };
  if (ended) return nullptr;
  thread_local Kept kept;
  return kept.planner.get();
}

// The thread's planner; a new planner when the thread has none any more, or when a kernel evaluates tensors.
class Lease {
 public:
  Lease() {
    Planner* shared = planner_of_thread();
    if (shared == nullptr || shared->busy) own_ = std::make_unique<Planner>();
    planner_ = own_ ? own_.get() : shared;
    planner_->busy = true;
  }
  ~Lease() { planner_->busy = false; }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  Planner* operator->() const { return planner_; }
  Planner& operator*() const { return *planner_; }

 private:
  std::unique_ptr<Planner> own_;
  Planner* planner_;
};

void run(Planner& planner, History history) {
  PendingGraph& pending = planner.pending;
  const bool usual = WithPasses::current() == Passes{};
  std::shared_ptr<Plan> plan = usual ? planner.plans.find(pending) : nullptr;
  if (!plan) plan = planner.plans.make(pending, usual ? Keep::yes : Keep::no);

  // What nobody can look at or compute again may be overwritten.
  const bool lets_go = history == History::release ||
                       (plan->overwrites() && std::ranges::none_of(pending.nodes, &Node::tracked));
  try {
    plan->run(pending.inputs,
              lets_go ? std::span<const std::uint32_t>(pending.uses) : std::span<const std::uint32_t>());
  } catch (const Error&) {
    const Value* at = plan->running();
    if (at == nullptr || at->node == no_id) throw;
    rethrow_situated(*pending.nodes[at->node]);
  }
  for (std::size_t i = 0; i < pending.held.size(); ++i) plan->give_values(i, *pending.nodes[pending.held[i]]);
  plan->let_go();
  for (const std::uint32_t k : pending.held) {
    Node& node = *pending.nodes[k];
    if (history == History::release || !node.tracked) node.release_history();
  }
}

// A graph of millions of nodes is not worth one plan: the graph is computed in stretches, and stretches of
// equal structure share one plan. A node that a later stretch reads has values until the end. A node with
// more references than users (`kept`) is held from outside and keeps its values for good.
//
// The terms of a long sum that are larger than what they are made of come right before the sum: they are not
// handed on, and its plan may know a shorter way than to add them.
void run_in_stretches(Planner& planner, NodeList order, std::size_t stretch, History history) {
  constexpr std::size_t many_terms = 8;
  const auto count = static_cast<std::uint32_t>(order.size());
  std::vector<std::uint32_t> uses(count), place(count);
  std::vector<bool> kept(count);
  const auto bytes_of = [](const Node& node) {
    return static_cast<std::size_t>(numel(node.shape())) * size_of(node.dtype);
  };
  const auto bytes_read = [&](const Node& node) {
    std::size_t all = 0;
    for (const Tensor& input : node.inputs()) all += bytes_of(*input.node());
    return all;
  };
  bool moves = false;
  for (std::uint32_t k = count; k-- > 0;) {
    const Node& node = *order[k];
    for (const Tensor& input : node.inputs()) {
      if (input.node()->evaluated()) continue;
      ++uses[input.node()->index];
      place[input.node()->index] = k;  // its reader, to begin with
    }
    kept[k] = node.refs.value() > uses[k];
    const std::uint32_t r = std::exchange(place[k], k);
    if (kept[k] || uses[k] != 1 || !node.operation->pure) continue;
    const bool is_term = order[r]->input_count >= many_terms || place[r] != r;
    if (is_term && bytes_of(node) >= bytes_read(node)) moves = true, place[k] = place[r];
  }
  if (moves) {
    std::vector<std::uint32_t> from(count);
    std::iota(from.begin(), from.end(), 0U);
    std::ranges::stable_sort(from, {}, [&](std::uint32_t k) { return place[k]; });
    const auto in_order = [&](const auto& all) {
      auto moved = all;
      for (std::uint32_t k = 0; k < count; ++k) moved[k] = all[from[k]];
      return moved;
    };
    order = in_order(order), kept = in_order(kept), place = in_order(place);
  }

  std::vector<Tensor> handed_on;
  for (std::size_t first = 0, end = 0; first < count; first = end) {
    end = std::min<std::size_t>(first + stretch, count);
    std::size_t before = end;  // a sum and its terms stay together
    while (end < count && before > first && place[before - 1] == place[end]) --before;
    if (before > first) end = before;
    planner.pending.take(std::span<Node* const>(order).subspan(first, end - first));
    for (const std::uint32_t k : planner.pending.held) {
      if (!kept[first + k]) handed_on.emplace_back(planner.pending.nodes[k]);
    }
    run(planner, history);
  }
  for (const Tensor& tensor : handed_on) {
    Node& node = *tensor.node();
    if (node.tracked) node.storage = {}, node.data = nullptr;  // the node can be computed again
  }
}

}  // namespace

namespace {

constinit thread_local std::uint64_t looks = 0;

[[noreturn]] void refuse_at(const Node& node, std::string_view reason) {
  try {
    throw GraphError(std::string(reason));
  } catch (const Error&) {
    rethrow_situated(node);
  }
}

// Names the tensor whose value is asked for as its author knows it: an argument, a parameter, or an op and
// its line.
[[noreturn]] void refuse_unknown(const Capture& capture, const Node& node) {
  const std::string_view reason =
      "its value is asked for inside a function that is being compiled, where it is not known yet or changes "
      "from "
      "call to call; return it from the function instead, or choose between values with where(condition, a, "
      "b)";
  if (const auto number = capture.argument_number(&node))
    throw GraphError(fmt::format("argument {} of the function: {}", *number, reason));
  if (node.input_count == 0 && node.place)
    throw GraphError(fmt::format("parameter \"{}\": {}", node.place->path, reason));
  refuse_at(node, reason);
}

// The same inside a function that is only looked at, of what depends on its arguments.
void refuse_arguments(std::span<Node* const> order, const Node& asked) {
  const auto is_argument = [](const Node* node) { return node->operation == &argument_leaf; };
  if (!is_tracing() || std::ranges::none_of(order, is_argument)) return;
  refuse_at(
      asked,
      "its value is asked for inside a function that is only looked at, for the graph that it builds (a "
      "branch of cond, a function or a rule of custom_vjp), where it is not known; choose between values "
      "with cond or where");
}

}  // namespace

std::uint64_t looks_of_thread() { return looks; }
void note_look() { ++looks; }

void evaluate(std::span<const Tensor> tensors, History history) {
  ++looks;
  for (const Tensor& tensor : tensors) {
    if (tensor.is_empty()) throw GraphError("eval of an empty Tensor");
  }
  const Capture* capture = Capture::current();
  const auto is_known = [&](const Tensor& t) {
    return t.node()->evaluated() && (capture == nullptr || !capture->changes(t.node()));
  };
  const auto unknown = std::ranges::find_if_not(tensors, is_known);
  if (unknown == tensors.end()) return;
  if (capture != nullptr) {  // what is made of nothing (zeros, arange) is the same at each call
    const auto is_constant = [](const Tensor& t) {
      return !t.is_evaluated() && t.node()->input_count == 0 && t.node()->operation->pure;
    };
    const auto refused =
        std::ranges::find_if_not(tensors, [&](const Tensor& t) { return is_known(t) || is_constant(t); });
    if (refused != tensors.end()) refuse_unknown(*capture, *refused->node());
  }
  const Lease planner;
  constexpr std::size_t stretch = 1 << 14;
  NodeList& order = planner->order;
  topological_order<FollowPending>(tensors, order);
  refuse_arguments(order, *unknown->node());
  if (order.size() <= 2 * stretch) {
    planner->pending.take(order, history == History::keep);
    run(*planner, history);
  } else {
    run_in_stretches(*planner, std::exchange(order, {}), stretch, history);
  }
}

CacheStatistics plan_cache_statistics() { return detail::cache_totals; }

void clear_plan_cache() {
  if (Planner* planner = planner_of_thread(); planner != nullptr && !planner->busy) {
    planner->plans.clear();
    planner->order = NodeList();  // `= {}` would keep its memory
    planner->pending = {};
  }
}

}  // namespace gradweave
