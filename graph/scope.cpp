#include <gradweave/graph/scope.hpp>

namespace gradweave {
namespace {

Ref<Place>& innermost() {
  thread_local Ref<Place> place;
  return place;
}

constinit thread_local bool in_reverse_pass = false;

}  // namespace

Scope::Scope(std::string_view name) : outer_(innermost()) {
  std::string path = outer_ ? outer_->path + "/" : std::string();
  innermost() = Ref<Place>(new Place{{}, path.append(name)});
}
Scope::Scope(Ref<Place> place) : outer_(std::exchange(innermost(), std::move(place))) {}
Scope::~Scope() { innermost() = std::move(outer_); }
const Ref<Place>& Scope::current() { return innermost(); }

ReversePass::ReversePass() : outer_(std::exchange(in_reverse_pass, true)) {}
ReversePass::~ReversePass() { in_reverse_pass = outer_; }
bool ReversePass::is_on() { return in_reverse_pass; }

}  // namespace gradweave
