// Memory for when there is none: what overwrites values in place must not run out of memory half-way.
#pragma once
#include <cstddef>

namespace gradweave {

/// Lets the calling thread have at least `bytes` set aside, which it keeps until it ends or
/// `release_cached_memory`. False when there is no memory for that.
bool set_aside(std::size_t bytes) noexcept;

/// While it lives, `allocate_block` of this thread takes from what is set aside where the system has no more.
/// Whoever takes a block meanwhile frees it in the same thread, before that ends: kernels do.
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
