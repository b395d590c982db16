#include <gradweave/graph/plan/session.hpp>

#include <gradweave/graph/plan/captured_program.hpp>
#include <gradweave/graph/plan/plan_cache.hpp>

namespace gradweave {
namespace {

// The nodes that have values after the step.
std::vector<Tensor> held_by(const PendingGraph& pending) {
  std::vector<Tensor> held;
  held.reserve(pending.held.size());
  for (const std::uint32_t k : pending.held) held.emplace_back(pending.nodes[k]);
  return held;
}

struct StepProgram {
  StepProgram(const PendingGraph& pending, const GraphKey&, std::span<const Tensor> results,
              std::span<const StateSlot> slots)
      : captured(pending.inputs, results, slots) {}
  CapturedProgram captured;
};

}  // namespace

struct Session::Programs {
  PendingGraph pending;
  std::vector<std::uint64_t> words;  // of the key, kept for its memory
  PlanCache<StepProgram> cache;
};

Session::Session() : programs_(std::make_unique<Programs>()) {}
Session::~Session() = default;

void Session::take(const Step& step) {
  PendingGraph& pending = programs_->pending;
  std::vector<std::uint64_t>& words = programs_->words;
  pending.take(step.roots, Extent::differentiable);
  words.assign(step.variant.begin(), step.variant.end());
  for (const Tensor& root : step.roots) words.push_back(pending.number_of(root.node()));
  for (const Node* leaf : step.leaves)
    words.push_back(std::uint64_t{pending.number_of(leaf)} << 1U | (leaf->tracked ? 1U : 0U));
  pending.add_to_key(words);
}

void Session::run(const Step& step, const Build& build) {
  take(step);
  PendingGraph& pending = programs_->pending;
  std::shared_ptr<StepProgram> program = programs_->cache.find(pending);
  if (!program) {
    const std::uint64_t looks = looks_of_thread();
    // These handles are gone before the run, so that nobody else refers to the parameters' storage then.
    std::vector<StateSlot> slots = build();
    const bool looked = looks_of_thread() != looks;
    if (looked) take(step);  // nodes that `build` evaluated are inputs now
    const std::vector<Tensor> results = held_by(pending);
    program = programs_->cache.make(pending, looked ? Keep::no : Keep::yes, results, slots);
  }

  program->captured.run(pending.inputs, pending.uses);
  for (std::size_t i = 0; i < pending.held.size(); ++i)
    program->captured.give_result(i, *pending.nodes[pending.held[i]]);
  program->captured.finish();
  // Inputs come first: a node that is freed by its user has released its own history before.
  for (Node* node : pending.nodes) {
    if (node->evaluated()) node->release_history();
  }
}

void Session::explain(const Step& step, const Build& build, const std::function<void(const Plan&)>& show) {
  take(step);
  const std::vector<StateSlot> slots = build();
  take(step);
  const std::vector<Tensor> results = held_by(programs_->pending);
  show(CapturedProgram(programs_->pending.inputs, results, slots).plan());
}

}  // namespace gradweave
