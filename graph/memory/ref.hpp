// Intrusive reference counts: the ownership behind tensors, buffers and module paths.
#pragma once
#include <atomic>
#include <cstdint>
#include <utility>
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#endif

namespace gradweave {

/// A count that many threads may change. While the process has never had a second thread it is a plain
/// integer, as in libstdc++'s shared_ptr: an uncontended atomic costs six times as much.
class RefCount {
 public:
  std::uint32_t value() const { return std::atomic_ref(count_).load(std::memory_order_acquire); }
  void add() {
    if (alone()) {
      ++count_;
    } else {
      std::atomic_ref(count_).fetch_add(1, std::memory_order_relaxed);
    }
  }
  /// Returns whether this was the last reference. While the caller holds the last reference, no other thread
  /// can take another.
  bool drop() {
    if (alone()) return --count_ == 0;
    return value() == 1 || std::atomic_ref(count_).fetch_sub(1, std::memory_order_acq_rel) == 1;
  }
  /// The first reference, to an object that no other thread knows yet.
  void start() { count_ = 1; }

  /// Whether the process has never had a second thread.
  static bool alone() {
#if __has_include(<sys/single_threaded.h>)
    return __libc_single_threaded != 0;
#else
    return false;
#endif
  }

 private:
  mutable std::uint32_t count_ = 0;
};

/// Owns one count of a `T`, which has a member `refs` and a function `void destroy(T*)` beside it.
template <class T>
class Ref {
 public:
  Ref() = default;
  explicit Ref(T* object) : object_(object) {
    if (object_ != nullptr) object_->refs.add();
  }
  Ref(const Ref& other) : Ref(other.object_) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(const Ref& other) {
    if (this != &other) *this = Ref(other);
    return *this;
  }
  Ref& operator=(Ref&& other) noexcept {
    Ref old = std::move(other);
    std::swap(object_, old.object_);
    return *this;
  }
  ~Ref() {
    if (object_ != nullptr && object_->refs.drop()) destroy(object_);
  }
  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  T* object_ = nullptr;
};

}  // namespace gradweave
