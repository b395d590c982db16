#include <gradweave/graph/plan/building.hpp>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/kernels/fused_loop.hpp>
#include <gradweave/graph/plan/run_elementwise.hpp>

namespace gradweave {
namespace {

// Views are taken of this address, and only the difference is looked at.
std::byte* any_address() {
  return reinterpret_cast<std::byte*>(std::uintptr_t{1} << 32U);  // NOLINT(performance-no-int-to-ptr)
}

}  // namespace

Building::Building(const Passes& passes, std::size_t inputs, std::size_t nodes)
    : passes_(passes), seen_(passes.simplify ? nodes : 0) {
  program_.input_count = inputs;
  program_.node_count = nodes;
  program_.values.reserve(inputs + nodes);
}

void Building::add_readers(Id id, std::uint32_t count) {
  if (readers_.size() <= id) readers_.resize(program_.values.size());
  readers_[id] += count;
}

std::uint32_t Building::append(Dims sizes) {
  const auto at = static_cast<std::uint32_t>(program_.sizes_.size());
  program_.sizes_.insert(program_.sizes_.end(), sizes.begin(), sizes.end());
  return at;
}

const void* Building::keep(const Operation& op, const void* attributes) {
  if (op.attribute_size == 0) return nullptr;
  return program_.kept_attributes.emplace_back(copy_attributes(op, attributes)).get();
}

Id Building::add_input(const Node& node) {
  Value v;
  v.rank = node.rank;
  v.dtype = node.dtype;
  v.first_size = append(node.shape());
  if (node.strided) v.first_stride = append(node.strides());
  v.buffer = static_cast<Id>(program_.values.size());
  program_.values.push_back(v);
  return v.buffer;
}

Id Building::add(const Operation& op, const void* attributes, Dims shape, DType dtype,
                 std::span<const Id> given, const OutputLayout* layout) {
  Few<Id> inputs(given.begin(), given.end());
  std::optional<View> view;
  if (op.view != nullptr) view = view_of(op, attributes, shape, dtype, inputs[0]);
  if (view ? !view->possible : !op.elementwise && !op.takes_strides) {
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (i != op.in_place) inputs[i] = contiguous(inputs[i]);
    }
    if (view) view = view_of(op, attributes, shape, dtype, inputs[0]);
  }

  const auto id = static_cast<Id>(program_.values.size());
  Value v;
  v.operation = &op;
  v.attributes = attributes;
  v.rank = static_cast<std::uint8_t>(shape.size());
  v.dtype = dtype;
  v.node = origin_.node;
  v.in_reverse = origin_.in_reverse;
  v.checkpointed = origin_.checkpointed && op.pure;
  v.first_edge = static_cast<std::uint32_t>(program_.edges_.size());
  v.edge_count = static_cast<std::uint32_t>(inputs.size());
  v.buffer = id;
  program_.edges_.insert(program_.edges_.end(), inputs.begin(), inputs.end());
  const bool like_input = !inputs.empty() && same(program_.shape_of(value(inputs[0])), shape);
  v.first_size = like_input ? value(inputs[0]).first_size : append(shape);
  if (view) {
    const Value& x = value(inputs[0]);
    const Dims strides(view->strides.data(), v.rank);
    v.offset = x.offset + view->offset;
    v.constant = x.constant;
    v.buffer = x.buffer;
    if (!is_row_major(shape, strides)) v.first_stride = append(strides);
  }
  if (layout != nullptr) {
    v.layout = static_cast<std::uint32_t>(program_.layouts.size());
    program_.layouts.push_back(*layout);
  }
  program_.values.push_back(std::move(v));

  if (passes_.simplify && op.pure) {
    if (const Id other = simplified(id); other != id) {
      if (program_.values.size() == id + 1) {  // else what was made of the value's inputs comes behind
        program_.edges_.resize(value(id).first_edge);
        if (layout != nullptr) program_.layouts.pop_back();
        program_.values.pop_back();
      }
      return other;
    }
  }
  if (op.splat && !value(id).constant) fold(change(id));
  return id;
}

// A value that no node stands for, which `op` makes of another one.
Id Building::insert(const Operation& op, const void* attributes, DType dtype, Id input) {
  return add(op, attributes, Shape(program_.shape_of(value(input))), dtype, {&input, 1});
}

Id Building::contiguous(Id id) {
  if (Program::row_major(value(id))) return id;
  return insert(cast_operation(), cast_to(value(id).dtype), value(id).dtype, id);
}

Id Building::converted(Id id, DType to, bool ordered) {
  const DType from = value(id).dtype;
  if (from == to) return id;
  const bool is_result = computed_as(to) != to;
  if (is_result && !ordered && value(id).operation == &cast_operation()) {  // x as computed, such as x * 1
    if (const Id x = program_.inputs_of(value(id))[0]; value(x).dtype == to) return x;
  }
  if (ordered && to == DType::uint64) id = insert(flip_sign_operation(), nullptr, from, id);
  id = insert(cast_operation(), cast_to(to), to, id);
  if (ordered && from == DType::uint64) id = insert(flip_sign_operation(), nullptr, to, id);
  return id;
}

Building::View Building::view_of(const Operation& op, const void* attributes, Dims shape, DType dtype,
                                 Id input) const {
  View view{};
  ArrayView x = program_.array_of(value(input)), y{nullptr, dtype, shape, {}};
  x.data = y.data = any_address();
  view.possible = op.view(attributes, x, y, std::span(view.strides.data(), shape.size()));
  view.offset = static_cast<std::byte*>(y.data) - any_address();
  if (&op == &output_operation() && value(input).layout != no_id) {
    const OutputLayout& layout = program_.layouts[value(input).layout];
    view.offset = static_cast<Index>(layout.offsets[output_number(attributes)]);
  }
  return view;
}

// One number, however often it is repeated.
bool Building::is_uniform(const Value& v) const {
  const Dims strides = program_.strides_of(v);
  return numel(program_.shape_of(v)) == 1 ||
         (!Program::row_major(v) && std::ranges::all_of(strides, [](Index s) { return s == 0; }));
}

bool Building::folds_to_one(const Value& v) const {
  if (v.operation == &cast_operation() && value(program_.inputs_of(v)[0]).dtype == v.dtype)
    return false;  // a copy, which is there to lay the elements out
  return v.operation->elementwise &&
         std::ranges::all_of(program_.inputs_of(v), [&](Id id) { return is_uniform(value(id)); });
}

// The value, whose inputs are known, becomes a constant.
void Building::fold(Value& v) {
  const Operation& op = *v.operation;
  const bool one = op.splat || folds_to_one(v);
  ArrayView y = program_.array_of(v);
  Ref<Storage> storage = allocate_storage(one ? size_of(v.dtype) : program_.bytes_of(v));
  y.data = storage->data;
  Few<ArrayView> inputs;
  for (const Id id : program_.inputs_of(v)) {
    inputs.push_back(program_.array_of(value(id)));
    inputs.back().data = value(id).constant->data + value(id).offset;
    if (one) inputs.back().shape = inputs.back().strides = {};
  }
  if (one) y.shape = {};
  if (op.in_place < inputs.size()) {
    gather(inputs[op.in_place], 0, y.size(), y.data);
    inputs[op.in_place] = y;
  }
  const std::span<const ArrayView> x(inputs.data(), inputs.size());
  if (op.elementwise) {
    run_elementwise(op, v.attributes, y, x);
  } else if (op.run_rows != nullptr && y.size() != 0) {
    const Index width = op.row_width(v.attributes, y, x);
    op.run_rows(v.attributes, {y.data, 0, y.size() / width, width}, y, x);
  } else if (op.run != nullptr) {
    op.run(v.attributes, y, x);
  }
  v.constant = std::move(storage);
  constexpr std::array<Index, max_rank> zeros{};
  const Dims strides(zeros.data(), v.rank);
  if (one && !is_row_major(program_.shape_of(v), strides)) v.first_stride = append(strides);
}

Program Building::finish(std::vector<Id> outputs) {
  program_.outputs = std::move(outputs);
  for (Id id = 0; id < program_.values.size(); ++id) {
    const Value& v = value(id);
    if (v.operation != nullptr && v.constant && !v.is_view(id)) ++program_.constants_folded;
  }
  return std::move(program_);
}

}  // namespace gradweave
