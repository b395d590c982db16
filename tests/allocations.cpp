// What a training step asks of the system once it has settled: nothing; and that it gets all back in the end.
// Every operator new is counted, so this is a program of its own.
#include <atomic>
#include <cstdlib>
#include <new>
#include <thread>
#include <vector>

#include <gradweave/graph/compile.hpp>
#include <gradweave/graph/memory/storage.hpp>
#include <gradweave/graph/samples.hpp>
#include <gradweave/nn/nn.hpp>

#include "catch.hpp"

namespace {

std::atomic<std::size_t> allocations = 0, releases = 0;

void* counted(std::size_t bytes) {
  ++allocations;
  return std::malloc(bytes);
}
void* counted(std::size_t bytes, std::align_val_t alignment) {
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

}  // namespace
}  // namespace gradweave
