#include <gradweave/graph/plan/plan.hpp>
#include <gradweave/graph/report/profile.hpp>

#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>
#ifdef GRADWEAVE_HAS_JSON
#include <nlohmann/json.hpp>
#endif

#include <gradweave/graph/evaluate.hpp>
#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave {
namespace {

using Catch::Matchers::ContainsSubstring;

Tensor ones_of(const Shape& shape) {
  return variable(std::vector<float>(static_cast<std::size_t>(numel(shape)), 1), shape);
}

// a, then b and c of it, then d of both: four products, four steps.
Tensor diamond(Index n) {
  const Tensor x = ones_of({n, n}), a = matmul(x, ones_of({n, n}));
  return matmul(matmul(a, ones_of({n, n})), matmul(a, x));
}

std::size_t count(const ProfileReport& report) {
  std::size_t all = 0;
  for (const ProfileReport::Step& step : report.steps) all += step.count;
  return all;
}

TEST_CASE("the critical path of a diamond goes through its slower side", "[profile]") {
  const PlanReport plan = explain_plan(diamond(4));
  REQUIRE(plan.steps.size() == 4);
  using Steps = std::vector<std::size_t>;
  const CriticalPath left = critical_path(plan, std::vector<double>{1, 5, 2, 1});
  CHECK(left.time == 7);
  CHECK(left.steps == Steps{0, 1, 3});
  const CriticalPath right = critical_path(plan, std::vector<double>{1, 5, 8, 1});
  CHECK(right.time == 10);
  CHECK(right.steps == Steps{0, 2, 3});
  CHECK_THROWS_AS(critical_path(plan, std::vector<double>{1, 2}), ValueError);
  CHECK(critical_path({}, {}).time == 0);
  CHECK(critical_path({}, {}).steps.empty());
}

TEST_CASE("every step that ran is counted, and shares add up", "[profile]") {
  const Profile profile;
  for (int i = 0; i < 3; ++i) eval(diamond(8));
  const ProfileReport report = profile.report();
  CHECK(count(report) == 12);
  REQUIRE(report.steps.size() == 1);  // all have one label
  CHECK(report.steps[0].label == "matmul(transpose_a=false, transpose_b=false) (8, 8)");
  CHECK(report.steps[0].share == Approx(1));
  CHECK(report.total_ms > 0);
  // Each of 12 products takes 2 * 8^3 operations, reads two matrices and writes one.
  CHECK(report.steps[0].gflops == Approx(12 * 1024 / report.total_ms * 1e-6));
  CHECK(report.steps[0].gbytes == Approx(12 * 3 * 256 / report.total_ms * 1e-6));
  CHECK(report.steps[0].roofline > 0);
  CHECK(report.critical_ms < report.total_ms);
  CHECK(report.critical_share == Approx(report.critical_ms / report.total_ms));
  CHECK_THAT(to_string(report), ContainsSubstring("matmul(transpose_a=false, transpose_b=false) (8, 8)"));
}

TEST_CASE("a chain is its own critical path", "[profile]") {
  const Profile profile;
  eval(sum(exp(matmul(ones_of({8, 8}), ones_of({8, 8}))), {0}));
  const ProfileReport report = profile.report();
  CHECK(count(report) == 2);
  CHECK(report.critical_share == Approx(1));
}

TEST_CASE("the innermost profile of the thread that runs is the one that counts", "[profile][threads]") {
  CHECK(StepObserver::current() == nullptr);
  std::optional<Profile> outer;
  outer.emplace();
  {
    const Profile inner;
    eval(exp(ones_of({3})));
    CHECK(count(inner.report()) == 1);
    CHECK(count(outer->report()) == 0);
  }
  std::thread([] { eval(exp(ones_of({3}))); }).join();
  CHECK(count(outer->report()) == 0);
  eval(exp(ones_of({3})));
  CHECK(count(outer->report()) == 1);
  outer.reset();
  CHECK(StepObserver::current() == nullptr);
}

TEST_CASE("a plan that fails is not counted, and the profile goes on", "[profile]") {
  const Profile profile;
  const Tensor labels = constant(std::vector<Index>{7}, {1});
  CHECK_THROWS_AS(eval(one_hot(labels + 0, 3)), ValueError);
  CHECK(count(profile.report()) == 0);
  eval(exp(ones_of({3})));
  CHECK(count(profile.report()) == 1);
}

TEST_CASE("results are the same bit for bit while they are profiled", "[profile]") {
  const auto compute = [] { return tanh(diamond(16) * 0.01).to_vector(); };
  const std::vector<float> plain = compute();
  const Profile profile;
  CHECK(compute() == plain);
}

TEST_CASE("what the machine can do is measured once", "[profile]") {
  const MachineCeilings& machine = machine_ceilings();
  CHECK(machine.gflops > 0.1);
  CHECK(machine.gbytes > 0.1);
  CHECK(&machine_ceilings() == &machine);
}

TEST_CASE("a trace has one event for each step that ran", "[profile]") {
  const std::string path = std::filesystem::temp_directory_path() / "gradweave_test_trace.json";
  const Profile profile;
  eval(diamond(8));
  eval(exp(ones_of({3})));
#ifdef GRADWEAVE_HAS_JSON
  profile.write_trace(path);
  std::ifstream file(path);
  const nlohmann::json trace = nlohmann::json::parse(file);
  const nlohmann::json& events = trace.at("traceEvents");
  REQUIRE(events.size() == 5);
  double end = 0;
  for (const nlohmann::json& event : events) {
    CHECK(event.at("ph") == "X");
    CHECK(event.at("dur").get<double>() >= 0);
    CHECK(event.at("ts").get<double>() >= end - 1e-3);  // one after the other
    end = event.at("ts").get<double>() + event.at("dur").get<double>();
  }
  CHECK(events[0].at("name") == "matmul(transpose_a=false, transpose_b=false) (8, 8)");
  CHECK(events[0].at("args").at("flops") == 1024);
  CHECK(events[4].at("name") == "exp (3,)");
  std::filesystem::remove(path);
  CHECK_THROWS_AS(profile.write_trace("/no/such/folder/trace.json"), IoError);
  if (std::filesystem::exists("/dev/full")) CHECK_THROWS_AS(profile.write_trace("/dev/full"), IoError);
#else
  CHECK_THROWS_AS(profile.write_trace(path), Error);
#endif
}

}  // namespace
}  // namespace gradweave
