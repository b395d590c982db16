#include <gradweave/graph/report/profile.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/dag_shortest_paths.hpp>
#ifdef GRADWEAVE_HAS_JSON
#include <nlohmann/json.hpp>
#endif

#include <gradweave/graph/plan/plan.hpp>
#include <gradweave/graph/types/error.hpp>

namespace gradweave {
namespace {

double seconds(Profile::Clock::duration time) { return std::chrono::duration<double>(time).count(); }

// ---- The machine

// The best of several, for others may be using the machine.
template <class F>
double least_seconds(int times, const F& f) {
  double least = 1e9;
  for (int i = 0; i < times; ++i) {
    const auto begin = Profile::Clock::now();
    f();
    least = std::min(least, seconds(Profile::Clock::now() - begin));
  }
  return least;
}

// Independent sums, enough of them to hide the latency of each; the compiler makes it fused operations.
double measure_gflops() {
#if defined(__AVX512F__)
  constexpr int bytes = 64;
#elif defined(__AVX__)
  constexpr int bytes = 32;
#else
  constexpr int bytes = 16;
#endif
  using Vector __attribute__((vector_size(bytes))) = float;
  constexpr int lanes = bytes / sizeof(float), chains = 12, rounds = 1 << 19;
  Vector sums[chains] = {};
  const volatile float factor = 0.5F;  // not known to the compiler
  const Vector a = factor - Vector{}, b = a + 1;
  const double time = least_seconds(8, [&] {
    Vector s[chains];
    for (int c = 0; c < chains; ++c) s[c] = sums[c];
    for (int i = 0; i < rounds; ++i) {
      for (Vector& sum : s) sum = sum * a + b;
    }
    for (int c = 0; c < chains; ++c) sums[c] = s[c];
    asm volatile("" : : "r"(sums) : "memory");  // somebody may be reading them
  });
  return 2.0 * chains * lanes * rounds / time * 1e-9;
}

double measure_gbytes() {
  constexpr std::size_t count = std::size_t{1} << 23;  // 32 MiB each: more than a share of most caches
  std::vector<float> a(count, 0), b(count, 1), c(count, 2);
  const double time = least_seconds(5, [&] {
    for (std::size_t i = 0; i < count; ++i) a[i] = b[i] + 3 * c[i];
    asm volatile("" : : "r"(a.data()) : "memory");
  });
  return 3.0 * sizeof(float) * count / time * 1e-9;
}

}  // namespace

const MachineCeilings& machine_ceilings() {
  static const MachineCeilings measured{measure_gflops(), measure_gbytes()};
  return measured;
}

// ---- The critical path

CriticalPath critical_path(const PlanReport& report, std::span<const double> times) {
  const std::size_t count = report.steps.size();
  if (times.size() != count)
    throw ValueError(fmt::format("critical_path: {} times for {} steps", times.size(), count));
  // Steps, and a vertex from which all of them can begin. The longest path is the shortest one by lengths
  // below zero, which a graph without cycles admits.
  using Graph = boost::adjacency_list<boost::vecS, boost::vecS, boost::directedS, boost::no_property,
                                      boost::property<boost::edge_weight_t, double>>;
  Graph graph(count + 1);
  for (std::size_t s = 0; s < count; ++s) {
    boost::add_edge(count, s, -times[s], graph);
    for (const std::size_t before : report.steps[s].after) boost::add_edge(before, s, -times[s], graph);
  }
  std::vector<double> distance(count + 1);
  std::vector<std::size_t> before(count + 1);
  boost::dag_shortest_paths(graph, count,
                            boost::distance_map(distance.data()).predecessor_map(before.data()));
  CriticalPath path;
  std::size_t at = static_cast<std::size_t>(std::ranges::min_element(distance) - distance.begin());
  path.time = 0 - distance[at];
  for (; at != count; at = before[at]) path.steps.push_back(at);
  std::ranges::reverse(path.steps);
  return path;
}

// ---- Profile

// Notes the times of the plans' steps. What runs inside a step is a part of it, so that nobody observes that.
class Profile::Observer final : public StepObserver {
 public:
  explicit Observer(Profile& profile) : profile_(profile), outer_(exchange(this)) {}
  ~Observer() { exchange(outer_); }
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;

  void begin(const Plan& plan) override {
    if (!plan.note()) plan.note() = std::make_shared<const PlanReport>(explain_plan(plan));
    Ran& run = profile_.runs_.emplace_back(std::static_pointer_cast<const PlanReport>(plan.note()));
    run.times.reserve(plan.steps().size() + 1);
    exchange(nullptr);
    run.times.push_back(Clock::now());
  }
  void end_step() noexcept override { profile_.runs_.back().times.push_back(Clock::now()); }
  void end(bool completed) noexcept override {
    if (!completed) profile_.runs_.pop_back();
    exchange(this);
  }

 private:
  Profile& profile_;
  StepObserver* outer_;
};

Profile::Profile() : observer_(std::make_unique<Observer>(*this)) {}
Profile::~Profile() = default;

namespace {

struct Total {  // over the steps of one label
  std::string label;
  std::size_t count = 0;
  double seconds = 0, flops = 0, bytes = 0, least_seconds = 0;
};

}  // namespace

ProfileReport Profile::report() const {
  // The time of each step of each plan.
  std::unordered_map<const PlanReport*, std::size_t> numbers;
  std::vector<std::pair<const PlanReport*, std::size_t>> plans;  // and how often it ran
  std::vector<std::vector<double>> times;
  for (const Ran& run : runs_) {
    const auto [at, is_new] = numbers.try_emplace(run.plan.get(), plans.size());
    if (is_new) {
      plans.emplace_back(run.plan.get(), 0);
      times.emplace_back(run.plan->steps.size());
    }
    ++plans[at->second].second;
    for (std::size_t s = 0; s + 1 < run.times.size(); ++s)
      times[at->second][s] += seconds(run.times[s + 1] - run.times[s]);
  }

  const MachineCeilings& machine = machine_ceilings();
  ProfileReport report;
  std::unordered_map<std::string, std::size_t> rows;
  std::vector<Total> sums;
  for (std::size_t p = 0; p < plans.size(); ++p) {
    const auto& [plan, count] = plans[p];
    for (std::size_t s = 0; s < plan->steps.size(); ++s) {
      const PlanReport::Step& step = plan->steps[s];
      std::string label = label_of(step);
      const auto [at, is_new] = rows.try_emplace(label, sums.size());
      if (is_new) sums.emplace_back().label = std::move(label);
      Total& sum = sums[at->second];
      const auto n = static_cast<double>(count);
      const auto bytes = static_cast<double>(step.bytes_read + step.bytes_written);
      sum.count += count;
      sum.seconds += times[p][s];
      sum.flops += n * step.flops;
      sum.bytes += n * bytes;
      sum.least_seconds += n * 1e-9 * std::max(step.flops / machine.gflops, bytes / machine.gbytes);
      report.total_ms += 1e3 * times[p][s];
    }
    report.critical_ms += 1e3 * critical_path(*plan, times[p]).time;
  }

  const auto of = [](double part, double whole) { return whole > 0 ? part / whole : 0; };
  std::ranges::stable_sort(sums, std::ranges::greater(), &Total::seconds);
  for (Total& sum : sums) {
    report.steps.push_back({std::move(sum.label), sum.count, 1e3 * sum.seconds,
                            of(1e3 * sum.seconds, report.total_ms), 1e-9 * of(sum.flops, sum.seconds),
                            1e-9 * of(sum.bytes, sum.seconds), 100 * of(sum.least_seconds, sum.seconds)});
  }
  report.critical_share = of(report.critical_ms, report.total_ms);
  return report;
}

std::string to_string(const ProfileReport& report) {
  const MachineCeilings& machine = machine_ceilings();
  std::string text = fmt::format(
      "{:.3f} ms in steps, {:.3f} ms ({:.0f} %) on the critical path; ceilings {:.0f} GFLOP/s, "
      "{:.1f} GB/s\n",
      report.total_ms, report.critical_ms, 100 * report.critical_share, machine.gflops, machine.gbytes);
  text += fmt::format("{:>7} {:>10} {:>6} {:>8} {:>7} {:>6}  {}\n", "count", "ms", "share", "GFLOP/s", "GB/s",
                      "roof", "step");
  for (const ProfileReport::Step& step : report.steps) {
    text += fmt::format("{:>7} {:>10.3f} {:>4.0f} % {:>8.2f} {:>7.2f} {:>4.0f} %  {}\n", step.count,
                        step.total_ms, 100 * step.share, step.gflops, step.gbytes, step.roofline, step.label);
  }
  return text;
}

#ifdef GRADWEAVE_HAS_JSON
void Profile::write_trace(const std::string& path) const {
  const auto microseconds = [](Clock::duration time) { return 1e6 * seconds(time); };
  nlohmann::ordered_json events = nlohmann::ordered_json::array();
  for (const Ran& run : runs_) {
    for (std::size_t s = 0; s + 1 < run.times.size(); ++s) {
      const PlanReport::Step& step = run.plan->steps[s];
      events.push_back({{"name", label_of(step)},
                        {"cat", "step"},
                        {"ph", "X"},
                        {"pid", 1},
                        {"tid", 1},
                        {"ts", microseconds(run.times[s] - begin_)},
                        {"dur", microseconds(run.times[s + 1] - run.times[s])},
                        {"args",
                         {{"step", s},
                          {"flops", step.flops},
                          {"bytes read", step.bytes_read},
                          {"bytes written", step.bytes_written}}}});
    }
  }
  std::ofstream file(path);
  if (!file)
    throw IoError(fmt::format("write_trace: cannot open \"{}\" for writing: {}", path, std::strerror(errno)));
  file << nlohmann::json{{"traceEvents", std::move(events)}, {"displayTimeUnit", "ms"}};
  file.close();
  if (!file) throw IoError(fmt::format("write_trace: writing {} failed: is the disk full?", path));
}
#else
void Profile::write_trace(const std::string&) const {
  throw Error(
      "write_trace: Gradweave was built without nlohmann-json (Debian: apt-get install nlohmann-json3-dev, "
      "then configure and build again)");
}
#endif

}  // namespace gradweave
