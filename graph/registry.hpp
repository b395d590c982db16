// Registry: operations by name; and a bound operation, that is an operation with its attributes, as a value
// that can be compared, printed, read back and applied.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <gradweave/graph/attribute_value.hpp>
#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// Operations by name, handed to whoever reads some:
///
///     Registry registry = builtin_operations();  // ops/ops.hpp
///     registry.add<MyOp>();                      // graph/define.hpp
class Registry {
 public:
  template <class Op>
  Registry& add() {
    return add(operation_of<Op>());
  }
  /// Throws ValueError when another operation has this name.
  Registry& add(const Operation& operation);

  /// Null when there is none of this name.
  const Operation* find(std::string_view name) const;
  /// Throws ValueError when there is none of this name.
  const Operation& at(std::string_view name) const;
  /// In the order in which they were added.
  auto begin() const { return all_.begin(); }
  auto end() const { return all_.end(); }
  std::size_t size() const { return all_.size(); }

 private:
  std::vector<const Operation*> all_;
  std::unordered_map<std::string_view, const Operation*> by_name_;
};

/// An operation and its attributes. Copies share the attributes, which never change.
class BoundOperation {
 public:
  /// What the node of a tensor applies. Throws GraphError for an empty tensor and for a leaf.
  explicit BoundOperation(const Tensor& tensor);
  /// Throws ValueError unless `attributes` are those of the operation, each there once and fitting.
  BoundOperation(const Operation& operation, const AttributeValue::Record& attributes);

  const Operation& operation() const { return *operation_; }
  /// By the names of the members, in their order.
  AttributeValue::Record attributes() const;
  /// Adds a node. Throws as `apply`. Ops that only derivative rules use (`take_vjp`, `at_label_vjp`,
  /// `conv2d_input`, ...) trust that their operands fit what they are the derivative of: before applying such
  /// an op from a file of a stranger, ask whether the file has a use for it.
  Tensor operator()(std::span<const Operand> inputs) const;

  friend bool operator==(const BoundOperation& a, const BoundOperation& b);
  std::size_t hash() const;
  /// `matmul(transpose_a=false, transpose_b=true)`, or `exp`. Numbers read back to the last bit.
  friend std::string to_string(const BoundOperation& bound);

 private:
  const Operation* operation_;
  std::shared_ptr<void> attributes_;
};

/// Reads what `to_string` writes. Throws ValueError for a text that is none, an operation that is not in the
/// registry, and attributes that do not fit.
BoundOperation parse_operation(std::string_view text, const Registry& registry);

/// `{"name":"matmul","attributes":{"transpose_a":false,"transpose_b":true}}`. Where JSON has no number, there
/// is its text: "nan", "-inf". Throws ValueError for a text that is not UTF-8, and Error where Gradweave was
/// built without nlohmann-json.
std::string to_json(const BoundOperation& bound);
/// Reads what `to_json` writes. Throws as `parse_operation`.
BoundOperation operation_from_json(std::string_view text, const Registry& registry);

}  // namespace gradweave
