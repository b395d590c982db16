#include <gradweave/graph/storage.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <new>
#include <utility>

#include <fmt/format.h>

#include <gradweave/graph/error.hpp>
#include <gradweave/graph/slabs.hpp>

namespace gradweave {
namespace {

constexpr std::size_t alignment = 64;
constexpr std::size_t class_count = 256;  // four for each power of two

// Size classes: multiples of 16 up to 128, above that four to a doubling, so that at most a quarter is
// wasted.
struct SizeClass {
  std::size_t index;
  std::size_t bytes;
  bool is_small() const { return bytes <= largest_small; }
};
constexpr std::size_t small_classes = largest_small / 16 + 1;

SizeClass size_class(std::size_t bytes) {
  if (bytes <= largest_small) {
    const std::size_t units = std::max<std::size_t>((bytes + 15) / 16, 1);
    return {units, units * 16};
  }
  const auto log2 = static_cast<std::size_t>(std::bit_width(bytes - 1)) - 1;  // 2^log2 < bytes <= 2^(log2+1)
  const std::size_t quarter = (std::size_t{1} << log2) / 4;
  const std::size_t steps = (bytes - 1 - 4 * quarter) / quarter;
  return {4 * log2 + steps, (5 + steps) * quarter};
}

// The system gives out small blocks faster, and less memory with them, where it need not align them much.
std::size_t align_of(std::size_t rounded) { return rounded <= 256 ? 16 : alignment; }

// The unused blocks of a thread. Plain data, so that reaching it costs no check for initialisation.
struct Pool {
  std::array<FreeBlock*, class_count> free;
  std::size_t used;
  std::size_t peak;
  std::size_t cached;   // but for small blocks: what becomes of those, slabs decide
  std::size_t largest;  // no larger class has unused blocks
  bool closed;          // the thread is ending: handles in static objects are released after its pool is gone

  void count(SizeClass size) {
    used += size.bytes;
    if (used > peak) peak = used;
  }
  void* take(SizeClass size) {
    FreeBlock*& head = free[size.index];
    if (head == nullptr) return nullptr;
    count(size);
    if (!size.is_small()) cached -= size.bytes;
    return std::exchange(head, head->next);
  }
  bool keep(void* block, SizeClass size) {
    if (closed) return false;
    if (!size.is_small()) {
      if (cached + size.bytes > peak) return false;
      cached += size.bytes;
      largest = std::max(largest, size.index);
    }
    free[size.index] = new (block) FreeBlock{free[size.index], size.bytes};
    return true;
  }
  // Gives back larger blocks, of which there are fewer: such as those of an earlier part of the program.
  bool make_room(SizeClass size) {
    for (; largest > size.index; --largest) {
      while (free[largest] != nullptr) {
        give_back(free[largest]);
        if (cached + size.bytes <= peak) return true;
      }
    }
    return false;
  }
  void give_back(FreeBlock*& head) {
    FreeBlock* block = std::exchange(head, head->next);
    cached -= block->bytes;
    ::operator delete(block, std::align_val_t{align_of(block->bytes)});
  }
  void trim() {
    give_back_slabs(std::span(free).first(small_classes));
    for (FreeBlock*& head : std::span(free).subspan(small_classes)) {
      while (head != nullptr) give_back(head);
    }
  }
  void close() {
    trim();
    for (FreeBlock*& head : std::span(free).first(small_classes)) leave_behind(std::exchange(head, nullptr));
    closed = true;
  }
};
constinit thread_local Pool pool{};

// The scratch memory of a thread: one block for each depth of nesting.
struct ScratchBlocks {
  struct Block {
    std::byte* data;
    std::size_t bytes;
  };
  static constexpr std::size_t most = 8;
  std::array<Block, most> blocks;
  std::size_t depth;

  void trim() {
    for (std::size_t i = depth; i < most; ++i) {
      if (blocks[i].data != nullptr)
        free_block(std::exchange(blocks[i].data, nullptr), std::exchange(blocks[i].bytes, 0));
    }
  }
};
constinit thread_local ScratchBlocks scratch_blocks{};

struct TrimAtThreadEnd {
  ~TrimAtThreadEnd() {
    scratch_blocks.trim();
    pool.close();
  }
};

// What comes seldom stands apart, so that the rest needs no stack.
[[gnu::noinline]] void* new_block(SizeClass size, std::size_t bytes) {
  thread_local TrimAtThreadEnd trim;
  static_cast<void>(trim);
  void* block = nullptr;
  if (!size.is_small()) {
    block = ::operator new(size.bytes, std::align_val_t{align_of(size.bytes)}, std::nothrow);
  } else if (FreeBlock* list = small_blocks(size.bytes); list != nullptr) {
    pool.free[size.index] = list->next;
    block = list;
  }
  if (block == nullptr) throw Error(fmt::format("out of memory: {} bytes asked for", bytes));
  pool.count(size);
  return block;
}

[[gnu::noinline]] void make_room_or_give_back(void* block, SizeClass size) {
  if (size.is_small()) return leave_behind(new (block) FreeBlock{nullptr, size.bytes});
  if (!pool.make_room(size) || !pool.keep(block, size))
    ::operator delete(block, std::align_val_t{align_of(size.bytes)});
}

}  // namespace

void* allocate_block(std::size_t bytes) {
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max() / 4;
  const SizeClass size = size_class(std::min(bytes, most));
  void* block = pool.take(size);
  return block != nullptr ? block : new_block(size, bytes);
}

void free_block(void* block, std::size_t bytes) noexcept {
  const SizeClass size = size_class(bytes);
  pool.used -= std::min(pool.used, size.bytes);
  if (!pool.keep(block, size)) make_room_or_give_back(block, size);
}

void release_cached_memory() noexcept {
  scratch_blocks.trim();
  pool.trim();
  pool.peak = pool.used;
}

MemoryUse memory_use() noexcept { return {pool.used, pool.peak}; }

Scratch::Scratch(std::size_t bytes) {
  if (scratch_blocks.depth == ScratchBlocks::most) throw Error("evaluation is nested too deeply");
  auto& block = scratch_blocks.blocks[scratch_blocks.depth];
  if (block.bytes < bytes) {
    if (block.data != nullptr) free_block(block.data, block.bytes);
    block = {};
    constexpr std::size_t least = 4096;
    const std::size_t rounded = std::max(bytes, least);
    block = {static_cast<std::byte*>(allocate_block(rounded)), rounded};
  }
  ++scratch_blocks.depth;
  data_ = block.data;
}
Scratch::~Scratch() { --scratch_blocks.depth; }

Ref<Storage> allocate_storage(std::size_t bytes) {
  // Scalars sit right behind their header, larger data on its own cache line.
  constexpr std::size_t header = sizeof(Storage);
  const std::size_t offset = header + bytes <= 64 ? header : alignment;
  if (bytes > std::numeric_limits<std::size_t>::max() - offset)
    throw Error("out of memory: the size overflows");
  void* block = allocate_block(offset + bytes);
  auto* storage = new (block) Storage;
  storage->data = static_cast<std::byte*>(block) + offset;
  storage->bytes = bytes;
  storage->release = [](Storage* s) noexcept {
    const std::size_t total = static_cast<std::size_t>(s->data - reinterpret_cast<std::byte*>(s)) + s->bytes;
    free_block(s, total);
  };
  return Ref<Storage>(storage);
}

void destroy(Storage* storage) noexcept { storage->release(storage); }

}  // namespace gradweave
