// Memory of tensors and nodes: blocks that are recycled by size, never returned to the system between steps.
#pragma once
#include <cstddef>
#include <vector>

#include <gradweave/graph/memory/ref.hpp>

namespace gradweave {

/// A block of at least `bytes`, aligned to 64 when larger than 256 bytes, else to 16. Each thread keeps the
/// blocks it frees for its next use, at most about as many bytes as the thread ever had in use at once; small
/// blocks beyond that (slabs.hpp) go to other threads. Throws Error when memory runs out.
void* allocate_block(std::size_t bytes);
/// Takes back a block that was allocated with the same `bytes`. May be called from any thread.
void free_block(void* block, std::size_t bytes) noexcept;
/// Returns the calling thread's unused blocks to the system, and small blocks that other threads left if
/// their slab has no block in use; lets the peak of `memory_use` start anew. Plans keep their memory
/// (`clear_plan_cache` of evaluate.hpp).
void release_cached_memory() noexcept;

/// Bytes that the calling thread took for nodes, tensors and scratch memory and has not given back, and the
/// highest that number was since the last `release_cached_memory`. A block that thread A takes and thread B
/// gives back lowers B's number or, once that is 0, the number of the next thread to ask, so that the sum
/// over all threads is right; bytes that an ended thread left in use are counted by the next thread to ask.
/// The plans' own memory is not counted.
struct MemoryUse {
  std::size_t now;
  std::size_t peak;
};
MemoryUse memory_use() noexcept;

/// For containers that come and go with every step: memory from `allocate_block`.
template <class T>
struct Recycled {
  using value_type = T;
  Recycled() = default;
  template <class U>
  Recycled(const Recycled<U>&) {}
  static constexpr std::size_t size = sizeof(T);  // NOLINT(bugprone-sizeof-expression): of pointers too
  T* allocate(std::size_t count) { return static_cast<T*>(allocate_block(count * size)); }
  void deallocate(T* memory, std::size_t count) noexcept { free_block(memory, count * size); }
  friend bool operator==(const Recycled&, const Recycled&) { return true; }
};
template <class T>
using RecycledVector = std::vector<T, Recycled<T>>;

/// Scratch memory for as long as this object lives, aligned to 64 bytes. Each thread keeps, for each depth of
/// nesting, the largest block it ever needed there, so that taking scratch memory costs nothing.
class Scratch {
 public:
  explicit Scratch(std::size_t bytes);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::byte* data() const { return data_; }

 private:
  std::byte* data_;
};

/// The memory of the elements of one or more tensors (a tensor and its views share one storage).
struct Storage {
  RefCount refs;
  std::byte* data = nullptr;
  std::size_t bytes = 0;
  void (*release)(Storage*) noexcept = nullptr;
};

Ref<Storage> allocate_storage(std::size_t bytes);
void destroy(Storage* storage) noexcept;

/// Storage that keeps `owner` (a container, moved in) alive and points into it: no element is copied.
template <class Owner>
Ref<Storage> adopt_storage(Owner owner, auto (*data)(Owner&)->std::byte*, std::size_t bytes) {
  struct Adopted : Storage {
    explicit Adopted(Owner&& o) : owner(std::move(o)) {}
    Owner owner;
  };
  auto* adopted = new Adopted(std::move(owner));
  adopted->data = data(adopted->owner);
  // An empty container has no address, but without one a tensor has no values.
  if (adopted->data == nullptr) adopted->data = reinterpret_cast<std::byte*>(adopted);
  adopted->bytes = bytes;
  adopted->release = [](Storage* s) noexcept { delete static_cast<Adopted*>(s); };
  return Ref<Storage>(adopted);
}

}  // namespace gradweave
