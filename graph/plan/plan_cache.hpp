// PlanCache: objects made for graphs of one structure, found again for other graphs of the same structure.
#pragma once
#include <cstdint>
#include <list>
#include <memory>
#include <unordered_map>

#include <gradweave/graph/evaluate.hpp>
#include <gradweave/graph/plan/pending_graph.hpp>

namespace gradweave {

enum class Keep { no, yes };

namespace detail {
/// Over all caches that this thread has used.
extern constinit thread_local CacheStatistics cache_totals;
}  // namespace detail

/// Keeps the latest used objects, as many as together have at most `capacity` nodes; an object for a larger
/// graph is not kept. A `T` is made from a pending graph and its key, and may refer to the key.
template <class T>
class PlanCache {
 public:
  explicit PlanCache(std::size_t capacity = std::size_t{1} << 17U) : capacity_(capacity) {}
  ~PlanCache() { clear(); }
  PlanCache(const PlanCache&) = delete;
  PlanCache& operator=(const PlanCache&) = delete;

  void clear() noexcept {
    detail::cache_totals.entries -= entries_.size();
    by_hash_.clear();
    entries_.clear();
    nodes_ = 0;
  }

  /// The object made for a graph of this structure, or null. The object stays valid while the caller holds
  /// the pointer.
  std::shared_ptr<T> find(const PendingGraph& pending) {
    const auto [first, last] = by_hash_.equal_range(pending.hash);
    for (auto at = first; at != last; ++at) {
      if (!at->second->content->structure.matches(pending)) continue;
      ++detail::cache_totals.hits;
      entries_.splice(entries_.begin(), entries_, at->second);
      return {at->second->content, &at->second->content->made};
    }
    ++detail::cache_totals.misses;
    return nullptr;
  }

  /// Makes a T of `pending`, its key and `arguments`; `find` finds the object again if `keep` says so.
  template <class... Arguments>
  std::shared_ptr<T> make(const PendingGraph& pending, Keep keep, Arguments&&... arguments) {
    auto content = std::make_shared<Content>(pending, std::forward<Arguments>(arguments)...);
    constexpr std::size_t worth = 16;  // nodes, for the memory that a T takes however small the graph is
    const std::size_t nodes = pending.nodes.size() + worth;
    if (keep == Keep::yes && nodes <= capacity_) {
      entries_.push_front({content, nodes, pending.hash});
      by_hash_.emplace(pending.hash, entries_.begin());
      ++detail::cache_totals.entries;
      for (nodes_ += nodes; nodes_ > capacity_;) drop_oldest();
    }
    return {content, &content->made};
  }

 private:
  struct Content {
    template <class... Arguments>
    explicit Content(const PendingGraph& pending, Arguments&&... arguments)
        : structure(pending), made(pending, structure, std::forward<Arguments>(arguments)...) {}
    GraphKey structure;
    T made;
  };
  struct Entry {
    std::shared_ptr<Content> content;
    std::size_t nodes;
    std::uint64_t hash;
  };
  void drop_oldest() {
    const Entry& oldest = entries_.back();
    nodes_ -= oldest.nodes;
    const auto [first, last] = by_hash_.equal_range(oldest.hash);
    for (auto at = first; at != last; ++at) {
      if (&*at->second != &oldest) continue;
      by_hash_.erase(at);
      break;
    }
    entries_.pop_back();
    --detail::cache_totals.entries;
  }

  std::size_t capacity_;
  std::size_t nodes_ = 0;
  std::list<Entry> entries_;  // the latest used first
  std::unordered_multimap<std::uint64_t, typename std::list<Entry>::iterator> by_hash_;
};

}  // namespace gradweave
