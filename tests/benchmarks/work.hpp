// What a workload has to do at least: what the machine (machine.cpp) takes for that is its limit.
#pragma once
#include <benchmark/benchmark.h>

#include <gradweave/graph/report/explain.hpp>

/// Counts the floating-point operations of a plan, and the bytes that it cannot do without: of its inputs and
/// outputs. The time of the benchmark is that of one of `parts`.
inline void count_work(benchmark::State& state, const gradweave::PlanReport& plan, double parts = 1) {
  state.counters["work:FLOP"] = plan.flops() / parts;
  state.counters["traffic:B"] = static_cast<double>(plan.input_bytes + plan.output_bytes) / parts;
}
