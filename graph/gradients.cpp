// The chain rule. `Reverse::run` is all of it.
#include <gradweave/graph/gradients.hpp>

#include <algorithm>
#include <limits>
#include <unordered_map>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/graph/operation.hpp>
#include <gradweave/graph/outputs.hpp>
#include <gradweave/graph/traverse.hpp>

namespace gradweave {
namespace {

// A handle that does not count, to what others hold meanwhile.
struct Borrowed {
  explicit Borrowed(Node* node) : tensor(Tensor::adopt(node)) {}
  ~Borrowed() { tensor.release(); }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  Tensor tensor;
};

class Reverse {
 public:
  Reverse(const Tensor& y, std::span<const Tensor> wrt) : order_(topological_order<FollowTracked>({&y, 1})) {
    slots_.reserve(order_.size() + wrt.size());
    slots_.resize(order_.size());
    for (const Tensor& w : wrt) {
      if (w.is_tracked()) want(w.node());
    }
    numberings_ = detail::numberings;
    for (Node* node : order_) {  // inputs first: what depends on a wanted tensor takes part
      for (const Tensor& input : node->inputs()) {
        if (input.node()->released) refuse_released(node->operation->name, Operand(input, node->where));
        if (const Slot* slot = slot_of(input.node()); slot != nullptr && slot->needed)
          slots_[node->index].needed = true;
      }
    }
  }

  /// Walks back from y: what meets at a node is summed, then handed on through the node's own rule.
  void run(const Tensor& y, const Tensor& cotangent) {
    Slot* start = slot_of(y.node());
    if (start == nullptr) return;  // a leaf that was not asked for
    add_term(*start, cotangent);
    const Operation* output = &output_operation();
    for (std::size_t k = order_.size(); k-- > 0;) {
      const Node& node = *order_[k];
      if (!slots_[k].needed || slots_[k].first.is_empty()) continue;
      ReversePass::visit(node.where, node.place.get());
      const Tensor g = slots_[k].wanted ? total(slots_[k]) : std::move(total(slots_[k]));
      if (node.operation == output) {  // waits for the other outputs of its node
        note_output(k, g);
        continue;
      }
      if (node.operation->pull_back != nullptr) {
        pull_back(k, g);
        continue;
      }
      for (std::size_t i = 0; i < node.input_count; ++i) {
        const Tensor& input = node.inputs()[i];
        Slot* slot = slot_of(input.node());
        if (slot == nullptr || !slot->needed) continue;
        Tensor term = vjp(order_[k], i, g);
        if (detail::numberings != numberings_)
          renumber();  // the rule has looked at values, or differentiated
        if (!term.is_empty()) add_term_for(*slot, input, std::move(term), node.where);
      }
    }
  }

  Tensor cotangent_of(const Tensor& w) {
    Slot* slot = slot_of(w.node());
    return slot == nullptr || slot->first.is_empty() ? Tensor() : total(*slot);
  }

 private:
  static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();
  struct Slot {
    Tensor first;
    std::uint32_t others = none;  // the latest of `others_`
    bool needed = false;
    bool wanted = false;
  };
  struct Other {  // what else meets at a node
    Tensor term;
    std::uint32_t earlier;
  };

  void add_term(Slot& slot, Tensor term) {
    if (!slot.first.is_empty()) {
      others_.push_back(
          {std::move(term), std::exchange(slot.others, static_cast<std::uint32_t>(others_.size()))});
    } else {
      slot.first = std::move(term);
    }
  }
  Tensor& total(Slot& slot) {
    if (slot.others != none) join(slot);
    return slot.first;
  }
  void join(Slot& slot) {
    RecycledVector<Tensor> terms;
    for (std::uint32_t k = std::exchange(slot.others, none); k != none; k = others_[k].earlier)
      terms.push_back(std::move(others_[k].term));
    terms.push_back(std::move(slot.first));
    std::ranges::reverse(terms);
    slot.first = add(terms);
  }

  void add_term_for(Slot& slot, const Tensor& input, Tensor term, std::source_location where) {
    const Dims shape = input.node()->shape();
    if (!same(term.node()->shape(), shape)) term = sum_to(Operand(term, where), Shape(shape));
    add_term(slot, std::move(term));
  }

  // A node with several outputs, of which some have cotangents.
  struct Outputs {
    std::vector<Tensor> cotangents, outputs;
  };

  void note_output(std::size_t k, const Tensor& g) {
    const Tensor& computed = std::as_const(*order_[k]).inputs()[0];
    Outputs& known = outputs_[computed.node()->index];
    const std::size_t number = output_number(*order_[k]);
    if (known.cotangents.size() <= number)
      known.cotangents.resize(number + 1), known.outputs.resize(number + 1);
    known.cotangents[number] = g;
    known.outputs[number] = Tensor(order_[k]);
    slots_[computed.node()->index].first = g;  // has its turn
  }

  // All inputs at once, by a rule that sees everything.
  void pull_back(std::size_t k, const Tensor& g) {
    Node& node = *order_[k];
    const Borrowed borrowed(&node);
    Outputs known{{g}, {borrowed.tensor}};
    if (node.operation->infer_outputs != nullptr) {
      known = std::exchange(outputs_[k], {});
      const std::size_t count = output_specs(node).size();
      known.cotangents.resize(count), known.outputs.resize(count);
    }
    std::vector<bool> wanted(node.input_count);
    for (std::size_t i = 0; i < node.input_count; ++i) {
      const Slot* slot = slot_of(node.inputs()[i].node());
      wanted[i] = slot != nullptr && slot->needed;
    }
    std::vector<Tensor> terms =
        gradweave::pull_back(borrowed.tensor, known.cotangents, known.outputs, wanted);
    if (detail::numberings != numberings_) renumber();
    for (std::size_t i = 0; i < node.input_count; ++i) {
      if (terms[i].is_empty()) continue;
      const Tensor& input = std::as_const(node).inputs()[i];
      add_term_for(*slot_of(input.node()), input, std::move(terms[i]), node.where);
    }
  }

  static Tensor vjp(Node* node, std::size_t i, const Tensor& g) {
    const Operation& op = *node->operation;
    if (op.vjp == nullptr)
      throw GraphError(fmt::format("{} has no vjp: it is not differentiable", describe(Tensor(node))));
    const void* attributes = op.attribute_size == 0 ? nullptr : node->attributes();
    const Borrowed y(node);
    return op.vjp(attributes, i, g, std::as_const(*node).inputs(), y.tensor);
  }

  void renumber() {
    for (std::size_t k = 0; k < order_.size(); ++k) order_[k]->index = static_cast<std::uint32_t>(k);
    numberings_ = ++detail::numberings;
  }

  bool in_order(const Node* node) const { return node->index < order_.size() && order_[node->index] == node; }
  Slot* slot_of(const Node* node) {
    if (!node->tracked) return nullptr;
    if (in_order(node)) return &slots_[node->index];
    if (node->input_count > 0) return nullptr;
    const auto leaf = leaves_.find(node);
    return leaf == leaves_.end() ? nullptr : &slots_[leaf->second];
  }
  void want(const Node* node) {
    std::size_t k = node->index;
    if (!in_order(node)) {
      k = leaves_.try_emplace(node, slots_.size()).first->second;
      if (k == slots_.size()) slots_.emplace_back();
    }
    slots_[k].needed = slots_[k].wanted = true;
  }

  NodeList order_;
  std::uint64_t numberings_ = 0;                      // when the nodes got their numbers
  std::unordered_map<std::size_t, Outputs> outputs_;  // by place in the order
  RecycledVector<Other> others_;
  RecycledVector<Slot> slots_;  // of the inner nodes by `index`, then of the wanted leaves
  std::unordered_map<const Node*, std::size_t> leaves_;
};

void check(const Tensor& y, std::span<const Tensor> wrt, const Tensor& cotangent, Unconnected unconnected,
           std::source_location where) {
  if (y.is_empty()) throw GraphError(at_line("gradients of an empty Tensor", where));
  for (const Tensor& w : wrt) {
    if (w.is_empty()) throw GraphError(at_line("gradients with respect to an empty Tensor", where));
  }
  if (y.node()->released) {
    throw GraphError(at_line(
        fmt::format("gradients of {}: its history was released, by an optimizer's step (take gradients "
                    "before it) or since it is "
                    "the result of a compiled function (take detach(x) of one that is meant as data)",
                    describe(y)),
        where));
  }
  if (!y.is_tracked() && unconnected == Unconnected::error)
    throw GraphError(
        at_line(fmt::format("gradients of {}: it does not depend on any variable", describe(y)), where));
  if (cotangent.is_empty() && y.numel() != 1) {
    throw GraphError(
        at_line(fmt::format("gradients of {}: it has {} elements; reduce it (sum, mean) or give a cotangent",
                            describe(y), y.numel()),
                where));
  }
  if (!cotangent.is_empty() && !same(cotangent.shape(), y.shape())) {
    throw ShapeError(at_line(
        fmt::format("gradients of {}: its cotangent has shape {}", describe(y), to_string(cotangent.shape())),
        where));
  }
}

}  // namespace

std::vector<Tensor> gradients(const Tensor& y, std::span<const Tensor> wrt, const Tensor& cotangent,
                              Unconnected unconnected, std::source_location where) {
  check(y, wrt, cotangent, unconnected, where);
  const ReversePass mode;
  Reverse reverse(y, wrt);
  if (y.is_tracked())
    reverse.run(y, cotangent.is_empty() ? ones(y.shape(), y.dtype()) : cast(cotangent, y.dtype()));
  mode.leave();
  std::vector<Tensor> result;
  for (const Tensor& w : wrt) {
    Tensor g = reverse.cotangent_of(w);
    if (g.is_empty() && unconnected == Unconnected::empty) {
      result.emplace_back();
      continue;
    }
    if (g.is_empty() && unconnected == Unconnected::error) {
      throw GraphError(at_line(
          fmt::format(
              "gradients of {}: it does not depend on {}{}; ask for Unconnected::zeros if that is meant",
              describe(y), describe(w), w.is_tracked() ? "" : " (not tracked: is it a variable?)"),
          where));
    }
    result.push_back(g.is_empty() ? zeros(w.shape(), w.dtype()) : std::move(g));
  }
  return result;
}

}  // namespace gradweave
