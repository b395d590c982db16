#include <gradweave/graph/compile.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/attributes.hpp>
#include <gradweave/graph/capture.hpp>
#include <gradweave/graph/evaluate.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/graph/plan/captured_program.hpp>
#include <gradweave/graph/plan/pending_graph.hpp>
#include <gradweave/graph/scope.hpp>

namespace gradweave {
namespace {

struct Kind {
  explicit Kind(const Tensor& argument)
      : spec(argument.node()->spec()),
        strided(argument.node()->strided),
        is_variable(argument.node()->tracked) {
    if (strided) strides = Shape::of_strides(argument.node()->strides());
  }
  bool fits(const Node& node) const {
    return node.dtype == spec.dtype && bool{node.strided} == strided && bool{node.tracked} == is_variable &&
           same(node.shape(), spec.shape) && (!strided || same(node.strides(), strides));
  }
  Spec spec;
  Shape strides;
  bool strided;
  bool is_variable;
};

// The graph that a function builds, to be compared with the graph of another call.
class Likeness {
 public:
  /// `changing`: leaves whose values differ from call to call.
  Likeness(std::span<const StateSlot> slots, std::span<const Tensor> changing) {
    std::vector<Tensor> roots;
    for (const StateSlot& slot : slots) {
      if (!slot.next.is_empty()) roots.push_back(slot.next);
    }
    PendingGraph pending;
    pending.take(roots);
    key_ = std::make_unique<GraphKey>(pending);
    const auto changes = [&](const Node* node) {
      return std::ranges::find(changing, node, &Tensor::node) != changing.end() ||
             std::ranges::any_of(slots, [&](const StateSlot& slot) { return slot.read() == node; });
    };
    for (const Node* node : pending.nodes)
      lines_.push_back({node->operation->name, node->place, node->where});
    for (Node* input : pending.inputs) captured_.emplace_back(changes(input) ? nullptr : input);
    first_reader_.assign(captured_.size(), 0);
    std::size_t edge = pending.edges.size();
    for (std::size_t k = pending.nodes.size(); k-- > 0;) {
      for (std::uint32_t i = 0; i < pending.nodes[k]->input_count; ++i) {
        const std::uint32_t read = pending.edges[--edge];
        if (read >= PendingGraph::first_input) first_reader_[read - PendingGraph::first_input] = k;
      }
    }
  }

  void require_same(const Likeness& now) const {
    if (!key_->matches(*now.key_)) {
      now.refuse(
          key_->first_difference(*now.key_),
          "the function builds another graph than at its first call: something that it captures has changed, "
          "such as a number or a flag; make it an argument");
    }
    for (std::size_t i = 0; i < captured_.size(); ++i) {
      if (same_values(captured_[i], now.captured_[i])) continue;
      now.refuse(
          now.first_reader_[i],
          "a tensor that the function captures has other values than at its first call, which it keeps once "
          "compiled; make it an argument");
    }
  }

 private:
  struct Line {
    std::string_view op;
    Ref<ModulePath> place;
    std::source_location where;
  };
  void refuse(std::size_t k, const char* reason) const {
    try {
      throw GraphError(reason);
    } catch (const Error&) {
      if (k >= lines_.size()) throw;
      rethrow_situated(lines_[k].op, std::span<const Spec>(), lines_[k].place.get(), lines_[k].where);
    }
  }
  static bool same_values(const Tensor& a, const Tensor& b) {
    if (a.is_empty() || b.is_empty()) return a.is_empty() == b.is_empty();
    if (is_same(a, b) || a.node()->data == b.node()->data) return true;
    const auto equal = [&]<class T>(T) {  // that holds all elements of this kind exactly
      const std::vector<T> x = a.to_vector<T>(), y = b.to_vector<T>();
      return std::equal(x.begin(), x.end(), y.begin(), y.end(),
                        [](T p, T q) { return detail::same_member(p, q); });
    };
    return is_floating(a.dtype()) ? equal(double{}) : equal(Index{});
  }

  std::unique_ptr<GraphKey> key_;
  std::vector<Line> lines_;                // by node
  std::vector<Tensor> captured_;           // by input; empty for a leaf that changes
  std::vector<std::size_t> first_reader_;  // by input
};

}  // namespace

// The program for one kind of arguments.
struct CompiledFunction::Version {
  std::vector<Kind> kinds;
  std::vector<Tensor> results, blank;  // and as many empty ones
  std::vector<bool> had_history;       // of the results
  std::vector<Capture::Before> before;
  std::vector<std::function<void()>> after;
  std::vector<Capture::Variant> variants;
  std::unique_ptr<CapturedProgram> program;
  std::unique_ptr<Likeness> likeness;  // for `verify`
  std::vector<Node*> nodes;            // of the arguments
  bool has_run = false;

  Version() = default;
  Version(Call call, void* function, std::span<const Tensor> arguments, bool verify)
      : kinds(arguments.begin(), arguments.end()) {
    Capture capture;
    std::vector<Tensor> placeholders;
    try {
      std::vector<StateSlot> slots = look(capture, call, function, arguments, placeholders);
      for (const Tensor& leaf : placeholders) nodes.push_back(leaf.node());
      if (verify) likeness = std::make_unique<Likeness>(slots, changing(capture, placeholders));
      program = std::make_unique<CapturedProgram>(nodes, std::span<const Tensor>(), slots);
    } catch (...) {
      undo(capture.before_, capture.before_.size());
      throw;
    }
    before = std::move(capture.before_);
    after = std::move(capture.after_);
    variants = std::move(capture.variants_);
  }

  static std::vector<Tensor> changing(const Capture& capture, std::span<const Tensor> placeholders) {
    std::vector<Tensor> all(placeholders.begin(), placeholders.end());
    for (const Capture::Before& before : capture.before_) {
      if (!before.written.is_empty()) all.push_back(before.written);
    }
    return all;
  }

  // The slots that the function moves or reads, and its results as further slots. No other handle to the
  // nodes is left then: a node that somebody holds would be kept as an output.
  std::vector<StateSlot> look(Capture& capture, Call call, void* function, std::span<const Tensor> arguments,
                              std::vector<Tensor>& placeholders) {
    for (const Tensor& argument : arguments) placeholders.push_back(placeholder(argument));
    capture.arguments_ = placeholders;
    std::vector<Tensor> returned = call(function, placeholders);
    results.resize(returned.size());
    blank.resize(returned.size());
    had_history.resize(returned.size());
    std::vector<StateSlot> slots(capture.slots_.begin(), capture.slots_.end());
    for (std::size_t i = 0; i < returned.size(); ++i) {
      if (returned[i].is_empty())
        throw GraphError(fmt::format("compile: result {} of the function is an empty Tensor", i));
      Tensor next = std::exchange(returned[i], {});
      had_history[i] = next.is_tracked() || next.node()->released;
      if (next.is_evaluated())
        next = apply(cast_operation(), cast_to(next.dtype()), std::array{Operand(next)});
      slots.push_back({.tensor = &results[i], .next = std::move(next)});
    }
    capture.arguments_ = {};
    for (StateSlot& slot : capture.slots_) slot.next = {};
    return slots;
  }

  static void undo(std::vector<Capture::Before>& all, std::size_t count) {
    while (count-- > 0) {
      if (all[count].undo) all[count].undo();
    }
  }

  bool fits(std::span<const Tensor> arguments) const {
    return std::ranges::equal(kinds, arguments,
                              [](const Kind& kind, const Tensor& t) { return kind.fits(*t.node()); }) &&
           std::ranges::all_of(variants,
                               [](const auto& variant) { return variant.ask() == variant.answer; }) &&
           program->fits_slots();
  }

  // Throws if the function builds another graph now than at its first call.
  void verify(Call call, void* function, std::span<const Tensor> arguments) const {
    Version now;
    Capture capture;
    std::vector<Tensor> placeholders;
    const auto take_back = [&] { undo(capture.before_, capture.before_.size()); };
    try {
      const std::vector<StateSlot> slots = now.look(capture, call, function, arguments, placeholders);
      likeness->require_same(Likeness(slots, changing(capture, placeholders)));
    } catch (...) {
      take_back();
      throw;
    }
    take_back();
  }

  void run(std::span<const Tensor> arguments) {
    nodes.clear();
    for (const Tensor& argument : arguments) nodes.push_back(argument.node());
    std::size_t begun = 0;
    try {
      if (std::exchange(has_run, true)) {
        for (; begun < before.size(); ++begun) before[begun].run();
      } else {
        begun = before.size();  // the first call of the function itself did this
      }
      program->run(nodes, {});
    } catch (...) {
      undo(before, begun);
      throw;
    }
    program->finish();
    for (std::size_t i = 0; i < results.size(); ++i) results[i].node()->released = had_history[i];
    for (const auto& f : after) f();
  }
};

struct CompiledFunction::State {
  CompileOptions options;
  std::vector<std::shared_ptr<Version>> versions;
  std::shared_ptr<const Version> latest;  // the version that ran last
  StepLock running;
};

CompiledFunction::CompiledFunction(const CompileOptions& options) : state_(std::make_unique<State>()) {
  state_->options = options;
}
CompiledFunction::CompiledFunction(CompiledFunction&&) noexcept = default;
CompiledFunction& CompiledFunction::operator=(CompiledFunction&&) noexcept = default;
CompiledFunction::~CompiledFunction() = default;
std::size_t CompiledFunction::programs() const { return state_->versions.size(); }

const Plan& CompiledFunction::plan() const {
  if (state_->latest == nullptr) throw GraphError("explain: the compiled function has not been called yet");
  return state_->latest->program->plan();
}

void CompiledFunction::run(Call call, void* function, std::span<const Tensor> arguments, Give give,
                           void* to) {
  if (Capture::current() != nullptr || is_tracing()) {  // a part of another one
    return give(to, call(function, arguments));
  }
  evaluate(arguments);
  struct Running {
    StepLock& lock;
    explicit Running(StepLock& l) : lock(l) {
      if (!lock.try_lock()) {
        throw GraphError(
            "a compiled function was called while it runs, in another thread or by itself: each thread needs "
            "one "
            "of its own, which may be compiled from the same network");
      }
    }
    ~Running() { lock.unlock(); }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
  };
  const Running running(state_->running);
  auto& versions = state_->versions;
  auto at = std::ranges::find_if(versions, [&](const auto& version) { return version->fits(arguments); });
  if (at == versions.end()) {
    constexpr std::size_t most = 64;
    versions.reserve(versions.size() + 1);  // before the function runs: nobody would take back what it did
    auto made = std::make_shared<Version>(call, function, arguments, state_->options.verify);
    if (versions.size() == most) versions.erase(versions.begin());
    versions.push_back(std::move(made));
    at = versions.end() - 1;
  } else if (state_->options.verify) {
    (*at)->verify(call, function, arguments);
  }
  if (state_->latest != *at) state_->latest = *at;
  give(to, (*at)->blank);  // takes the memory that it needs while the step has not been taken
  (*at)->run(arguments);
  give(to, (*at)->results);
}

}  // namespace gradweave
