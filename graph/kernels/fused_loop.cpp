#include <gradweave/graph/kernels/fused_loop.hpp>

#include <algorithm>
#include <array>
#include <vector>

#include <gradweave/graph/memory/storage.hpp>

namespace gradweave {
namespace {

constexpr Index line_bytes = 64;  // of a cache

template <class Word>
void gather_words(const Word* from, Dims shape, Dims strides, Index first, Index count, Word* to) {
  // Neighbouring axes are merged into one where strides allow: fewer and longer runs.
  std::array<Index, max_rank> sizes{}, steps{};
  std::size_t rank = 0;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] == 1) continue;
    if (rank > 0 && steps[rank - 1] == strides[axis] * shape[axis]) {
      sizes[rank - 1] *= shape[axis], steps[rank - 1] = strides[axis];
    } else {
      sizes[rank] = shape[axis], steps[rank++] = strides[axis];
    }
  }
  if (rank == 0) {
    *to = *from;
    return;
  }
  // Where the first element is, as coordinates.
  const std::size_t inner = rank - 1;
  std::array<Index, max_rank> at{};
  Index offset = 0;
  for (std::size_t axis = rank; axis-- > 0;) {
    at[axis] = first % sizes[axis];
    first /= sizes[axis];
    offset += at[axis] * steps[axis];
  }
  const Index step = steps[inner];
  while (count > 0) {
    const Index run = std::min(count, sizes[inner] - at[inner]);
    if (step == 1) {
      std::copy_n(from + offset, run, to);
    } else if (step == 0) {
      std::fill_n(to, run, from[offset]);
    } else {
      for (Index i = 0; i < run; ++i) to[i] = from[offset + i * step];
    }
    to += run;
    count -= run;
    // On to the next row.
    offset -= at[inner] * step;
    at[inner] = 0;
    for (std::size_t axis = inner; axis-- > 0;) {
      offset += steps[axis];
      if (++at[axis] < sizes[axis]) break;
      offset -= at[axis] * steps[axis];
      at[axis] = 0;
    }
  }
}

// Calls f with a null pointer to whole numbers of the size of the elements: what only moves elements needs to
// know no more of them.
template <class F>
void with_word(DType dtype, const F& f) {
  switch (size_of(dtype)) {
    case 1:
      return f(static_cast<std::uint8_t*>(nullptr));
    case 2:
      return f(static_cast<std::uint16_t*>(nullptr));
    case 4:
      return f(static_cast<std::uint32_t*>(nullptr));
    case 8:
      return f(static_cast<std::uint64_t*>(nullptr));
  }
}

// One element, `count` times.
void fill(std::byte* to, const void* element, DType dtype, Index count) {
  with_word(dtype, [&]<class Word>(Word*) {
    std::fill_n(reinterpret_cast<Word*>(to), count, *static_cast<const Word*>(element));
  });
}

// The strides with which an input runs along with an output of shape `shape`.
std::array<Index, max_rank> aligned_strides(const ArrayView& x, Dims shape) {
  std::array<Index, max_rank> aligned{};
  const Shape packed = row_major(x.shape);
  const Dims strides = x.row_major() ? Dims(packed) : x.strides;
  const std::size_t lead = shape.size() - x.shape.size();
  for (std::size_t axis = 0; axis < x.shape.size(); ++axis)
    aligned[lead + axis] = x.shape[axis] == 1 ? 0 : strides[axis];
  return aligned;
}

}  // namespace

void gather(const ArrayView& from, Index first, Index count, void* to) {
  if (count == 0) return;
  if (from.row_major()) {
    const auto element = static_cast<Index>(size_of(from.dtype));
    std::copy_n(from.as<const std::byte>() + first * element, count * element, static_cast<std::byte*>(to));
    return;
  }
  with_word(from.dtype, [&]<class Word>(Word*) {
    gather_words(from.as<const Word>(), from.shape, from.strides, first, count, static_cast<Word*>(to));
  });
}

FusedLoop::Operand FusedLoop::add_array(DType dtype) {
  const auto element = static_cast<std::uint8_t>(size_of(dtype));
  places_.push_back({.kind = Kind::memory, .step = element});
  return static_cast<Operand>(places_.size() - 1);
}

FusedLoop::Operand FusedLoop::add_input(const ArrayView& x, Dims shape) {
  const Index count = numel(shape);
  const bool in_order = count == 1 || (x.row_major() && x.size() == count);
  const Operand operand = in_order ? add_array(x.dtype) : add_register(x.dtype, true);
  if (in_order) {
    places_[operand].data = x.as<std::byte>();
    return operand;
  }
  BroadcastInput feed{.data = x.as<std::byte>(), .dtype = x.dtype, .shape = shape};
  if (x.size() != 1) feed.strides = aligned_strides(x, shape);  // a single element stays where it is
  feed.same_everywhere = std::ranges::all_of(feed.strides, [](Index s) { return s == 0; });
  feed.operand = operand;
  feeds_.push_back(feed);
  return operand;
}

FusedLoop::Operand FusedLoop::add_number(const ArrayView& x) {
  places_.push_back({.data = x.as<std::byte>(), .kind = Kind::memory, .step = 0});
  return static_cast<Operand>(places_.size() - 1);
}

FusedLoop::Outer FusedLoop::add_outer(const ArrayView& column, const ArrayView& row, Index width) {
  const auto element = static_cast<std::uint8_t>(size_of(row.dtype));
  row_width_ = width;
  places_.push_back({.data = row.as<std::byte>(), .kind = Kind::row, .step = element});
  places_.push_back({.data = column.as<std::byte>(), .kind = Kind::factor, .step = element});
  return {static_cast<Operand>(places_.size() - 2), static_cast<Operand>(places_.size() - 1)};
}

FusedLoop::Operand FusedLoop::add_register(DType dtype, bool fresh) {
  largest_element_ = std::max(largest_element_, size_of(dtype));
  std::uint32_t number = registers_;
  if (fresh || free_.empty()) {
    ++registers_;
  } else {
    number = free_.back();
    free_.pop_back();
  }
  places_.push_back({.number = number, .kind = Kind::scratch});
  return static_cast<Operand>(places_.size() - 1);
}

void FusedLoop::release(Operand reg) {
  if (places_[reg].kind == Kind::scratch) free_.push_back(places_[reg].number);
}

FusedLoop::Operand FusedLoop::add_panel(DType dtype, Index elements) {
  const auto element = static_cast<std::uint8_t>(size_of(dtype));
  places_.push_back({.kind = Kind::panel, .step = element});
  panel_bytes_ = static_cast<std::size_t>(elements) * size_of(dtype);
  return static_cast<Operand>(places_.size() - 1);
}

void FusedLoop::add_instruction(const BlockKernel& kernel, const void* attributes,
                                std::span<const Operand> inputs, Operand output) {
  instructions_.push_back({kernel.run, attributes, static_cast<std::uint32_t>(operands_.size()),
                           static_cast<std::uint32_t>(inputs.size())});
  operands_.insert(operands_.end(), inputs.begin(), inputs.end());
  operands_.push_back(output);
  most_inputs_ = std::max(most_inputs_, static_cast<std::uint32_t>(inputs.size()));
  cost_ += kernel.cost;
}

void FusedLoop::add_reduction(const ReductionKernel& joining, Operand input, Index width,
                              std::size_t element) {
  joining_ = &joining;
  join_width_ = width;
  result_bytes_ = element;
  joined_ = operands_.size();
  operands_.push_back(input);
}

void FusedLoop::finish(Index count) {
  count_ = count;
  find_streams();
  // A block is long enough that the kernels' calls do not count, and short enough that all registers stay in
  // the first cache and that arrays come from memory a little at a time.
  constexpr std::size_t near_bytes = std::size_t{24} * 1024, line = line_bytes;
  const std::size_t fitting = near_bytes / (largest_element_ * std::max(registers_, 1U)) / line * line;
  const bool alone = instructions_.size() == 1 && streams_.empty();
  block_ = static_cast<Index>(std::clamp<std::size_t>(fitting, 128, alone ? 4096 : 512));
  if (has_several_results() && join_width_ <= block_) {  // some whole rows of results
    block_ = block_ / join_width_ * join_width_;
  } else if (joining_ != nullptr) {
    block_ = std::max(block_ / joining_->leaf, Index{1}) * joining_->leaf;
    if (has_several_results()) row_width_ = join_width_;
  }
  block_ = std::min(block_, std::max<Index>(count, 1));
  const auto parts = static_cast<Index>(instructions_.size());
  for (Stream& stream : streams_) {
    const Index lines = block_ * places_[operands_[stream.operand]].step / line_bytes;
    stream.share = (lines + parts - 1) / parts;
  }
  // One line more than fits a power of two: registers that begin at the same place of a page evict one
  // another.
  register_bytes_ = (static_cast<std::size_t>(block_) * largest_element_ + line - 1) / line * line + line;
  panel_offset_ = registers_ * register_bytes_;
  state_offset_ = (panel_offset_ + panel_bytes_ + line - 1) / line * line;
  scratch_bytes_ = state_offset_ + (joining_ != nullptr ? joining_->bytes : 0);
  for (Location& place : places_)
    place.offset = place.kind == Kind::scratch ? place.number * register_bytes_ : panel_offset_;
  for (BroadcastInput& feed : feeds_) feed.offset = places_[feed.operand].offset;
  addresses_.reserve(operands_.size());
  entries_.reserve(operands_.size());
  for (const Operand operand : operands_) {
    addresses_.push_back(places_[operand].data);
    entries_.push_back(places_[operand]);
  }
}

// The arrays in memory that instructions read or write, each array once, if all of them together exceed the
// cache.
void FusedLoop::find_streams() {
  constexpr Index near_bytes = Index{1} << 20U;
  Index bytes = 0;
  std::vector<bool> known(places_.size(), false);
  for (const Instruction& instruction : instructions_) {
    for (std::uint32_t i = 0; i <= instruction.input_count; ++i) {
      const std::uint32_t at = instruction.first_operand + i;
      const Location& place = places_[operands_[at]];
      if (place.kind != Kind::memory || place.step == 0 || known[operands_[at]]) continue;
      known[operands_[at]] = true;
      streams_.push_back({at, i == instruction.input_count});
      bytes += count_ * place.step;
    }
  }
  if (bytes < near_bytes) streams_.clear();
}

Index FusedLoop::grain() const {
  const Index elements = 1000 * min_task_ns / std::max<Index>(cost_, 1);
  const Index whole = std::max(block_, has_several_results() ? row_width_ : 0);
  return std::max<Index>(elements / whole, 1) * whole;
}

void FusedLoop::set_data(Operand operand, std::byte* data) { places_[operand].data = data; }

void FusedLoop::lay_out_inputs(Index first, Index count, bool is_first, std::byte* scratch) const {
  for (const BroadcastInput& feed : feeds_) {
    if (feed.same_everywhere) {
      if (is_first) fill(scratch + feed.offset, feed.data, feed.dtype, count);
      continue;
    }
    const ArrayView x{feed.data, feed.dtype, feed.shape, Dims(feed.strides.data(), feed.shape.size())};
    gather(x, first, count, scratch + feed.offset);
  }
}

void* FusedLoop::address(std::size_t operand, const Position& at, std::byte* scratch) const {
  const Location& place = entries_[operand];
  auto* const data = static_cast<std::byte*>(addresses_[operand]);
  switch (place.kind) {
    case Kind::memory:
      return data + at.first * place.step;
    case Kind::row:
      return data + at.column * place.step;
    case Kind::factor:
      return data + at.row * place.step;
    default:
      return scratch + place.offset + (at.first - at.begin) * place.step;
  }
}

void FusedLoop::run_block(const Position& position, Index count, std::byte* scratch, void* state) const {
  std::array<void*, 8> few;
  RecycledVector<void*> many(most_inputs_ + 1 > few.size() ? most_inputs_ + 1 : 0);
  void** const at = many.empty() ? few.data() : many.data();
  for (const Instruction& instruction : instructions_) {
    for (std::uint32_t i = 0; i <= instruction.input_count; ++i)
      at[i] = address(instruction.first_operand + i, position, scratch);
    instruction.run(instruction.attributes, {at, instruction.input_count}, at[instruction.input_count],
                    count);
    if (!streams_.empty() && position.first + count < count_)
      fetch_ahead(position.first + count, &instruction - instructions_.data());
  }
  if (joining_ != nullptr) join(address(joined_, position, scratch), position, count, scratch, state);
}

void FusedLoop::join(const void* x, const Position& position, Index count, std::byte* scratch,
                     void* state) const {
  if (!has_several_results()) return joining_->add(state, x, count);
  auto* const result = static_cast<std::byte*>(results_) +
                       static_cast<std::size_t>(position.first / join_width_) * result_bytes_;
  if (row_width_ == 0) return joining_->rows(x, count / join_width_, join_width_, result);
  void* const own = scratch + state_offset_;
  if (position.column == 0) joining_->begin(own);
  joining_->add(own, x, count);
  if (position.column + count == row_width_) joining_->finish(own, result);
}

// Prefetches one part of the next block during each instruction of the block before: the memory then has the
// instructions' time for each part, and never too many requests at once. Inline, since GCC drops calls of
// functions that only prefetch.
[[gnu::always_inline]] inline void FusedLoop::fetch_ahead(Index first, std::ptrdiff_t instruction) const {
  for (const Stream& stream : streams_) {
    const Location& place = entries_[stream.operand];
    const auto* data = static_cast<const std::byte*>(addresses_[stream.operand]) + first * place.step;
    const Index lines = std::min(block_, count_ - first) * place.step / line_bytes;
    const Index end = std::min(stream.share * (instruction + 1), lines);
    for (Index i = stream.share * instruction; i < end; ++i) {
      stream.written ? __builtin_prefetch(data + i * line_bytes, 1)
                     : __builtin_prefetch(data + i * line_bytes, 0);
    }
  }
}

// All elements in one block: every address is known beforehand. Small networks spend most of their time here.
void FusedLoop::run_at_once(std::byte* scratch, void* state) {
  if (base_ != scratch) {
    base_ = scratch;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (!entries_[i].data_outside()) addresses_[i] = scratch + entries_[i].offset;
    }
  }
  for (const Instruction& instruction : instructions_) {
    void* const* const at = addresses_.data() + instruction.first_operand;
    instruction.run(instruction.attributes, {at, instruction.input_count}, at[instruction.input_count],
                    count_);
  }
  if (joining_ != nullptr) join(addresses_[joined_], {}, count_, scratch, state);
}

void FusedLoop::run(Index begin, Index end, std::byte* scratch, void* state, Index panel_first) {
  if (end - begin == count_ && count_ <= block_ && row_width_ == 0) {
    lay_out_inputs(0, count_, true, scratch);
    return run_at_once(scratch, state);
  }
  Position at{begin, begin - panel_first, 0, 0};
  for (Index count = 0; at.first < end; at.first += count) {
    count = std::min(block_, end - at.first);
    if (row_width_ != 0) {  // no further than to the end of the row
      at.row = at.first / row_width_, at.column = at.first % row_width_;
      count = std::min(count, row_width_ - at.column);
    }
    lay_out_inputs(at.first, count, at.first == begin, scratch);
    run_block(at, count, scratch, state);
  }
}

}  // namespace gradweave
