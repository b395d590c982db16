// Program: what one evaluation computes, as plain data. `lower` makes it from a pending graph of the graph,
// `remat` trades memory for time, `fuse` puts it into steps, `place` decides where everything lies; a Plan
// (plan.hpp) is the result, ready to run.
#pragma once
#include <cstdint>
#include <limits>
#include <memory>
#include <string_view>
#include <vector>

#include <gradweave/graph/memory/storage.hpp>
#include <gradweave/graph/operation.hpp>
#include <gradweave/graph/outputs.hpp>
#include <gradweave/graph/plan/passes.hpp>
#include <gradweave/graph/plan/pending_graph.hpp>

namespace gradweave {

/// The number of a value in its program.
using Id = std::uint32_t;
inline constexpr Id no_id = std::numeric_limits<Id>::max();

struct Value {
  const Operation* operation = nullptr;  ///< null: an input of the program
  const void* attributes = nullptr;      ///< outlive the program
  Ref<Storage> constant;                 ///< its elements, where they are known already
  std::uint32_t first_edge = 0;
  std::uint32_t edge_count = 0;
  std::uint32_t first_size = 0;
  std::uint32_t first_stride = no_id;  ///< none: row-major
  Id buffer = no_id;                   ///< the value in whose memory it lies: itself unless it is a view
  Index offset = 0;                    ///< from the beginning of that memory, in bytes
  std::uint32_t layout = no_id;        ///< of several outputs: which of the program's layouts
  std::uint32_t node = no_id;          ///< of the pending graph: where its errors come from
  std::uint8_t rank = 0;
  DType dtype = DType::float32;
  bool in_reverse = false;      ///< of a node of the reverse pass
  bool checkpointed = false;    ///< of a node of a `checkpoint`
  bool in_backward = false;     ///< set by `remat`: no step of the forward pass may compute it
  bool rematerialized = false;  ///< made by `remat`: it is computed a second time, not before it is read

  bool is_view(Id id) const { return buffer != id; }
};

class Program {
 public:
  std::vector<Value> values;          ///< the inputs, then what is computed, inputs before their users
  std::vector<OutputLayout> layouts;  ///< of values with several outputs
  std::vector<Id> outputs;            ///< the values of the pending graph's held nodes
  std::size_t input_count = 0;
  std::size_t node_count = 0;        ///< of the pending graph
  std::size_t constants_folded = 0;  ///< values that were computed while planning
  struct Rewritten {
    std::string_view name;
    std::size_t count = 0;
  };
  std::vector<Rewritten> rewrites;                           ///< how often which was done
  std::vector<std::shared_ptr<const void>> kept_attributes;  ///< of values that rewrites made

  std::span<const Id> inputs_of(const Value& v) const { return {edges_.data() + v.first_edge, v.edge_count}; }
  Dims shape_of(const Value& v) const { return {sizes_.data() + v.first_size, v.rank}; }
  static bool row_major(const Value& v) { return v.first_stride == no_id; }
  Dims strides_of(const Value& v) const {
    return row_major(v) ? Dims() : Dims(sizes_.data() + v.first_stride, v.rank);
  }
  std::size_t bytes_of(const Value& v) const {
    return static_cast<std::size_t>(numel(shape_of(v))) * size_of(v.dtype);
  }
  /// Shape, strides and dtype as kernels see them; without data.
  ArrayView array_of(const Value& v) const { return {nullptr, v.dtype, shape_of(v), strides_of(v)}; }
  /// Whether it has memory of its own and is not there from the beginning.
  bool is_computed(Id id) const {
    const Value& v = values[id];
    return v.operation != nullptr && !v.is_view(id) && !v.constant;
  }
  /// The same elements in the same order as the whole buffer it lies in.
  bool is_whole(const Value& v) const {
    const Value& buffer = values[v.buffer];
    return row_major(v) && v.offset == 0 && v.dtype == buffer.dtype && bytes_of(v) == bytes_of(buffer);
  }

 private:
  friend class Building;
  friend class Rewriting;
  std::vector<Id> edges_;
  std::vector<Index> sizes_;  // shapes and strides
};

/// What runs as one: a kernel or none, then elementwise ops over its output, then perhaps one reduction of
/// all elements of one of them.
struct Step {
  Id lead = no_id;
  std::vector<Id> members;
  Id reduction = no_id;
};

/// How many rows of a lead have to be computed together so that a reduction can join them: they fill its
/// leaves.
Index rows_to_join(const ReductionKernel& joining, Index width);

/// The structure is that of the pending graph, and outlives the program, which refers to its attributes.
Program lower(const PendingGraph& pending, const GraphKey& structure, const Passes& passes);
/// The same in an order in which the reverse pass, if there is one, soon lets go of what it has read.
Program order(Program program, const Passes& passes);
/// The same with values of the forward pass computed again for the reverse pass instead of being kept: those
/// of checkpoints, and what it takes to stay within a budget of so many bytes.
Program remat(Program program, std::size_t budget, const Passes& passes);
std::vector<Step> fuse(const Program& program, const Passes& passes);

/// Where each value that is computed lies.
struct Placement {
  enum class Kind : std::uint8_t { none, scratch, arena, output };
  struct Place {
    Kind kind = Kind::none;    ///< scratch: only inside its step, never as a whole
    std::size_t offset = 0;    ///< in the arena
    std::uint32_t output = 0;  ///< which of `outputs`: itself, or what overwrites it in the end
  };
  struct Output {
    Id value;                   ///< whose elements somebody keeps: they get storage of their own
    Id donor = no_id;           ///< the input whose storage it can be, if nobody else refers to that
    bool in_place = false;      ///< an op in place overwrites the donor
    bool after_checks = false;  ///< nothing that is computed with it or later may throw: old values may go
  };
  std::vector<Place> places;  ///< by value
  std::vector<Output> outputs;
  std::size_t arena_bytes = 0;
  std::size_t checked_from = 0;  ///< the first step behind all steps that may throw
};
Placement assign_memory(const Program& program, std::span<const Step> steps, const Passes& passes);

}  // namespace gradweave
