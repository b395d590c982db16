// Blocks: whose they are, who counts them, and what AddressSanitizer makes of those that nobody uses.
#include <gradweave/graph/memory/storage.hpp>

#include <barrier>
#include <thread>

#include "catch.hpp"

#ifndef __has_feature  // Clang's
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#endif

namespace gradweave {
namespace {

constexpr std::size_t block_bytes = 1 << 16;

TEST_CASE("what one thread takes and another gives back does not add up", "[memory][threads]") {
  constexpr int rounds = 100;
  release_cached_memory();
  const std::size_t before = memory_use().now;
  void* block = nullptr;
  std::size_t most_of_other = 0;
  std::barrier turn(2);
  std::thread other([&] {
    for (int round = 0; round < rounds; ++round) {
      turn.arrive_and_wait();
      free_block(block, block_bytes);
      turn.arrive_and_wait();
    }
    most_of_other = memory_use().peak;
  });
  for (int round = 0; round < rounds; ++round) {
    block = allocate_block(block_bytes);
    turn.arrive_and_wait();
    turn.arrive_and_wait();
  }
  other.join();
  CHECK(memory_use().peak <= before + 2 * block_bytes);
  CHECK(memory_use().now == before);
  CHECK(most_of_other <= block_bytes);
}

TEST_CASE("what a thread leaves is counted by the next to ask", "[memory][threads]") {
  const std::size_t before = memory_use().now;
  void* block = nullptr;
  std::thread([&] { block = allocate_block(block_bytes); }).join();
  CHECK(memory_use().now == before + block_bytes);
  free_block(block, block_bytes);
  CHECK(memory_use().now == before);
}

TEST_CASE("scratch memory counts until it is given back", "[memory]") {
  release_cached_memory();
  const std::size_t before = memory_use().now;
  for (const std::size_t bytes : {block_bytes, 2 * block_bytes, block_bytes / 2}) {
    const Scratch outer(bytes);
    CHECK(memory_use().now >= before + bytes);
    {
      const Scratch inner(block_bytes);
      CHECK(memory_use().now >= before + bytes + block_bytes);
    }
  }
  release_cached_memory();
  CHECK(memory_use().now == before);
}

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
TEST_CASE("AddressSanitizer knows which blocks are not in use", "[memory]") {
  for (const std::size_t bytes : {8U, 32U, 100U, 400U, 40'000U, 4'000'000U}) {
    INFO(bytes);
    Ref<Storage> storage = allocate_storage(bytes);
    const std::byte* data = storage->data;
    CHECK(__asan_region_is_poisoned(storage->data, bytes) == nullptr);
    storage = {};
    CHECK(__asan_address_is_poisoned(data));
    CHECK(__asan_address_is_poisoned(data + bytes - 1));
    storage = allocate_storage(bytes);
    CHECK(__asan_region_is_poisoned(storage->data, bytes) == nullptr);
  }
  const std::byte* scratch = Scratch(block_bytes).data();
  CHECK(__asan_address_is_poisoned(scratch));
}
#endif

}  // namespace
}  // namespace gradweave
