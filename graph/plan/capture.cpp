#include <gradweave/graph/capture.hpp>

#include <algorithm>

#include <gradweave/graph/node.hpp>
#include <gradweave/graph/operation.hpp>

namespace gradweave {
namespace {

constinit thread_local Capture* innermost = nullptr;

}  // namespace

// Shares the storage: no element is copied.
Tensor placeholder(const Tensor& tensor) {
  const Node& node = *tensor.node();
  Tensor leaf = make_leaf(node.tracked ? variable_leaf : constant_leaf, node.spec(), node.storage, node.data,
                          node.strided ? node.strides() : Dims());
  leaf.node()->place = node.place;
  return leaf;
}

Capture::Capture() : outer_(std::exchange(innermost, this)) {}
Capture::~Capture() { innermost = outer_; }
Capture* Capture::current() { return innermost; }

StateSlot& Capture::slot_of(Tensor& place) {
  StateSlot*& slot = by_place_[&place];
  if (slot == nullptr) slot = &slots_.emplace_back(StateSlot{.tensor = &place});
  return *slot;
}
const Tensor& Capture::read(Tensor& place, StepLock* lock) {
  StateSlot& slot = slot_of(place);
  slot.lock = lock;
  if (!slot.next.is_empty()) return slot.next;
  if (slot.now.is_empty()) {
    if (lock != nullptr) lock->lock();  // another thread may be moving the parameter
    const Tensor now = place;
    if (lock != nullptr) lock->unlock();
    slot.now = placeholder(now);
  }
  return slot.now;
}
bool Capture::is_updated(const Tensor& place) const {
  const auto at = by_place_.find(&place);
  return at != by_place_.end() && at->second != nullptr && !at->second->next.is_empty();
}
bool Capture::changes(const Node* node) const {
  return argument_number(node).has_value() ||
         std::ranges::any_of(slots_, [&](const StateSlot& slot) { return slot.read() == node; });
}
std::optional<std::size_t> Capture::argument_number(const Node* node) const {
  const auto at = std::ranges::find(arguments_, node, &Tensor::node);
  if (at == arguments_.end()) return std::nullopt;
  return static_cast<std::size_t>(at - arguments_.begin());
}
void Capture::update(StateSlot slot) {
  StateSlot& mine = slot_of(*slot.tensor);
  mine.next = std::move(slot.next);
  mine.lock = slot.lock;
}
void Capture::before_next_runs(std::function<void()> before, std::function<void()> undo,
                               const Tensor& written) {
  before_.push_back({std::move(before), std::move(undo), written});
}
void Capture::depends_on(std::function<std::uint64_t()> value) {
  const std::uint64_t answer = value();
  variants_.push_back({std::move(value), answer});
}

// ---- StepLock

bool StepLock::try_lock() noexcept {
  if (RefCount::alone()) {
    const bool was = taken_.load(std::memory_order_relaxed);
    taken_.store(true, std::memory_order_relaxed);
    return !was;
  }
  return !taken_.exchange(true, std::memory_order_acquire);
}
void StepLock::lock() noexcept {
  while (!try_lock()) taken_.wait(true, std::memory_order_relaxed);
}
void StepLock::unlock() noexcept {
  taken_.store(false, std::memory_order_release);
  if (!RefCount::alone()) taken_.notify_one();
}

}  // namespace gradweave
