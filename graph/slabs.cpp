#include <gradweave/graph/slabs.hpp>

#include <pthread.h>

#include <algorithm>
#include <array>
#include <functional>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace gradweave {
namespace {

// The head of a slab; its blocks follow.
struct alignas(16) Slab {
  static constexpr std::size_t bytes = 16320;  // 16 KiB with what the system keeps beside it
  Slab* next;
  std::size_t blocks;
  std::size_t idle = 0;  // that `give_back_slabs` found unused

  bool holds(const FreeBlock* block) const {
    const auto *begin = reinterpret_cast<const std::byte*>(this),
               *at = reinterpret_cast<const std::byte*>(block);
    return !std::less()(at, begin) && std::less()(at, begin + bytes);
  }
};

// A resource of the process, like its cores: no result depends on it.
struct Shared {
  std::mutex mutex;
  Slab* slabs = nullptr;
  std::array<FreeBlock*, largest_small / 16 + 1> left{};  // by threads to others
};
constinit Shared shared;

void append(FreeBlock*& list, FreeBlock* more) {
  while (more != nullptr) {
    FreeBlock* block = more;
    more = more->next;
    block->next = list;
    list = block;
  }
}

// All slabs, by their addresses: no block needs to know its own.
class Slabs {
 public:
  Slabs() {
    for (Slab* slab = shared.slabs; slab != nullptr; slab = slab->next) all_.push_back(slab);
    std::ranges::sort(all_, std::less());
  }
  Slab& of(const FreeBlock* block) {
    if (latest_ == nullptr || !latest_->holds(block)) {  // blocks in a row mostly are of one slab
      const auto behind = [](const FreeBlock* at, const Slab* slab) {
        return std::less()(static_cast<const void*>(at), static_cast<const void*>(slab));
      };
      latest_ = *(std::upper_bound(all_.begin(), all_.end(), block, behind) - 1);
    }
    return *latest_;
  }
  void give_back_idle() {
    shared.slabs = nullptr;
    for (Slab* slab : all_) {
      if (slab->idle == slab->blocks) {
        ::operator delete(slab);
      } else {
        slab->idle = 0;
        slab->next = std::exchange(shared.slabs, slab);
      }
    }
  }

 private:
  std::vector<Slab*> all_;
  Slab* latest_ = nullptr;
};

}  // namespace

FreeBlock* small_blocks(std::size_t bytes) noexcept {
  // A fork must not leave the mutex locked by a thread that the child does not have.
  static const int registered = pthread_atfork([] { shared.mutex.lock(); }, [] { shared.mutex.unlock(); },
                                               [] { shared.mutex.unlock(); });
  static_cast<void>(registered);
  const std::size_t count = (Slab::bytes - sizeof(Slab)) / bytes;
  const std::lock_guard lock(shared.mutex);
  if (FreeBlock*& left = shared.left[bytes / 16]; left != nullptr) {
    FreeBlock* last = left;
    for (std::size_t k = 1; k < count && last->next != nullptr; ++k) last = last->next;
    return std::exchange(left, std::exchange(last->next, nullptr));
  }

  void* memory = ::operator new(Slab::bytes, std::nothrow);
  if (memory == nullptr) return nullptr;
  shared.slabs = new (memory) Slab{shared.slabs, count};
  std::byte* first = static_cast<std::byte*>(memory) + sizeof(Slab);
  FreeBlock* list = nullptr;
  for (std::size_t k = count; k-- > 0;) list = new (first + k * bytes) FreeBlock{list, bytes};
  return list;
}

void leave_to_others(FreeBlock* list) noexcept {
  if (list == nullptr) return;
  const std::lock_guard lock(shared.mutex);
  append(shared.left[list->bytes / 16], list);
}

void take_what_was_left(std::span<FreeBlock*> lists) noexcept {
  const std::lock_guard lock(shared.mutex);
  for (std::size_t i = 0; i < lists.size(); ++i) append(lists[i], std::exchange(shared.left[i], nullptr));
}

void give_back_slabs(std::span<FreeBlock*> lists) noexcept try {
  const std::lock_guard lock(shared.mutex);
  Slabs slabs;
  for (const FreeBlock* list : lists) {
    for (const FreeBlock* block = list; block != nullptr; block = block->next) ++slabs.of(block).idle;
  }
  for (FreeBlock*& list : lists) {
    FreeBlock** end = &list;
    for (FreeBlock* block = list; block != nullptr; block = block->next) {
      const Slab& slab = slabs.of(block);
      if (slab.idle == slab.blocks) continue;
      *end = block;
      end = &block->next;
    }
    *end = nullptr;
  }
  slabs.give_back_idle();
} catch (const std::bad_alloc&) {  // for the list of slabs: they stay
}

}  // namespace gradweave
