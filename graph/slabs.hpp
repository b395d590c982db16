// Small blocks of memory, cut side by side from slabs: what a program makes one after the other, such as the
// nodes of a graph, then lies together, however scattered the system's free memory is.
#pragma once
#include <cstddef>
#include <span>

namespace gradweave {

/// An unused block, in a list of such of one size.
struct FreeBlock {
  FreeBlock* next;
  std::size_t bytes;
};

/// The sizes of small blocks: multiples of 16 bytes up to this.
inline constexpr std::size_t largest_small = 128;

/// Unused blocks of `bytes`, at most as many as a slab has: such as threads left to others, else a new slab,
/// in order. Null when memory runs out.
FreeBlock* small_blocks(std::size_t bytes) noexcept;
/// Leaves unused blocks of one size to all threads.
void leave_to_others(FreeBlock* list) noexcept;
/// Takes all that was left into lists, of which number i is that of blocks of 16 i bytes.
void take_what_was_left(std::span<FreeBlock*> lists) noexcept;
/// Returns the slabs of which all blocks are in these lists to the system; the lists keep the rest.
void give_back_slabs(std::span<FreeBlock*> lists) noexcept;

}  // namespace gradweave
