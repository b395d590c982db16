// How an op of random numbers gets those: for functions that apply such ops.
#pragma once
#include <cstdint>

#include <gradweave/ops/random.hpp>

namespace gradweave {

/// The numbers that a generator gives next, one for each element of a shape, as the input (seed, offset) of
/// an op. In a compiled function, each further run draws on from where the generator is then.
class Draw {
 public:
  Draw(Generator& generator, const Shape& shape);
  const Tensor& state() const { return state_; }
  /// To be called behind `apply`: the numbers of a draw that fails are not lost.
  void take() const;

 private:
  Generator* generator_;  // null: the running thread's own
  std::uint64_t count_;
  Tensor state_;
};

}  // namespace gradweave
