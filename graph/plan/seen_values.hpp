// SeenValues: an open table of values by the hash of what computes them.
#pragma once
#include <bit>
#include <vector>

#include <gradweave/graph/plan/program.hpp>

namespace gradweave {

class SeenValues {
 public:
  explicit SeenValues(std::size_t count) : slots_(std::bit_ceil(2 * count + 1)) {}
  /// The value with this hash for which `equal` holds; or else `id`, which is remembered.
  template <class Equal>
  Id find_or_add(std::size_t hash, Id id, const Equal& equal) {
    if (2 * count_ >= slots_.size()) grow();
    const auto code = static_cast<std::uint32_t>(hash);
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t at = code & mask;; at = (at + 1) & mask) {
      Slot& slot = slots_[at];
      if (slot.id == no_id) {
        ++count_;
        slot = {code, id};
        return id;
      }
      if (slot.code == code && equal(slot.id)) return slot.id;
    }
  }

 private:
  struct Slot {
    std::uint32_t code = 0;
    Id id = no_id;
  };
  void grow() {
    std::vector<Slot> all(2 * slots_.size());
    const std::size_t mask = all.size() - 1;
    for (const Slot& slot : slots_) {
      if (slot.id == no_id) continue;
      std::size_t at = slot.code & mask;
      while (all[at].id != no_id) at = (at + 1) & mask;
      all[at] = slot;
    }
    slots_ = std::move(all);
  }
  std::vector<Slot> slots_;
  std::size_t count_ = 0;
};

}  // namespace gradweave
