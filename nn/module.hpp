// Modules: a network is an ordinary C++ struct whose members are its layers.
//
//   struct Digits : nn::Module {
//     nn::Dense hidden = child("hidden", nn::Dense(784, 128));
//     nn::Dense output = child("output", nn::Dense(128, 10));
//     Tensor operator()(const Tensor& x) const { return output(sigmoid(hidden(x))); }
//   };
//
// A common beginner's error: a copy of a network, kept to compare with after training. A module is a handle
// to its parameters: copies share them, and a const module is trained like any other. `clone(net)` has
// parameters of its own; `net.freeze()` keeps optimizers from training a network.
#pragma once
#include <concepts>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gradweave/graph/capture.hpp>
#include <gradweave/graph/operation.hpp>
#include <gradweave/graph/scope.hpp>
#include <gradweave/graph/tensor.hpp>

namespace gradweave::nn {

namespace detail {

struct Cell {
  Tensor value;
  Ref<ModulePath> place;
  StepLock lock = {};
};
struct ModuleState;

// While it lives, copying modules and parameters in this thread copies what they share.
class Cloning {
 public:
  Cloning();
  ~Cloning();
  Cloning(const Cloning&) = delete;
  Cloning& operator=(const Cloning&) = delete;
  static Cloning* active();

  std::shared_ptr<Cell> copy_of(const std::shared_ptr<Cell>& cell);
  std::shared_ptr<ModuleState> copy_of(const std::shared_ptr<ModuleState>& state);

 private:
  struct Copies;
  std::unique_ptr<Copies> copies_;
  Cloning* outer_;
};

}  // namespace detail

/// A named cell that holds a variable and gets a new one at every step of an optimizer. Copies share the
/// cell. It can stand where an op takes a tensor: `matmul(x, weight)`. A default-constructed one is empty, as
/// a Tensor can be.
class Parameter {
 public:
  Parameter() = default;
  /// Evaluates `initial`. Throws DTypeError unless it is floating.
  Parameter(std::string_view name, const Tensor& initial);
  Parameter(const Parameter& other);
  Parameter(Parameter&& other) noexcept = default;
  Parameter& operator=(const Parameter& other) { return *this = Parameter(other); }
  Parameter& operator=(Parameter&& other) noexcept = default;
  ~Parameter() = default;

  explicit operator bool() const { return cell_ != nullptr; }
  /// The current value. Whoever keeps it keeps its numbers: the next step then leaves this memory alone.
  const Tensor& value() const {
    Capture* capture = Capture::current();
    return capture == nullptr ? cell().value : capture->read(cell().value, &cell().lock);
  }
  operator const Tensor&() const { return value(); }
  Shape shape() const { return value().shape(); }
  DType dtype() const { return value().dtype(); }

  /// Replaces the value, evaluated now. Throws ShapeError or DTypeError unless shape and dtype are the same
  /// as before.
  void assign(const Tensor& value);
  /// A frozen parameter is data: no gradient reaches it, and optimizers leave it and its state as they are.
  /// Throws GraphError inside a function that is being compiled; compiled functions notice at their next
  /// call.
  void freeze() { set_frozen(true); }
  void unfreeze() { set_frozen(false); }
  bool is_frozen() const { return !value().is_tracked(); }
  /// The path from the outermost module, such as "encoder/hidden/weight".
  const std::string& name() const { return cell().place->path; }

  /// Whether two parameters share their cell.
  friend bool is_same(const Parameter& a, const Parameter& b) { return a.cell_ == b.cell_; }

 private:
  friend class Module;
  friend class Optimizer;
  detail::Cell& cell() const {
    if (!cell_) throw_empty();
    return *cell_;
  }
  [[noreturn]] static void throw_empty();
  void store(const Tensor& value, bool frozen);
  void set_frozen(bool frozen);

  std::shared_ptr<detail::Cell> cell_;
};

/// Base of everything that has parameters.
class Module {
 public:
  /// All parameters, depth first in the order in which they were registered; one that is shared comes once.
  std::vector<Parameter> parameters() const;
  /// The same with their paths from this module, such as "hidden/weight".
  std::vector<std::pair<std::string, Parameter>> named_parameters() const;
  /// The number of elements of all parameters.
  Index parameter_count() const;
  /// Of all its parameters (Parameter::freeze).
  void freeze() const;
  void unfreeze() const;
  /// From the outermost module, such as "encoder/hidden"; empty for that one itself.
  std::string path() const;

 protected:
  Module();
  Module(const Module& other);
  Module(Module&& other) noexcept = default;
  /// Shares the parameters of `other`. A child that is replaced this way is replaced in its parent, too,
  /// unless the parent was copied meanwhile: then assign the whole parent.
  Module& operator=(const Module& other);
  Module& operator=(Module&& other) noexcept;
  ~Module() = default;

  /// Makes `module` a child: its parameters become this module's. Returns it, to initialise a member with.
  /// Throws ValueError when the name is taken, empty or contains a slash.
  template <std::derived_from<Module> M>
  M child(std::string_view name, M module) {
    add_child(name, module);
    return module;
  }
  /// Registers a parameter. Throws as `child`, and as Parameter's constructor.
  Parameter parameter(std::string_view name, const Tensor& initial);
  /// While it lives, nodes belong to this module in errors and pictures: `const Scope scope = this->scope();`
  Scope scope() const;

 private:
  void add_child(std::string_view name, const Module& module);
  void replace(std::shared_ptr<detail::ModuleState> state) noexcept;
  std::shared_ptr<detail::ModuleState> state_;
};

/// A deep copy with parameters of its own, which start with the same values. What was shared inside stays
/// shared inside. Every member of M must be copied by its copy constructor (a pointer to a layer would still
/// point to the original's).
template <std::derived_from<Module> M>
M clone(const M& module) {
  const detail::Cloning deep;
  return M(module);
}

}  // namespace gradweave::nn
