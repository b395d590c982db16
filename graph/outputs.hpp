// Ops with several outputs, and rules that see everything. One node computes all outputs of an op, one behind
// the other in its buffer; each output is a node of its own, a view of that buffer with shape, dtype and
// cotangent.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// Where outputs lie in the buffer of their node, as what they are computed as.
struct OutputLayout {
  static constexpr std::size_t absent = static_cast<std::size_t>(-1);
  std::vector<Spec> specs;
  std::vector<std::size_t> offsets;  ///< in bytes; `absent` where nobody reads it
  std::size_t bytes = 0;
  bool is_kept = false;  ///< the buffer is kept as a whole, where all outputs have their places
  static std::size_t bytes_of(const Spec& spec);  ///< that it takes there
};
/// Of those outputs that are `wanted`, or of all if that is empty.
OutputLayout lay_out(std::vector<Spec> specs, const std::vector<bool>& wanted = {});

/// The view that is one output: the first attribute of its op is the number of the output.
const Operation& output_operation();
std::size_t output_number(const Node& output);
std::size_t output_number(const void* attributes);
/// The outputs of a node that computes several, as nodes of their own.
std::vector<Tensor> outputs_of(const Tensor& node);
Tensor output_of(const Tensor& node, std::size_t number);

/// What a rule for all inputs at once is given, and gives. `vjp(Pullback&)` of an op writes, with ops,
///
///     p.give(0, p.cotangent(0) * p.input(1));
///     if (p.wants(1)) p.give(1, ...);
class Pullback {
 public:
  /// `outputs` are empty where nobody has asked for them yet; `wanted` and `terms` are by input.
  Pullback(const Tensor& node, std::span<const Tensor> cotangents, std::span<Tensor> outputs,
           const std::vector<bool>& wanted, std::span<Tensor> terms);

  std::size_t input_count() const { return terms_.size(); }
  std::size_t output_count() const { return cotangents_.size(); }
  const Tensor& input(std::size_t i) const;
  /// Computed again if nobody has kept it.
  Tensor output(std::size_t k = 0) const;
  /// Whether the result depends on this output.
  bool has_cotangent(std::size_t k) const { return !cotangents_[k].is_empty(); }
  /// Zeros where it does not.
  Tensor cotangent(std::size_t k = 0) const;
  /// Whether a gradient is asked for that flows through this input.
  bool wants(std::size_t i) const { return wanted_[i]; }
  /// The cotangent of an input; one that is not wanted is forgotten, one that was given already is replaced,
  /// one that is not given is zero. What broadcasting has repeated is summed later.
  void give(std::size_t i, Tensor term);
  const Tensor& given(std::size_t i) const { return terms_[i]; }

 private:
  const Tensor& node_;
  std::span<const Tensor> cotangents_;
  std::span<Tensor> outputs_;
  const std::vector<bool>& wanted_;
  std::span<Tensor> terms_;
};

/// The cotangents of the inputs of a tensor's node where these are `wanted`, from those of its outputs (one,
/// or an empty tensor, for each), by the node's own rule; empty where they are zero. `outputs`: as tensors,
/// where they are known. Throws GraphError for an op without a rule.
std::vector<Tensor> pull_back(const Tensor& tensor, std::span<const Tensor> cotangents,
                              std::span<Tensor> outputs, const std::vector<bool>& wanted);
/// The specs of the several outputs of a node, or of its only one.
std::vector<Spec> output_specs(const Node& node);

}  // namespace gradweave
