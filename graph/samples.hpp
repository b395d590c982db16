// Samples: the inputs over which the checker (check/gradcheck.hpp) tries an op. Part of an op's definition.
#pragma once
#include <functional>
#include <span>
#include <vector>

#include <gradweave/graph/tensor.hpp>

namespace gradweave {

/// Where the checker takes an input from: uniform numbers in [low, high), whole ones for int64 and bool.
struct InputSpec {
  double low = -1;
  double high = 1;
  Shape shape{2, 3};
  DType dtype = DType::float64;
};
inline InputSpec uniform(double low, double high, Shape shape = {2, 3}) {
  return {low, high, shape, DType::float64};
}
inline InputSpec integers(Index low, Index high, Shape shape = {2, 3}) {
  return {static_cast<double>(low), static_cast<double>(high), shape, DType::int64};
}
inline InputSpec booleans(Shape shape = {2, 3}) { return {0, 2, shape, DType::bool_}; }

/// One sample of an op: the inputs to draw, and the op (attributes included) as a function of them.
struct Sample {
  std::vector<InputSpec> inputs;
  std::function<Tensor(std::span<const Tensor>)> call;  ///< of several outputs, the node that computes all
};

}  // namespace gradweave
