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

/// A list of unused blocks of `bytes`: those that an ended thread left behind, else a new slab of them, in
/// order. Null when memory runs out.
FreeBlock* small_blocks(std::size_t bytes) noexcept;
/// Returns the slabs of which all blocks are in these lists to the system; the lists keep the rest.
/// `lists[i]` is that of blocks of 16 i bytes. What ended threads left behind comes into them first.
void give_back_slabs(std::span<FreeBlock*> lists) noexcept;
/// Leaves unused blocks to other threads.
void leave_behind(FreeBlock* list) noexcept;

}  // namespace gradweave
