#include <gradweave/graph/scope.hpp>

#include <fmt/format.h>

#include <gradweave/graph/types/error.hpp>

namespace gradweave {

constinit thread_local detail::Marks detail::marks{};

void refuse_while_tracing(std::string_view what) {
  if (!is_tracing()) return;
  throw GraphError(fmt::format(
      "{} inside a function that is only looked at, for the graph that it builds (a branch of cond, a "
      "function or a rule of custom_vjp)",
      what));
}

Scope::Scope(std::string_view name)
    : Scope(Ref<ModulePath>(
          new ModulePath{{}, (current() != nullptr ? current()->path + "/" : std::string()).append(name)})) {}
Scope::Scope(Ref<ModulePath> place)
    : place_(std::move(place)), outer_(std::exchange(detail::marks.place, place_.get())) {}
Scope::~Scope() { detail::marks.place = outer_; }

}  // namespace gradweave
