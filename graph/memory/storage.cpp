#include <gradweave/graph/memory/storage.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <functional>
#include <limits>
#include <new>
#include <utility>

#include <fmt/format.h>

#include <gradweave/graph/memory/reserve.hpp>
#include <gradweave/graph/memory/slabs.hpp>
#include <gradweave/graph/types/error.hpp>

namespace gradweave {
namespace {

constexpr std::size_t alignment = 64;

// Classes of size: four to a doubling, so that at most a fifth is wasted.
struct SizeClass {
  static constexpr std::size_t count = 256;
  std::size_t index;
  std::size_t bytes;

  explicit SizeClass(std::size_t least) {
    const auto shift = static_cast<std::size_t>(std::bit_width(least - 1)) - 3;
    const std::size_t steps = (least - 1) >> shift;  // 4 to 7
    index = 4 * shift + steps;
    bytes = (steps + 1) << shift;
  }
};

// The unused larger blocks of one thread. Plain data, as `SmallBlocks`.
class LargeBlocks {
 public:
  // The lists are not a thread's own memory, of which a program that loads a plugin has little left for it.
  void open() {
    if (unused_ == nullptr) unused_ = static_cast<Lists*>(std::calloc(1, sizeof(Lists)));
  }
  void close() {
    give_back();
    std::free(std::exchange(unused_, nullptr));
  }
  void* take(SizeClass size) {
    if (unused_ == nullptr) return nullptr;
    FreeBlock*& head = (*unused_)[size.index];
    if (head == nullptr) return nullptr;
    bytes_ -= size.bytes;
    return FreeBlock::take(head);
  }
  bool keep(void* block, SizeClass size, std::size_t most) {
    if (unused_ == nullptr || bytes_ + size.bytes > most) return false;
    bytes_ += size.bytes;
    largest_ = std::max(largest_, size.index);
    FreeBlock*& head = (*unused_)[size.index];
    head = FreeBlock::make(block, size.bytes, head);
    return true;
  }
  // Returns unused blocks of larger classes to the system, such as those of an earlier part of the program.
  bool make_room(SizeClass size, std::size_t most) {
    if (unused_ == nullptr) return false;
    for (; largest_ > size.index; --largest_) {
      while ((*unused_)[largest_] != nullptr) {
        give_back_first((*unused_)[largest_]);
        if (bytes_ + size.bytes <= most) return true;
      }
    }
    return false;
  }
  void give_back() {
    if (unused_ == nullptr) return;
    for (FreeBlock*& head : *unused_) {
      while (head != nullptr) give_back_first(head);
    }
  }

  // The system gives out small blocks faster, and less memory with them, where it need not align them much.
  static std::align_val_t align_of(std::size_t bytes) {
    return std::align_val_t{bytes <= 256 ? 16 : alignment};
  }
  static void* from_system(SizeClass size) {
    return ::operator new(size.bytes, align_of(size.bytes), std::nothrow);
  }
  static void to_system(void* block, std::size_t bytes) { ::operator delete(block, align_of(bytes)); }

 private:
  void give_back_first(FreeBlock*& head) {
    FreeBlock* block = std::exchange(head, head->next);
    bytes_ -= block->bytes;
    to_system(block, block->bytes);
  }
  using Lists = std::array<FreeBlock*, SizeClass::count>;
  Lists* unused_;
  std::size_t bytes_;
  std::size_t largest_;  // no larger class has unused blocks
};

// Bytes in use that no thread counts: those that ended threads left, less those that threads gave back beyond
// what they had taken, which other threads still count.
constinit std::atomic<std::ptrdiff_t> counted_by_nobody = 0;

// The memory of a thread. Plain data, so that reaching it costs no check for initialisation.
struct Pool {
  SmallBlocks small;
  LargeBlocks large;
  std::size_t used;
  std::size_t peak;
  bool open;   // to keep blocks: until then nobody would give them back at the end of the thread
  bool ended;  // handles in static objects are released after the pool of their thread is gone

  // Gives the block itself: the usual path ends here, and the seldom-taken one with a jump.
  void* count(void* block, std::size_t bytes) {
    used += bytes;
    return used > peak ? raise_peak(block) : block;
  }
  void count_back(std::size_t bytes) {
    if (bytes > used) counted_by_nobody -= static_cast<std::ptrdiff_t>(bytes - std::exchange(used, bytes));
    used -= bytes;
  }
  // Takes over the bytes that no thread counts, as far as the thread's own number stays at least zero.
  void settle() {
    if (counted_by_nobody == 0) return;
    const std::ptrdiff_t sum = static_cast<std::ptrdiff_t>(used) + counted_by_nobody.exchange(0);
    used = static_cast<std::size_t>(std::max<std::ptrdiff_t>(sum, 0));
    counted_by_nobody += std::min<std::ptrdiff_t>(sum, 0);
  }
  [[gnu::noinline]] void* raise_peak(void* block = nullptr) {
    settle();
    peak = std::max(peak, used);
    return block;
  }
  std::size_t most_large() const { return open ? peak : 0; }
  std::size_t most_small() const {
    constexpr std::size_t some_slabs = std::size_t{256} * 1024;
    return open ? peak + some_slabs : 0;
  }
  void end() {
    constexpr std::size_t much = std::size_t{1} << 20U;
    large.close();
    small.leave_all(much);
    counted_by_nobody += static_cast<std::ptrdiff_t>(std::exchange(used, 0));
    open = false;
    ended = true;
  }
};
constinit thread_local Pool pool{};

// The memory that a thread has set aside: blocks lie one behind the other, for kernels free the latest block
// first. `memory_use` counts none of it.
struct Reserve {
  std::byte* data;
  std::size_t bytes;
  std::size_t used;
  std::size_t blocks;
  bool open;

  void* take(std::size_t wanted) {
    wanted = padded(wanted);
    if (!open || bytes - used < wanted) return nullptr;
    ++blocks;
    return data + std::exchange(used, used + wanted);
  }
  bool holds(const void* block) const {
    const auto* at = static_cast<const std::byte*>(block);
    return !std::less()(at, static_cast<const std::byte*>(data)) &&
           std::less()(at, static_cast<const std::byte*>(data) + bytes);
  }
  void give_back(void* block, std::size_t size) {
    const auto offset = static_cast<std::size_t>(static_cast<std::byte*>(block) - data);
    if (--blocks == 0) {
      used = 0;
    } else if (offset + padded(size) == used) {
      used = offset;
    }
  }
  void trim() {
    if (data == nullptr || blocks != 0) return;
    ::operator delete(std::exchange(data, nullptr), std::align_val_t{alignment});
    bytes = 0;
  }
  static std::size_t padded(std::size_t size) {
    return (std::max<std::size_t>(size, 1) + alignment - 1) / alignment * alignment;
  }
};
constinit thread_local Reserve reserve{};

// The scratch memory of a thread: one block for each depth of nesting, counted while it is in use.
struct ScratchBlocks {
  struct Block {
    std::byte* data;
    std::size_t bytes;
  };
  static constexpr std::size_t most = 8;  // depths that keep their block; a deeper one takes one each time
  static constexpr std::size_t deepest = 256;  // twice as many as bodies nest, and some
  std::array<Block, most> blocks;
  std::size_t depth;

  // Growing and trimming are functions of their own, so that the usual path needs no stack frame.
  [[gnu::noinline]] void grow(std::size_t bytes) {
    constexpr std::size_t least = 4096;
    const std::size_t rounded = std::max(bytes, least);
    give_back(blocks[depth]);
    blocks[depth] = {static_cast<std::byte*>(allocate_block(rounded)), rounded};
  }
  [[gnu::noinline]] void trim() {
    for (std::size_t i = depth; i < most; ++i) give_back(blocks[i]);
  }
  // The size of the block, which is large enough to be aligned, stands in front.
  [[gnu::noinline]] static std::byte* take_deep(std::size_t bytes) {
    constexpr std::size_t least = 512;
    const std::size_t all = std::max(alignment + bytes, least);
    auto* block = static_cast<std::byte*>(allocate_block(all));
    new (block) std::size_t(all);
    return block + alignment;
  }
  [[gnu::noinline]] static void give_back_deep(std::byte* data) {
    std::byte* block = data - alignment;
    free_block(block, *reinterpret_cast<const std::size_t*>(block));
  }
  static void give_back(Block& unused) {
    if (unused.data == nullptr) return;
    ASAN_UNPOISON_MEMORY_REGION(unused.data, unused.bytes);
    free_block(unused.data, unused.bytes);
    unused = {};
  }
};
constinit thread_local ScratchBlocks scratch_blocks{};

struct ThreadEnd {
  ~ThreadEnd() {
    scratch_blocks.trim();
    reserve.trim();
    pool.end();
  }
};

void register_for_thread_end() {
  thread_local ThreadEnd end;
  static_cast<void>(end);
  pool.open = !pool.ended;
  if (pool.open) pool.large.open();
}

// The seldom-taken paths are functions of their own, so that the usual path needs no stack frame.
[[noreturn, gnu::noinline]] void out_of_memory(std::size_t bytes) {
  throw Error(fmt::format("out of memory: {} bytes asked for", bytes));
}

[[noreturn, gnu::noinline]] void nested_too_deeply() { throw Error("evaluation is nested too deeply"); }

[[gnu::noinline]] void* new_small(std::size_t bytes) {  // rounded
  register_for_thread_end();
  if (!pool.small.fetch(bytes)) {
    pool.large.give_back();
    if (!pool.small.fetch(bytes)) {
      if (void* block = reserve.take(bytes)) return block;
      out_of_memory(bytes);
    }
  }
  void* block = pool.small.take(bytes);
  if (pool.ended) pool.end();
  return pool.count(block, bytes);
}

[[gnu::noinline]] void* new_large(SizeClass size, std::size_t bytes) {
  register_for_thread_end();
  void* block = LargeBlocks::from_system(size);
  if (block == nullptr) {  // perhaps there is, without what this thread keeps unused
    pool.large.give_back();
    block = LargeBlocks::from_system(size);
  }
  if (block == nullptr) {
    if (void* reserved = reserve.take(bytes)) return reserved;
    out_of_memory(bytes);
  }
  return pool.count(block, size.bytes);
}

[[gnu::noinline]] void keep_or_leave(void* block, std::size_t bytes) {
  if (!pool.open) register_for_thread_end();
  if (!pool.small.keep(block, bytes, pool.most_small())) SmallBlocks::leave(block, bytes);
}

[[gnu::noinline]] void make_room_or_give_back(void* block, SizeClass size) {
  if (!pool.open) register_for_thread_end();
  const std::size_t most = pool.most_large();
  if (!pool.large.keep(block, size, most) &&
      !(pool.large.make_room(size, most) && pool.large.keep(block, size, most)))
    LargeBlocks::to_system(block, size.bytes);
}

}  // namespace

void* allocate_block(std::size_t bytes) {
  if (bytes <= SmallBlocks::largest) {
    const std::size_t rounded = SmallBlocks::rounded(bytes);
    void* block = pool.small.take(rounded);
    return block != nullptr ? pool.count(block, rounded) : new_small(rounded);
  }
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max() / 4;
  const SizeClass size(std::min(bytes, most));
  void* block = pool.large.take(size);
  return block != nullptr ? pool.count(block, size.bytes) : new_large(size, bytes);
}

void free_block(void* block, std::size_t bytes) noexcept {
  if (reserve.blocks != 0 && reserve.holds(block)) return reserve.give_back(block, bytes);
  if (bytes <= SmallBlocks::largest) {
    const std::size_t rounded = SmallBlocks::rounded(bytes);
    pool.count_back(rounded);
    if (!pool.small.keep(block, rounded, pool.most_small())) keep_or_leave(block, rounded);
  } else {
    const SizeClass size(bytes);
    pool.count_back(size.bytes);
    if (!pool.large.keep(block, size, pool.most_large())) make_room_or_give_back(block, size);
  }
}

void release_cached_memory() noexcept {
  scratch_blocks.trim();
  reserve.trim();
  pool.large.give_back();
  pool.small.give_back();
  pool.settle();
  pool.peak = pool.used;
}

MemoryUse memory_use() noexcept {
  pool.raise_peak();
  return {pool.used, pool.peak};
}

Scratch::Scratch(std::size_t bytes) {
  if (scratch_blocks.depth >= ScratchBlocks::most) {
    if (scratch_blocks.depth == ScratchBlocks::deepest) nested_too_deeply();
    data_ = ScratchBlocks::take_deep(bytes);
    ++scratch_blocks.depth;
    return;
  }
  const auto& block = scratch_blocks.blocks[scratch_blocks.depth];
  if (block.bytes < bytes) scratch_blocks.grow(bytes);
  ASAN_UNPOISON_MEMORY_REGION(block.data, block.bytes);
  ++scratch_blocks.depth;
  data_ = block.data;
}
Scratch::~Scratch() {
  if (--scratch_blocks.depth >= ScratchBlocks::most) {
    ScratchBlocks::give_back_deep(data_);
    return;
  }
  const auto& block = scratch_blocks.blocks[scratch_blocks.depth];
  ASAN_POISON_MEMORY_REGION(block.data, block.bytes);
  if (pool.ended || (reserve.blocks != 0 && reserve.holds(block.data))) scratch_blocks.trim();
}

bool set_aside(std::size_t bytes) noexcept {
  if (reserve.bytes >= bytes) return true;
  if (reserve.blocks != 0) return false;
  register_for_thread_end();
  reserve.trim();
  const auto allocate = [&] { return ::operator new(bytes, std::align_val_t{alignment}, std::nothrow); };
  void* block = allocate();
  if (block == nullptr) {
    pool.large.give_back();
    block = allocate();
  }
  reserve.data = static_cast<std::byte*>(block);
  reserve.bytes = block != nullptr ? bytes : 0;
  return block != nullptr;
}
OpenReserve::OpenReserve() : outer_(std::exchange(reserve.open, true)) {}
OpenReserve::~OpenReserve() {
  reserve.open = outer_;
  if (pool.ended) reserve.trim();
}
std::size_t OpenReserve::bytes() { return reserve.open ? reserve.bytes : 0; }

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
