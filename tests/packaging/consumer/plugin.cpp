// A shared object with Gradweave in it, that a program loads and unloads. Both functions return their
// argument.
#include <algorithm>
#include <atomic>

#include <gradweave/graph/kernels/parallel.hpp>
#include <gradweave/graph/tensor.hpp>
#include <gradweave/ops/ops.hpp>

using namespace gradweave;

// Has a worker that never takes memory.
extern "C" [[gnu::visibility("default")]] long long plugin_count(long long size) {
  set_num_threads(2);
  std::atomic<long long> count = 0;
  parallel_for(size, 1000, [&](Index first, Index last) { count += last - first; });
  return count;
}

extern "C" [[gnu::visibility("default")]] long long plugin_evaluate(long long size) {
  set_num_threads(2);
  const auto ones = exp(zeros({size})).to_vector();
  return std::count(ones.begin(), ones.end(), 1.0F);
}
