// One recorded call of a function of PyTorch (see record.py), as the table of entries reads it: arguments by
// place or by name, as their caller gave them.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gradweave/graph/operand.hpp>
#include <gradweave/graph/tensor.hpp>
#include <gradweave/ops/reduction.hpp>
#include <gradweave/ops/scan.hpp>
#include <nlohmann/json.hpp>

namespace gradweave::pytorch {

using Json = nlohmann::ordered_json;

/// Number `place` of those that splitmix64 draws from `seed`, in [0, 1).
double hashed(std::uint64_t seed, std::uint64_t place);
/// Numbers in [-1, 1) of a shape.
Tensor direction(std::uint64_t seed, const Shape& shape);
DType dtype_of(const std::string& name);

class Call {
 public:
  explicit Call(const Json& sample);
  /// The tensors that PyTorch differentiated with respect to, in the order of the arguments.
  const std::vector<Tensor>& leaves() const { return leaves_; }

  /// Whether this argument is there, and not None.
  bool has(std::size_t place, std::string_view name = "") const;
  bool is_tensor(std::size_t place, std::string_view name = "") const;
  std::size_t count() const { return arguments_.size(); }

  /// A tensor or a number.
  Operand operand(std::size_t place, std::string_view name = "") const;
  Operand operator[](std::size_t place) const { return operand(place); }
  /// Empty where there is none.
  Tensor tensor(std::size_t place, std::string_view name = "") const;
  std::vector<Tensor> tensors(std::size_t place, std::string_view name = "") const;
  /// All arguments from here on.
  std::vector<Tensor> all_tensors() const;

  double number(std::size_t place, std::string_view name, double fallback) const;
  double number(std::size_t place, std::string_view name = "") const;
  std::optional<double> some_number(std::size_t place, std::string_view name) const;
  Index integer(std::size_t place, std::string_view name, Index fallback) const;
  Index integer(std::size_t place, std::string_view name = "") const;
  bool flag(std::size_t place, std::string_view name, bool fallback = false) const;
  std::string text(std::size_t place, std::string_view name, std::string_view fallback) const;
  DType dtype(std::size_t place, std::string_view name, DType fallback) const;
  /// A list, one number as a list of one, or all numbers from this place on.
  std::vector<Index> integers(std::size_t place, std::string_view name = "") const;
  std::vector<double> numbers(std::size_t place, std::string_view name = "") const;
  /// None are all of them.
  Axes axes(std::size_t place, std::string_view name = "dim") const { return {integers(place, name)}; }
  Shape shape(std::size_t place, std::string_view name = "size") const;
  const Json* json(std::size_t place, std::string_view name = "") const;

 private:
  struct Argument {
    Json json;
    Tensor tensor;
    std::vector<Argument> items;
  };
  Argument read(const Json& json);
  const Argument* find(std::size_t place, std::string_view name) const;
  const Argument& need(std::size_t place, std::string_view name) const;

  std::vector<Argument> arguments_;
  std::vector<std::pair<std::string, Argument>> named_;
  std::vector<Tensor> leaves_;
};

/// What an entry answers.
struct Results {
  std::vector<Tensor> tensors;
  Results(Tensor one) : tensors{std::move(one)} {}
  Results(std::vector<Tensor> many) : tensors(std::move(many)) {}
  Results(std::initializer_list<Tensor> many) : tensors(many) {}
  Results(std::pair<Tensor, Tensor> two) : tensors{std::move(two.first), std::move(two.second)} {}
  Results(ValuesAndIndices both) : tensors{std::move(both.values), std::move(both.indices)} {}
};

/// A name in op_db, and the one function of Gradweave that answers all of its samples.
struct Entry {
  std::string_view name;
  Results (*answer)(const Call& call);
};

std::vector<Entry> elementwise_entries();
std::vector<Entry> reduction_entries();
std::vector<Entry> movement_entries();
std::vector<Entry> network_entries();
std::vector<Entry> window_entries();
std::vector<Entry> linalg_entries();

}  // namespace gradweave::pytorch
