// StepRunner: one step of a plan with all its addresses, ready to run; and how its work is shared out to
// threads.
#pragma once
#include <vector>

#include <gradweave/graph/kernels/fused_loop.hpp>
#include <gradweave/graph/operation.hpp>
#include <gradweave/graph/plan/program.hpp>

namespace gradweave {

struct StepRunner {
  Id first = no_id;                 ///< what it computes, or some of it
  const Operation* lead = nullptr;  ///< a kernel, or none
  const void* attributes = nullptr;
  ArrayView output;
  std::vector<ArrayView> inputs;
  // Of a lead that computes rows.
  Index rows = 0;
  Index width = 0;
  Index part = 0;         ///< of the rows, or of the elements if there is no lead
  Index column_tile = 0;  ///< what threads share out instead of the rows, if not 0
  Index worth = 0;        ///< how many threads
  bool to_panel = false;  ///< its rows are nowhere as a whole
  bool outer = false;     ///< nor anywhere: what follows multiplies out itself
  // What follows, over so many elements.
  Index count = 0;
  FusedLoop blocks;
  const ReductionKernel* joining = nullptr;  ///< of the reduction at the end
  void* joined = nullptr;                    ///< its result

  /// Part by part, in one thread or in as many as it is worth: what a part computes has the same bits in any.
  void run(std::byte* scratch);
  /// What it takes from `allocate_block` while it runs, at most, in each thread.
  std::size_t workspace() const;

 private:
  Index threads() const;
  template <class F>
  void share_out(Index length, Index piece, const F& f);
  void run_joined(std::byte* scratch);
  void run_part(Index begin, Index end, std::byte* scratch, void* state = nullptr);
  void run_columns(Index begin, Index end, std::byte* scratch);
};

}  // namespace gradweave
