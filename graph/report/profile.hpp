// Where the time goes: every step that this thread's plans run, timed, beside what the machine could do.
#pragma once
#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <gradweave/graph/report/explain.hpp>

namespace gradweave {

/// What one thread of this machine can do at best.
struct MachineCeilings {
  double gflops = 0;  ///< float32 multiplications and additions in vector registers, 10^9 a second
  double gbytes = 0;  ///< to and from memory, 10^9 bytes a second: the triad a = b + s c of the STREAM
                      ///< benchmark (McCalpin, 1995), two arrays read and one written
};
/// Measured at the first call, which takes some tenths of a second.
const MachineCeilings& machine_ceilings();

/// The longest chain of steps of which each reads what the one before it computed: with any number of threads
/// for different steps, the plan takes no less time.
struct CriticalPath {
  double time = 0;                 ///< the sum of `times` along it
  std::vector<std::size_t> steps;  ///< of the plan, first to last
};
/// `times` has a time, 0 or more, for each step of the report. Throws ValueError for another number of them.
CriticalPath critical_path(const PlanReport& report, std::span<const double> times);

struct ProfileReport {
  struct Step {
    std::string label;      ///< see label_of
    std::size_t count = 0;  ///< how often it ran
    double total_ms = 0;
    double share = 0;     ///< of the time of all steps, 0 to 1
    double gflops = 0;    ///< 10^9 floating-point operations a second
    double gbytes = 0;    ///< 10^9 bytes a second that it read from and wrote to memory or cache
    double roofline = 0;  ///< percent of what machine_ceilings allow a step of so many operations and bytes
                          ///< (Williams, Waterman and Patterson, 2009); beyond 100 out of a cache or with
                          ///< several threads
  };
  std::vector<Step> steps;    ///< of one label together, the slowest first
  double total_ms = 0;        ///< of all steps
  double critical_ms = 0;     ///< of the critical paths of all plans together, one plan after the other
  double critical_share = 0;  ///< of the total, 0 to 1
};
/// As a table.
std::string to_string(const ProfileReport& report);

/// While it lives, each step of the plans that this thread runs is timed; what a kernel evaluates itself is
/// part of its step. Of several the innermost counts. It keeps 8 bytes for each step that ran. A plan
/// that ends with an error is not counted. Belongs to the thread that made it.
class Profile {
 public:
  Profile();
  ~Profile();
  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;

  ProfileReport report() const;
  /// Writes all steps that ran for a viewer of Chrome's trace events (chrome://tracing, ui.perfetto.dev).
  /// Throws IoError when it cannot be written, and Error when Gradweave was built without nlohmann-json.
  void write_trace(const std::string& path) const;

  using Clock = std::chrono::steady_clock;

 private:
  class Observer;
  struct Ran {
    std::shared_ptr<const PlanReport> plan;
    std::vector<Clock::time_point> times;  // the beginning, then the end of each step
  };
  std::vector<Ran> runs_;
  Clock::time_point begin_ = Clock::now();
  std::unique_ptr<Observer> observer_;
};

}  // namespace gradweave
