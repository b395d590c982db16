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
  std::size_t cached;   // of large blocks
  std::size_t small;    // and of small ones
  std::size_t largest;  // no larger class has unused blocks
  bool registered;      // for the end of the thread
  bool closed;          // the thread is ending: handles in static objects are released after its pool is gone

  void count(SizeClass size) {
    used += size.bytes;
    if (used > peak) peak = used;
  }
  void* take(SizeClass size) {
    FreeBlock*& head = free[size.index];
    if (head == nullptr) return nullptr;
    count(size);
    (size.is_small() ? small : cached) -= size.bytes;
    return std::exchange(head, head->next);
  }
  bool keep(void* block, SizeClass size) {
    constexpr std::size_t some_slabs = std::size_t{256} * 1024;
    if (closed || !registered) return false;
    if (size.is_small()) {
      if (small + size.bytes > peak + some_slabs) return false;
      small += size.bytes;
    } else {
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
  void give_back_large() {
    for (FreeBlock*& head : std::span(free).subspan(small_classes)) {
      while (head != nullptr) give_back(head);
    }
  }
  void trim() {
    give_back_large();
    const auto lists = std::span(free).first(small_classes);
    take_what_was_left(lists);
    give_back_slabs(lists);
    small = 0;
    for (const FreeBlock* head : lists) {
      for (; head != nullptr; head = head->next) small += head->bytes;
    }
  }
  void close() {
    constexpr std::size_t much = std::size_t{1} << 20U;
    give_back_large();
    const auto lists = std::span(free).first(small_classes);
    if (small > much) give_back_slabs(lists);
    for (FreeBlock*& head : lists) leave_to_others(std::exchange(head, nullptr));
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

void register_for_thread_end() {
  thread_local TrimAtThreadEnd trim;
  static_cast<void>(trim);
  pool.registered = true;
}

// What comes seldom stands apart, so that the rest needs no stack.
[[gnu::noinline]] void* new_block(SizeClass size, std::size_t bytes) {
  register_for_thread_end();
  void* block = nullptr;
  if (!size.is_small()) {
    block = ::operator new(size.bytes, std::align_val_t{align_of(size.bytes)}, std::nothrow);
  } else if (FreeBlock* list = small_blocks(size.bytes); list != nullptr) {
    FreeBlock* rest = std::exchange(list->next, nullptr);
    if (pool.closed) {
      leave_to_others(rest);
    } else {
      pool.free[size.index] = rest;
      for (; rest != nullptr; rest = rest->next) pool.small += size.bytes;
    }
    block = list;
  }
  if (block == nullptr) throw Error(fmt::format("out of memory: {} bytes asked for", bytes));
  pool.count(size);
  return block;
}

[[gnu::noinline]] void make_room_or_give_back(void* block, SizeClass size) {
  if (!pool.registered && !pool.closed) {
    register_for_thread_end();
    if (pool.keep(block, size)) return;
  }
  if (size.is_small()) return leave_to_others(new (block) FreeBlock{nullptr, size.bytes});
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
