// Where in the program, and in which module, the nodes of this thread are being built: kept by every node, so
// that errors and pictures can say it.
#pragma once
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include <gradweave/graph/memory/ref.hpp>

namespace gradweave {

class Tensor;

/// The path of a module, such as "encoder/hidden".
struct ModulePath {
  RefCount refs;
  std::string path;
};
inline void destroy(ModulePath* place) noexcept { delete place; }

namespace detail {
/// The marks of the nodes that a thread builds.
struct Marks {
  ModulePath* place = nullptr;                  ///< owned by the innermost scope, or by the node
  const std::source_location* where = nullptr;  ///< of the node whose vjp builds them; null: their own lines
  bool in_reverse = false;                      ///< of `gradients`
  bool checkpointed = false;                    ///< of a `checkpoint`
  std::vector<Tensor>* traced = nullptr;        ///< where a body that is being traced notes them (body.hpp)
};
extern constinit thread_local Marks marks;
}  // namespace detail

/// Whether this thread runs a function only to look at the graph that it builds, for a body (body.hpp).
inline bool is_tracing() { return detail::marks.traced != nullptr; }
/// Throws GraphError if so, for what such a function must not do.
void refuse_while_tracing(std::string_view what);

/// While it lives, nodes built by this thread belong to its path.
class Scope {
 public:
  /// Nests: inside a scope "encoder", `Scope("hidden")` is "encoder/hidden".
  explicit Scope(std::string_view name);
  /// A path made beforehand, whatever scope is open.
  explicit Scope(Ref<ModulePath> place);
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  /// The path of the innermost scope of this thread; null outside of all.
  static ModulePath* current() { return detail::marks.place; }

 private:
  Ref<ModulePath> place_;
  ModulePath* outer_;
};

/// While it lives, nodes built by this thread are marked as parts of a reverse pass, for pictures to tell
/// apart.
class ReversePass {
 public:
  ReversePass() : outer_(detail::marks) {
    detail::marks.where = nullptr;
    detail::marks.in_reverse = true;
  }
  ~ReversePass() { detail::marks = outer_; }
  ReversePass(const ReversePass&) = delete;
  ReversePass& operator=(const ReversePass&) = delete;

  static bool is_on() { return detail::marks.in_reverse; }
  /// Nodes built from now on get the line and the module of a node, which must stay alive.
  static void visit(const std::source_location& where, ModulePath* place) {
    detail::marks.where = &where;
    detail::marks.place = place;
  }
  /// Nodes built from now on belong to the module that was open before this reverse pass.
  void leave() const { detail::marks.place = outer_.place; }

 private:
  detail::Marks outer_;
};

}  // namespace gradweave
