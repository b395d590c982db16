// What whole programs cost, each run as a process of its own: the processor's time, and the memory that was
// resident at most.
//
//     programs [options of Google Benchmark] NAME COMMAND [NAME COMMAND]...
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include <benchmark/benchmark.h>

namespace {

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

void program(benchmark::State& state, const std::string& command) {
  const std::string quiet = "exec >/dev/null; " + command;
  const char* const arguments[] = {"sh", "-c", quiet.c_str(), nullptr};
  for (auto _ : state) {
    pid_t child = 0;
    int status = -1;
    rusage usage{};  // of the shell and of all that it waited for
    if (posix_spawn(&child, "/bin/sh", nullptr, nullptr, const_cast<char* const*>(arguments), environ) == 0)
      wait4(child, &status, 0, &usage);
    if (status != 0) return state.SkipWithError(("failed: " + command).c_str());
    state.SetIterationTime(seconds(usage.ru_utime) + seconds(usage.ru_stime));
    state.counters["resident:MiB"] = static_cast<double>(usage.ru_maxrss) / 1024;
  }
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  for (int i = 1; i + 1 < argc; i += 2) {
    benchmark::RegisterBenchmark(argv[i], program, argv[i + 1])
        ->UseManualTime()
        ->MinTime(0.02)
        ->Repetitions(3)
        ->Unit(benchmark::kMillisecond);
  }
  benchmark::RunSpecifiedBenchmarks();
}
