#include <gradweave/graph/slabs.hpp>

#include <array>
#include <cstdint>
#include <mutex>
#include <new>
#include <utility>

namespace gradweave {
namespace {

// Begins where its address is a multiple of `apart`, so that every block finds it. A little less than that
// long, for what the system keeps beside it: slabs then lie end to end.
struct Slab {
  static constexpr std::size_t apart = 16384, bytes = apart - 64, head = 64;
  std::uint32_t idle = 0;    // blocks that `give_back_slabs` found unused
  std::uint32_t passed = 0;  // and of how many it has been past
  static std::size_t capacity(std::size_t block) { return (bytes - head) / block; }
};

static_assert(sizeof(Slab) <= Slab::head && Slab::head % 16 == 0);

Slab& slab_of(FreeBlock* block) {
  const std::size_t inside = reinterpret_cast<std::uintptr_t>(block) % Slab::apart;
  return *reinterpret_cast<Slab*>(reinterpret_cast<std::byte*>(block) - inside);
}

// What ended threads left behind, which is a resource of the process: no result depends on it.
struct LeftBehind {
  std::mutex mutex;
  std::array<FreeBlock*, largest_small / 16 + 1> lists{};
};
constinit LeftBehind left_behind;

void append(FreeBlock*& list, FreeBlock* more) {
  while (more != nullptr) {
    FreeBlock* block = more;
    more = more->next;
    block->next = list;
    list = block;
  }
}

void give_back_slabs_of(FreeBlock*& list) {
  for (FreeBlock* block = list; block != nullptr; block = block->next) ++slab_of(block).idle;
  FreeBlock** end = &list;
  for (FreeBlock* block = list; block != nullptr;) {
    FreeBlock* next = block->next;
    Slab& slab = slab_of(block);
    const std::size_t capacity = Slab::capacity(block->bytes);
    if (slab.idle < capacity) {
      slab.idle = 0;  // for the next time; it stays below the capacity
      *end = block;
      end = &block->next;
    } else if (++slab.passed == capacity) {
      ::operator delete(&slab, std::align_val_t{Slab::apart});
    }
    block = next;
  }
  *end = nullptr;
}

}  // namespace

FreeBlock* small_blocks(std::size_t bytes) noexcept {
  {
    const std::lock_guard lock(left_behind.mutex);
    FreeBlock*& list = left_behind.lists[bytes / 16];
    if (list != nullptr) return std::exchange(list, nullptr);
  }
  void* memory = ::operator new(Slab::bytes, std::align_val_t{Slab::apart}, std::nothrow);
  if (memory == nullptr) return nullptr;
  new (memory) Slab;
  auto* at = static_cast<std::byte*>(memory) + Slab::head;
  FreeBlock* list = nullptr;
  for (std::size_t k = Slab::capacity(bytes); k-- > 0;) list = new (at + k * bytes) FreeBlock{list, bytes};
  return list;
}

void give_back_slabs(std::span<FreeBlock*> lists) noexcept {
  const std::lock_guard lock(left_behind.mutex);  // several threads may hold blocks of one slab
  for (std::size_t i = 0; i < lists.size(); ++i) {
    append(lists[i], std::exchange(left_behind.lists[i], nullptr));
    give_back_slabs_of(lists[i]);
  }
}

void leave_behind(FreeBlock* list) noexcept {
  if (list == nullptr) return;
  const std::lock_guard lock(left_behind.mutex);
  append(left_behind.lists[list->bytes / 16], list);
}

}  // namespace gradweave
