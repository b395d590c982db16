// What a training step asks of the system once it has settled: nothing; that it gets all back in the end; and
// what is left when the system has no more. Every operator new is counted, so this is a program of its own.
#include <atomic>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <gradweave/graph/compile.hpp>
#include <gradweave/graph/memory/storage.hpp>
#include <gradweave/graph/node.hpp>
#include <gradweave/graph/samples.hpp>
#include <gradweave/nn/nn.hpp>

#include "catch.hpp"
#include "set_row.hpp"

namespace {

std::atomic<std::size_t> allocations = 0, releases = 0;

// Which allocation fails, counted from 1, and whether all that follow do.
enum class Refuse { none, one, all };
std::atomic<Refuse> refuse = Refuse::none;
std::atomic<std::ptrdiff_t> left_to_give = 0;
bool is_refused() {
  const Refuse how = refuse;
  if (how == Refuse::none) return false;
  const std::ptrdiff_t left = --left_to_give;
  return left == 0 || (left < 0 && how == Refuse::all);
}

void* counted(std::size_t bytes) {
  if (is_refused()) return nullptr;
  ++allocations;
  return std::malloc(bytes);
}
void* counted(std::size_t bytes, std::align_val_t alignment) {
  if (is_refused()) return nullptr;
  ++allocations;
  const auto unit = static_cast<std::size_t>(alignment);
  return std::aligned_alloc(unit, (bytes + unit - 1) / unit * unit);
}
void release(void* memory) {
  if (memory != nullptr) ++releases;
  std::free(memory);
}
void* or_throw(void* memory) { return memory != nullptr ? memory : throw std::bad_alloc(); }

}  // namespace

// All forms but those for arrays, which come down to these.
using std::align_val_t, std::nothrow_t, std::size_t;
void* operator new(size_t bytes) { return or_throw(counted(bytes)); }
void* operator new(size_t bytes, align_val_t to) { return or_throw(counted(bytes, to)); }
void* operator new(size_t bytes, const nothrow_t&) noexcept { return counted(bytes); }
void* operator new(size_t bytes, align_val_t to, const nothrow_t&) noexcept { return counted(bytes, to); }
void operator delete(void* memory) noexcept { release(memory); }
void operator delete(void* memory, size_t) noexcept { release(memory); }
void operator delete(void* memory, align_val_t) noexcept { release(memory); }
void operator delete(void* memory, size_t, align_val_t) noexcept { release(memory); }
void operator delete(void* memory, const nothrow_t&) noexcept { release(memory); }
void operator delete(void* memory, align_val_t, const nothrow_t&) noexcept { release(memory); }

namespace gradweave {
namespace {

// Of ten steps, after some for everything to find its place.
std::size_t allocations_of(auto step) {
  for (int k = 0; k < 5; ++k) step();
  const std::size_t before = allocations;
  for (int k = 0; k < 10; ++k) step();
  return allocations - before;
}

// Of the system's blocks.
std::size_t taken() { return allocations - releases; }

Tensor numbers(const Shape& shape) {
  Generator generator(1);
  Tensor x = random_uniform(shape, generator, -1, 1);
  eval(x);
  return x;
}
Tensor labels(Index rows) {
  std::vector<Index> all;
  for (Index row = 0; row < rows; ++row) all.push_back(row % 10);
  return constant(all);
}

TEST_CASE("the counter counts", "[allocations]") {
  CHECK(allocations_of([] { ::operator delete(::operator new(8)); }) == 10);
}

TEST_CASE("a compiled step allocates nothing", "[allocations]") {
  const nn::Sequential net(nn::Dense(30, 20), nn::Sigmoid(), nn::Dense(20, 10));
  const Tensor x = numbers({16, 30}), y = labels(16);
  const auto train = [&](nn::Optimizer& optimizer) {
    auto step = compile([&](const Tensor& input, const Tensor& target) {
      Tensor loss = nn::cross_entropy(net(input), target);
      optimizer.minimize(loss);
      return loss;
    });
    return allocations_of([&] { static_cast<void>(step(x, y).item()); });
  };
  nn::SGD sgd(net.parameters(), {.momentum = 0.9});
  CHECK(train(sgd) == 0);
  nn::Adam adam(net.parameters());
  CHECK(train(adam) == 0);
}

TEST_CASE("a compiled step with branches allocates nothing", "[allocations]") {
  const nn::Dense a(30, 20), b(30, 20);
  std::vector<nn::Parameter> all = a.parameters();
  for (const nn::Parameter& p : b.parameters()) all.push_back(p);
  nn::Adam adam(all);
  auto step = compile([&](const Tensor& x) {
    const auto [y, z] = cond(
        sum(x) > 0,
        [&](const Tensor& t) {
          return std::array{a(t), t};
        },
        [&](const Tensor& t) {
          return std::array{tanh(b(t)), t * 2};
        },
        x);
    adam.minimize(mean(square(y)) + sum(z));
  });
  const Tensor x = numbers({16, 30}), y = -x;
  eval(y);
  CHECK(allocations_of([&] { step(x), step(y); }) == 0);
}

TEST_CASE("a row that is set in place costs no memory but its own", "[allocations]") {
  const Tensor v = numbers({1000}), i = constant(std::vector<Index>{7});
  Tensor x = numbers({1000, 1000});
  const auto set = [&] {
    x = set_row(x, i, v);
    eval(x);
  };
  set();
  const auto* place = x.node()->data;
  release_cached_memory();
  CHECK(allocations_of(set) <= 10 * 10);
  CHECK(memory_use().peak - memory_use().now < 1'000'000);  // no second table, of 4 MB
  CHECK(x.node()->data == place);

  auto append =
      compile([](const Tensor& to, const Tensor& at, const Tensor& row) { return set_row(to, at, row); });
  CHECK(allocations_of([&] { static_cast<void>(append(x, i, v)); }) == 0);  // a copy, in recycled memory
}

// Nodes are recycled; what remains is a few lists of sizes.
TEST_CASE("an ordinary loop allocates next to nothing", "[allocations]") {
  const nn::Sequential net(nn::Dense(30, 20), nn::Sigmoid(), nn::Dense(20, 10));
  const Tensor x = numbers({16, 30}), y = labels(16);
  nn::SGD sgd(net.parameters(), {.momentum = 0.9});
  CHECK(allocations_of([&] { sgd.minimize(nn::cross_entropy(net(x), y)); }) <= 10 * 10);
  CHECK(allocations_of([&] { eval(net(x)); }) <= 10 * 3);
}

TEST_CASE("many small nodes find memory again after a part of the program with large tensors",
          "[allocations]") {
  release_cached_memory();
  const auto products = [](const Tensor& x, int length) {
    Tensor y = x;
    for (int i = 0; i < length; ++i) y = y * x;
    eval(y);
  };
  products(numbers({1 << 18}), 3);
  const Tensor small = numbers({1});
  CHECK(allocations_of([&] { products(small, 3000); }) <= 10 * 3);
}

TEST_CASE("small blocks lie side by side, and go back to the system when all around them are unused",
          "[allocations]") {
  constexpr std::size_t bytes = 96;
  std::vector<std::byte*> blocks(2000);
  release_cached_memory();
  const std::size_t before = taken();
  for (std::byte*& block : blocks) block = static_cast<std::byte*>(allocate_block(bytes));
  std::size_t side_by_side = 0;
  for (std::size_t i = 1; i < blocks.size(); ++i) side_by_side += blocks[i] - blocks[i - 1] == bytes;
  CHECK(side_by_side > 1700);
  const std::size_t slabs = taken() - before;
  CHECK(slabs >= 10);
  CHECK(slabs <= 20);
  for (std::size_t i = 0; i < blocks.size(); i += 2) free_block(blocks[i], bytes);
  release_cached_memory();
  CHECK(taken() - before == slabs);
  for (std::size_t i = 1; i < blocks.size(); i += 2) free_block(blocks[i], bytes);
  release_cached_memory();
  CHECK(taken() == before);
}

TEST_CASE("small blocks of a thread that has ended are used by others, and go back to the system",
          "[allocations]") {
  constexpr std::size_t bytes = 80;
  std::vector<void*> blocks(2000);
  release_cached_memory();
  const std::size_t before = taken();
  std::thread([&] {
    for (void*& block : blocks) block = allocate_block(bytes);
    for (std::size_t i = 0; i < blocks.size(); i += 2) free_block(blocks[i], bytes);
  }).join();
  const std::size_t slabs = taken() - before;
  CHECK(slabs >= 9);
  for (std::size_t i = 0; i < blocks.size(); i += 2) blocks[i] = allocate_block(bytes);
  CHECK(taken() - before == slabs);
  for (void* block : blocks) free_block(block, bytes);
  release_cached_memory();
  CHECK(taken() == before);
}

TEST_CASE("small blocks that one thread takes and another frees do not pile up", "[allocations]") {
  constexpr std::size_t bytes = 100;
  std::vector<void*> blocks(5000);
  std::size_t settled = 0;
  for (int round = 0; round < 20; ++round) {
    for (void*& block : blocks) block = allocate_block(bytes);
    std::thread([&] {
      for (void* block : blocks) free_block(block, bytes);
    }).join();
    if (round == 3) settled = taken();
  }
  CHECK(taken() <= settled + 1);
}

TEST_CASE("nor a step with random numbers, convolutions and pooling", "[allocations]") {
  Generator generator(3);
  nn::Parameter kernel("kernel", numbers({4, 1, 3, 3})), weight("weight", numbers({10, 4 * 5 * 5}));
  const Tensor x = numbers({8, 1, 12, 12}), y = labels(8);
  nn::Adam adam({kernel, weight});
  auto step = compile([&](const Tensor& image, const Tensor& target) {
    const Tensor mask = cast(random_uniform({8, 100}, generator) < 0.5, DType::float32);
    const Tensor features = reshape(max_pool2d(relu(conv2d(image, kernel)), 2), {8, -1});
    Tensor loss = nn::cross_entropy(linear(features * mask, weight), target);
    adam.minimize(loss);
    return loss;
  });
  CHECK(allocations_of([&] { static_cast<void>(step(x, y).item()); }) == 0);
}

TEST_CASE("nor does the kernel of any op", "[allocations]") {
  for (const Operation* op : all_operations()) {
    for (const Sample& sample : op->samples()) {
      std::vector<Tensor> inputs;
      for (const InputSpec& draw : sample.inputs) {
        Generator generator(1);
        inputs.push_back(cast(random_uniform(draw.shape, generator, draw.low, draw.high), draw.dtype));
      }
      eval(std::span<const Tensor>(inputs));
      auto compiled = compile([&] { return sample.call(inputs); });
      INFO(op->name);
      CHECK(allocations_of([&] { compiled(); }) == 0);
    }
  }
}

// ---- Memory that runs out

// Whether f() ends because allocation number `n` fails.
bool fails_at(std::ptrdiff_t n, Refuse how, const auto& f) {
  left_to_give = n;
  refuse = how;
  try {
    f();
    refuse = Refuse::none;
    return false;
  } catch (const std::bad_alloc&) {
    refuse = Refuse::none;
  } catch (const Error& error) {
    refuse = Refuse::none;
    INFO(error.what());
    REQUIRE(std::string_view(error.what()).find("out of memory") != std::string_view::npos);
  }
  return true;
}

// Kernels that take memory for themselves: convolutions, padded pooling, products of transposed matrices.
struct Trained {
  Tensor image, target;
  nn::Parameter kernel{"kernel", numbers({4, 1, 3, 3})}, hidden{"hidden", numbers({4 * 5 * 5, 40})},
      output{"output", numbers({10, 40})}, bias{"bias", numbers({10})};
  std::vector<nn::Parameter> parameters{kernel, hidden, output, bias};
  std::unique_ptr<nn::Optimizer> optimizer;
  Compiled<std::function<Tensor(const Tensor&, const Tensor&)>> compiled;

  explicit Trained(bool adam)
      : image(numbers({40, 1, 12, 12})),
        target(labels(40)),
        compiled([this](const Tensor& x, const Tensor& y) {
          Tensor all = loss(x, y);
          optimizer->minimize(all);
          return all;
        }) {
    if (adam) {
      optimizer = std::make_unique<nn::Adam>(parameters);
    } else {
      optimizer = std::make_unique<nn::SGD>(parameters, nn::SgdOptions{.momentum = 0.9});
    }
  }
  Tensor loss(const Tensor& x, const Tensor& y) const {
    const Tensor pooled = max_pool2d(relu(conv2d(x, kernel)), {3, 3}, {.stride = 2, .padding = 1});
    const Tensor features = sigmoid(matmul(reshape(pooled, {40, -1}), hidden) + 0.1);
    return nn::cross_entropy(linear(features, output) + bias, y) +
           0.01 * cond(
                      sum(bias.value()) > 0, [](const Tensor& w) { return sum(square(mean(w, {0}))); },
                      [&](const Tensor& w) { return sum(w) * sum(bias.value()); }, output);
  }
  std::vector<std::vector<float>> values() const {
    std::vector<std::vector<float>> all;
    for (const nn::Parameter& p : parameters) all.push_back(p.value().to_vector());
    return all;
  }
};

TEST_CASE("wherever memory runs out, a step leaves everything as it was", "[allocations]") {
  std::size_t failures = 0;
  for (const bool adam : {false, true}) {
    for (const bool compiled : {false, true}) {
      for (const int threads : {1, 2}) {
        for (const Refuse how : {Refuse::one, Refuse::all}) {
          INFO("Adam " << adam << ", compiled " << compiled << ", threads " << threads << ", all fail "
                       << (how == Refuse::all));
          set_num_threads(threads);
          Trained mine(adam), twin(adam);
          for (int step = 0; step < 3; ++step) {  // the first is planned, the last finds blocks to use again
            const auto before = mine.values();
            const float expected = twin.loss(twin.image, twin.target).item();
            Tensor loss;
            const auto take_step = [&] {
              if (compiled) {
                loss = mine.compiled(mine.image, mine.target);
              } else {
                loss = mine.loss(mine.image, mine.target);
                mine.optimizer->minimize(loss);
              }
            };
            for (std::ptrdiff_t n = 1;; ++n) {
              INFO("step " << step << ", allocation " << n);
              loss = Tensor();
              if (step < 2) release_cached_memory();
              if (!fails_at(n, how, take_step)) break;
              ++failures;
              REQUIRE(mine.values() == before);
              REQUIRE(mine.optimizer->steps() == step);
              if (!loss.is_empty()) REQUIRE(loss.item() == expected);
            }
            REQUIRE(loss.item() == expected);
            twin.optimizer->minimize(twin.loss(twin.image, twin.target));
            REQUIRE(mine.values() == twin.values());
          }
        }
      }
    }
  }
  set_num_threads(1);
  CHECK(failures > 1000);
}

TEST_CASE("a compiled function that cannot return its results has taken no step", "[allocations]") {
  const nn::Parameter p("p", constant({1.0, 2.0}));
  nn::SGD optimizer({p}, {.learning_rate = 0.5});
  Generator generator(1), other(1);
  auto step = compile([&](const Tensor& x) {
    const Tensor noise = random_uniform({2}, generator);
    const Tensor loss = sum(p.value() * x);
    optimizer.minimize(loss);
    return std::vector<Tensor>{loss, noise};
  });
  const Tensor x = constant({1.0, -1.0});
  for (int k = 0; k < 3; ++k) {
    const std::vector<float> before = p.value().to_vector(), noise = random_uniform({2}, other).to_vector();
    for (std::ptrdiff_t n = 1;; ++n) {
      INFO("step " << k << ", allocation " << n);
      release_cached_memory();
      std::vector<Tensor> results;
      if (!fails_at(n, Refuse::all, [&] { results = step(x); })) {
        REQUIRE(results[1].to_vector() == noise);  // random numbers of steps that failed are not lost
        break;
      }
      REQUIRE(p.value().to_vector() == before);
      REQUIRE(optimizer.steps() == k);
    }
  }
}

// A ladder, each of whose nodes is read by two others.
Tensor ladder(const Tensor& x, int length) {
  Tensor a = x, b = x * 2;
  for (int i = 0; i < length; ++i) b = std::exchange(a, a * 0.5 + b * 0.5) - a;
  return a + b;
}

TEST_CASE("wherever memory runs out in a traversal, the same graph can be evaluated again", "[allocations]") {
  const Tensor x = variable({1.5, -2.0});
  const auto squares = [](const Tensor& t) { return sum(square(t)); };
  const float expected = squares(ladder(x, 300)).item();
  const std::vector<float> slopes = gradients(squares(ladder(x, 300)), {x})[0].to_vector();
  std::size_t failures = 0;
  for (const Refuse how : {Refuse::one, Refuse::all}) {
    for (const bool differentiates : {false, true}) {
      for (std::ptrdiff_t n = 1;; n += 1 + n / 50) {  // most are those of the planner
        INFO("allocation " << n << ", all fail " << (how == Refuse::all));
        const Tensor y = squares(ladder(x, 300));
        clear_plan_cache();
        release_cached_memory();
        const bool failed =
            fails_at(n, how, [&] { differentiates ? eval(gradients(y, {x})[0], y) : eval(y); });
        const auto [g] = gradients(y, {x});
        REQUIRE(g.to_vector() == slopes);
        REQUIRE(y.item() == expected);
        if (!failed) break;
        ++failures;
      }
    }
  }
  CHECK(failures > 100);
}

}  // namespace
}  // namespace gradweave
