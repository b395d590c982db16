// Building: a program while values are added to it. Each value gets its layout, views become offsets and
// strides, and what is known already is computed; before a value stays, the rewrites of simplify.cpp may find
// a shorter way to it.
#pragma once
#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include <boost/container/small_vector.hpp>

#include <gradweave/graph/plan/program.hpp>
#include <gradweave/graph/plan/seen_values.hpp>

namespace gradweave {

class Building {
 public:
  Building(const Passes& passes, std::size_t inputs, std::size_t nodes);

  /// The node that the values which are added next stand for.
  struct Origin {
    std::uint32_t node = no_id;
    bool in_reverse = false;
    bool checkpointed = false;
  };
  void set_origin(const Origin& origin) { origin_ = origin; }
  /// So many nodes read the value, or keep it.
  void add_readers(Id id, std::uint32_t count);

  Id add_input(const Node& node);
  /// The value that `op` makes of others, whose elements are copied into order where the op asks for that; or
  /// another value that is the same. Of several outputs, `layout` says where they lie.
  Id add(const Operation& op, const void* attributes, Dims shape, DType dtype, std::span<const Id> given,
         const OutputLayout* layout = nullptr);
  /// The value, or a copy of it whose elements lie in order.
  Id contiguous(Id id);
  /// The value as another dtype. Between uint64 and int64 the bits stay, or if `ordered` the order does.
  Id converted(Id id, DType to, bool ordered);

  const Program& program() const { return program_; }
  const Value& value(Id id) const { return program_.values[id]; }
  /// Attributes that live as long as the program.
  const void* keep(const Operation& op, const void* attributes);
  Program finish(std::vector<Id> outputs);

 private:
  template <class T>
  using Few = boost::container::small_vector<T, 4>;
  struct View {
    bool possible;
    Index offset;
    std::array<Index, max_rank> strides{};
  };

  Value& change(Id id) { return program_.values[id]; }
  Id insert(const Operation& op, const void* attributes, DType dtype, Id input);
  std::uint32_t append(Dims sizes);
  View view_of(const Operation& op, const void* attributes, Dims shape, DType dtype, Id input) const;
  bool is_uniform(const Value& v) const;
  bool folds_to_one(const Value& v) const;
  void fold(Value& v);

  // Rewrites (simplify.cpp): each gives a value that is the same as value `id`, the last one; `id` itself
  // where it only has become a constant; or none.
  Id simplified(Id id);
  Id without_identity(Id id);
  Id undone_view(Id id);
  Id rewritten(Id id);
  Id equal_value(Id id);
  Id known_value(Id id);
  Id rewritten_by(const Operation& op, Id id, Rewrite::Values values);
  bool are_read_alone(std::span<const Id> ids, const Operation& op) const;
  bool show_the_same(const Value& a, const Value& b) const;
  bool same_computation(const Value& a, const Value& b) const;
  std::size_t hash_of(const Value& v) const;
  bool cover(OutputLayout& layout, const OutputLayout& wanted, Value& v);
  void count(std::string_view rewrite);

  const Passes& passes_;
  Program program_;
  Origin origin_;
  SeenValues seen_;
  std::vector<std::uint32_t> readers_;  // by value
};

}  // namespace gradweave
