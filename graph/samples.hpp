// Samples: the inputs over which the checker (check/gradcheck.hpp) tries an op. Part of an op's definition.
#pragma once
#include <functional>
#include <span>
#include <vector>

#include <gradweave/graph/tensor.hpp>

namespace gradweave {

struct Operation;  // operation.hpp

/// Where the checker takes an input from: uniform numbers in [low, high), whole ones for int64 and bool.
struct InputSpec {
  double low = -1;
  double high = 1;
  Shape shape{2, 3};
  DType dtype = DType::float64;
};
InputSpec uniform(double low, double high, const Shape& shape = {2, 3});
InputSpec integers(Index low, Index high, const Shape& shape = {2, 3});
InputSpec booleans(const Shape& shape = {2, 3});

/// One sample of an op: the inputs to draw, and the op (attributes included) as a function of them.
struct Sample {
  std::vector<InputSpec> inputs;
  std::function<Tensor(std::span<const Tensor>)> call;  ///< of several outputs, the node that computes all
};

/// A sample that applies `operation` with a copy of these attributes.
Sample sample_of(const Operation& operation, const void* attributes, std::vector<InputSpec> inputs);

}  // namespace gradweave
