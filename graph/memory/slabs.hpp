// Small blocks of memory, cut side by side from slabs: objects that a program makes one after the other, such
// as the nodes of a graph, then lie together, however scattered the system's free memory is.
#pragma once
#include <array>
#include <cstddef>
#include <new>
#include <utility>

#if __has_include(<sanitizer/asan_interface.h>)
#include <sanitizer/asan_interface.h>  // nothing but for AddressSanitizer
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes)
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes)
#endif

namespace gradweave {

/// An unused block, in a list of unused blocks of one size. AddressSanitizer reports accesses to the bytes
/// behind this header.
struct FreeBlock {
  FreeBlock* next;
  std::size_t bytes;

  static FreeBlock* make(void* block, std::size_t bytes, FreeBlock* next) {
    auto* made = new (block) FreeBlock{next, bytes};
    ASAN_POISON_MEMORY_REGION(made + 1, bytes - sizeof(FreeBlock));
    return made;
  }
  /// Takes the first block of a list.
  static void* take(FreeBlock*& list) {
    FreeBlock* block = std::exchange(list, list->next);
    ASAN_UNPOISON_MEMORY_REGION(block, block->bytes);
    return block;
  }
};

/// The unused small blocks of one thread; none after zero-initialisation. Trivially destructible: call
/// `leave_all` before the thread ends, or its unused blocks are lost to the other threads.
class SmallBlocks {
 public:
  static constexpr std::size_t largest = 128;  ///< bytes of a block
  /// The size of a block for `bytes`: a multiple of 16. All functions below take such sizes.
  static constexpr std::size_t rounded(std::size_t bytes) { return bytes == 0 ? 16 : (bytes + 15) / 16 * 16; }

  using Lists = std::array<FreeBlock*, largest / 16 + 1>;  ///< number i: blocks of 16 i bytes

  /// Null when the thread has no unused block of this size.
  void* take(std::size_t bytes) {
    FreeBlock*& head = unused_[bytes / 16];
    if (head == nullptr) return nullptr;
    bytes_ -= bytes;
    return FreeBlock::take(head);
  }
  /// Gets unused blocks: blocks that other threads left, else those of a new slab, in order. False when
  /// memory runs out.
  bool fetch(std::size_t bytes) noexcept;
  /// Takes a block back, unless the thread would then have more than `most` unused bytes.
  bool keep(void* block, std::size_t bytes, std::size_t most) {
    if (bytes_ + bytes > most) return false;
    bytes_ += bytes;
    FreeBlock*& head = unused_[bytes / 16];
    head = FreeBlock::make(block, bytes, head);
    return true;
  }
  /// Leaves a block to all threads.
  static void leave(void* block, std::size_t bytes) noexcept;
  /// Leaves all unused blocks to other threads; if these are more than `most` bytes, slabs without a block in
  /// use are returned to the system.
  void leave_all(std::size_t most) noexcept;
  /// Takes all blocks that threads left, and returns the slabs without a block in use to the system.
  void give_back() noexcept;

 private:
  void give_back_slabs() noexcept;
  Lists unused_;
  std::size_t bytes_;
};

}  // namespace gradweave
