// Random numbers from a counter (Philox4x32-10; Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy
// as 1, 2, 3", SC 2011): a random node carries its seed and offset, so computing it again gives the same
// numbers, at any thread count.
//
// A common beginner's error: `const Tensor noise = random_normal(...)` once before a loop. A random tensor is
// one node with one set of numbers: call the function at each step for others (a compiled function draws new
// ones at each run).
#pragma once
#include <cstdint>
#include <source_location>

#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// Where the next random tensor starts. It must outlive the compiled functions (compile.hpp) that draw from
/// it. Two generators with the same seed give the same tensors in the same order.
class Generator {
 public:
  explicit Generator(std::uint64_t seed = 0) : seed_(seed) {}
  std::uint64_t seed() const { return seed_; }
  /// The first of `count` unused positions.
  std::uint64_t advance(std::uint64_t count) {
    const std::uint64_t first = offset_;
    offset_ += count;
    return first;
  }
  /// All that it is, for a checkpoint.
  struct State {
    std::uint64_t seed = 0, offset = 0;
    friend bool operator==(const State&, const State&) = default;
  };
  State state() const { return {seed_, offset_}; }
  void set_state(const State& state) { seed_ = state.seed, offset_ = state.offset; }
  /// One number in [0, bound), for shuffling and the like. `bound` must not be 0.
  std::uint64_t below(std::uint64_t bound);

 private:
  std::uint64_t seed_;
  std::uint64_t offset_ = 0;
};

/// What functions draw from that are given no generator: one for each thread. It starts with seed 0, so that
/// a program repeats itself. What a compiled function draws from it comes from that of the thread which runs
/// it.
Generator& default_generator();
/// Starts this thread's default generator anew.
void seed(std::uint64_t seed);

/// Uniform in [low, high), in steps of 2^-24 times their distance, or 2^-53 in float64. Throws ValueError
/// unless low < high, both finite and a finite distance apart; DTypeError unless the dtype is floating.
Tensor random_uniform(const Shape& shape, Generator& generator, double low = 0, double high = 1,
                      DType dtype = default_dtype(),
                      std::source_location where = std::source_location::current());
Tensor random_uniform(const Shape& shape, double low = 0, double high = 1, DType dtype = default_dtype(),
                      std::source_location where = std::source_location::current());
/// Normal (Box and Muller's transform, 1958), up to 6.7 standard deviations, or 8.7 in float64. Throws
/// ValueError unless both are finite and std >= 0; DTypeError unless the dtype is floating.
Tensor random_normal(const Shape& shape, Generator& generator, double mean = 0, double std = 1,
                     DType dtype = default_dtype(),
                     std::source_location where = std::source_location::current());
Tensor random_normal(const Shape& shape, double mean = 0, double std = 1, DType dtype = default_dtype(),
                     std::source_location where = std::source_location::current());

std::vector<const Operation*> random_operations();

}  // namespace gradweave
