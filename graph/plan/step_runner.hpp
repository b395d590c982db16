// StepRunner: one step of a plan with all its addresses, ready to run; and how threads share out its work.
#pragma once
#include <vector>

#include <gradweave/graph/kernels/fused_loop.hpp>
#include <gradweave/graph/operation.hpp>
#include <gradweave/graph/plan/program.hpp>

namespace gradweave {

struct StepRunner {
  Id first = no_id;                 ///< one of the values that the step computes
  const Operation* lead = nullptr;  ///< a kernel, or none
  const void* attributes = nullptr;
  ArrayView output;
  std::vector<ArrayView> inputs;
  std::vector<ArrayView> outputs;  ///< of a lead with several
  bool in_place = false;           ///< behind the lead's inputs comes what its output begins as
  // Of a lead that computes rows.
  Index rows = 0;
  Index width = 0;
  Index part = 0;         ///< rows computed at a time; elements if there is no lead
  Index column_tile = 0;  ///< if not 0, threads share out columns instead of rows, in multiples of this many
  Index worth = 0;        ///< the most threads that the step's work is worth
  bool to_panel = false;  ///< the lead's rows go to a per-thread panel, not to memory of their own
  bool outer = false;     ///< an outer product that is never computed: members multiply row by factor
  // The members, over `count` elements.
  Index count = 0;
  FusedLoop blocks;
  const ReductionKernel* joining = nullptr;  ///< of the reduction at the end
  void* joined = nullptr;                    ///< the reduction's result

  /// Runs the step part by part, on one thread or on as many as the work is worth. A part's results have the
  /// same bits on any thread.
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
