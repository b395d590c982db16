#include <gradweave/graph/storage.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <new>
#include <vector>

#include <fmt/format.h>

#include <gradweave/graph/error.hpp>

namespace gradweave {
namespace {

constexpr std::size_t alignment = 64;
constexpr std::size_t class_count = 4 * 64;

// Size classes: multiples of 16 up to 128, above that four to a doubling, so that at most a quarter is wasted.
struct SizeClass {
  std::size_t index;
  std::size_t bytes;
};

SizeClass size_class(std::size_t bytes) {
  if (bytes <= 128) {
    const std::size_t units = std::max<std::size_t>((bytes + 15) / 16, 1);
    return {units, units * 16};
  }
  const auto log2 = static_cast<std::size_t>(std::bit_width(bytes - 1)) - 1;  // 2^log2 < bytes <= 2^(log2+1)
  const std::size_t quarter = (std::size_t{1} << log2) / 4;
  const std::size_t steps = (bytes - 1 - 4 * quarter) / quarter;
  return {4 * log2 + steps, (5 + steps) * quarter};
}

std::size_t align_of(std::size_t rounded) { return rounded <= 64 ? 16 : alignment; }

class Pool {
 public:
  Pool() { alive = true; }
  ~Pool() {
    trim();
    alive = false;
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  void* take(SizeClass size) {
    used_ += size.bytes;
    peak_ = std::max(peak_, used_);
    Link*& head = free_[size.index];
    if (head == nullptr) return nullptr;
    cached_ -= size.bytes;
    Link* block = head;
    head = block->next;
    return block;
  }
  bool put(void* block, SizeClass size) {
    used_ -= std::min(used_, size.bytes);
    if (cached_ + size.bytes > peak_) return false;
    cached_ += size.bytes;
    free_[size.index] = new (block) Link{free_[size.index], size.bytes};
    return true;
  }
  void trim() {
    for (Link*& head : free_) {
      while (head != nullptr) {
        Link* block = head;
        head = block->next;
        ::operator delete(block, std::align_val_t{align_of(block->bytes)});
      }
    }
    cached_ = 0;
  }

  // Handles in static objects are released after the pool of their thread is gone.
  static thread_local bool alive;

 private:
  struct Link {
    Link* next;
    std::size_t bytes;
  };
  std::array<Link*, class_count> free_{};
  std::size_t used_ = 0;
  std::size_t peak_ = 0;
  std::size_t cached_ = 0;
};
thread_local bool Pool::alive = false;

Pool* pool() {
  thread_local Pool instance;
  return Pool::alive ? &instance : nullptr;
}

}  // namespace

void* allocate_block(std::size_t bytes) {
  if (bytes <= std::numeric_limits<std::size_t>::max() / 4) {
    const SizeClass size = size_class(bytes);
    if (Pool* p = pool()) {
      if (void* block = p->take(size)) return block;
    }
    if (void* block = ::operator new(size.bytes, std::align_val_t{align_of(size.bytes)}, std::nothrow)) return block;
  }
  throw Error(fmt::format("out of memory: {} bytes asked for", bytes));
}

void free_block(void* block, std::size_t bytes) noexcept {
  const SizeClass size = size_class(bytes);
  Pool* p = pool();
  if (p == nullptr || !p->put(block, size)) ::operator delete(block, std::align_val_t{align_of(size.bytes)});
}

void release_cached_memory() noexcept {
  if (Pool* p = pool()) p->trim();
}

Ref<Storage> allocate_storage(std::size_t bytes) {
  // Scalars sit right behind their header, larger data on its own cache line.
  constexpr std::size_t header = sizeof(Storage);
  const std::size_t offset = header + bytes <= 64 ? header : alignment;
  if (bytes > std::numeric_limits<std::size_t>::max() - offset) throw Error("out of memory: the size overflows");
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
