#include <gradweave/graph/compile.hpp>

#include <algorithm>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/capture.hpp>
#include <gradweave/graph/evaluate.hpp>
#include <gradweave/graph/plan/captured_program.hpp>

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

}  // namespace

// The program for one kind of arguments.
struct CompiledFunction::Version {
  std::vector<Kind> kinds;
  std::vector<Tensor> results;
  std::vector<std::function<void()>> before, after;
  std::unique_ptr<CapturedProgram> replay;
  std::vector<Node*> nodes;  // of the arguments
  bool has_run = false;

  Version(Call call, void* function, std::span<const Tensor> arguments)
      : kinds(arguments.begin(), arguments.end()) {
    std::vector<Tensor> placeholders;
    for (const Tensor& argument : arguments) placeholders.push_back(placeholder(argument));
    for (const Tensor& leaf : placeholders) nodes.push_back(leaf.node());
    Capture capture;
    capture.arguments_ = placeholders;
    std::vector<Tensor> returned = call(function, placeholders);
    results.resize(returned.size());
    std::vector<Cell> cells(capture.cells_.begin(), capture.cells_.end());
    for (std::size_t i = 0; i < returned.size(); ++i) {
      if (!returned[i])
        throw GraphError(fmt::format("compile: result {} of the function is an empty Tensor", i));
      Tensor next = std::exchange(returned[i], {});
      if (next.is_evaluated()) next = apply(copy_operation(), nullptr, std::array{Operand(next)});
      cells.push_back({&results[i], std::move(next), Tensor()});
    }
    capture.arguments_ = {};
    for (Cell& cell : capture.cells_) cell.next = {};  // what somebody holds would be computed as a whole
    replay = std::make_unique<CapturedProgram>(nodes, std::span<const Tensor>(), cells);
    before = capture.before_;
    after = capture.after_;
  }

  bool fits(std::span<const Tensor> arguments) const {
    return std::ranges::equal(kinds, arguments,
                              [](const Kind& kind, const Tensor& t) { return kind.fits(*t.node()); });
  }

  void run(std::span<const Tensor> arguments) {
    nodes.clear();
    for (const Tensor& argument : arguments) nodes.push_back(argument.node());
    if (std::exchange(has_run, true)) {
      for (const auto& f : before) f();
    }
    replay->run(nodes, {});
    replay->finish();
    for (const auto& f : after) f();
  }
};

CompiledFunction::CompiledFunction() = default;
CompiledFunction::CompiledFunction(CompiledFunction&&) noexcept = default;
CompiledFunction& CompiledFunction::operator=(CompiledFunction&&) noexcept = default;
CompiledFunction::~CompiledFunction() = default;
std::size_t CompiledFunction::programs() const { return versions_.size(); }

const Plan& CompiledFunction::plan() const {
  if (latest_ == nullptr) throw GraphError("explain: the compiled function has not been called yet");
  return latest_->replay->plan();
}

std::span<const Tensor> CompiledFunction::run(Call call, void* function, std::span<const Tensor> arguments) {
  if (Capture::current() != nullptr) {  // a part of another function that is being compiled
    inlined_ = call(function, arguments);
    return inlined_;
  }
  evaluate(arguments);
  auto at = std::ranges::find_if(versions_, [&](const auto& version) { return version->fits(arguments); });
  if (at == versions_.end()) {
    constexpr std::size_t most = 64;
    if (versions_.size() == most) versions_.erase(versions_.begin());
    versions_.push_back(std::make_shared<Version>(call, function, arguments));
    at = versions_.end() - 1;
  }
  latest_ = *at;
  (*at)->run(arguments);
  return (*at)->results;
}

}  // namespace gradweave
