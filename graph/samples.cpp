#include <gradweave/graph/samples.hpp>

#include <memory>
#include <utility>

#include <gradweave/graph/operation.hpp>

namespace gradweave {

InputSpec uniform(double low, double high, const Shape& shape) { return {low, high, shape, DType::float64}; }
InputSpec integers(Index low, Index high, const Shape& shape) {
  return {static_cast<double>(low), static_cast<double>(high), shape, DType::int64};
}
InputSpec booleans(const Shape& shape) { return {0, 2, shape, DType::bool_}; }

Sample sample_of(const Operation& operation, const void* attributes, std::vector<InputSpec> inputs) {
  std::shared_ptr<void> own = new_attributes(operation, attributes);
  return {std::move(inputs), [&operation, own](std::span<const Tensor> tensors) {
            return apply(operation, own.get(), std::vector<Operand>(tensors.begin(), tensors.end()));
          }};
}

}  // namespace gradweave
