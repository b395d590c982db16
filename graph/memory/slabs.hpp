// Small blocks of memory, cut side by side from slabs: what a program makes one after the other, such as the
// nodes of a graph, then lies together, however scattered the system's free memory is.
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

/// An unused block, in a list of such of one size. AddressSanitizer reports who still uses what is behind
/// this.
struct FreeBlock {
  FreeBlock* next;
  std::size_t bytes;

  static FreeBlock* make(void* block, std::size_t bytes, FreeBlock* next) {
    auto* made = new (block) FreeBlock{next, bytes};
    ASAN_POISON_MEMORY_REGION(made + 1, bytes - sizeof(FreeBlock));
    return made;
  }
  /// Takes the first one of a list.
  static void* take(FreeBlock*& list) {
    FreeBlock* block = std::exchange(list, list->next);
    ASAN_UNPOISON_MEMORY_REGION(block, block->bytes);
    return block;
  }
};

/// The small blocks that one thread does not use. Zero-initialised it has none; it needs no destructor, but
/// `leave_all` at the thread's end, lest no other thread find them.
class SmallBlocks {
 public:
  static constexpr std::size_t largest = 128;  ///< bytes of a block
  /// What a block of `bytes` takes: a multiple of 16. All below want such.
  static constexpr std::size_t rounded(std::size_t bytes) { return bytes == 0 ? 16 : (bytes + 15) / 16 * 16; }

  using Lists = std::array<FreeBlock*, largest / 16 + 1>;  ///< number i: blocks of 16 i bytes

  /// Null when there is none.
  void* take(std::size_t bytes) {
    FreeBlock*& head = unused_[bytes / 16];
    if (head == nullptr) return nullptr;
    bytes_ -= bytes;
    return FreeBlock::take(head);
  }
  /// Gets unused ones: such as other threads left, else a new slab's, in order. False when memory runs out.
  bool fetch(std::size_t bytes) noexcept;
  /// Takes a block back, unless more than `most` bytes would be unused.
  bool keep(void* block, std::size_t bytes, std::size_t most) {
    if (bytes_ + bytes > most) return false;
    bytes_ += bytes;
    FreeBlock*& head = unused_[bytes / 16];
    head = FreeBlock::make(block, bytes, head);
    return true;
  }
  /// Leaves a block to all threads.
  static void leave(void* block, std::size_t bytes) noexcept;
  /// Leaves all to other threads; of more than `most` bytes, slabs of which nothing is in use go to the
  /// system.
  void leave_all(std::size_t most) noexcept;
  /// Takes all that threads left, and returns the slabs of which nothing is in use to the system.
  void give_back() noexcept;

 private:
  void give_back_slabs() noexcept;
  Lists unused_;
  std::size_t bytes_;
};

}  // namespace gradweave
