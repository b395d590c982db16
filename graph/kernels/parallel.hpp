// Splitting work over threads. Results must be the same bit for bit at any number of threads: either the work
// alone fixes the blocks, or results do not depend on where a block begins.
#pragma once
#include <memory>
#include <type_traits>

#include <gradweave/graph/types/dtype.hpp>

namespace gradweave {

/// How many threads one evaluation may use, the calling thread included: the number given to
/// `set_num_threads`, else the environment variable GRADWEAVE_NUM_THREADS, else the number of the process's
/// cores. Throws ValueError when the variable is not a whole number from 1 to 1024.
int get_num_threads();
/// For the whole process, from the next evaluation on. Throws ValueError outside [1, 1024].
void set_num_threads(int count);

namespace detail {
void run_blocks(Index count, Index grain, void (*f)(void*, Index first, Index last), void* context);
}

/// Calls f(first, last) for the blocks [0, grain), [grain, 2 grain), ... of [0, count), on several threads at
/// once, and returns when all are done. A block should be worth waking a thread for: about 10 us or more. A
/// single block runs on the calling thread, as do calls of `parallel_for` inside of `f` and calls while
/// another user thread has the workers. Errors of `f` are thrown on; of several, the error of the earliest
/// block.
template <class F>
void parallel_for(Index count, Index grain, F&& f) {
  if (count > grain) {
    using Function = std::remove_reference_t<F>;
    detail::run_blocks(
        count, grain,
        [](void* context, Index first, Index last) { (*static_cast<Function*>(context))(first, last); },
        const_cast<void*>(static_cast<const void*>(std::addressof(f))));
  } else if (count > 0) {
    f(Index{0}, count);
  }
}

}  // namespace gradweave
