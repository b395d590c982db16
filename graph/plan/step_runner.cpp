#include <gradweave/graph/plan/step_runner.hpp>

#include <algorithm>

#include <gradweave/graph/kernels/parallel.hpp>
#include <gradweave/graph/memory/storage.hpp>

namespace gradweave {

Index StepRunner::threads() const { return worth > 1 ? std::min<Index>(worth, get_num_threads()) : 1; }

std::size_t StepRunner::workspace() const {
  if (lead == nullptr && joining == nullptr && worth <= 1) return 0;  // computed in the plan's own scratch
  std::size_t bytes = blocks.scratch_bytes() + 4096;
  if (joining != nullptr && lead == nullptr)
    bytes += (static_cast<std::size_t>((count - 1) / part) + 1) * joining->bytes;
  if (lead == nullptr) return bytes;
  if (lead->workspace != nullptr)
    return bytes + static_cast<std::size_t>(lead->workspace(attributes, output, inputs));
  bytes += std::size_t{1} << 20U;
  // A product copies only what does not lie in order.
  const auto is_copied = [&](const ArrayView& x) { return lead->outer == nullptr || !x.row_major(); };
  for (const ArrayView& x : inputs) {
    if (is_copied(x)) bytes += static_cast<std::size_t>(x.size()) * size_of(x.dtype);
  }
  return bytes;
}

namespace {

// The size of nearly equal pieces of at most `most`, so that each thread gets as few pieces as possible.
Index even_piece(Index length, Index most, Index threads) {
  const Index rounds = (length - 1) / most / threads + 1;
  return (length - 1) / (rounds * threads) + 1;
}

}  // namespace

// Calls f(begin, end, scratch) on several threads.
template <class F>
void StepRunner::share_out(Index length, Index piece, const F& f) {
  parallel_for(length, piece, [&](Index begin, Index end) {
    const Scratch own(blocks.scratch_bytes());
    f(begin, end, own.data());
  });
}

void StepRunner::run(std::byte* scratch) {
  if (lead != nullptr && lead->run_outputs != nullptr) return lead->run_outputs(attributes, outputs, inputs);
  if (lead != nullptr && lead->run_rows == nullptr) {
    std::span<const ArrayView> x = inputs;
    if (in_place) {
      if (x.back().data != output.data) gather(x.back(), 0, output.size(), output.data);
      x = x.first(x.size() - 1);
    }
    return lead->run(attributes, output, x);
  }
  if (joining != nullptr) return run_joined(scratch);
  const Index length = lead != nullptr ? rows : count, sharing = threads();
  if (sharing > 1 && column_tile > 0) {
    const Index parts = (width - 1) / column_tile + 1;
    share_out(width, ((parts - 1) / sharing + 1) * column_tile,
              [&](Index begin, Index end, std::byte* own) { run_columns(begin, end, own); });
  } else if (sharing > 1) {
    share_out(length, lead != nullptr ? even_piece(length, part, sharing) : part,
              [&](Index begin, Index end, std::byte* own) { run_part(begin, end, own); });
  } else {
    for (Index begin = 0; begin < length; begin += part)
      run_part(begin, std::min(length, begin + part), scratch);
  }
}

// A step that ends in a reduction to one element. Every thread reduces the pieces that it computes; the
// pieces' states are then appended in order. One thread alone reduces the rows of a lead.
void StepRunner::run_joined(std::byte* scratch) {
  const Index length = lead != nullptr ? rows : count, sharing = lead != nullptr ? 1 : threads();
  const Index piece = sharing > 1 ? part : length;
  RecycledVector<std::byte> states(static_cast<std::size_t>((length - 1) / piece + 1) * joining->bytes);
  const auto state = [&](Index begin) {
    return states.data() + static_cast<std::size_t>(begin / piece) * joining->bytes;
  };
  const auto run_piece = [&](Index begin, Index end, std::byte* own) {
    joining->begin(state(begin));
    for (Index at = begin; at < end; at += part) run_part(at, std::min(end, at + part), own, state(begin));
  };
  if (sharing > 1) {
    share_out(length, piece, run_piece);
  } else {
    run_piece(0, length, scratch);
  }
  for (Index begin = piece; begin < length; begin += piece) joining->append(state(0), state(begin));
  joining->finish(state(0), joined);
}

// Rows [begin, end) of the lead and the members over them; without a lead, elements [begin, end) of the
// members.
void StepRunner::run_part(Index begin, Index end, std::byte* scratch, void* state) {
  if (lead == nullptr) return blocks.run(begin, end, scratch, state);
  if (outer) return blocks.run(begin * width, end * width, scratch, state);
  const auto element = static_cast<Index>(size_of(output.dtype));
  std::byte* data = to_panel ? blocks.panel(scratch) : output.as<std::byte>() + begin * width * element;
  lead->run_rows(attributes, {data, begin, end - begin, width}, output, inputs);
  if (!blocks.empty()) blocks.run(begin * width, end * width, scratch, state);
}

// Columns [begin, end) of all rows of the lead, and the members over them.
void StepRunner::run_columns(Index begin, Index end, std::byte* scratch) {
  const Index columns = end - begin;
  const auto element = static_cast<Index>(size_of(output.dtype));
  std::byte* data = to_panel ? blocks.panel(scratch) : output.as<std::byte>() + begin * element;
  lead->run_rows(attributes, {data, 0, rows, width, begin, columns, to_panel ? columns : width}, output,
                 inputs);
  if (blocks.empty()) return;
  for (Index row = 0; row < rows; ++row)
    blocks.run(row * width + begin, row * width + end, scratch, nullptr, row * columns);
}

}  // namespace gradweave
