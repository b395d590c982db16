#include "allocations.hpp"

#include <cstdlib>
#include <new>

namespace {

constinit thread_local std::size_t count = 0;

void* allocate(std::size_t bytes, std::size_t alignment) noexcept {
  ++count;
  return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

}  // namespace

std::size_t allocations() { return count; }

void* operator new(std::size_t bytes) {
  if (void* block = allocate(bytes, alignof(std::max_align_t))) return block;
  throw std::bad_alloc();
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  if (void* block = allocate(bytes, static_cast<std::size_t>(alignment))) return block;
  throw std::bad_alloc();
}
void* operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return allocate(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }
void operator delete(void* block, std::align_val_t) noexcept { std::free(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { std::free(block); }
