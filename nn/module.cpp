#include <gradweave/nn/module.hpp>

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include <fmt/format.h>

#include <gradweave/graph/node.hpp>
#include <gradweave/graph/operation.hpp>

namespace gradweave::nn {
namespace detail {

// What copies of a module share.
struct ModuleState {
  struct Entry {
    std::string name;
    std::shared_ptr<Cell> parameter;  // one of the two
    std::shared_ptr<ModuleState> child;
    bool named_here;  // the first to register it gives it its path
  };
  std::string path;
  Ref<ModulePath> place;  // none for the outermost
  bool registered = false;
  std::vector<Entry> entries;

  std::string path_of(const std::string& name) const { return path.empty() ? name : path + "/" + name; }

  void move_to(const std::string& to) {
    path = to;
    place = path.empty() ? Ref<ModulePath>() : Ref<ModulePath>(new ModulePath{{}, path});
    for (const Entry& entry : entries) {
      if (!entry.named_here) continue;
      if (entry.child) entry.child->move_to(path_of(entry.name));
      if (entry.parameter) entry.parameter->place->path = path_of(entry.name);
    }
  }
  bool contains(const ModuleState* other) const {
    return this == other || std::ranges::any_of(entries, [&](const Entry& entry) {
             return entry.child && entry.child->contains(other);
           });
  }
  /// Calls visit(path from here, cell) for each parameter, depth first.
  template <class Visit>
  void walk(const std::string& prefix, Visit& visit) const {
    for (const Entry& entry : entries) {
      if (entry.parameter) visit(prefix + entry.name, entry.parameter);
      if (entry.child) entry.child->walk(prefix + entry.name + "/", visit);
    }
  }
  void require_free(std::string_view name) const {
    if (name.empty() || name.find('/') != std::string_view::npos) {
      throw ValueError(
          fmt::format(R"(module "{}": "{}" cannot be a name: it is empty or has a slash)", path, name));
    }
    if (std::ranges::any_of(entries, [&](const Entry& entry) { return entry.name == name; })) {
      throw ValueError(fmt::format(R"(module "{}": the name "{}" is taken already)", path, name));
    }
  }
};

struct Cloning::Copies {
  std::unordered_map<const Cell*, std::shared_ptr<Cell>> cells;
  std::unordered_map<const ModuleState*, std::shared_ptr<ModuleState>> states;
};

namespace {

Cloning*& active_cloning() {
  thread_local Cloning* active = nullptr;
  return active;
}

}  // namespace

Cloning::Cloning() : copies_(std::make_unique<Copies>()), outer_(std::exchange(active_cloning(), this)) {}
Cloning::~Cloning() { active_cloning() = outer_; }
Cloning* Cloning::active() { return active_cloning(); }

std::shared_ptr<Cell> Cloning::copy_of(const std::shared_ptr<Cell>& cell) {
  if (!cell) return nullptr;
  std::shared_ptr<Cell>& copy = copies_->cells[cell.get()];
  if (!copy) {
    // A leaf of its own over the same memory: the first update of either finds it shared and makes a copy.
    copy = std::make_shared<Cell>(placeholder(cell->value),
                                  Ref<ModulePath>(new ModulePath{{}, cell->place->path}));
    copy->value.node()->place = copy->place;
  }
  return copy;
}

std::shared_ptr<ModuleState> Cloning::copy_of(const std::shared_ptr<ModuleState>& state) {
  if (!state) return nullptr;
  if (const auto done = copies_->states.find(state.get()); done != copies_->states.end()) return done->second;
  auto copy = std::make_shared<ModuleState>(*state);
  copies_->states[state.get()] = copy;
  for (ModuleState::Entry& entry : copy->entries) {
    entry.parameter = copy_of(entry.parameter);
    entry.child = copy_of(entry.child);
  }
  return copy;
}

}  // namespace detail

// ---- Parameter

Parameter::Parameter(std::string_view name, const Tensor& initial)
    : cell_(
          std::make_shared<detail::Cell>(Tensor(), Ref<ModulePath>(new ModulePath{{}, std::string(name)}))) {
  if (initial.is_empty())
    throw GraphError(fmt::format("parameter \"{}\": the initial value is an empty Tensor", name));
  store(initial, false);
}

Parameter::Parameter(const Parameter& other)
    : cell_(detail::Cloning::active() != nullptr ? detail::Cloning::active()->copy_of(other.cell_)
                                                 : other.cell_) {}

void Parameter::throw_empty() { throw GraphError("an empty Parameter has no value (a layer without bias?)"); }

void Parameter::assign(const Tensor& value) {
  refuse_while_tracing(fmt::format("parameter \"{}\" is assigned to", name()));
  if (Capture::current() != nullptr) {
    throw GraphError(
        fmt::format("parameter \"{}\" is assigned to inside a function that is being compiled: only "
                    "optimizers update it there",
                    name()));
  }
  const Tensor& now = this->value();
  if (value.is_empty()) throw GraphError(fmt::format("parameter \"{}\": assigned an empty Tensor", name()));
  if (value.shape() != now.shape()) {
    throw ShapeError(fmt::format("parameter \"{}\" has shape {}; assigned {}", name(), to_string(now.shape()),
                                 to_string(value.shape())));
  }
  if (value.dtype() != now.dtype()) {
    throw DTypeError(fmt::format("parameter \"{}\" is {}; assigned {}: use cast", name(),
                                 name_of(now.dtype()), name_of(value.dtype())));
  }
  store(value, is_frozen());
}

// A row-major leaf, so that updates can be done in its memory.
void Parameter::store(const Tensor& value, bool frozen) {
  Tensor leaf = variable(value);
  if (leaf.node()->strided) leaf = variable(contiguous(leaf));
  if (frozen)
    leaf = make_leaf(constant_leaf, leaf.node()->spec(), leaf.node()->storage, leaf.node()->data, {});
  leaf.node()->place = cell_->place;
  const std::lock_guard lock(cell_->lock);
  cell_->value = std::move(leaf);
}

void Parameter::set_frozen(bool frozen) {
  refuse_while_tracing(fmt::format("parameter \"{}\" is frozen or unfrozen", name()));
  if (Capture::current() != nullptr) {
    throw GraphError(
        fmt::format("parameter \"{}\" is frozen or unfrozen inside a function that is being compiled: do it "
                    "between its calls",
                    name()));
  }
  if (frozen != is_frozen()) store(Tensor(value()), frozen);
}

// ---- Module

Module::Module() : state_(std::make_shared<detail::ModuleState>()) {}
Module::Module(const Module& other)
    : state_(detail::Cloning::active() != nullptr ? detail::Cloning::active()->copy_of(other.state_)
                                                  : other.state_) {}
Module& Module::operator=(const Module& other) {
  replace(Module(other).state_);
  return *this;
}
Module& Module::operator=(Module&& other) noexcept {
  replace(std::move(other.state_));
  return *this;
}

void Module::replace(std::shared_ptr<detail::ModuleState> state) noexcept {
  const bool is_child =
      state_ && state_->registered && state_.use_count() == 2;  // this member's and its parent's
  if (!is_child || !state || state == state_) {
    state_ = std::move(state);
    return;
  }
  state_->entries = state->entries;
  if (!state->registered) state_->move_to(std::string(state_->path));
}

void Module::add_child(std::string_view name, const Module& module) {
  if (!module.state_) throw GraphError(fmt::format("child \"{}\": the module was moved from", name));
  if (!state_) state_ = std::make_shared<detail::ModuleState>();  // moved from, and filled again
  state_->require_free(name);
  if (module.state_->contains(state_.get())) {
    throw GraphError(fmt::format("child \"{}\": a module cannot be inside itself", name));
  }
  const bool is_new = !module.state_->registered;
  state_->entries.push_back({std::string(name), nullptr, module.state_, is_new});
  if (is_new) {
    module.state_->registered = true;
    module.state_->move_to(state_->path_of(std::string(name)));
  }
}

Parameter Module::parameter(std::string_view name, const Tensor& initial) {
  if (!state_) state_ = std::make_shared<detail::ModuleState>();
  state_->require_free(name);
  Parameter created(state_->path_of(std::string(name)), initial);
  state_->entries.push_back({std::string(name), created.cell_, nullptr, true});
  return created;
}

Scope Module::scope() const {
  return Scope(state_ && state_->place ? state_->place : Ref<ModulePath>(Scope::current()));
}
std::string Module::path() const { return state_ ? state_->path : std::string(); }

std::vector<std::pair<std::string, Parameter>> Module::named_parameters() const {
  std::vector<std::pair<std::string, Parameter>> all;
  const auto add = [&](const std::string& path, const std::shared_ptr<detail::Cell>& cell) {
    Parameter p;
    p.cell_ = cell;
    if (std::ranges::none_of(all, [&](const auto& seen) { return is_same(seen.second, p); })) {
      all.emplace_back(path, std::move(p));
    }
  };
  if (state_) state_->walk("", add);
  return all;
}

std::vector<Parameter> Module::parameters() const {
  std::vector<Parameter> all;
  for (auto& [name, parameter] : named_parameters()) all.push_back(std::move(parameter));
  return all;
}

void Module::freeze() const {
  for (Parameter& p : parameters()) p.freeze();
}
void Module::unfreeze() const {
  for (Parameter& p : parameters()) p.unfreeze();
}

Index Module::parameter_count() const {
  Index count = 0;
  for (const auto& [name, parameter] : named_parameters()) count += parameter.value().numel();
  return count;
}

}  // namespace gradweave::nn
