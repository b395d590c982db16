// Assigns memory: outputs get storage of their own; values that only their own step reads exist block by
// block in scratch memory; all other values share one arena, in which memory is used again after its last
// reader.
#include <algorithm>

#include <gradweave/graph/plan/program.hpp>

namespace gradweave {
namespace {

// The arena: offsets of memory that values take and give back.
class Arena {
 public:
  std::size_t take(std::size_t bytes) {
    bytes = padded(bytes);
    auto best = free_.end();
    for (auto at = free_.begin(); at != free_.end(); ++at) {
      if (at->bytes >= bytes && (best == free_.end() || at->bytes < best->bytes)) best = at;
    }
    if (best == free_.end()) {
      const bool grows_last = !free_.empty() && free_.back().offset + free_.back().bytes == end_;
      const std::size_t offset = grows_last ? free_.back().offset : end_;
      if (grows_last) free_.pop_back();
      end_ = offset + bytes;
      return offset;
    }
    const std::size_t offset = best->offset;
    *best = {offset + bytes, best->bytes - bytes};
    if (best->bytes == 0) free_.erase(best);
    return offset;
  }
  void give_back(std::size_t offset, std::size_t bytes) {
    auto at = std::ranges::upper_bound(free_, offset, {}, &Range::offset);
    at = free_.insert(at, {offset, padded(bytes)});
    if (at + 1 != free_.end() && at->offset + at->bytes == (at + 1)->offset) {
      at->bytes += (at + 1)->bytes;
      free_.erase(at + 1);
    }
    if (at != free_.begin() && (at - 1)->offset + (at - 1)->bytes == at->offset) {
      (at - 1)->bytes += at->bytes;
      free_.erase(at);
    }
  }
  std::size_t bytes() const { return end_; }

 private:
  struct Range {
    std::size_t offset;
    std::size_t bytes;
  };
  static std::size_t padded(std::size_t bytes) { return (std::max<std::size_t>(bytes, 1) + 63) / 64 * 64; }
  std::vector<Range> free_;  // by offset
  std::size_t end_ = 0;
};

class Placing {
 public:
  Placing(const Program& program, std::span<const Step> steps, const Passes& passes)
      : program_(program), steps_(steps), passes_(passes), uses_(program.values.size()) {
    result_.places.resize(program.values.size());
  }

  Placement run() {
    find_uses();
    result_.checked_from = find_last_check();
    begun_.resize(result_.outputs.size());
    find_homes();
    for (std::uint32_t s = 0; s < steps_.size(); ++s) {
      note_reads(s);
      if (steps_[s].lead != no_id) place(s, steps_[s].lead, 0);
      const auto count = static_cast<std::uint32_t>(steps_[s].members.size());
      for (std::uint32_t m = 0; m < count; ++m) place(s, steps_[s].members[m], m);
      if (steps_[s].reduction != no_id) place(s, steps_[s].reduction, count);
      if (!passes_.reuse) continue;
      for (const Id b : reads_) {
        const auto& at = result_.places[b];
        if (at.kind == Placement::Kind::arena && uses_[b].last == s && !uses_[b].given) {
          arena_.give_back(at.offset, program_.bytes_of(program_.values[b]));
          uses_[b].given = true;
        }
      }
    }
    result_.arena_bytes = arena_.bytes();
    return std::move(result_);
  }

 private:
  struct Use {
    std::uint32_t step = no_id;  // computes the buffer
    std::uint32_t last = 0;      // the last step that reads the buffer
    std::uint32_t seen = no_id;  // the step for which `member` and `one_by_one` hold
    std::uint32_t member = 0;    // the last member that reads the buffer
    bool one_by_one = true;      // members read the buffer element by element, in order, never as a whole
    bool outside = false;        // another step reads the buffer
    bool given = false;          // the buffer's memory has gone to another value
  };

  template <class F>
  void for_each_read(const Step& step, F f) const {
    if (step.lead != no_id) {
      for (const Id input : program_.inputs_of(program_.values[step.lead])) f(input, 0U, true);
    }
    for (std::uint32_t m = 0; m < step.members.size(); ++m) {
      for (const Id input : program_.inputs_of(program_.values[step.members[m]])) f(input, m, false);
    }
    if (step.reduction != no_id) {
      const auto last = static_cast<std::uint32_t>(step.members.size());
      for (const Id input : program_.inputs_of(program_.values[step.reduction])) f(input, last, false);
    }
  }

  // The first step behind all steps that may throw: from there on nothing can go wrong, so that an
  // optimizer's slots may be overwritten in place.
  std::uint32_t find_last_check() const {
    const auto throws = [&](Id id) { return id != no_id && program_.values[id].operation->throws; };
    for (auto s = static_cast<std::uint32_t>(steps_.size()); s-- > 0;) {
      const Step& step = steps_[s];
      if (throws(step.lead) || throws(step.reduction) || std::ranges::any_of(step.members, throws))
        return s + 1;
    }
    return 0;
  }

  void find_uses() {
    for (std::uint32_t s = 0; s < steps_.size(); ++s) {
      if (steps_[s].lead != no_id) uses_[steps_[s].lead].step = s;
      for (const Id id : steps_[s].members) uses_[id].step = s;
      if (steps_[s].reduction != no_id) uses_[steps_[s].reduction].step = s;
      for_each_read(steps_[s], [&](Id input, std::uint32_t, bool) {
        Use& use = uses_[program_.values[input].buffer];
        use.last = s;
        use.outside |= use.step != s;
      });
    }
    for (const Id id : program_.outputs) {
      const Id b = program_.values[id].buffer;
      auto& at = result_.places[b];
      uses_[b].given |=
          b < program_.input_count;  // an output that is a view of an input: the input keeps its values
      if (!program_.is_computed(b) || at.kind == Placement::Kind::output) continue;
      at.kind = Placement::Kind::output;
      at.output = static_cast<std::uint32_t>(result_.outputs.size());
      result_.outputs.push_back({b, no_id});
    }
  }

  // What an output overwrites in the end is computed where the output is.
  void find_homes() {
    if (!passes_.reuse) return;
    for (auto s = static_cast<std::uint32_t>(steps_.size()); s-- > 0;) {
      const Id id = steps_[s].lead;
      if (id == no_id || result_.places[id].kind != Placement::Kind::output) continue;
      const Id b = overwritten(s, id);
      if (b != no_id && program_.is_computed(b) && result_.places[b].kind != Placement::Kind::output)
        result_.places[b] = result_.places[id];
    }
  }

  // The buffer that an op in place may take over, since nobody else reads it then or later.
  Id overwritten(std::uint32_t s, Id id) const {
    const Value& v = program_.values[id];
    const std::span<const Id> inputs = program_.inputs_of(v);
    if (v.operation->in_place >= inputs.size()) return no_id;
    const Value& x = program_.values[inputs[v.operation->in_place]];
    const auto readers =
        std::ranges::count(inputs, x.buffer, [&](Id input) { return program_.values[input].buffer; });
    const Use& use = uses_[x.buffer];
    return readers == 1 && use.last == s && !use.given && program_.is_whole(x) ? x.buffer : no_id;
  }

  void note_reads(std::uint32_t s) {
    reads_.clear();
    const Index count =
        steps_[s].members.empty() ? 0 : numel(program_.shape_of(program_.values[steps_[s].members[0]]));
    for_each_read(steps_[s], [&](Id input, std::uint32_t member, bool by_lead) {
      const Value& v = program_.values[input];
      Use& use = uses_[v.buffer];
      if (use.seen != s) {
        use.seen = s;
        use.one_by_one = true;
        reads_.push_back(v.buffer);
      }
      use.member = member;
      use.one_by_one &= !by_lead && program_.is_whole(v) && numel(program_.shape_of(v)) == count;
    });
  }

  void place(std::uint32_t s, Id id, std::uint32_t member) {
    auto& at = result_.places[id];
    if (at.kind == Placement::Kind::output) {
      auto& output = result_.outputs[at.output];
      if (begun_[at.output]) return;  // by what it overwrites
      begun_[at.output] = true;
      output.after_checks = s >= result_.checked_from;
      if (passes_.reuse && output.after_checks) output.donor = donor(s, id, member);
      output.in_place = output.donor != no_id && !program_.values[id].operation->elementwise;
      return;
    }
    if (!uses_[id].outside) {
      at.kind = Placement::Kind::scratch;
      return;
    }
    at.kind = Placement::Kind::arena;
    const Id old = passes_.reuse ? dying(s, id, member) : no_id;
    at.offset =
        old != no_id ? result_.places[old].offset : arena_.take(program_.bytes_of(program_.values[id]));
    if (old != no_id) uses_[old].given = true;
  }

  // Whether `id` can be written over `old`: `old` is read for the last time when `id` is written, element for
  // element.
  bool can_become(std::uint32_t s, Id old, Id id, std::uint32_t member) const {
    const Use& use = uses_[old];
    return use.last == s && use.seen == s && use.member <= member && use.one_by_one && !use.given &&
           program_.bytes_of(program_.values[old]) == program_.bytes_of(program_.values[id]);
  }
  // The buffer that `id` is written over, of those for which `fits` holds.
  template <class Fits>
  Id overwritten(std::uint32_t s, Id id, std::uint32_t member, const Fits& fits) const {
    const Value& v = program_.values[id];
    if (!v.operation->elementwise) {
      const Id b = overwritten(s, id);
      return b != no_id && fits(b) ? b : no_id;
    }
    for (const Id input : program_.inputs_of(v)) {
      const Id b = program_.values[input].buffer;
      if (fits(b) && can_become(s, b, id, member)) return b;
    }
    return no_id;
  }
  Id dying(std::uint32_t s, Id id, std::uint32_t member) const {
    return overwritten(s, id, member, [&](Id b) { return result_.places[b].kind == Placement::Kind::arena; });
  }
  Id donor(std::uint32_t s, Id id, std::uint32_t member) {
    const Id found = overwritten(s, id, member, [&](Id b) {
      return b < program_.input_count && Program::row_major(program_.values[b]);
    });
    if (found != no_id) uses_[found].given = true;
    return found;
  }

  const Program& program_;
  std::span<const Step> steps_;
  const Passes& passes_;
  std::vector<Use> uses_;    // by buffer
  std::vector<Id> reads_;    // the buffers that the step at hand reads
  std::vector<bool> begun_;  // by output: whether something has been computed there
  Arena arena_;
  Placement result_;
};

}  // namespace

Placement assign_memory(const Program& program, std::span<const Step> steps, const Passes& passes) {
  return Placing(program, steps, passes).run();
}

}  // namespace gradweave
