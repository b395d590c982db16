#include <gradweave/graph/registry.hpp>

#include <fmt/format.h>

#include <gradweave/graph/attributes.hpp>
#include <gradweave/graph/node.hpp>

namespace gradweave {

Registry& Registry::add(const Operation& operation) {
  const auto [at, is_new] = by_name_.try_emplace(operation.name, &operation);
  if (at->second != &operation)
    throw ValueError(fmt::format("another operation is named \"{}\" already", operation.name));
  if (is_new) all_.push_back(&operation);
  return *this;
}
const Operation* Registry::find(std::string_view name) const {
  const auto at = by_name_.find(name);
  return at == by_name_.end() ? nullptr : at->second;
}
const Operation& Registry::at(std::string_view name) const {
  const Operation* operation = find(name);
  if (operation == nullptr)
    throw ValueError(fmt::format("there is no operation \"{}\" in the registry", name));
  return *operation;
}

namespace {

const Operation& operation_at(const Tensor& tensor) {
  if (tensor.is_empty()) throw GraphError("the operation of an empty Tensor");
  const Operation& operation = *tensor.node()->operation;
  if (&operation == &constant_leaf || &operation == &variable_leaf)
    throw GraphError(fmt::format("a {} is a leaf: no operation made it", operation.name));
  return operation;
}

}  // namespace

BoundOperation::BoundOperation(const Tensor& tensor)
    : operation_(&operation_at(tensor)),
      attributes_(new_attributes(*operation_, tensor.node()->attributes())) {}

BoundOperation::BoundOperation(const Operation& operation, const AttributeValue::Record& attributes)
    : operation_(&operation), attributes_(new_attributes(operation)) {
  static constexpr detail::RecordType none{};
  try {
    detail::read_record(attributes_ ? *operation.attributes : none, attributes, attributes_.get());
  } catch (const Error& error) {
    throw ValueError(fmt::format("{}: {}", operation.name, error.what()));
  }
}

AttributeValue::Record BoundOperation::attributes() const {
  return attributes_ ? detail::record_of(*operation_->attributes, attributes_.get())
                     : AttributeValue::Record();
}
Tensor BoundOperation::operator()(std::span<const Operand> inputs) const {
  return apply(*operation_, attributes_.get(), inputs);
}
bool operator==(const BoundOperation& a, const BoundOperation& b) {
  return a.operation_ == b.operation_ &&
         (!a.attributes_ || a.operation_->equal(a.attributes_.get(), b.attributes_.get()));
}
std::size_t BoundOperation::hash() const {
  const std::size_t name = std::hash<std::string_view>{}(operation_->name);
  return attributes_ ? name * 31 + operation_->hash(attributes_.get()) : name;
}

std::string to_string(const BoundOperation& bound) {
  return to_string(*bound.operation_, bound.attributes_.get());
}
BoundOperation parse_operation(std::string_view text, const Registry& registry) {
  const auto [name, attributes] = parse_call(text);
  return {registry.at(name), attributes};
}

}  // namespace gradweave
