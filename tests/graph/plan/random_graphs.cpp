// Graphs made by chance of most of the library's ops, on data long enough for several blocks and parts:
// passes, caches, updates in place, threads and compiled functions must not change a bit of their results. A
// failure names its seed.
#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <gradweave/graph/compile.hpp>
#include <gradweave/graph/kernels/parallel.hpp>
#include <gradweave/graph/plan/pending_graph.hpp>
#include <gradweave/graph/plan/plan.hpp>
#include <gradweave/graph/report/explain.hpp>
#include <gradweave/nn/nn.hpp>

#include "catch.hpp"

namespace gradweave {
namespace {

using Values = std::vector<std::vector<double>>;

Values doubles_of(std::span<const Tensor> tensors) {
  Values all;
  for (const Tensor& tensor : tensors) all.push_back(tensor.to_vector<double>());
  return all;
}

bool same_bits(double a, double b) {
  return (a == b && std::signbit(a) == std::signbit(b)) || (std::isnan(a) && std::isnan(b));
}

// The first result that differs, or -1.
int difference(const Values& a, const Values& b) {
  if (a.size() != b.size()) return 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!std::ranges::equal(a[i], b[i], same_bits)) return static_cast<int>(i);
  }
  return -1;
}

const std::vector<Shape>& leaf_shapes() {
  static const std::vector<Shape> shapes{{13, 300}, {300}, {13, 1},       {40, 13},     {5, 6},
                                         {6},       {},    {2, 3, 9, 10}, {3, 3, 3, 3}, {2, 7, 5}};
  return shapes;
}

std::vector<Tensor> leaves(std::uint64_t seed, DType dtype) {
  std::mt19937_64 random(seed);
  std::vector<Tensor> all;
  for (const Shape& shape : leaf_shapes()) {
    std::vector<double> values(static_cast<std::size_t>(numel(shape)));
    for (double& v : values) v = static_cast<double>(random() % 4096) / 1024 - 2;  // 0 and ties among them
    const Tensor tensor = cast(constant(values, shape), dtype);
    eval(tensor);
    all.push_back(all.size() % 3 == 2 ? tensor : variable(tensor));
  }
  return all;
}

// And others: whole numbers, truth values, no elements at all, views.
std::vector<Tensor> more_leaves(std::uint64_t seed, DType dtype) {
  std::vector<Tensor> all = leaves(seed, dtype);
  for (const Tensor& more :
       {cast(all[0], DType::int64), all[4] > 0.5, slice(all[4], 0, 0, 0), slice(all[9], 1, 3, 3),
        cast(slice(all[4], 1, 0, 6, 2), DType::int64), transpose(all[0]), broadcast_to(all[5], {5, 6})}) {
    all.push_back(detach(more));
    eval(all.back());
  }
  return all;
}

// The same graph on any leaves of those shapes.
class RandomGraph {
 public:
  RandomGraph(std::uint64_t seed, int length) : random_(seed), length_(length) {}

  std::vector<Tensor> operator()(std::span<const Tensor> leaves) {
    all_.assign(leaves.begin(), leaves.end());
    for (int k = 0; k < length_; ++k) {
      try {
        Tensor made = next();
        if (made.numel() <= 20'000) all_.push_back(std::move(made));
      } catch (const Error&) {  // shapes or dtypes that do not fit
      }
    }
    std::vector<Tensor> results;
    for (int k = 0; k < 4; ++k)
      results.push_back(all_[all_.size() - 1 - number(std::min<std::size_t>(12, all_.size()))]);
    Tensor y = sum(tanh(results[0])) + sum(sigmoid(all_.back()));
    if (number(2) == 0) {
      for (int order = 0; order < 1 + static_cast<int>(number(2)) && y.is_tracked(); ++order) {
        std::vector<Tensor> wanted;
        for (const Tensor& leaf : leaves) {
          if (leaf.is_tracked()) wanted.push_back(leaf);
        }
        const std::vector<Tensor> slopes = gradients(y, wanted, {}, Unconnected::zeros);
        for (const Tensor& slope : slopes) {
          results.push_back(slope);
          if (order == 0) y = y + sum(square(slope));
        }
      }
    }
    results.push_back(y);
    all_.clear();
    return results;
  }

 private:
  std::size_t number(std::size_t below) { return random_() % below; }
  // The latest more often than others.
  Tensor any() {
    const std::size_t back = std::min(number(all_.size()), number(all_.size()));
    return all_[all_.size() - 1 - back];
  }
  Index axis(const Tensor& x) { return static_cast<Index>(number(std::max<std::size_t>(x.rank(), 1))); }

  Tensor next() {
    const Tensor a = any(), b = any();
    switch (number(50)) {
      case 0:
        return a + b;
      case 1:
        return a - b;
      case 2:
        return a * b;
      case 3:
        return a / (abs(b) + 0.5);
      case 4:
        return maximum(a, b);
      case 5:
        return minimum(a, b * 0.5);
      case 6:
        return where(a < b, a, b);
      case 7:
        return sigmoid(a);
      case 8:
        return tanh(a);
      case 9:
        return exp(-abs(a));
      case 10:
        return log1p(square(a));
      case 11:
        return relu(a);
      case 12:
        return sqrt(abs(a) + 0.25);
      case 13:
        return sin(a) * cos(b);
      case 14:
        return softplus(a) + erf(a);
      case 15:
        return clamp(a, -0.5, 0.75);
      case 16:
        return pow(abs(a) + 0.5, 1.5);
      case 17:
        return sign(a) * -0.0;
      case 18:
        return sum(a, {axis(a)});
      case 19:
        return mean(a, {axis(a)}, true);
      case 20:
        return max(a, {axis(a)}, true);
      case 21:
        return var(a, {axis(a)});
      case 22:
        return logsumexp(a, {axis(a)}, true);
      case 23:
        return cast(argmax(a, axis(a)), a.dtype());
      case 24:
        return softmax(a, axis(a));
      case 25:
        return log_softmax(a);
      case 26:
        return transpose(a);
      case 27:
        return permute(a, {1, 0, 2});
      case 28:
        return reshape(a, {-1});
      case 29:
        return reshape(a, {a.size(-1), -1});
      case 30:
        return slice(a, axis(a), 1, -1);
      case 31:
        return slice(a, axis(a), 0, 100, 2);
      case 32:
        return select(a, axis(a), -1);
      case 33:
        return squeeze(expand_dims(a, axis(a)));
      case 34:
        return concat({a, a * 2}, axis(a));
      case 35:
        return stack({a, b}, 0);
      case 36:
        return a.numel() == 0 ? a : take(concat({a, a}, 0), constant(std::vector<Index>{1, 0, 1}), 0);
      case 37:
        return one_hot(argmax(a), a.size(-1), a.dtype()) + a;
      case 38:
        return matmul(a, b);
      case 39:
        return matmul(transpose(a), b);
      case 40:
        return linear(a, b);
      case 41:
        return conv2d(a, b, {.padding = 1});
      case 42:
        return max_pool2d(a, 2);
      case 43:
        return avg_pool2d(a, 3, {.stride = 2});
      case 44:
        return layer_norm(a);
      case 45:
        return gelu(a) + silu(b);
      case 46:
        return a + 0 * full({}, 3.0, a.dtype()) + arange(a.size(-1), a.dtype());
      case 47:
        return broadcast_to(a, {2, 7, 6});
      case 48:
        if (number(2) == 0) return matmul(causal_softmax(matmul(a, transpose(a)), 0.5), a);
        return scaled_dot_product_attention(a, a, a, true);
      default:
        return add(std::array{a, a, a * 0.5});
    }
  }

  std::mt19937_64 random_;
  int length_;
  std::vector<Tensor> all_;
};

Values run(std::uint64_t seed, DType dtype, const Passes& passes, std::uint64_t data = 1) {
  const WithPasses with(passes);
  const std::vector<Tensor> on = more_leaves(data, dtype);
  const std::vector<Tensor> results = RandomGraph(seed, 25)(on);
  eval(std::span<const Tensor>(results));
  return doubles_of(results);
}

constexpr Passes none{.simplify = false, .order = false, .fuse = false, .reuse = false, .cache = false};

TEST_CASE("random graphs: all passes against none, on data of several blocks", "[plan][random]") {
  for (std::uint64_t seed = 0; seed < 1500; ++seed) {
    const DType dtype = seed % 3 == 0 ? DType::float64 : DType::float32;
    INFO("seed " << seed);
    REQUIRE(difference(run(seed, dtype, none), run(seed, dtype, {})) == -1);
    if (seed % 4 == 0) {  // other data with the plan from the cache
      REQUIRE(difference(run(seed, dtype, none, 2), run(seed, dtype, {}, 2)) == -1);
    }
  }
}

TEST_CASE("random graphs: without each of the rewrites", "[plan][random]") {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    INFO("seed " << seed);
    const std::vector<Tensor> on = more_leaves(1, DType::float32);
    const std::vector<Tensor> results = RandomGraph(seed, 25)(on);
    const Values expected = run(seed, DType::float32, {});
    for (const PlanReport::Rewrites& rewrite : explain_plan(std::span<const Tensor>(results)).rewrites) {
      INFO(rewrite.name);
      seen.insert(rewrite.name);
      REQUIRE(difference(expected, run(seed, DType::float32, {.without = rewrite.name})) == -1);
    }
  }
  CHECK(seen.size() >= 7);
}

TEST_CASE("random graphs: the number of threads does not matter", "[plan][random][threads]") {
  const int before = get_num_threads();
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    INFO("seed " << seed);
    set_num_threads(1);
    const Values expected = run(seed, DType::float32, {});
    set_num_threads(3);
    const Values found = run(seed, DType::float32, {});
    set_num_threads(before);
    REQUIRE(difference(expected, found) == -1);
  }
}

// Every leaf moves by what depends on all of them; whatever may be written in place is.
std::vector<Tensor> moved(std::uint64_t seed, std::span<const Tensor> states) {
  const std::vector<Tensor> results = RandomGraph(seed, 20)(states);
  std::vector<Tensor> next;
  for (std::size_t i = 0; i < states.size(); ++i) {
    const Tensor& by = results[i % results.size()];
    const Tensor as_wide = same(by.shape(), states[i].shape()) ? by : mean(by);
    next.push_back(tanh(states[i] * 0.5 + detach(cast(as_wide, states[i].dtype()))));
  }
  return next;
}

TEST_CASE("random graphs: states updated in place, with values of before that somebody holds",
          "[plan][random]") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    INFO("seed " << seed);
    const auto walk = [&](const Passes& passes, History history, std::vector<Values>& held_values) {
      const WithPasses with(passes);
      std::vector<Tensor> states = leaves(seed, DType::float32), held;
      for (std::size_t step = 0; step < 4; ++step) {
        held.push_back(states[(seed + step) % states.size()]);
        if (step == 1) held.push_back(transpose(states[0]));  // a view, evaluated later
        std::vector<Tensor> next = moved(seed, states);
        states.clear();
        evaluate(std::span<const Tensor>(next), history);
        for (const Tensor& tensor : next) states.push_back(variable(tensor));
        held_values.push_back(doubles_of(held));
      }
      held_values.push_back(doubles_of(held));
      return doubles_of(states);
    };
    std::vector<Values> held, expected_held;
    const Values expected = walk(none, History::keep, expected_held);
    REQUIRE(difference(expected, walk({}, History::release, held)) == -1);
    for (std::size_t k = 0; k < held.size(); ++k) REQUIRE(difference(expected_held[k], held[k]) == -1);
  }
}

TEST_CASE("random graphs: compiled, on new arguments, results and arguments held", "[compile][random]") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    INFO("seed " << seed);
    const std::vector<Tensor> outside = leaves(seed, DType::float32);
    const auto function = [&](const Tensor& a, const Tensor& b, const Tensor& c) {
      std::vector<Tensor> on = outside;
      on[0] = a, on[4] = b, on[7] = c;
      return RandomGraph(seed, 20)(on);
    };
    auto compiled = compile(function);
    std::vector<std::vector<Tensor>> held;
    std::vector<Values> expected;
    for (std::uint64_t step = 0; step < 4; ++step) {
      const std::vector<Tensor> on = leaves(seed + step, DType::float32);
      std::vector<Tensor> results = compiled(on[0], on[4], on[7]);
      expected.push_back(doubles_of(function(on[0], on[4], on[7])));
      REQUIRE(difference(expected.back(), doubles_of(results)) == -1);
      if (step % 2 == 0) held.push_back(std::move(results));
    }
    REQUIRE(difference(expected[0], doubles_of(held[0])) == -1);
    REQUIRE(difference(expected[2], doubles_of(held[1])) == -1);
    CHECK(compiled.programs() == 1);
  }
}

// What is wrong with a plan, or nothing: whether steps come after what they read, what exists only within a
// step is read there alone, and two values that are needed at a time never share memory.
class Examination {
 public:
  explicit Examination(const Plan& plan)
      : plan_(plan), program_(plan.program()), lives_(program_.values.size()) {}

  std::string run() {
    const auto& steps = plan_.steps();
    for (std::size_t s = 0; s < steps.size(); ++s) {
      at_ = s;
      if (steps[s].lead != no_id) add(steps[s].lead);
      for (const Id id : steps[s].members) add(id);
      if (steps[s].reduction != no_id) add(steps[s].reduction, true);
    }
    for (const Id id : program_.outputs) {
      const Id b = program_.values[id].buffer;
      if (program_.is_computed(b) && kind(b) != Placement::Kind::output)
        note("an output lies in scratch memory", b);
    }
    compare();
    return wrong_;
  }

 private:
  struct Life {
    std::size_t first = 0, last = 0;
    bool computed = false;
    bool whole = true;  // its last step reads it element by element
  };
  void note(std::string_view what, Id id) {
    wrong_ += fmt::format("{}: value {}, {}\n", what, id, program_.values[id].operation->name);
  }
  Placement::Kind kind(Id id) const { return plan_.placement().places[id].kind; }

  void add(Id id, bool joins = false) {
    const Value& v = program_.values[id];
    if (lives_[id].computed) note("computed twice", id);
    for (const Id input : program_.inputs_of(v)) {
      const Id b = program_.values[input].buffer;
      if (!program_.is_computed(b)) continue;
      Life& life = lives_[b];
      if (!life.computed) note("read before it is computed", b);
      if (kind(b) == Placement::Kind::scratch && life.first != at_) note("scratch read by another step", b);
      if (life.last != at_) life.whole = true;
      life.last = at_;
      life.whole &= program_.is_whole(program_.values[input]) &&
                    (joins || (v.operation->elementwise &&
                               numel(program_.shape_of(v)) == numel(program_.shape_of(program_.values[b]))));
    }
    lives_[id] = {at_, at_, true, true};
  }

  void compare() {
    std::vector<Id> arena;
    for (Id id = 0; id < program_.values.size(); ++id) {
      if (lives_[id].computed && kind(id) == Placement::Kind::arena) arena.push_back(id);
    }
    const auto end = [&](Id id) {
      return plan_.placement().places[id].offset + program_.bytes_of(program_.values[id]);
    };
    for (const Id a : arena) {
      if (end(a) > plan_.bytes()) note("beyond the arena", a);
      for (const Id b : arena) {
        const Life &one = lives_[a], &other = lives_[b];
        if (a >= b || end(a) <= plan_.placement().places[b].offset ||
            end(b) <= plan_.placement().places[a].offset)
          continue;
        const bool apart = one.last < other.first || other.last < one.first;
        const bool in_place = (one.last == other.first && one.whole && one.first < other.first) ||
                              (other.last == one.first && other.whole && other.first < one.first);
        if (!apart && !in_place && one.first == other.first && one.last != one.first &&
            other.last != other.first)
          note("two results of a step in one memory", a);
        else if (!apart && !in_place && one.first != other.first)
          note("overwritten before its last reader", a < b ? a : b);
      }
    }
  }

  const Plan& plan_;
  const Program& program_;
  std::vector<Life> lives_;  // by buffer
  std::size_t at_ = 0;
  std::string wrong_;
};

TEST_CASE("random graphs: plans are sound, step by step and byte by byte", "[plan][random]") {
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    const std::vector<Tensor> on = more_leaves(1, DType::float32);
    const std::vector<Tensor> results = RandomGraph(seed, 30)(on);
    PendingGraph pending;
    pending.take(std::span<const Tensor>(results));
    const GraphKey structure(pending);
    for (const Passes& passes :
         {Passes{}, none, Passes{.simplify = false}, Passes{.order = false}, Passes{.fuse = false}}) {
      const WithPasses with(passes);
      const Plan plan(pending, structure);
      INFO("seed " << seed);
      REQUIRE(Examination(plan).run() == "");
    }
  }
}

// Trains the leaves that are variables; what a user may look at in between is held until the end.
struct Training {
  std::uint64_t seed;
  std::vector<nn::Parameter> parameters;
  std::unique_ptr<nn::Optimizer> optimizer;
  std::vector<Tensor> held;
  std::vector<Values> seen;

  explicit Training(std::uint64_t number) : seed(number) {
    for (const Tensor& leaf : leaves(seed, DType::float32)) {
      if (leaf.is_tracked()) parameters.emplace_back(fmt::format("p{}", parameters.size()), leaf);
    }
    if (seed % 3 == 0) {
      optimizer =
          std::make_unique<nn::Adam>(parameters, nn::AdamOptions{.learning_rate = 0.01, .weight_decay = 0.1});
    } else {
      optimizer = std::make_unique<nn::SGD>(
          parameters, nn::SgdOptions{.learning_rate = 0.01, .momentum = seed % 3 == 1 ? 0.9 : 0});
    }
  }
  // The loss, and what comes up on the way to it.
  std::vector<Tensor> forward(std::span<const Tensor> data) const {
    std::vector<Tensor> on(data.begin(), data.end());
    std::size_t next = 0;
    for (Tensor& leaf : on) {
      if (leaf.is_tracked()) leaf = parameters[next++].value();
    }
    std::vector<Tensor> results = RandomGraph(seed, 20)(on);
    Tensor loss = tanh(mean(results[0]) * 0.01) + tanh(results.back() * 1e-4);
    for (const nn::Parameter& p : parameters) loss = loss + 0.01 * sum(square(p.value()));
    results.resize(2);
    results.push_back(loss);
    return results;
  }
  void step(std::uint64_t number, bool looks) {
    std::vector<Tensor> results = forward(leaves(seed + number, DType::float32));
    if (looks) {
      held.push_back(parameters[(seed + number) % parameters.size()].value());
      held.push_back(transpose(parameters[0].value()));  // a view that is evaluated later
      held.push_back(results[number % 2]);
      if (number % 2 == 0) eval(held[held.size() - 2]);
    }
    const Tensor loss = results.back();
    results.clear();
    optimizer->minimize(loss);
    seen.push_back({loss.to_vector<double>()});
    for (const nn::Parameter& p : parameters) seen.back().push_back(p.value().to_vector<double>());
  }
};

TEST_CASE("random graphs: trained, whatever somebody holds", "[plan][random]") {
  constexpr std::uint64_t steps = 5;
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    INFO("seed " << seed);
    Training plain(seed), planned(seed), watched(seed), compiled(seed);
    {
      const WithPasses with(none);
      for (std::uint64_t k = 0; k < steps; ++k) plain.step(k, true);
    }
    const std::vector<Tensor> outside = leaves(seed, DType::float32);
    auto step = compile([&](const Tensor& a, const Tensor& b, const Tensor& c) {
      std::vector<Tensor> on = outside;
      on[2] = a, on[5] = b, on[8] = c;  // those that are no parameters
      Tensor loss = compiled.forward(on).back();
      compiled.optimizer->minimize(loss);
      return loss;
    });
    for (std::uint64_t k = 0; k < steps; ++k) {
      planned.step(k, false);
      watched.step(k, true);
      const std::vector<Tensor> on = leaves(seed + k, DType::float32);
      const Tensor loss = step(on[2], on[5], on[8]);
      compiled.seen.push_back({loss.to_vector<double>()});
      for (const nn::Parameter& p : compiled.parameters)
        compiled.seen.back().push_back(p.value().to_vector<double>());
      INFO("step " << k);
      REQUIRE(difference(plain.seen[k], planned.seen[k]) == -1);
      REQUIRE(difference(plain.seen[k], watched.seen[k]) == -1);
      REQUIRE(difference(plain.seen[k], compiled.seen[k]) == -1);
    }
    REQUIRE(difference(doubles_of(plain.held), doubles_of(watched.held)) == -1);
  }
}

}  // namespace
}  // namespace gradweave
