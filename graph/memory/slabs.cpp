#include <gradweave/graph/memory/slabs.hpp>

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
  std::size_t idle = 0;  // blocks that `give_back_slabs` found unused

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
  SmallBlocks::Lists left{};  // by threads to others
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

// All slabs, by their addresses: no block needs to know its slab.
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

bool SmallBlocks::fetch(std::size_t bytes) noexcept {
  // A fork must not leave the mutex locked by a thread that the child does not have.
  static const int registered = pthread_atfork([] { shared.mutex.lock(); }, [] { shared.mutex.unlock(); },
                                               [] { shared.mutex.unlock(); });
  static_cast<void>(registered);
  const std::size_t count = (Slab::bytes - sizeof(Slab)) / bytes;
  FreeBlock*& unused = unused_[bytes / 16];
  const std::lock_guard lock(shared.mutex);
  if (FreeBlock*& left = shared.left[bytes / 16]; left != nullptr) {
    FreeBlock* last = left;
    std::size_t taken = 1;  // at most as many as a slab has
    for (; taken < count && last->next != nullptr; ++taken) last = last->next;
    FreeBlock* rest = std::exchange(last->next, unused);
    unused = std::exchange(left, rest);
    bytes_ += taken * bytes;
    return true;
  }

  void* memory = ::operator new(Slab::bytes, std::nothrow);
  if (memory == nullptr) return false;
  shared.slabs = new (memory) Slab{shared.slabs, count};
  std::byte* first = static_cast<std::byte*>(memory) + sizeof(Slab);
  for (std::size_t k = count; k-- > 0;) unused = FreeBlock::make(first + k * bytes, bytes, unused);
  bytes_ += count * bytes;
  return true;
}

void SmallBlocks::leave(void* block, std::size_t bytes) noexcept {
  const std::lock_guard lock(shared.mutex);
  append(shared.left[bytes / 16], FreeBlock::make(block, bytes, nullptr));
}

void SmallBlocks::leave_all(std::size_t most) noexcept {
  const std::lock_guard lock(shared.mutex);
  if (bytes_ > most) give_back_slabs();
  for (std::size_t i = 0; i < unused_.size(); ++i) append(shared.left[i], std::exchange(unused_[i], nullptr));
  bytes_ = 0;
}

void SmallBlocks::give_back() noexcept {
  const std::lock_guard lock(shared.mutex);
  for (std::size_t i = 0; i < unused_.size(); ++i) append(unused_[i], std::exchange(shared.left[i], nullptr));
  give_back_slabs();
  bytes_ = 0;
  for (const FreeBlock* block : unused_) {
    for (; block != nullptr; block = block->next) bytes_ += block->bytes;
  }
}

void SmallBlocks::give_back_slabs() noexcept try {
  Slabs slabs;
  for (const FreeBlock* block : unused_) {
    for (; block != nullptr; block = block->next) ++slabs.of(block).idle;
  }
  for (FreeBlock*& list : unused_) {
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
