// The table of rewrites: all shorter ways to compute a value that the planner knows. Those that hold for any
// op are here, the others are said by the ops (rewrite.hpp). A value is looked at when it is added to a
// program, after what it reads; so is whatever a rewrite makes of it, and the whole takes a time that is
// linear in the size of the graph.
#include <algorithm>
#include <bit>
#include <cmath>

#include <gradweave/graph/kernels/convert.hpp>
#include <gradweave/graph/plan/building.hpp>
#include <gradweave/graph/rewrite.hpp>

namespace gradweave {

Id Building::simplified(Id id) {
  struct Rule {
    std::string_view name;  // none: `rewritten` has one for each rewrite
    Id (Building::*find)(Id);
  };
  static constexpr std::array table{
      Rule{"identity", &Building::without_identity}, Rule{"view undone", &Building::undone_view},
      Rule{"", &Building::rewritten}, Rule{"equal value", &Building::equal_value},
      Rule{"known value", &Building::known_value}};
  for (const Rule& rule : table) {
    if (!passes_.without.empty() && rule.name == passes_.without) continue;
    const Id found = (this->*rule.find)(id);
    if (found == no_id) continue;
    if (!rule.name.empty()) count(rule.name);
    return found;
  }
  return id;
}

void Building::count(std::string_view rewrite) {
  const auto at = std::ranges::find(program_.rewrites, rewrite, &Program::Rewritten::name);
  ++(at != program_.rewrites.end() ? *at : program_.rewrites.emplace_back(rewrite)).count;
}

// x for x * 1 and x + 0.
Id Building::without_identity(Id id) {
  const Value& v = value(id);
  if (!v.operation->identity || v.edge_count != 2) return no_id;
  const auto is_identity = [&](const Value& x) {
    if (!x.constant || !is_uniform(x)) return false;
    const double is = number_at(x.dtype, x.constant->data + x.offset), wanted = *v.operation->identity;
    return is == wanted && (!is_floating(x.dtype) || std::signbit(is) == std::signbit(wanted));
  };
  const std::span<const Id> inputs = program_.inputs_of(v);
  for (const std::size_t i : {1U, 0U}) {
    const Value& other = value(inputs[1 - i]);
    if (is_identity(value(inputs[i])) && other.dtype == v.dtype &&
        same(program_.shape_of(other), program_.shape_of(v)))
      return inputs[1 - i];
  }
  return no_id;
}

// A view that shows a buffer as it is, such as a reshape back, is that buffer's value.
Id Building::undone_view(Id id) {
  const Value& v = value(id);
  return v.is_view(id) && show_the_same(v, value(v.buffer)) ? v.buffer : no_id;
}

// By what the ops say: of their own values, then of those of their readers.
Id Building::rewritten(Id id) {
  const Operation& op = *value(id).operation;
  if (const Id found = rewritten_by(op, id, Rewrite::of_op); found != no_id) return found;
  const std::span<const Id> inputs = program_.inputs_of(value(id));
  if (inputs.empty()) return no_id;
  const Operation* read = value(inputs[0]).operation;
  if (read == nullptr || read->rewrites.empty() || !are_read_alone(inputs, *read)) return no_id;
  return rewritten_by(*read, id, Rewrite::of_readers);
}

Id Building::rewritten_by(const Operation& op, Id id, Rewrite::Values values) {
  for (const Rewrite& rewrite : op.rewrites) {
    if (rewrite.values != values || rewrite.name == passes_.without) continue;
    if (const Term found = rewrite.shorter({*this, id})) {
      count(rewrite.name);
      return found.id();
    }
  }
  return no_id;
}

bool Building::are_read_alone(std::span<const Id> ids, const Operation& op) const {
  return std::ranges::all_of(ids, [&](Id id) {
    return value(id).operation == &op && !value(id).constant && (id >= readers_.size() || readers_[id] <= 1);
  });
}

// The value that was there first, of two that are computed alike, or of two views that show the same.
Id Building::equal_value(Id id) {
  Value& v = change(id);
  const Id first =
      seen_.find_or_add(hash_of(v), id, [&](Id other) { return same_computation(v, value(other)); });
  if (first == id) return no_id;
  Value& kept = change(first);
  if (v.layout != no_id && !cover(program_.layouts[kept.layout], program_.layouts[v.layout], kept))
    return no_id;
  kept.in_reverse &= v.in_reverse;
  kept.checkpointed &= v.checkpointed;
  return first;
}

// Of several outputs, those that are wanted and not there yet are laid out behind the others. Not so for a
// buffer that is kept, where each has its place: false.
bool Building::cover(OutputLayout& layout, const OutputLayout& wanted, Value& v) {
  if (wanted.is_kept && !std::ranges::equal(layout.offsets, wanted.offsets)) return false;
  layout.is_kept |= wanted.is_kept;
  const std::size_t before = layout.bytes;
  for (std::size_t k = 0; k < layout.offsets.size(); ++k) {
    if (layout.offsets[k] != OutputLayout::absent || wanted.offsets[k] == OutputLayout::absent) continue;
    layout.offsets[k] = layout.bytes;
    layout.bytes += OutputLayout::bytes_of(layout.specs[k]);
  }
  const std::array size{static_cast<Index>(layout.bytes)};
  if (layout.bytes != before) v.first_size = append(size);
  return true;
}

bool Building::show_the_same(const Value& a, const Value& b) const {
  return a.buffer == b.buffer && a.offset == b.offset && a.dtype == b.dtype &&
         same(program_.shape_of(a), program_.shape_of(b)) &&
         same(program_.strides_of(a), program_.strides_of(b));
}

bool Building::same_computation(const Value& a, const Value& b) const {
  const bool is_view = a.operation->view != nullptr;
  if (is_view || b.operation->view != nullptr) return is_view && show_the_same(a, b);
  return a.operation == b.operation && std::ranges::equal(program_.inputs_of(a), program_.inputs_of(b)) &&
         (a.operation->attribute_size == 0 || a.operation->equal(a.attributes, b.attributes));
}

std::size_t Building::hash_of(const Value& v) const {
  const auto mix = [](std::size_t hash, std::size_t word) {
    return (std::rotl(hash, 7) ^ word) * 0x9E3779B97F4A7C15U;
  };
  std::size_t hash = 0;
  if (v.operation->view != nullptr) {
    hash = mix(v.buffer, static_cast<std::size_t>(v.offset));
    for (const Index size : program_.shape_of(v)) hash = mix(hash, static_cast<std::size_t>(size));
    for (const Index stride : program_.strides_of(v)) hash = mix(hash, static_cast<std::size_t>(stride));
  } else {
    hash = std::bit_cast<std::size_t>(v.operation);
    for (const Id input : program_.inputs_of(v)) hash = mix(hash, input);
    if (v.operation->attribute_size != 0) hash ^= v.operation->hash(v.attributes);
  }
  return hash ^ hash >> 32U;
}

// Known without any data: what has no inputs, or only inputs that are known. Large results would cost memory
// for as long as the plan lives, so they stay steps.
Id Building::known_value(Id id) {
  constexpr std::size_t small = 4096;
  Value& v = change(id);
  if (v.operation->view != nullptr || v.operation->splat || v.layout != no_id) return no_id;
  const auto is_known = [&](Id input) { return static_cast<bool>(value(input).constant); };
  if (!std::ranges::all_of(program_.inputs_of(v), is_known)) return no_id;
  if (program_.bytes_of(v) > small && !folds_to_one(v)) return no_id;
  fold(v);
  return id;
}

// ---- Values as rewrites of ops see them.

const Operation* Term::operation() const { return program_->value(id_).operation; }
const void* Term::attributes() const { return program_->value(id_).attributes; }
std::size_t Term::input_count() const { return program_->value(id_).edge_count; }
Term Term::input(std::size_t i) const {
  return {*program_, program_->program().inputs_of(program_->value(id_))[i]};
}
Shape Term::shape() const { return Shape(program_->program().shape_of(program_->value(id_))); }
DType Term::dtype() const { return program_->value(id_).dtype; }

Term Term::of(const Operation& op, const void* attributes, std::span<const Term> inputs) {
  Building& program = *inputs[0].program_;
  std::vector<Id> ids;
  std::vector<Spec> specs;
  ids.reserve(inputs.size()), specs.reserve(inputs.size());
  for (const Term& input : inputs) {
    ids.push_back(input.id_);
    specs.push_back({input.shape(), input.dtype()});
  }
  Spec spec = specs[0];
  if (op.infer != nullptr) {
    spec = op.infer(attributes, specs);
  } else {
    for (const Spec& x : specs) spec.shape = broadcast(spec.shape, x.shape);
    spec.dtype = op.block(spec.dtype).result;
  }
  return {program, program.add(op, program.keep(op, attributes), spec.shape, spec.dtype, ids)};
}

}  // namespace gradweave
