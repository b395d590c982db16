// Plans: whatever the passes do, the results stay the same.
#include <gradweave/graph/plan/plan.hpp>

#include <array>
#include <cmath>
#include <functional>
#include <random>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <gradweave/graph/kernels/parallel.hpp>
#include <gradweave/graph/plan/plan_cache.hpp>
#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave {
namespace {

using Floats = std::vector<float>;

// A graph made by chance, always the same for a seed.
class SmallGraph {
 public:
  SmallGraph(std::uint64_t seed, DType dtype) : random_(seed), dtype_(dtype) {
    for (const Shape& shape : {Shape{3, 4}, Shape{4}, Shape{3, 1}, Shape{}, Shape{2, 3, 4}, Shape{4, 3}}) {
      Generator generator(seed);
      const Tensor values = random_uniform(shape, generator, 0.5, 1.5, dtype);
      tensors_.push_back(number(2) == 0 ? variable(values) : values + 0);
      eval(tensors_.back());
    }
    leaves_ = tensors_;
  }

  /// What is to be evaluated: some results, and gradients of one of them.
  std::vector<Tensor> build() {
    for (int k = 0; k < 14; ++k) {
      try {
        tensors_.push_back(next());
      } catch (const ShapeError&) {  // shapes that do not fit: another try
      }
    }
    std::vector<Tensor> results;
    for (int k = 0; k < 3; ++k) results.push_back(any());
    const Tensor y = sum(tensors_.back());
    if (y.is_tracked()) {
      for (const Tensor& leaf : leaves_) {
        if (leaf.is_tracked()) results.push_back(gradients(y, {leaf}, {}, Unconnected::zeros)[0]);
      }
    }
    results.push_back(y);
    for (int k = 0; k < 2; ++k) held_.push_back(any());  // somebody holds what is in the middle
    tensors_.clear();
    return results;
  }
  const std::vector<Tensor>& held() const { return held_; }

 private:
  std::size_t number(std::size_t below) { return random_() % below; }
  const Tensor& any() { return tensors_[number(tensors_.size())]; }

  Tensor next() {
    const Tensor &a = any(), &b = any();
    switch (number(26)) {
      case 0:
        return a + b;
      case 1:
        return a * b;
      case 2:
        return a - b;
      case 3:
        return a / (square(b) + 1);
      case 4:
        return sigmoid(a);
      case 5:
        return tanh(a) * 1;
      case 6:
        return exp(-abs(a));
      case 7:
        return maximum(a, b);
      case 8:
        return where(a < b, a, b * 2);
      case 9:
        return sum(a, {-1});
      case 10:
        return mean(a, {0}, true);
      case 11:
        return max(a, {-1}, true);
      case 12:
        return transpose(a);
      case 13:
        return reshape(a, {-1});
      case 14:
        return slice(a, 0, 1, 3);
      case 15:
        return slice(a, -1, 0, 4, 2);
      case 16:
        return matmul(a, b);
      case 17:
        return matmul(a, transpose(b));
      case 18:
        return softmax(a);
      case 19:
        return concat({a, a * 3}, 0);
      case 20:
        return take(a, constant(std::vector<Index>{0, 0}), 0);
      case 21:
        return broadcast_to(a, {2, 3, 4});
      case 22:
        return expand_dims(a, 0) + full({2, 1}, 0, dtype_);
      case 23:
        return add(std::array{a, a, a * 0.5});
      case 24:
        return a * full({}, 1, dtype_) + ones({4}, dtype_);
      default:
        return relu(a - 1) + logsumexp(a, {-1}, true);
    }
  }

  std::mt19937_64 random_;
  DType dtype_;
  std::vector<Tensor> leaves_, tensors_, held_;
};

std::vector<std::vector<double>> results_of(std::uint64_t seed, DType dtype, const Passes& passes) {
  const WithPasses with(passes);
  SmallGraph graph(seed, dtype);
  std::vector<Tensor> results = graph.build();
  results.insert(results.end(), graph.held().begin(), graph.held().end());
  eval(std::span<const Tensor>(results));
  std::vector<std::vector<double>> values;
  for (const Tensor& result : results) values.push_back(result.to_vector<double>());
  return values;
}

TEST_CASE("results are the same bit for bit whichever passes are on", "[plan]") {
  Passes off;
  off.simplify = off.order = off.fuse = off.reuse = off.cache = false;
  for (const DType dtype : {DType::float32, DType::float64}) {
    for (std::uint64_t seed = 0; seed < 150; ++seed) {
      const auto expected = results_of(seed, dtype, off);
      for (unsigned bits = 1; bits < 32; ++bits) {
        Passes passes;
        passes.simplify = (bits & 1U) != 0, passes.fuse = (bits & 2U) != 0;
        passes.reuse = (bits & 4U) != 0, passes.cache = (bits & 8U) != 0;
        passes.order = (bits & 16U) != 0;
        const auto found = results_of(seed, dtype, passes);
        REQUIRE(found.size() == expected.size());
        for (std::size_t i = 0; i < found.size(); ++i) {
          INFO(fmt::format("seed {}, passes {:05b}, {}, result {}: {} and {}", seed, bits, name_of(dtype), i,
                           fmt::join(found[i], " "), fmt::join(expected[i], " ")));
          REQUIRE(std::equal(found[i].begin(), found[i].end(), expected[i].begin(), expected[i].end(),
                             [](double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }));
        }
      }
    }
  }
}

struct Planned {
  explicit Planned(std::vector<Tensor> roots) {
    pending.take(std::span<const Tensor>(roots));
    structure = std::make_unique<GraphKey>(pending);
    plan = std::make_unique<Plan>(pending, *structure);
    keep = std::move(roots);
  }
  PendingGraph pending;
  std::unique_ptr<GraphKey> structure;
  std::unique_ptr<Plan> plan;
  std::vector<Tensor> keep;
};

TEST_CASE("elementwise ops are one step with the product before them and need no memory", "[plan]") {
  const Tensor x = constant({{1, 2}, {3, 4}}), w = constant({{1, 0}, {0, 1}}), b = constant({1, -1});
  const Planned planned({sigmoid(matmul(x, w) + b) * 2});
  REQUIRE(planned.plan->steps().size() == 1);
  CHECK(planned.plan->steps()[0].lead != no_id);
  CHECK(planned.plan->steps()[0].members.size() == 3);
  CHECK(planned.plan->bytes() == 0);
}

TEST_CASE("a reduction of neighbours ends the step of what it joins", "[plan]") {
  const Tensor a = constant({{1, 2}, {3, 4}}), b = constant({{1, 0}, {2, 1}});
  const auto steps = [](const std::vector<Tensor>& roots) { return Planned(roots).plan->steps().size(); };
  CHECK(steps({sum(square(a - b))}) == 1);
  CHECK(Planned({max(exp(a))}).plan->bytes() == 0);
  CHECK(mean(square(a - b)).item() == Approx((0 + 4 + 1 + 9) / 4.0));
  CHECK(steps({sum(matmul(a, b))}) == 1);
  CHECK(steps({sum(square(matmul(a, b)))}) == 1);
  CHECK(steps({sum(matmul(ones({300, 300}), ones({300, 300})))}) == 2);  // threads share out the rows
  CHECK(steps({sum(exp(a), {1})}) == 1);
  CHECK(steps({sum(exp(a), {0})}) == 2);  // of what lies apart
  CHECK(max(exp(a) * b, {1}).to_vector()[1] == Approx(std::exp(4.0)));
  CHECK(steps({sum(square(matmul(a, b)), {1})}) == 1);
  CHECK(steps({sum(square(matmul(a, b)), {0})}) == 2);
  CHECK(steps({sum(exp(a)), max(exp(a))}) == 2);  // one for each step
  // What reads the result waits for all of it, also where it reads what was joined.
  const Floats shares = (exp(a) / sum(exp(a))).to_vector();
  CHECK(shares[3] == Approx(0.6439142599));  // softmax of 1, 2, 3, 4
  const Tensor deviation = square(a - mean(a));
  CHECK((deviation / sum(deviation)).to_vector() == Floats{0.45F, 0.05F, 0.05F, 0.45F});
}

TEST_CASE("reductions at the end of a step have the bits of those that stand alone", "[plan][threads]") {
  Passes apart;
  apart.fuse = false;
  const int threads = get_num_threads();
  Generator generator(1);
  for (const Index n : {2, 15, 17, 255, 256, 257, 513, 1000, 16384 + 3, 262144, 262145, 600001}) {
    const Tensor x = random_uniform({n}, generator, -1, 2), k = cast(x * 1000, DType::int64);
    eval(x, k);
    const auto results = [&] {
      const Tensor all[] = {sum(x * x - 1), max(abs(x) * 2), min(exp(x)), sum(cast(x, DType::float64) / 3)};
      eval(all);
      Floats values;
      for (const Tensor& t : all) values.push_back(t.item<float>());
      values.push_back(static_cast<float>(sum(k * 2 + 1).item<Index>() % 1000003));
      return values;
    };
    const Floats together = results();
    INFO(n);
    for (const int count : {1, 2, 5}) {
      set_num_threads(count);
      CHECK(results() == together);
      const WithPasses with(apart);
      CHECK(results() == together);
    }
    set_num_threads(threads);
  }
  const Tensor with_nan = constant({1, std::nanf(""), 3});
  CHECK(std::isnan(max(with_nan * 2).item()));
  CHECK(sum(exp(constant(Floats{}))).item() == 0);
}

TEST_CASE("a reduction at the end of a kernel's step has the bits of one that stands alone", "[plan]") {
  Passes apart;
  apart.fuse = false;
  Generator generator(1);
  const auto random = [&](const Shape& shape) {
    Tensor x = random_normal(shape, generator);
    eval(x);
    return x;
  };
  // Of the outer products (k = 1) few rows are computed at a time.
  for (const Index k : {1, 3}) {
    for (const Index width : {1, 3, 24, 128, 200, 256}) {
      for (const Index rows : {2, 37, 300}) {
        INFO(rows << " " << k << " " << width);
        const Tensor a = random({rows, k}), b = random({k, width});
        const auto results = [&] {
          const Tensor kept = matmul(a, b);
          const Tensor all[] = {sum(sigmoid(matmul(a, b + 1))), max(matmul(a, b - 1)), sum(kept)};
          eval(all[0], all[1], all[2], kept);
          return Floats{all[0].item(), all[1].item(), all[2].item()};
        };
        const Floats together = results();
        const WithPasses with(apart);
        CHECK(results() == together);
      }
    }
  }
}

TEST_CASE("several reductions of neighbours have the bits of those that stand alone", "[plan][threads]") {
  Passes apart;
  apart.fuse = false;
  const int threads = get_num_threads();
  Generator generator(1);
  const auto random = [&](const Shape& shape) {
    Tensor x = random_normal(shape, generator);
    eval(x);
    return x;
  };
  for (const Index width : {2, 3, 10, 100, 255, 256, 300, 512, 513, 1025, 20000}) {
    for (const Index rows : {2, 7, 300}) {
      if (rows * width > 1'000'000) continue;
      INFO(rows << " " << width);
      const Tensor x = random({rows, width}), row = random({width}), left = random({rows, 3}),
                   right = random({3, width}), halves = random({rows, 2 * width});
      const auto results = [&] {
        const Tensor kept = x * row;
        const Tensor all[] = {
            sum(kept, {1}),
            max(exp(x) - 1, {1}, true),
            min(abs(kept) / 2, {1}),
            sum(cast(x, DType::float64) / 3, {1}),
            sum(sigmoid(matmul(left, right) + row), {1}),
            sum(reshape(halves * 2, {rows, 2, width}), {2}),
            sum(reshape(matmul(left, concat({right, right}, 1)) * 2, {rows, 2, width}), {2}),
            x - mean(square(x), {1}, true)};
        eval(all);
        std::vector<Floats> values{kept.to_vector()};
        for (const Tensor& t : all) values.push_back(t.to_vector());
        return values;
      };
      const auto together = results();
      for (const int count : {1, 2, 5}) {
        set_num_threads(count);
        CHECK(bool(results() == together));  // too long to print
        const WithPasses with(apart);
        CHECK(bool(results() == together));
      }
      set_num_threads(threads);
    }
  }
}

TEST_CASE("memory is used again after its last reader", "[plan]") {
  const Tensor x = constant(std::vector<float>(1024, 0.001F), {32, 32});
  Tensor y = x;
  for (int k = 0; k < 10; ++k) y = matmul(y, x);
  CHECK(Planned({sum(y)}).plan->bytes() == 2 * 32 * 32 * sizeof(float));
  Passes greedy;
  greedy.reuse = false;
  const WithPasses with(greedy);
  CHECK(Planned({sum(y)}).plan->bytes() == 9 * 32 * 32 * sizeof(float));  // y itself is held
}

TEST_CASE("what is known is computed while planning, and what is the same only once", "[plan]") {
  const Tensor x = constant({1, 2, 3}), one = ones({3}) * full({}, 2) - 1;
  const Planned planned({exp(x) + exp(x) * one + 0 * full({}, 1)});
  const auto& members = planned.plan->steps()[0].members;
  CHECK(planned.plan->steps().size() == 1);
  CHECK(members.size() <= 3);  // exp, add and perhaps the addition of zero
}

TEST_CASE("a step waits for everything that those merged into it read", "[plan]") {
  const Tensor a = constant({{1, 2}, {3, 4}}), b = constant({{1, 0}, {2, 1}});
  const Tensor left = matmul(a + 1, b), right = matmul(b, a + 1);
  const Tensor y = add(std::array{a * 5, left, right});
  CHECK(y.to_vector() == Floats{5 + 8 + 2, 10 + 3 + 3, 15 + 14 + 8, 20 + 5 + 11});
}

TEST_CASE("a loop of equal steps is planned once", "[plan]") {
  const Tensor x = constant({1.25, 2.5});
  const CacheStatistics before = plan_cache_statistics();
  for (int k = 0; k < 100; ++k) {
    const Tensor y = log(x + x * 3) / 7.75;
    eval(y);
  }
  const CacheStatistics after = plan_cache_statistics();
  CHECK(after.misses == before.misses + 1);
  CHECK(after.hits == before.hits + 99);
}

TEST_CASE("attributes, shapes and who holds what tell structures apart", "[plan]") {
  const auto same = [](const Tensor& a, const Tensor& b) {
    PendingGraph first, second;
    first.take({&a, 1});
    const GraphKey structure(first);
    second.take({&b, 1});
    return structure.matches(second);
  };
  const Tensor x = constant({1, 2}), y = constant({3, 4}), longer = constant({1, 2, 3});
  CHECK(same(exp(x) * 2, exp(y) * 2));
  CHECK_FALSE(same(exp(x) * 2, exp(x) * 3));
  CHECK_FALSE(same(exp(x), exp(longer)));
  CHECK_FALSE(same(exp(x), log(x)));
  CHECK_FALSE(same(x + x, x + y));
  const Tensor held = exp(x), on_held = sin(held);
  Tensor free = exp(x);
  free = sin(free);
  CHECK_FALSE(same(on_held, free));
}

struct Counted {
  Counted(const PendingGraph&, const GraphKey&) {}
};

TEST_CASE("how many inputs each op has tells structures apart", "[plan]") {
  const Tensor a = constant({1, 2}), b = constant({3, 4}), c = constant({5, 6});
  const auto joined = [](const std::vector<Tensor>& first, const std::vector<Tensor>& second) {
    const Tensor x = concat(first), y = concat(second);
    eval(x, y);
    return std::vector<Floats>{x.to_vector(), y.to_vector()};
  };
  CHECK(joined({a}, {b, c}) == std::vector<Floats>{{1, 2}, {3, 4, 5, 6}});
  CHECK(joined({a, b}, {c}) == std::vector<Floats>{{1, 2, 3, 4}, {5, 6}});
  CHECK(joined({a, b, c}, {a}) == std::vector<Floats>{{1, 2, 3, 4, 5, 6}, {1, 2}});
  CHECK(joined({a, b}, {c, a}) == std::vector<Floats>{{1, 2, 3, 4}, {5, 6, 1, 2}});
}

TEST_CASE("graphs that differ in the attributes of an op are not searched one by one", "[plan]") {
  const Tensor x = constant({1, 2});
  const auto hash = [&](double factor, double exponent) {
    const Tensor y = pow(exp(x) * factor, exponent);
    PendingGraph pending;
    pending.take({&y, 1});
    return pending.hash;
  };
  CHECK(hash(2, 3) == hash(2, 3));
  CHECK(hash(2, 3) != hash(4, 3));
  CHECK(hash(2, 3) != hash(2, 5));
  CHECK(hash(2, 3) != hash(3, 2));
}

TEST_CASE("a cache keeps the latest and stays within its bound", "[plan]") {
  const std::size_t others = plan_cache_statistics().entries;
  PlanCache<Counted> cache(60);
  const Tensor x = constant({1, 2});
  const auto ask = [&](double factor) {
    const Tensor y = exp(x) * factor;
    PendingGraph pending;
    pending.take({&y, 1});
    if (cache.find(pending)) return true;
    cache.make(pending, Keep::yes);
    return false;
  };
  for (int k = 0; k < 20; ++k) CHECK_FALSE(ask(k));  // two nodes, and 16 more for each graph
  CHECK(plan_cache_statistics().entries == others + 3);
  CHECK(ask(19));
  CHECK(ask(18));
  CHECK_FALSE(ask(0));
  CHECK(ask(19));        // used since
  CHECK_FALSE(ask(17));  // dropped for 0
}

TEST_CASE("a graph of many nodes is computed in stretches, with the same results", "[plan]") {
  const Tensor x = variable({0.5, -0.25}), step = constant({1e-5, -1e-5});
  Tensor y = x, middle;
  constexpr int length = 40'000;
  for (int k = 0; k < length; ++k) {
    y = y + step;
    if (k == length / 2) middle = y;
  }
  const Tensor z = sum(square(y));
  const auto [slope] = gradients(z, {x});
  eval(z, slope);
  CHECK(middle.is_evaluated());
  float a = 0.5F, b = -0.25F;
  for (int k = 0; k < length; ++k) a += 1e-5F, b += -1e-5F;
  CHECK(y.to_vector() == Floats{a, b});
  CHECK(slope.to_vector() == Floats{2 * a, 2 * b});
  CHECK(gradients(sum(middle), {x})[0].to_vector() == Floats{1, 1});
}

TEST_CASE("what is updated in place is read before", "[plan]") {
  // Both results need the old state; the first would overwrite it.
  Tensor state = constant(std::vector<float>(1000, 3)) + 0;
  eval(state);
  const Tensor other = matmul(reshape(state, {1, 1000}), ones({1000, 1}));
  state = state - 1;
  const std::array both{state, other};
  evaluate(both, History::release);
  CHECK(state.data<float>()[0] == 2);
  CHECK(other.item() == 3000);
}

}  // namespace
}  // namespace gradweave
