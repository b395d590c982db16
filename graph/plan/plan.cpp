#include <gradweave/graph/plan/plan.hpp>

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include <gradweave/graph/kernels/parallel.hpp>
#include <gradweave/graph/memory.hpp>
#include <gradweave/graph/memory/reserve.hpp>
#include <gradweave/graph/plan/run_elementwise.hpp>
#include <gradweave/graph/plan/step_runner.hpp>

namespace gradweave {
namespace {

constinit thread_local Passes passes_of_thread{};
constinit thread_local StepObserver* observer_of_thread = nullptr;

}  // namespace

WithPasses::WithPasses(const Passes& passes) : outer_(std::exchange(passes_of_thread, passes)) {}
WithPasses::~WithPasses() { passes_of_thread = outer_; }
const Passes& WithPasses::current() { return passes_of_thread; }

StepObserver* StepObserver::current() { return observer_of_thread; }
StepObserver* StepObserver::exchange(StepObserver* observer) noexcept {
  return std::exchange(observer_of_thread, observer);
}

// The steps with all addresses filled in. A buffer's address is written to the places that need it when it
// changes: in a loop over data of one kind, next to nothing is left to do.
class Plan::Machine {
 public:
  Machine(const Program& program, std::span<const Step> steps, const Placement& placement)
      : program_(program),
        placement_(placement),
        buffers_(program.values.size()),
        operands_(program.values.size()),
        laid_out_(program.values.size()),
        last_reader_(program.values.size()) {
    executables_.reserve(steps.size());
    for (const Step& step : steps) add(step);
    connect();
    // The memory that the kernels behind all steps that may throw take for themselves.
    for (std::size_t s = placement.checked_from; s < executables_.size(); ++s)
      workspace_ = std::max(workspace_, executables_[s].workspace());
    static_cast<void>(get_num_threads());  // here, where what the environment says may be refused
  }

  /// Bytes that a kernel behind all steps that may throw takes for itself, at most, in each thread.
  std::size_t workspace() const { return workspace_; }

  void set_address(Id buffer, std::byte* address) {
    Buffer& b = buffers_[buffer];
    if (b.address != address) move(b, address);
  }
  std::byte* address(Id buffer) const { return buffers_[buffer].address; }
  Id running() const { return running_; }
  void set_running(Id id) { running_ = id; }

  template <class AfterStep>
  void run(std::byte* arena, const AfterStep& after_step) {
    if (arena != arena_) {
      arena_ = arena;
      for (const Id id : in_arena_) set_address(id, arena + placement_.places[id].offset);
    }
    const Scratch scratch(scratch_bytes_);
    const auto run_steps = [&](std::span<StepRunner> steps) {
      for (StepRunner& e : steps) {
        running_ = e.first;
        e.run(scratch.data());
        after_step();
      }
    };
    const std::span<StepRunner> all(executables_);
    if (workspace_ == 0) return run_steps(all);
    run_steps(all.first(placement_.checked_from));
    const OpenReserve open;
    run_steps(all.subspan(placement_.checked_from));
  }
  // Apart, so that it costs nothing when it is not wanted.
  [[gnu::cold, gnu::noinline]] void run_observed(std::byte* arena, StepObserver& observer, const Plan& plan) {
    struct End {
      StepObserver& told;
      bool completed = false;
      explicit End(StepObserver& o) : told(o) {}
      ~End() { told.end(completed); }
      End(const End&) = delete;
      End& operator=(const End&) = delete;
    };
    observer.begin(plan);
    End end(observer);
    run(arena, [&] { observer.end_step(); });
    end.completed = true;
  }

 private:
  struct Buffer {
    std::byte* address = nullptr;
    std::uint32_t first_slot = 0;
    std::uint32_t slot_count = 0;
  };
  struct Slot {
    void** pointer;
    Index offset;
  };
  struct Use {  // an address that is needed
    Id buffer;
    Index offset;
    void** pointer;
  };
  struct Source {
    Id buffer;
    Index offset;
  };

  void move(Buffer& buffer, std::byte* address) {
    buffer.address = address;
    for (std::uint32_t i = 0; i < buffer.slot_count; ++i) {
      const Slot& slot = slots_[buffer.first_slot + i];
      *slot.pointer = address + slot.offset;
    }
  }

  const Value& value(Id id) const { return program_.values[id]; }
  bool is_scratch(Id id) const { return placement_.places[id].kind == Placement::Kind::scratch; }
  std::uint32_t number() const { return static_cast<std::uint32_t>(executables_.size() - 1); }

  void add(const Step& step) {
    StepRunner& e = executables_.emplace_back();
    e.first = step.lead != no_id ? step.lead : step.members.empty() ? no_id : step.members[0];
    find_last_readers(step);
    sources_.clear();
    if (step.reduction != no_id && numel(program_.shape_of(value(step.reduction))) == 1)
      e.joining = &joining_of(step.reduction);
    if (step.lead != no_id) add_lead(e, step);
    for (std::uint32_t m = 0; m < step.members.size(); ++m) add_member(e, step.members[m], m);
    if (step.reduction != no_id) add_reduction(e, step.reduction);
    if (!step.members.empty() || step.reduction != no_id) {
      e.count = numel(program_.shape_of(value(e.first)));
      e.blocks.finish(e.count);
      e.blocks.for_each_address([&](FusedLoop::Operand operand, void** pointer) {
        uses_.push_back({sources_[operand].buffer, sources_[operand].offset, pointer});
      });
      if (step.lead == no_id) {
        e.part = e.joining != nullptr ? e.joining->grain : e.blocks.grain();
        e.worth = e.count / e.part;
      }
    }
    scratch_bytes_ = std::max(scratch_bytes_, e.blocks.scratch_bytes());
  }

  void find_last_readers(const Step& step) {
    for (std::uint32_t m = 0; m < step.members.size(); ++m) {
      for (const Id input : program_.inputs_of(value(step.members[m]))) last_reader_[value(input).buffer] = m;
    }
    if (step.reduction == no_id) return;
    for (const Id input : program_.inputs_of(value(step.reduction)))
      last_reader_[value(input).buffer] = static_cast<std::uint32_t>(step.members.size());
  }

  void add_lead(StepRunner& e, const Step& step) {
    const Id id = step.lead;
    const Value& v = value(id);
    e.lead = v.operation;
    e.attributes = v.attributes;
    e.output = program_.array_of(v);
    for (const Id input : program_.inputs_of(v)) {
      e.inputs.push_back(program_.array_of(value(input)));
    }
    const std::size_t count = e.inputs.size(), over = v.operation->in_place;
    e.in_place = over < count;
    if (e.in_place) {
      e.inputs.push_back(e.inputs[over]);
      e.inputs[over] = e.output;
      uses_.push_back({id, 0, &e.inputs[over].data});
    }
    for (std::size_t i = 0; i < count; ++i) {
      const Value& x = value(program_.inputs_of(v)[i]);
      uses_.push_back({x.buffer, x.offset, &e.inputs[i == over ? count : i].data});
    }
    e.to_panel = is_scratch(id);
    if (!e.to_panel) uses_.push_back({id, 0, &e.output.data});
    if (v.layout != no_id) {
      const OutputLayout& layout = program_.layouts[v.layout];
      for (const Spec& spec : layout.specs) {
        const DType dtype = v.operation->as_stored ? spec.dtype : computed_as(spec.dtype);
        e.outputs.push_back({nullptr, dtype, spec.shape, {}});
      }
      for (std::size_t k = 0; k < e.outputs.size(); ++k) {
        if (layout.offsets[k] == OutputLayout::absent) continue;
        uses_.push_back({id, static_cast<Index>(layout.offsets[k]), &e.outputs[k].data});
      }
    }
    const Index size = e.output.size();
    if (e.lead->run_rows == nullptr || size == 0) return;
    e.width = e.lead->row_width(e.attributes, e.output, e.inputs);
    e.rows = size / e.width;
    e.part = std::clamp<Index>(e.lead->row_tile(e.attributes, e.output, e.inputs), 1, e.rows);
    if (e.joining != nullptr && e.part < e.rows) {
      const Index together = rows_to_join(*e.joining, e.width);
      e.part = e.part / together * together;
    }
    if (e.part == e.rows && step.reduction == no_id && e.lead->column_tile != nullptr)
      e.column_tile = e.lead->column_tile(e.attributes, e.output, e.inputs);
    e.worth = e.rows * e.lead->row_cost(e.attributes, e.output, e.inputs) / min_task_ns;
    e.outer = is_outer(e, step);
    if (e.outer) {
      e.part = e.rows;
      e.column_tile = 0;
      outer_ = e.blocks.add_outer(e.inputs[0], e.inputs[1], e.width);
      note_source(outer_.row, source_of(program_.inputs_of(v)[1]));
      note_source(outer_.factor, source_of(program_.inputs_of(v)[0]));
      operands_[id] = {number(), outer_.row, {}};
    } else if (e.to_panel) {
      operands_[id] = {number(), e.blocks.add_panel(v.dtype, e.part * e.width), {}};
    }
  }

  // Whether the lead is an outer product that all its readers can multiply out as they go.
  bool is_outer(const StepRunner& e, const Step& step) const {
    constexpr Index long_enough = 64;  // for a call of the kernels for every row
    if (!e.to_panel || step.reduction != no_id || e.lead->outer == nullptr || e.width < long_enough)
      return false;
    const auto takes_it = [&](Id member) {
      const std::span<const Id> inputs = program_.inputs_of(value(member));
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        if (value(inputs[i]).buffer == step.lead && i != value(member).operation->scaled) return false;
      }
      return true;
    };
    return std::ranges::all_of(step.members, takes_it) && e.lead->outer(e.attributes, e.output, e.inputs);
  }

  void add_member(StepRunner& e, Id id, std::uint32_t m) {
    const Value& v = value(id);
    inputs_.clear();
    arrays_.clear();
    const std::span<const Id> inputs = program_.inputs_of(v);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const bool number = i + v.operation->scalar_inputs >= inputs.size();
      inputs_.push_back(number ? this->number(e, inputs[i]) : operand(e, inputs[i], program_.shape_of(v)));
      arrays_.push_back(program_.array_of(value(inputs[i])));
    }
    if (e.outer && v.operation->scaled < inputs.size() &&
        value(inputs[v.operation->scaled]).buffer == e.first)
      inputs_.push_back(outer_.factor);
    // Its own result may go where an input of the same size was: element for element it is read before.
    const auto release_inputs = [&](bool of_same_size) {
      for (const Id input : program_.inputs_of(v)) {
        const Id register_of = value(input).buffer;
        Known& known = operands_[register_of];
        const bool same_size = size_of(value(register_of).dtype) == size_of(v.dtype);
        if (last_reader_[register_of] != m || known.executable != number() || !is_scratch(register_of))
          continue;
        if (same_size != of_same_size) continue;
        e.blocks.release(known.operand);
        known.executable = no_id;
      }
    };
    release_inputs(true);
    FusedLoop::Operand output;
    if (is_scratch(id)) {
      output = e.blocks.add_register(v.dtype);
    } else {
      output = e.blocks.add_array(v.dtype);
      note_source(output, {id, 0});
    }
    operands_[id] = {number(), output, {}};
    e.blocks.add_instruction(block_kernel(*v.operation, arrays_), v.attributes, inputs_, output);
    release_inputs(false);
  }

  void add_reduction(StepRunner& e, Id id) {
    const Value& v = value(id);
    const Id input = program_.inputs_of(v)[0];
    const Dims shape = program_.shape_of(value(input));
    const Index results = numel(program_.shape_of(v));
    e.blocks.add_reduction(joining_of(id), operand(e, input, shape), numel(shape) / results,
                           size_of(v.dtype));
    uses_.push_back({id, 0, results == 1 ? &e.joined : e.blocks.results()});
  }

  const ReductionKernel& joining_of(Id reduction) const {
    const Value& joined = value(program_.inputs_of(value(reduction))[0]);
    return *value(reduction).operation->joining[kernel_of(joined.dtype)];
  }

  // What this step has computed, or something from before it.
  FusedLoop::Operand operand(StepRunner& e, Id input, Dims shape) {
    const Value& x = value(input);
    if (is_scratch(x.buffer) || (program_.is_whole(x) && operands_[x.buffer].executable == number())) {
      return operands_[x.buffer].operand;
    }
    Known& known = laid_out_[input];
    if (known.executable == number() && same(known.shape, shape)) return known.operand;
    const FusedLoop::Operand operand = e.blocks.add_input(program_.array_of(x), shape);
    note_source(operand, source_of(input));
    known = {number(), operand, shape};
    return operand;
  }

  FusedLoop::Operand number(StepRunner& e, Id input) {
    const Value& x = value(input);
    if (is_scratch(x.buffer)) return operands_[x.buffer].operand;
    const FusedLoop::Operand operand = e.blocks.add_number(program_.array_of(x));
    note_source(operand, source_of(input));
    return operand;
  }

  Source source_of(Id input) const { return {value(input).buffer, value(input).offset}; }

  void note_source(FusedLoop::Operand operand, Source source) {
    if (sources_.size() <= operand) sources_.resize(operand + 1);
    sources_[operand] = source;
  }

  void connect() {
    for (Use& use : uses_) {  // what an output overwrites is where the output is
      const Placement::Place& at = placement_.places[use.buffer];
      if (at.kind == Placement::Kind::output) use.buffer = placement_.outputs[at.output].value;
    }
    std::ranges::stable_sort(uses_, {}, &Use::buffer);
    slots_.reserve(uses_.size());
    for (const Use& use : uses_) {
      Buffer& b = buffers_[use.buffer];
      if (b.slot_count++ == 0) b.first_slot = static_cast<std::uint32_t>(slots_.size());
      slots_.push_back({use.pointer, use.offset});
    }
    for (Id id = 0; id < program_.values.size(); ++id) {
      if (placement_.places[id].kind == Placement::Kind::arena) in_arena_.push_back(id);
      if (value(id).constant) set_address(id, value(id).constant->data);
    }
    uses_ = {};
    sources_ = {};
    operands_ = {};
    laid_out_ = {};
    last_reader_ = {};
  }

  struct Known {
    std::uint32_t executable = no_id;
    FusedLoop::Operand operand = 0;
    Dims shape;
  };
  const Program& program_;
  const Placement& placement_;
  std::vector<StepRunner> executables_;
  std::vector<Buffer> buffers_;  // by value
  std::vector<Slot> slots_;
  std::vector<Id> in_arena_;
  std::byte* arena_ = nullptr;
  std::size_t scratch_bytes_ = 0;
  std::size_t workspace_ = 0;
  Id running_ = no_id;
  // While it is being built.
  std::vector<Use> uses_;
  std::vector<Source> sources_;  // by operand of the step at hand
  std::vector<Known> operands_;  // by value: what a step computes
  std::vector<Known> laid_out_;  // and what it reads
  std::vector<std::uint32_t> last_reader_;
  FusedLoop::Outer outer_{};  // of the step at hand
  std::vector<FusedLoop::Operand> inputs_;
  std::vector<ArrayView> arrays_;
};

Plan::Plan(const PendingGraph& pending, const GraphKey& structure)
    : program_(lower(pending, structure, WithPasses::current())) {
  const Passes& passes = WithPasses::current();
  program_ = order(std::move(program_), passes);
  program_ = remat(std::move(program_), MemoryBudget::current(), passes);
  steps_ = fuse(program_, passes);
  placement_ = assign_memory(program_, steps_, passes);
  machine_ = std::make_unique<Machine>(program_, steps_, placement_);
}
Plan::~Plan() = default;

const Value* Plan::running() const {
  const Id id = machine_->running();
  return id == no_id ? nullptr : &program_.values[id];
}

void Plan::run(std::span<Node* const> inputs, std::span<const std::uint32_t> owned,
               std::span<Node* const> targets) {
  const auto is_free = [](const Node* node, std::uint32_t handles) {
    return node->refs.value() <= handles && !node->strided && node->storage->refs.value() == 1;
  };
  inputs_ = inputs;
  storages_.clear();
  bool overwrites = false;
  machine_->set_running(no_id);
  for (std::size_t i = 0; i < inputs.size(); ++i) machine_->set_address(static_cast<Id>(i), inputs[i]->data);
  for (std::size_t o = 0; o < placement_.outputs.size(); ++o) {
    const Placement::Output& output = placement_.outputs[o];
    machine_->set_running(output.value);
    Node* place = nullptr;
    if (output.donor != no_id && !owned.empty() && is_free(inputs[output.donor], owned[output.donor])) {
      place = inputs[output.donor];
    } else if (!targets.empty() && targets[o] != nullptr && is_free(targets[o], 1)) {
      place = targets[o];
    }
    if (place != nullptr) {
      overwrites = true;
      storages_.push_back(place->storage);
      machine_->set_address(output.value, place->data);
    } else {
      storages_.push_back(allocate_storage(program_.bytes_of(program_.values[output.value])));
      machine_->set_address(output.value, storages_.back()->data);
    }
  }
  // No value is to be blamed for the memory of all values that are no outputs.
  machine_->set_running(no_id);
  const Scratch arena(placement_.arena_bytes);
  const std::size_t workspace = machine_->workspace();
  if (overwrites && workspace != 0 && !set_aside(workspace))
    throw Error(fmt::format("out of memory: {} bytes asked for", workspace));
  try {
    if (StepObserver* observer = StepObserver::current()) {
      machine_->run_observed(arena.data(), *observer, *this);
    } else {
      machine_->run(arena.data(), [] {});
    }
  } catch (...) {
    let_go();
    throw;
  }
}

std::uint32_t Plan::storage_of(std::size_t i) const {
  const auto& at = placement_.places[program_.values[program_.outputs[i]].buffer];
  return at.kind == Placement::Kind::output ? at.output : no_id;
}

std::byte* Plan::data_of(std::size_t i) const {
  const Value& v = program_.values[program_.outputs[i]];
  return machine_->address(v.buffer) + v.offset;
}

Tensor Plan::leaf_for(std::size_t i) const {
  const Value& v = program_.values[program_.outputs[i]];
  return make_leaf(constant_leaf, {Shape(program_.shape_of(v)), v.dtype}, {}, nullptr,
                   program_.strides_of(v));
}

void Plan::give_values(std::size_t i, Node& node) const noexcept {
  const Value& v = program_.values[program_.outputs[i]];
  if (v.buffer < program_.input_count) {
    node.storage = inputs_[v.buffer]->storage;
  } else {
    node.storage = v.constant ? v.constant : storages_[storage_of(i)];
  }
  node.data = data_of(i);
  const Dims strides = program_.strides_of(v);
  node.strided = !strides.empty();
  std::ranges::copy(strides, node.stride_array());
}

}  // namespace gradweave
