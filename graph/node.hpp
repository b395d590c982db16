// Node: a vertex of the graph, in one recycled block of memory. For those who extend the library; users hold
// Tensors.
//
// A block is laid out as
//   Node | inputs: Tensor[input_count] | sizes: Index[rank] | strides: Index[rank], views only | attributes
//   of the op
// so that a node of a scalar chain takes 80 bytes. A node with values is *evaluated*; it may then let go of
// its inputs. Edges point from a node to its inputs, never back: releasing the last handle releases
// everything only it needed.
#pragma once
#include <source_location>
#include <span>

#include <gradweave/graph/memory/storage.hpp>
#include <gradweave/graph/scope.hpp>
#include <gradweave/graph/tensor.hpp>

namespace gradweave {

struct Operation;

struct Node {
  static constexpr std::size_t unit = 8;  ///< bytes

  RefCount refs;
  std::uint32_t input_count = 0;
  const Operation* operation = nullptr;
  Ref<Storage> storage;
  std::byte* data = nullptr;  ///< the first element, inside `storage` or the attributes; null until evaluated
  Ref<ModulePath> place;
  std::source_location where;
  std::uint32_t index = 0;     ///< scratch of whichever traversal owns the graph now
  std::uint32_t capacity = 0;  ///< inputs there is room for: they may be dropped later
  std::uint32_t block_units = 0;
  std::uint8_t rank = 0;
  DType dtype = DType::float32;
  bool tracked = false;
  bool seen : 1 = false;        ///< by a traversal that is under way
  bool strided : 1 = false;     ///< has strides: its elements are not row-major
  bool released : 1 = false;    ///< the history of something behind it was let go: gradients would miss terms
  bool in_reverse : 1 = false;  ///< built by `gradients`, not by the user
  bool checkpointed : 1 = false;  ///< built in a `checkpoint`: the reverse pass computes it again

  bool evaluated() const { return data != nullptr; }
  std::span<Tensor> inputs() { return {input_array(), input_count}; }
  std::span<const Tensor> inputs() const { return {const_cast<Node*>(this)->input_array(), input_count}; }
  Dims shape() const { return {const_cast<Node*>(this)->sizes(), rank}; }
  /// In elements; only when `strided`.
  Dims strides() const { return {const_cast<Node*>(this)->sizes() + rank, rank}; }
  Index* stride_array() { return sizes() + rank; }
  bool has_room_for_strides() const;
  void* attributes();
  Spec spec() const { return {Shape(shape()), dtype}; }

  /// Lets go of the history, so that no gradient can flow through any more.
  void release_history() noexcept;
  /// Gives the inputs back, without recursion however deep the graph under them is.
  void drop_inputs() noexcept;

  Index* sizes() { return reinterpret_cast<Index*>(input_array() + capacity); }

 private:
  Tensor* input_array() { return reinterpret_cast<Tensor*>(this + 1); }
};
using NodeList = RecycledVector<Node*>;

namespace detail {
/// How often this thread has numbered nodes, in their `index`: whoever goes on using numbers after others may
/// have written some compares it with what it was.
extern constinit thread_local std::uint64_t numberings;
}  // namespace detail
static_assert(sizeof(Node) == 64 && std::is_standard_layout_v<Node>);

/// A new leaf with values: `storage` from `data` on, with `strides` unless they are row-major.
Tensor make_leaf(const Operation& kind, const Spec& spec, Ref<Storage> storage, std::byte* data,
                 Dims strides);

}  // namespace gradweave
