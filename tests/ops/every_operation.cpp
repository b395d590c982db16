// Every op of the library, over its own samples; and the proof that the checker would notice a wrong one.
#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include <fmt/format.h>

#include <gradweave/graph/check/gradcheck.hpp>
#include <gradweave/graph/node.hpp>
#include <gradweave/graph/outputs.hpp>
#include <gradweave/nn/losses.hpp>
#include <gradweave/ops/ops.hpp>
#include <gradweave/ops/optimizer_updates.hpp>

#include "catch.hpp"
#include "support.hpp"

namespace gradweave {
namespace {

TEST_CASE("every op is right over its samples: derivatives, forward mode, every dtype and layout", "[ops]") {
  for (const Operation* op : all_operations()) {
    DYNAMIC_SECTION(op->name) {
      const GradcheckReport report = check_operation(*op);
      INFO(report.message);
      CHECK(report.ok);
    }
  }
}

TEST_CASE("an op without samples fails", "[ops]") {
  Operation bare = *all_operations().front();
  bare.samples = nullptr;
  const GradcheckReport report = check_operation(bare);
  CHECK_FALSE(report.ok);
  CHECK_THAT(report.message, Catch::Matchers::ContainsSubstring("no samples"));
}

TEST_CASE("names of ops are unique", "[ops]") {
  std::set<std::string_view> names;
  for (const Operation* op : all_operations()) CHECK(names.insert(op->name).second);
}

// Whatever defines a name in the sources must be in the registry, or nothing would check it.
TEST_CASE("every op that the sources define is in the registry", "[ops]") {
  const std::filesystem::path root =
      std::filesystem::path(__FILE__).parent_path().parent_path().parent_path();
  if (!std::filesystem::exists(root / "ops")) SKIP_TEST("the sources are not here");
  std::set<std::string> registered;
  for (const Operation* op : all_operations()) registered.emplace(op->name);

  const std::regex definition(R"(static\s+constexpr\s+std::string_view\s+name\s*=\s*"([^"]*)\")");
  std::size_t found = 0;
  for (const char* room : {"graph", "ops", "nn"}) {
    for (const auto& file : std::filesystem::recursive_directory_iterator(root / room)) {
      if (file.path().extension() != ".cpp") continue;
      std::stringstream text;
      text << std::ifstream(file.path()).rdbuf();
      const std::string source = text.str();
      for (std::sregex_iterator at(source.begin(), source.end(), definition), end; at != end; ++at, ++found) {
        INFO(file.path() << " defines " << (*at)[1]);
        CHECK(registered.contains((*at)[1]));
      }
    }
  }
  CHECK(found == registered.size());
}

// ---- Mutations: an op with its derivative rule spoilt.

enum class Mutation { scaled, flipped, zero, dropped, transposed, shifted, frozen };
constexpr std::array mutations{Mutation::scaled,     Mutation::flipped, Mutation::zero,  Mutation::dropped,
                               Mutation::transposed, Mutation::shifted, Mutation::frozen};
constexpr const char* name_of(Mutation m) {
  constexpr const char* names[] = {"scaled by 1.01", "sign flipped", "zero",  "last input's term dropped",
                                   "transposed",     "plus 0.001",   "frozen"};
  return names[static_cast<std::size_t>(m)];
}

// A vjp is a plain function, so what it does today stands here.
struct {
  const Operation* op = nullptr;
  Mutation mutation{};
  bool has_second_derivative = false;
  bool changed = false;  // whether the mutation has altered anything
} today;

// Whether, over its samples, the gradient of an op is connected to its inputs.
bool has_second_derivative(const Operation& op) {
  for (const Sample& sample : op.samples()) {
    std::vector<Tensor> inputs;
    for (const InputSpec& draw : sample.inputs) {
      const Tensor x = full(draw.shape, draw.low, is_floating(draw.dtype) ? DType::float64 : draw.dtype);
      inputs.push_back(is_floating(draw.dtype) ? variable(x) : x);
    }
    const Tensor y = sample.call(inputs);
    if (!y.is_tracked()) continue;
    for (const Tensor& g : gradients(y, inputs, ones(y.shape(), y.dtype()), Unconnected::zeros)) {
      for (const Tensor& x : inputs) {
        try {
          gradients(g, {x}, ones(g.shape(), g.dtype()));
          return true;
        } catch (const GraphError&) {  // not connected
        }
      }
    }
  }
  return false;
}

Tensor mutant_vjp(const void* attributes, std::size_t i, const Tensor& g, std::span<const Tensor> inputs,
                  const Tensor& y) {
  const auto original = [&] { return today.op->vjp(attributes, i, g, inputs, y); };
  const Tensor term = original();
  if (term.is_empty()) return term;
  const auto changed = [](Tensor t) {
    today.changed = true;
    return t;
  };
  switch (today.mutation) {
    case Mutation::scaled:
      return changed(term * 1.01);
    case Mutation::flipped:
      return changed(-term);
    case Mutation::zero:
      return changed({});
    case Mutation::shifted:
      return changed(term + 0.001);
    case Mutation::dropped:
      return i > 0 && i + 1 == inputs.size() ? changed({}) : term;
    case Mutation::transposed: {
      const bool square = term.rank() >= 2 && term.size(-1) == term.size(-2) && term.size(-1) > 1;
      return square ? changed(transpose(term)) : term;
    }
    case Mutation::frozen: {  // right in first order, but it hides from the second that the inputs matter
      if (!today.has_second_derivative) return term;
      std::vector<Tensor> cut;
      for (const Tensor& input : inputs) cut.push_back(input.is_tracked() ? detach(input) : input);
      return changed(today.op->vjp(attributes, i, g, cut, detach(y)));
    }
  }
  return term;
}

// The same of a rule for all inputs at once.
void mutant_pull_back(const void* attributes, Pullback& p) {
  today.op->pull_back(attributes, p);
  const auto change = [&](std::size_t i, Tensor t) {
    today.changed = true;
    p.give(i, std::move(t));
  };
  for (std::size_t i = 0; i < p.input_count(); ++i) {
    const Tensor term = p.given(i);
    if (term.is_empty()) continue;
    switch (today.mutation) {
      case Mutation::scaled:
        change(i, term * 1.01);
        break;
      case Mutation::flipped:
        change(i, -term);
        break;
      case Mutation::zero:
        change(i, {});
        break;
      case Mutation::shifted:
        change(i, term + 0.001);
        break;
      case Mutation::dropped:
        if (i > 0 && i + 1 == p.input_count()) change(i, {});
        break;
      case Mutation::transposed:
        if (term.rank() >= 2 && term.size(-1) == term.size(-2) && term.size(-1) > 1)
          change(i, transpose(term));
        break;
      case Mutation::frozen:
        break;
    }
  }
}

TEST_CASE("the checker notices every mutation of every op's derivative", "[ops]") {
  int mutants = 0, noticed = 0;
  std::size_t number = 0;
  for (const Operation* op : all_operations()) {
    if (is_sanitized && number++ % 4 != 0)
      continue;  // they take ten times as long, and look for other things
    if (op->vjp == nullptr && op->pull_back == nullptr) continue;
    for (const Mutation mutation : mutations) {
      Operation mutant = *op;
      if (op->vjp != nullptr) mutant.vjp = mutant_vjp;
      if (op->pull_back != nullptr) mutant.pull_back = mutant_pull_back;
      today = {op, mutation, has_second_derivative(*op)};
      const GradcheckReport report = check_operation(*op, {}, &mutant);
      if (!today.changed) {  // the same rule, for this op
        CHECK(report.ok);
        continue;
      }
      ++mutants;
      noticed += report.ok ? 0 : 1;
      INFO(op->name << ", " << name_of(mutation) << ": " << report.message);
      CHECK_FALSE(report.ok);
      CHECK(report.verdict != Gradcheck::error);
      CHECK(report.verdict != Gradcheck::kink);
    }
  }
  UNSCOPED_INFO(fmt::format("mutation score: {} of {}", noticed, mutants));
  CHECK(mutants > (is_sanitized ? 50 : 150));
  CHECK(noticed == mutants);
}

}  // namespace
}  // namespace gradweave
