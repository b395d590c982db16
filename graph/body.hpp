// Body: a graph as a value, made from a function of tensors. An op may hold bodies as attributes: they are
// compared, hashed and printed as the graphs that they are, and the op's kernel runs them.
#pragma once
#include <algorithm>
#include <array>
#include <concepts>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <gradweave/graph/kernels/array.hpp>
#include <gradweave/graph/tensor.hpp>

namespace gradweave {

/// The structure of a graph: ops with their attributes, edges, the specs of inputs and the outputs; no data.
/// Copies share it, and it never changes. Two bodies are equal if they have the same structure, whichever
/// functions they were made from. A default-constructed body is empty: it has no inputs and gives nothing.
class Body {
 public:
  using Function = std::function<std::vector<Tensor>(std::span<const Tensor>)>;
  /// How deep bodies may nest: a body whose ops hold no bodies is one deep.
  static constexpr std::size_t most_nested = 64;

  Body() = default;
  /// Looks at the graph that `f` builds from leaves that have the specs of `like`, and are tracked where
  /// these are. The body takes one input for each of those, and then one for each of `captured`: the tensors
  /// that `f` read beside its arguments (parameters, constants, nodes of the graph around it), to which this
  /// adds those that are not among them yet. Whoever holds the body makes them operands, so that gradients
  /// flow to them. Random tensors are drawn anew each time `f` is looked at. Throws GraphError where f asks
  /// for values that depend on its arguments, or gives an empty Tensor, and where bodies nest too deep.
  static Body trace(const Function& f, std::span<const Tensor> like, std::vector<Tensor>& captured);

  /// Builds the same nodes on other tensors, of the specs of the inputs; tensors behind those are passed
  /// over. Nodes keep line and module of the function. Throws ShapeError, DTypeError, GraphError unless
  /// `inputs` fit.
  std::vector<Tensor> operator()(std::span<const Tensor> inputs) const;
  /// Computes the outputs that have data from row-major arrays, as a kernel does: with a plan, which is made
  /// at the first run and kept. Several threads may run one body.
  void run(std::span<const ArrayView> inputs, std::span<const ArrayView> outputs) const;

  /// By number.
  std::span<const Spec> inputs() const;
  std::span<const Spec> outputs() const;
  std::size_t node_count() const;
  /// Whether all its ops are without effects (Operation::pure).
  bool is_pure() const;
  /// 1 more than that of the bodies among the attributes of its ops.
  std::size_t nesting() const;

  friend bool operator==(const Body& a, const Body& b);
  std::size_t hash() const;

 private:
  struct Graph;
  class Kernel;
  class Lease;
  friend std::string to_string(const Body& body);
  friend std::string print_member(const Body& body);
  std::shared_ptr<const Graph> graph_;
};

/// Line by line, `%2 = multiply of %0, %1`.
std::string to_string(const Body& body);

// As an attribute (attributes.hpp).
inline std::size_t hash_member(const Body& body) { return body.hash(); }
/// In short, the ops alone: `{multiply, sum}`.
std::string print_member(const Body& body);

namespace detail {

// A function's result as a list, and back: it is a tensor, a std::vector or a std::array of tensors.
template <class R>
inline constexpr std::size_t count_of_results = 1;
template <std::size_t N>
inline constexpr std::size_t count_of_results<std::array<Tensor, N>> = N;
template <class Result>
std::vector<Tensor> listed(const Result& result) {
  if constexpr (std::convertible_to<const Result&, const Tensor&>) {
    return {static_cast<const Tensor&>(result)};
  } else {
    return {result.begin(), result.end()};
  }
}
template <class Result>
auto given(std::vector<Tensor> all) {
  if constexpr (std::convertible_to<const Result&, const Tensor&>) {
    return std::move(all[0]);
  } else if constexpr (requires(Result r) { r.push_back(all[0]); }) {
    return Result(all.begin(), all.end());
  } else {
    Result result;
    std::ranges::move(all, result.begin());
    return result;
  }
}

// f(all[0], all[1], ...)
template <std::size_t N, class F>
decltype(auto) call_with(const F& f, std::span<const Tensor> all) {
  return [&]<std::size_t... I>(std::index_sequence<I...>) -> decltype(auto) {
    return f(all[I]...);
  }(std::make_index_sequence<N>());
}

}  // namespace detail
}  // namespace gradweave
