#include <gradweave/graph/scope.hpp>

namespace gradweave {

constinit thread_local detail::Marks detail::marks{};

Scope::Scope(std::string_view name)
    : Scope(Ref<ModulePath>(
          new ModulePath{{}, (current() != nullptr ? current()->path + "/" : std::string()).append(name)})) {}
Scope::Scope(Ref<ModulePath> place)
    : place_(std::move(place)), outer_(std::exchange(detail::marks.place, place_.get())) {}
Scope::~Scope() { detail::marks.place = outer_; }

}  // namespace gradweave
