// The fused loop: elementwise ops that run together, block by block. A value that one op computes is still in
// the nearest cache when the next op reads the value, and most values never get memory of their own. Kernels
// only ever see plain arrays: inputs that broadcast or are strided are laid out in registers, a block at a
// time.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include <gradweave/graph/kernels/array.hpp>

namespace gradweave {

/// Elements `first` to `first + count` (in row-major order of its shape) of an array, copied to `to`.
void gather(const ArrayView& from, Index first, Index count, void* to);

/// Elementwise ops over the same number of elements, to be run one after the other over each block.
class FusedLoop {
 public:
  using Operand = std::uint32_t;

  /// An array of as many elements as the loop runs over, read or written in its own memory.
  Operand add_array(DType dtype);
  /// An input that has `shape` or broadcasts to this shape; laid out in a register unless `x` is row-major
  /// and of this shape.
  Operand add_input(const ArrayView& x, Dims shape);
  /// A scalar input, read in its own memory.
  Operand add_number(const ArrayView& x);
  /// A register: scratch memory for one block of a value that exists only within blocks. `fresh`: a register
  /// that no other value has used.
  Operand add_register(DType dtype, bool fresh = false);
  /// An outer product as two operands: in row i of `width` elements, `row` is the whole row vector and
  /// `factor` is element i of `column`. The op that reads the operands multiplies them. A loop has at most
  /// one.
  struct Outer {
    Operand row;
    Operand factor;
  };
  Outer add_outer(const ArrayView& column, const ArrayView& row, Index width);
  /// No instruction that is added later reads this register's value, so that the next value may use the
  /// register.
  void release(Operand reg);
  /// The panel: rows of the lead's output, which the lead writes to `panel()` before `run` is called for
  /// their elements.
  Operand add_panel(DType dtype, Index elements);

  /// `output` may be one of `inputs`.
  void add_instruction(const BlockKernel& kernel, const void* attributes, std::span<const Operand> inputs,
                       Operand output);
  /// Reduces the elements of `input` after the instructions, `width` neighbours to each result of `element`
  /// bytes. A loop has at most one reduction.
  void add_reduction(const ReductionKernel& joining, Operand input, Index width, std::size_t element);
  /// Lays out the scratch memory, once everything is added.
  void finish(Index count);

  bool empty() const { return instructions_.empty() && joining_ == nullptr; }
  /// The least number of elements worth handing to another thread, in whole blocks.
  Index grain() const;
  std::size_t scratch_bytes() const { return scratch_bytes_; }
  /// Where an array or input begins, before `finish`.
  void set_data(Operand operand, std::byte* data);
  /// After `finish`: calls f(operand, address) for every variable that holds the address of an array or an
  /// input, so that `f` can set the address.
  template <class F>
  void for_each_address(const F& f) {
    for (std::size_t i = 0; i < operands_.size(); ++i) {
      if (entries_[i].data_outside()) f(operands_[i], &addresses_[i]);
    }
    for (BroadcastInput& feed : feeds_) f(feed.operand, &feed.data);
  }
  /// The address of the results of a reduction with several results; the caller sets the address.
  void** results() { return &results_; }
  std::byte* panel(std::byte* scratch) const { return scratch + panel_offset_; }

  /// Computes elements [begin, end) in aligned scratch memory. Element `begin` is number `panel_first` of the
  /// panel. `state`: of a reduction with a single result, else unused. A reduction with several results wants
  /// whole rows of its input.
  void run(Index begin, Index end, std::byte* scratch, void* state = nullptr, Index panel_first = 0);

 private:
  enum class Kind : std::uint8_t { memory, row, factor, scratch, panel };
  struct Location {
    std::byte* data = nullptr;  // of memory
    std::size_t offset = 0;     // of a register or panel in the scratch memory
    std::uint32_t number = 0;   // of the register
    Kind kind = Kind::memory;
    std::uint8_t step = 0;  // bytes from one element to the next; 0 where each block begins at the same place
    bool data_outside() const { return kind != Kind::scratch && kind != Kind::panel; }
  };
  struct Position {  // of a block
    Index first;
    Index begin;  // of the panel
    Index row;    // if there are rows
    Index column;
  };
  struct Instruction {
    decltype(BlockKernel::run) run;
    const void* attributes;
    std::uint32_t first_operand;  // its inputs, then its output
    std::uint32_t input_count;
  };
  struct BroadcastInput {  // an input that is laid out in a register
    void* data = nullptr;
    DType dtype = DType::float32;
    Dims shape;  // of the output
    std::array<Index, max_rank> strides{};
    bool same_everywhere = false;
    Operand operand = 0;
    std::size_t offset = 0;  // of the register
  };

  struct Stream {  // an array that is read from memory, or written to it
    std::uint32_t operand;
    bool written;
    Index share = 0;  // of the lines of a block, for each instruction
  };

  void find_streams();
  void fetch_ahead(Index first, std::ptrdiff_t instruction) const;
  void lay_out_inputs(Index first, Index count, bool is_first, std::byte* scratch) const;
  void* address(std::size_t operand, const Position& at, std::byte* scratch) const;
  void run_block(const Position& position, Index count, std::byte* scratch, void* state) const;
  void run_at_once(std::byte* scratch, void* state);
  bool has_several_results() const { return joining_ != nullptr && join_width_ < count_; }
  void join(const void* x, const Position& position, Index count, std::byte* scratch, void* state) const;

  std::vector<Location> places_;
  std::vector<Operand> operands_;
  std::vector<Location> entries_;  // of the operands
  std::vector<void*> addresses_;   // of the operands: of the first element, in scratch memory if at `base_`
  std::byte* base_ = nullptr;
  std::vector<Instruction> instructions_;
  std::vector<Stream> streams_;  // if they are large
  std::vector<BroadcastInput> feeds_;
  const ReductionKernel* joining_ = nullptr;
  std::size_t joined_ = 0;  // which of the operands
  Index join_width_ = 0;
  std::size_t result_bytes_ = 0;
  void* results_ = nullptr;
  std::size_t state_offset_ = 0;  // of the results that come bit by bit
  std::uint32_t registers_ = 0;
  std::vector<std::uint32_t> free_;
  std::uint32_t most_inputs_ = 0;
  Index cost_ = 0;  // of the instructions, for an element
  std::size_t largest_element_ = 1;
  Index count_ = 0;
  Index block_ = 0;
  Index row_width_ = 0;  // if not 0, no block goes beyond a row of this width
  std::size_t register_bytes_ = 0;
  std::size_t panel_bytes_ = 0;
  std::size_t panel_offset_ = 0;
  std::size_t scratch_bytes_ = 0;
};

}  // namespace gradweave
