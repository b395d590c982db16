#include <gradweave/graph/capture.hpp>

#include <algorithm>

#include <gradweave/graph/node.hpp>
#include <gradweave/graph/operation.hpp>

namespace gradweave {
namespace {

constinit thread_local Capture* innermost = nullptr;

}  // namespace

// The same values as a leaf of its own, so that it is told apart from everything else.
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

Cell& Capture::cell_of(Tensor& place) {
  Cell*& cell = by_place_[&place];
  if (cell == nullptr) cell = &cells_.emplace_back(&place, Tensor(), Tensor());
  return *cell;
}
const Tensor& Capture::read(Tensor& place) {
  Cell& cell = cell_of(place);
  if (cell.next) return cell.next;
  if (!cell.now) cell.now = placeholder(place);
  return cell.now;
}
bool Capture::is_updated(const Tensor& place) const {
  const auto at = by_place_.find(&place);
  return at != by_place_.end() && at->second != nullptr && at->second->next;
}
bool Capture::changes(const Node* node) const {
  return std::ranges::find(arguments_, node, &Tensor::node) != arguments_.end() ||
         std::ranges::any_of(cells_, [&](const Cell& cell) { return cell.read() == node; });
}
void Capture::update(Tensor& place, Tensor next) { cell_of(place).next = std::move(next); }

}  // namespace gradweave
