// Memory for when the system has none: a step that overwrites values in place must not run out of memory
// half-way.
#pragma once
#include <cstddef>

namespace gradweave {

/// Makes the calling thread have at least `bytes` set aside; the thread keeps that memory until it ends or
/// calls `release_cached_memory`. False when there is no memory for that.
bool set_aside(std::size_t bytes) noexcept;

/// While it lives, `allocate_block` of this thread takes from the memory set aside when the system has no
/// more. Blocks that are taken meanwhile have to be freed in the same thread before the object ends: kernels
/// do so.
class OpenReserve {
 public:
  OpenReserve();
  ~OpenReserve();
  OpenReserve(const OpenReserve&) = delete;
  OpenReserve& operator=(const OpenReserve&) = delete;
  /// How much the calling thread has set aside, if that is open; else 0.
  static std::size_t bytes();

 private:
  bool outer_;
};

}  // namespace gradweave
