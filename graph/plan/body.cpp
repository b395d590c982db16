#include <gradweave/graph/body.hpp>

#include <algorithm>
#include <mutex>
#include <utility>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/capture.hpp>
#include <gradweave/graph/kernels/fused_loop.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/graph/node.hpp>
#include <gradweave/graph/plan/captured_program.hpp>
#include <gradweave/graph/plan/pending_graph.hpp>

namespace gradweave {
namespace {

// While it lives, this thread's nodes get other marks.
class WithMarks {
 public:
  explicit WithMarks(const detail::Marks& marks) : outer_(std::exchange(detail::marks, marks)) {}
  ~WithMarks() { detail::marks = outer_; }
  WithMarks(const WithMarks&) = delete;
  WithMarks& operator=(const WithMarks&) = delete;

 private:
  detail::Marks outer_;
};

// What an argument of a function that is being looked at is: a leaf without values.
Tensor argument_like(const Tensor& tensor) {
  Tensor leaf = make_leaf(argument_leaf, tensor.node()->spec(), {}, nullptr, {});
  leaf.node()->tracked = tensor.is_tracked();
  return leaf;
}

// Memory that is a kernel's, as storage.
Ref<Storage> storage_around(const ArrayView& array) {
  auto* storage = new (allocate_block(sizeof(Storage))) Storage;
  storage->data = array.as<std::byte>();
  storage->bytes = static_cast<std::size_t>(array.size()) * size_of(array.dtype);
  storage->release = [](Storage* s) noexcept { free_block(s, sizeof(Storage)); };
  return Ref<Storage>(storage);
}

std::size_t nesting_of(const PendingGraph& pending) {
  std::size_t inside = 0;
  for (Node* node : pending.nodes) {
    if (node->operation->bodies == nullptr) continue;
    for (const Body* body : node->operation->bodies(node->attributes()))
      inside = std::max(inside, body->nesting());
  }
  if (inside == Body::most_nested)
    throw GraphError(fmt::format("bodies (branches of cond) nest more than {} deep", Body::most_nested));
  return inside + 1;
}

}  // namespace

// Computes the outputs that are wanted: a program, and the leaves that it reads. For one thread at a time.
class Body::Kernel {
 public:
  Kernel(const Body& body, std::span<const ArrayView> outputs) : results_(outputs.size()) {
    const WithMarks unmarked({});
    for (const ArrayView& y : outputs) wanted_.push_back(y.data != nullptr);
    std::vector<StateSlot> slots;
    {
      for (const Spec& spec : body.inputs()) {
        auto* no_data_yet = reinterpret_cast<std::byte*>(this);
        leaves_.push_back(make_leaf(constant_leaf, spec, {}, no_data_yet, {}));
        nodes_.push_back(leaves_.back().node());
      }
      const std::vector<Tensor> made = body(leaves_);
      for (std::size_t k = 0; k < made.size(); ++k) {
        if (!wanted_[k]) continue;
        const bool is_input = made[k].is_evaluated();
        slots.push_back({.tensor = &results_[k],
                         .next = is_input ? apply(cast_operation(), cast_to(made[k].dtype()),
                                                  std::array{Operand(made[k])})
                                          : made[k]});
      }
    }  // nobody else holds the nodes now
    program_ = std::make_unique<CapturedProgram>(nodes_, std::span<const Tensor>(), slots);
  }
  bool makes(std::span<const ArrayView> outputs) const {
    return std::ranges::equal(outputs, wanted_, {}, [](const ArrayView& y) { return y.data != nullptr; });
  }

  void run(std::span<const ArrayView> inputs, std::span<const ArrayView> outputs) {
    struct Finish {
      Kernel& kernel;
      ~Finish() {
        kernel.program_->finish();
        for (Tensor& result : kernel.results_) result = Tensor();
      }
    };
    const Finish finish{*this};
    for (std::size_t i = 0; i < nodes_.size(); ++i) nodes_[i]->data = inputs[i].as<std::byte>();
    for (std::size_t k = 0; k < outputs.size(); ++k) {
      const ArrayView& y = outputs[k];
      if (wanted_[k])
        results_[k] =
            make_leaf(constant_leaf, {Shape(y.shape), y.dtype}, storage_around(y), y.as<std::byte>(), {});
    }
    program_->run(nodes_, {});
    for (std::size_t k = 0; k < outputs.size(); ++k) {
      if (wanted_[k]) copy(*results_[k].node(), outputs[k]);
    }
  }

  std::unique_ptr<Kernel> next;  // that is idle

 private:
  // Most results are there already.
  static void copy(const Node& result, const ArrayView& y) {
    if (result.data == y.data) return;
    const Dims strides = result.strided ? result.strides() : Dims();
    gather({result.data, result.dtype, result.shape(), strides}, 0, y.size(), y.data);
  }

  std::vector<bool> wanted_;
  std::vector<Tensor> leaves_;
  std::vector<Node*> nodes_;
  std::vector<Tensor> results_;
  std::unique_ptr<CapturedProgram> program_;
};

struct Body::Graph {
  struct Line {
    Ref<ModulePath> place;
    std::source_location where;
  };

  Graph(const PendingGraph& pending, std::span<const Tensor> results)
      : structure(pending),
        is_pure(std::ranges::all_of(pending.nodes, [](const Node* node) { return node->operation->pure; })),
        nesting(nesting_of(pending)) {
    for (const Node* node : pending.nodes) lines.push_back({node->place, node->where});
    for (const Node* input : pending.inputs) inputs.push_back(input->spec());
    for (const Tensor& result : results) outputs.push_back(result.node()->spec());
  }

  GraphKey structure;
  std::vector<Line> lines;  // by node
  std::vector<Spec> inputs, outputs;
  bool is_pure;
  std::size_t nesting;
  mutable StepLock lock;
  mutable std::unique_ptr<Kernel> idle;  // the first of a list
};

// A kernel that no other thread uses, or else a new one; idle again afterwards.
class Body::Lease {
 public:
  Lease(const Body& body, std::span<const ArrayView> outputs) : graph_(*body.graph_) {
    {
      const std::lock_guard lock(graph_.lock);
      std::unique_ptr<Kernel>* at = &graph_.idle;
      while (*at != nullptr && !(*at)->makes(outputs)) at = &(*at)->next;
      if (*at != nullptr) {
        kernel_ = std::move(*at);
        *at = std::move(kernel_->next);
      }
    }
    if (kernel_ == nullptr) kernel_ = std::make_unique<Kernel>(body, outputs);
  }
  ~Lease() {
    const std::lock_guard lock(graph_.lock);
    kernel_->next = std::move(graph_.idle);
    graph_.idle = std::move(kernel_);
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  Kernel* operator->() const { return kernel_.get(); }

 private:
  const Graph& graph_;
  std::unique_ptr<Kernel> kernel_;
};

Body Body::trace(const Function& f, std::span<const Tensor> like, std::vector<Tensor>& captured) {
  std::vector<Tensor> inputs, made, outputs;
  for (const Tensor& tensor : like) inputs.push_back(argument_like(tensor));
  {
    const WithMarks marks({.place = detail::marks.place, .traced = &made});
    outputs = f(inputs);
  }
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    if (outputs[k].is_empty()) throw GraphError(fmt::format("result {} is an empty Tensor", k));
  }
  inputs.insert(inputs.end(), captured.begin(), captured.end());
  PendingGraph pending;
  pending.take_body(made, inputs, outputs);
  Body body;
  body.graph_ = std::make_shared<const Graph>(pending, outputs);
  for (std::size_t k = inputs.size(); k < pending.inputs.size(); ++k)
    captured.emplace_back(pending.inputs[k]);
  return body;
}

std::vector<Tensor> Body::operator()(std::span<const Tensor> inputs) const {
  const std::span<const Spec> wanted = this->inputs();
  if (inputs.size() < wanted.size())
    throw GraphError(fmt::format("a body of {} inputs is given {}", wanted.size(), inputs.size()));
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const Spec given = {inputs[i].shape(), inputs[i].dtype()};
    const auto reason = [&] {
      return fmt::format("input {} of a body is {}, not {}", i, describe(wanted[i]), describe(given));
    };
    if (given.dtype != wanted[i].dtype) throw DTypeError(reason());
    if (given.shape != wanted[i].shape) throw ShapeError(reason());
  }
  if (graph_ == nullptr) return {};
  const GraphKey& structure = graph_->structure;
  const std::span<const std::uint32_t> edges = structure.edges();
  std::vector<Tensor> made;
  made.reserve(structure.node_count());
  std::size_t edge = 0;
  const auto next = [&]() -> const Tensor& {
    const std::uint32_t read = edges[edge++];
    return read >= PendingGraph::first_input ? inputs[read - PendingGraph::first_input] : made[read];
  };
  const detail::Marks outer = detail::marks;
  std::vector<Operand> operands;
  for (std::size_t k = 0; k < structure.node_count(); ++k) {
    const Graph::Line& line = graph_->lines[k];
    const WithMarks marks({.place = line.place.get(),
                           .where = &line.where,
                           .in_reverse = outer.in_reverse || structure.is_in_reverse(k),
                           .checkpointed = outer.checkpointed || structure.is_checkpointed(k),
                           .traced = outer.traced});
    operands.clear();
    for (std::size_t i = 0; i < structure.input_count(k); ++i) operands.emplace_back(next(), line.where);
    made.push_back(apply(structure.operation(k), structure.attributes(k), operands));
  }
  std::vector<Tensor> outputs;
  while (edge < edges.size()) outputs.push_back(next());
  return outputs;
}

void Body::run(std::span<const ArrayView> inputs, std::span<const ArrayView> outputs) const {
  Lease(*this, outputs)->run(inputs, outputs);
}

std::span<const Spec> Body::inputs() const {
  return graph_ == nullptr ? std::span<const Spec>() : graph_->inputs;
}
std::span<const Spec> Body::outputs() const {
  return graph_ == nullptr ? std::span<const Spec>() : graph_->outputs;
}
std::size_t Body::node_count() const { return graph_ == nullptr ? 0 : graph_->structure.node_count(); }
bool Body::is_pure() const { return graph_ == nullptr || graph_->is_pure; }
std::size_t Body::nesting() const { return graph_ == nullptr ? 0 : graph_->nesting; }
std::size_t Body::hash() const { return graph_ == nullptr ? 0 : graph_->structure.hash(); }

bool operator==(const Body& a, const Body& b) {
  if (a.graph_ == b.graph_) return true;
  return a.graph_ != nullptr && b.graph_ != nullptr && a.graph_->structure.matches(b.graph_->structure);
}

std::string to_string(const Body& body) {
  if (body.graph_ == nullptr) return "an empty body";
  const GraphKey& structure = body.graph_->structure;
  const std::span<const Spec> inputs = body.inputs();
  const std::span<const std::uint32_t> edges = structure.edges();
  const auto name = [&](std::uint32_t read) {
    const bool is_input = read >= PendingGraph::first_input;
    return fmt::format("%{}", is_input ? read - PendingGraph::first_input : inputs.size() + read);
  };
  const auto list = [](std::string text, const std::string& item) {
    return std::move(text) + (text.empty() ? "" : ", ") + item;
  };
  std::string arguments;
  for (std::uint32_t i = 0; i < inputs.size(); ++i)
    arguments = list(std::move(arguments), name(PendingGraph::first_input + i) + ": " + describe(inputs[i]));
  std::string text = fmt::format("body of {}\n", arguments.empty() ? "nothing" : arguments);
  std::size_t edge = 0;
  for (std::uint32_t k = 0; k < structure.node_count(); ++k) {
    const Operation& op = structure.operation(k);
    std::string operands;
    for (std::size_t i = 0; i < structure.input_count(k); ++i)
      operands = list(std::move(operands), name(edges[edge++]));
    text += fmt::format("  {} = {}{}{}\n", name(k), to_string(op, structure.attributes(k)),
                        operands.empty() ? "" : " of ", operands);
  }
  std::string outputs;
  while (edge < edges.size()) outputs = list(std::move(outputs), name(edges[edge++]));
  return text + "  gives " + outputs;
}

std::string print_member(const Body& body) {
  constexpr std::size_t most = 6;
  std::string text;
  for (std::size_t k = 0; k < std::min(body.node_count(), most); ++k)
    text += (k == 0 ? "" : ", ") + std::string(body.graph_->structure.operation(k).name);
  if (body.node_count() > most) text += fmt::format(", ... {} ops", body.node_count());
  return "{" + text + "}";
}

}  // namespace gradweave
