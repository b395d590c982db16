// From a pending graph to a program: every value gets its layout, views become offsets and strides, what is
// known already is computed here and what is the same twice is kept once.
#include <algorithm>
#include <bit>
#include <cmath>
#include <unordered_map>

#include <boost/container/small_vector.hpp>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/kernels/convert.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/graph/plan/program.hpp>
#include <gradweave/graph/plan/run_elementwise.hpp>

namespace gradweave {
namespace {

template <class T>
using Few = boost::container::small_vector<T, 4>;

// Views are taken of this address, and only the difference is looked at.
std::byte* any_address() {
  return reinterpret_cast<std::byte*>(std::uintptr_t{1} << 32U);  // NOLINT(performance-no-int-to-ptr)
}

// An open table of values by the hash of what computes them.
class Seen {
 public:
  explicit Seen(std::size_t count) : slots_(std::bit_ceil(2 * count + 1)) {}
  /// The value with this hash for which `equal` holds; or else `id`, which is remembered.
  template <class Equal>
  Id find_or_add(std::size_t hash, Id id, const Equal& equal) {
    if (2 * count_ >= slots_.size()) grow();
    const auto code = static_cast<std::uint32_t>(hash);
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t at = code & mask;; at = (at + 1) & mask) {
      Slot& slot = slots_[at];
      if (slot.id == no_id) {
        ++count_;
        slot = {code, id};
        return id;
      }
      if (slot.code == code && equal(slot.id)) return slot.id;
    }
  }

 private:
  struct Slot {
    std::uint32_t code = 0;
    Id id = no_id;
  };
  void grow() {
    std::vector<Slot> all(2 * slots_.size());
    const std::size_t mask = all.size() - 1;
    for (const Slot& slot : slots_) {
      if (slot.id == no_id) continue;
      std::size_t at = slot.code & mask;
      while (all[at].id != no_id) at = (at + 1) & mask;
      all[at] = slot;
    }
    slots_ = std::move(all);
  }
  std::vector<Slot> slots_;
  std::size_t count_ = 0;
};

}  // namespace

class Lowering {
 public:
  Lowering(const PendingGraph& pending, const Passes& passes)
      : pending_(pending), passes_(passes), seen_(passes.simplify ? pending.nodes.size() : 0) {
    program_.input_count = pending.inputs.size();
    program_.node_count = pending.nodes.size();
    program_.values.reserve(pending.inputs.size() + pending.nodes.size());
    for (const Node* input : pending.inputs) add_input(*input);
  }

  Program run(const GraphKey& structure) {
    ids_.reserve(pending_.nodes.size());
    find_wanted_outputs();
    std::size_t edge = 0;
    Few<Id> inputs;
    for (std::size_t k = 0; k < pending_.nodes.size(); ++k) {
      const Node& node = *pending_.nodes[k];
      inputs.clear();
      for (std::size_t i = 0; i < node.input_count; ++i) inputs.push_back(id_of(pending_.edges[edge++]));
      node_ = static_cast<std::uint32_t>(k);
      try {  // what is known already is computed here
        ids_.push_back(add(node, structure.attributes(k), {inputs.data(), inputs.size()}));
      } catch (const Error&) {
        rethrow_situated(node);
      }
    }
    for (const std::uint32_t k : pending_.held) {
      const Id id = ids_[k];
      program_.outputs.push_back(pending_.nodes[k]->has_room_for_strides() ? id : contiguous(id));
    }
    for (Id id = 0; id < program_.values.size(); ++id) {
      const Value& v = program_.values[id];
      if (v.operation != nullptr && v.constant && !v.is_view(id)) ++program_.constants_folded;
    }
    return std::move(program_);
  }

 private:
  Id id_of(std::uint32_t edge) const {
    return edge >= PendingGraph::first_input ? edge - PendingGraph::first_input : ids_[edge];
  }
  Value& value(Id id) { return program_.values[id]; }
  Id next_id() const { return static_cast<Id>(program_.values.size()); }

  void add_input(const Node& node) {
    Value v;
    v.rank = node.rank;
    v.dtype = node.dtype;
    v.first_size = append(node.shape());
    if (node.strided) v.first_stride = append(node.strides());
    v.buffer = next_id();
    program_.values.push_back(v);
  }

  // Of a node with several outputs that nobody else holds, those that are read.
  void find_wanted_outputs() {
    std::size_t edge = 0;
    for (const Node* node : pending_.nodes) {
      if (node->operation == &output_operation() && pending_.edges[edge] < PendingGraph::first_input) {
        std::vector<bool>& wanted = wanted_[pending_.edges[edge]];
        const std::size_t number = output_number(*node);
        if (wanted.size() <= number) wanted.resize(number + 1);
        wanted[number] = true;
      }
      edge += node->input_count;
    }
    for (const std::uint32_t k : pending_.held) wanted_.erase(k);
  }

  OutputLayout layout_of(const Node& node) {
    std::vector<Spec> inputs;
    for (const Tensor& input : node.inputs()) inputs.push_back(input.node()->spec());
    std::vector<Spec> specs = node.operation->infer_outputs(const_cast<Node&>(node).attributes(), inputs);
    const auto wanted = wanted_.find(node_);
    if (wanted == wanted_.end()) return lay_out(std::move(specs));
    wanted->second.resize(specs.size());
    return lay_out(std::move(specs), wanted->second);
  }

  std::uint32_t append(Dims sizes) {
    const auto at = static_cast<std::uint32_t>(program_.sizes_.size());
    program_.sizes_.insert(program_.sizes_.end(), sizes.begin(), sizes.end());
    return at;
  }

  Id add(const Node& node, const void* attributes, std::span<Id> inputs) {
    const Operation& op = *node.operation;
    if (&op == &argument_leaf) {
      throw GraphError(
          "a tensor that belongs to a body (a branch of cond, a rule of custom_vjp) is used outside of it; "
          "give "
          "it back as a result");
    }
    if (passes_.simplify) {
      if (const Id same = without_neutral(node, inputs); same != no_id) return same;
    }
    // Kernels see elements as what they are computed as; a view sees them as they are.
    const bool is_computed_output =
        &op == &output_operation() && !node.inputs()[0].node()->operation->as_stored;
    const bool computes = !op.as_stored && (op.view == nullptr || is_computed_output);
    if (computes && op.view == nullptr) {
      for (Id& input : inputs) input = converted(input, computed_as(value(input).dtype), op.ordered);
    }
    const Id id = add(node, attributes, inputs, computes ? computed_as(node.dtype) : node.dtype);
    return converted(id, node.dtype, op.ordered);
  }

  Id add(const Node& node, const void* attributes, std::span<Id> inputs, DType dtype) {
    const Operation& op = *node.operation;
    Value v;
    v.operation = &op;
    v.attributes = attributes;
    v.rank = node.rank;
    v.dtype = dtype;
    const bool wants_row_major =
        op.view != nullptr ? !can_view(v, node.shape(), inputs[0]) : !op.elementwise && !op.takes_strides;
    if (wants_row_major) {
      for (Id& input : inputs) input = contiguous(input);
    }
    if (passes_.simplify && op.view != nullptr) {
      if (const Id whole = what_view_undoes(v, node.shape(), inputs[0]); whole != no_id) return whole;
    }
    if (op.infer_outputs == nullptr) return add(v, node.shape(), inputs);
    v.layout = static_cast<std::uint32_t>(program_.layouts.size());
    program_.layouts.push_back(layout_of(node));
    return add(v, Shape{static_cast<Index>(program_.layouts.back().bytes)}, inputs);
  }

  // A view that shows a buffer again as it is, such as a reshape back, is that buffer's value.
  Id what_view_undoes(const Value& v, Dims shape, Id input) {
    const Value& x = value(input);
    const Value& whole = value(x.buffer);
    const View view = view_of(v, shape, input);
    const Dims strides(view.strides.data(), v.rank);
    const bool same_again = x.offset + view.offset == 0 && v.dtype == whole.dtype &&
                            is_row_major(shape, strides) && Program::row_major(whole) &&
                            same(program_.shape_of(whole), shape);
    return same_again ? x.buffer : no_id;
  }

  Id add(Value& v, Dims shape, std::span<Id> inputs) {
    const Id id = next_id();
    v.node = node_;
    v.in_reverse = pending_.nodes[node_]->in_reverse;
    v.checkpointed = pending_.nodes[node_]->checkpointed && v.operation->pure;
    v.first_edge = static_cast<std::uint32_t>(program_.edges_.size());
    v.edge_count = static_cast<std::uint32_t>(inputs.size());
    v.buffer = id;
    program_.edges_.insert(program_.edges_.end(), inputs.begin(), inputs.end());
    if (passes_.simplify && v.operation->pure && v.layout == no_id) {
      const Id first =
          seen_.find_or_add(hash_of(v), id, [&](Id other) { return same_computation(v, value(other)); });
      if (first != id) {
        value(first).in_reverse &= v.in_reverse;
        value(first).checkpointed &= v.checkpointed;
        program_.edges_.resize(v.first_edge);
        return first;
      }
    }
    const bool like_input = !inputs.empty() && same(program_.shape_of(value(inputs[0])), shape);
    v.first_size = like_input ? value(inputs[0]).first_size : append(shape);
    if (v.operation->view != nullptr) {
      lay_out_view(v);
    } else if (v.operation->splat || (passes_.simplify && worth_folding(v))) {
      fold(v);
    }
    program_.values.push_back(v);
    return id;
  }

  // x for x * 1 and x + 0.
  Id without_neutral(const Node& node, std::span<const Id> inputs) {
    if (!node.operation->identity || inputs.size() != 2) return no_id;
    for (const std::size_t i : {1U, 0U}) {
      const Value &v = value(inputs[i]), &other = value(inputs[1 - i]);
      if (is_uniform(v) && v.constant && is_number(v, *node.operation->identity) &&
          other.dtype == node.dtype && same(program_.shape_of(other), node.shape())) {
        return inputs[1 - i];
      }
    }
    return no_id;
  }
  static double number(const Value& v) { return number_at(v.dtype, v.constant->data + v.offset); }
  static bool is_number(const Value& v, double wanted) {
    const double is = number(v);
    return is == wanted && (!is_floating(v.dtype) || std::signbit(is) == std::signbit(wanted));
  }
  // One number, however often it is repeated.
  bool is_uniform(const Value& v) const {
    const Dims strides = program_.strides_of(v);
    return numel(program_.shape_of(v)) == 1 ||
           (!Program::row_major(v) && std::ranges::all_of(strides, [](Index s) { return s == 0; }));
  }

  std::size_t hash_of(const Value& v) const {
    auto hash = std::bit_cast<std::size_t>(v.operation);
    for (const Id input : program_.inputs_of(v)) hash = (std::rotl(hash, 7) ^ input) * 0x9E3779B97F4A7C15U;
    if (v.operation->attribute_size != 0) hash ^= v.operation->hash(v.attributes);
    return hash ^ hash >> 32U;
  }
  bool same_computation(const Value& a, const Value& b) const {
    return a.operation == b.operation && std::ranges::equal(program_.inputs_of(a), program_.inputs_of(b)) &&
           (a.operation->attribute_size == 0 || a.operation->equal(a.attributes, b.attributes));
  }

  // A value that no node stands for, which `op` makes of another one.
  Id insert(const Operation& op, const void* attributes, DType dtype, Id input) {
    const Shape shape(program_.shape_of(value(input)));
    Value v;
    v.operation = &op;
    v.attributes = attributes;
    v.rank = value(input).rank;
    v.dtype = dtype;
    return add(v, shape, {&input, 1});
  }
  // The value, or a copy of it whose elements lie in order.
  Id contiguous(Id id) {
    if (Program::row_major(value(id))) return id;
    return insert(cast_operation(), cast_to(value(id).dtype), value(id).dtype, id);
  }
  // The value as another dtype. Between uint64 and int64 the bits stay, or if `ordered` the order does.
  Id converted(Id id, DType to, bool ordered) {
    const DType from = value(id).dtype;
    if (from == to) return id;
    if (ordered && to == DType::uint64) id = insert(flip_sign_operation(), nullptr, from, id);
    id = insert(cast_operation(), cast_to(to), to, id);
    if (ordered && from == DType::uint64) id = insert(flip_sign_operation(), nullptr, to, id);
    return id;
  }

  struct View {
    bool possible;
    Index offset;
    std::array<Index, max_rank> strides{};
  };
  View view_of(const Value& v, Dims shape, Id input) {
    View view;
    ArrayView x = program_.array_of(value(input)), y{nullptr, v.dtype, shape, {}};
    x.data = y.data = any_address();
    view.possible = v.operation->view(v.attributes, x, y, std::span(view.strides.data(), v.rank));
    view.offset = static_cast<std::byte*>(y.data) - any_address();
    if (v.operation == &output_operation() && value(input).layout != no_id) {
      const std::size_t number = output_number(*pending_.nodes[node_]);
      view.offset = static_cast<Index>(program_.layouts[value(input).layout].offsets[number]);
    }
    return view;
  }
  bool can_view(const Value& v, Dims shape, Id input) { return view_of(v, shape, input).possible; }

  void lay_out_view(Value& v) {
    const Value& x = value(program_.inputs_of(v)[0]);
    const View view = view_of(v, program_.shape_of(v), program_.inputs_of(v)[0]);
    const Dims strides(view.strides.data(), v.rank);
    v.offset = x.offset + view.offset;
    v.constant = x.constant;
    v.buffer = x.buffer;
    if (!is_row_major(program_.shape_of(v), strides)) v.first_stride = append(strides);
  }

  // Known without any data: what has no inputs, or only inputs that are known. Large results would cost
  // memory for as long as the plan lives, so they stay steps.
  bool worth_folding(const Value& v) const {
    constexpr std::size_t small = 4096;
    if (!v.operation->pure || v.layout != no_id) return false;
    const auto inputs = program_.inputs_of(v);
    const auto is_constant = [&](Id id) { return static_cast<bool>(program_.values[id].constant); };
    if (!std::ranges::all_of(inputs, is_constant)) return false;
    return program_.bytes_of(v) <= small || folds_to_one(v);
  }
  bool folds_to_one(const Value& v) const {
    if (v.operation == &cast_operation() && program_.values[program_.inputs_of(v)[0]].dtype == v.dtype)
      return false;  // a copy, which is there to lay the elements out
    return v.operation->elementwise &&
           std::ranges::all_of(program_.inputs_of(v), [&](Id id) { return is_uniform(program_.values[id]); });
  }

  void fold(Value& v) {
    const Operation& op = *v.operation;
    const bool one = op.splat || folds_to_one(v);
    ArrayView y = program_.array_of(v);
    v.constant = allocate_storage(one ? size_of(v.dtype) : program_.bytes_of(v));
    y.data = v.constant->data;
    Few<ArrayView> inputs;
    for (const Id id : program_.inputs_of(v)) {
      inputs.push_back(program_.array_of(value(id)));
      inputs.back().data = value(id).constant->data + value(id).offset;
      if (one) inputs.back().shape = inputs.back().strides = {};
    }
    if (one) y.shape = {};
    if (op.elementwise) {
      run_elementwise(op, v.attributes, y, {inputs.data(), inputs.size()});
    } else if (op.run_rows != nullptr && y.size() != 0) {
      const Index width = op.row_width(v.attributes, y, {inputs.data(), inputs.size()});
      op.run_rows(v.attributes, {y.data, 0, y.size() / width, width}, y, {inputs.data(), inputs.size()});
    } else if (op.run != nullptr) {
      op.run(v.attributes, y, {inputs.data(), inputs.size()});
    }
    constexpr std::array<Index, max_rank> zeros{};
    const Dims strides(zeros.data(), v.rank);
    if (one && !is_row_major(program_.shape_of(v), strides)) v.first_stride = append(strides);
  }

  const PendingGraph& pending_;
  const Passes& passes_;
  Program program_;
  std::uint32_t node_ = no_id;  // which is being added
  Seen seen_;
  std::unordered_map<std::uint32_t, std::vector<bool>> wanted_;  // by node with several outputs
  std::vector<Id> ids_;                                          // of the pending graph's nodes
};

Program lower(const PendingGraph& pending, const GraphKey& structure, const Passes& passes) {
  return Lowering(pending, passes).run(structure);
}

}  // namespace gradweave
