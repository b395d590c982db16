// What one thread of this machine can do at best: the limits of the other benchmarks.
#include <cstddef>
#include <cstdint>
#include <vector>

#include <benchmark/benchmark.h>

#include <gradweave/graph/report/profile.hpp>

namespace {

void arithmetic(benchmark::State& state) {
  for (auto _ : state) state.counters["rate:GFLOP/s"] = gradweave::machine_ceilings().gflops;
}
BENCHMARK(arithmetic)->Name("machine/arithmetic")->Iterations(1);

// The triad of the STREAM benchmark over so many bytes in all, again and again: out of the smallest cache
// that holds them.
void triad(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0)) / (3 * sizeof(float));
  std::vector<float> a(count, 0), b(count, 1), c(count, 2);
  for (auto _ : state) {
    for (std::size_t i = 0; i < count; ++i) a[i] = b[i] + 3 * c[i];
    benchmark::DoNotOptimize(a.data());
    benchmark::ClobberMemory();
  }
}
BENCHMARK(triad)->Name("machine/triad")->RangeMultiplier(4)->Range(1 << 14, 1 << 28);

}  // namespace
