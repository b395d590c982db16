#include <gradweave/graph/scope.hpp>

namespace gradweave {
namespace {

constinit thread_local Place* innermost = nullptr;  // owned by its scope
constinit thread_local bool in_reverse_pass = false;

}  // namespace

Scope::Scope(std::string_view name)
    : Scope(Ref<Place>(
          new Place{{}, (innermost != nullptr ? innermost->path + "/" : std::string()).append(name)})) {}
Scope::Scope(Ref<Place> place) : place_(std::move(place)), outer_(std::exchange(innermost, place_.get())) {}
Scope::~Scope() { innermost = outer_; }
Place* Scope::current() { return innermost; }

ReversePass::ReversePass() : outer_(std::exchange(in_reverse_pass, true)) {}
ReversePass::~ReversePass() { in_reverse_pass = outer_; }
bool ReversePass::is_on() { return in_reverse_pass; }

}  // namespace gradweave
