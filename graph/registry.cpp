#include <gradweave/graph/registry.hpp>

#include <fmt/format.h>

#include <gradweave/graph/node.hpp>

#ifdef GRADWEAVE_HAS_JSON
#include <cmath>

#include <nlohmann/json.hpp>
#endif

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

std::shared_ptr<void> new_attributes(const Operation& operation, const auto& construct) {
  if (operation.attribute_size == 0) return nullptr;
  std::unique_ptr<void, void (*)(void*)> memory(::operator new(operation.attribute_size),
                                                [](void* at) { ::operator delete(at); });
  construct(memory.get());
  const auto destroy = operation.destroy;
  return {memory.release(), [destroy](void* at) {
            if (destroy != nullptr) destroy(at);
            ::operator delete(at);
          }};
}

const Operation& operation_at(const Tensor& tensor) {
  if (tensor.is_empty()) throw GraphError("the operation of an empty Tensor");
  const Operation& operation = *tensor.node()->operation;
  if (&operation == &constant_leaf || &operation == &variable_leaf)
    throw GraphError(fmt::format("a {} is a leaf: no operation made it", operation.name));
  return operation;
}

}  // namespace

BoundOperation::BoundOperation(const Tensor& tensor)
    : operation_(&operation_at(tensor)), attributes_(new_attributes(*operation_, [&](void* to) {
        operation_->copy(tensor.node()->attributes(), to);
      })) {}

BoundOperation::BoundOperation(const Operation& operation, const AttributeValue::Record& attributes)
    : operation_(&operation), attributes_(new_attributes(operation, [&](void* to) {
        try {
          operation.construct(attributes, to);
        } catch (const Error& error) {
          throw ValueError(fmt::format("{}: {}", operation.name, error.what()));
        }
      })) {
  if (operation.attribute_size == 0 && !attributes.empty())
    throw ValueError(fmt::format("{}: there is no attribute \"{}\"", operation.name, attributes[0].name));
}

AttributeValue::Record BoundOperation::attributes() const {
  return attributes_ ? operation_->attributes(attributes_.get()) : AttributeValue::Record();
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

// ---- JSON

#ifdef GRADWEAVE_HAS_JSON
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const AttributeValue& value) {
  return std::visit(
      []<class T>(const T& x) -> Json {
        if constexpr (std::same_as<T, double>) {
          return std::isfinite(x) ? Json(x) : Json(to_string(AttributeValue{x}));
        } else if constexpr (std::same_as<T, AttributeValue::Word>) {
          return x.text;
        } else if constexpr (std::same_as<T, AttributeValue::List>) {
          Json items = Json::array();
          for (const AttributeValue& item : x) items.push_back(json_of(item));
          return items;
        } else if constexpr (std::same_as<T, AttributeValue::Record>) {
          Json fields = Json::object();
          for (const AttributeField& field : x) fields[field.name] = json_of(field.value);
          return fields;
        } else {
          return x;
        }
      },
      value.value);
}

AttributeValue::Record record_of(const Json& json, int depth);

AttributeValue value_of(const Json& json, int depth) {
  constexpr int deepest = 16;
  if (depth > deepest) throw ValueError("JSON of an operation that is nested too deep");
  if (json.is_boolean()) return {json.get<bool>()};
  if (json.is_number_unsigned() && !std::in_range<Index>(json.get<std::uint64_t>()))
    return {json.get<std::uint64_t>()};
  if (json.is_number_integer()) return {json.get<Index>()};
  if (json.is_number()) return {json.get<double>()};
  if (json.is_string()) return {json.get<std::string>()};
  if (json.is_object()) return {record_of(json, depth)};
  if (!json.is_array()) throw ValueError("JSON of an operation has a null");
  AttributeValue::List items;
  items.reserve(json.size());
  for (const Json& item : json) items.push_back(value_of(item, depth + 1));
  return {std::move(items)};
}
AttributeValue::Record record_of(const Json& json, int depth) {
  AttributeValue::Record record;
  record.reserve(json.size());
  for (const auto& [name, value] : json.items()) record.push_back({name, value_of(value, depth + 1)});
  return record;
}

// Without recursion, so that no file is nested too deep for it.
bool is_nested_too_deep(std::string_view text) {
  constexpr int deepest = 64;
  int depth = 0;
  for (const char c : text) {
    depth += c == '[' || c == '{' ? 1 : c == ']' || c == '}' ? -1 : 0;
    if (depth > deepest) return true;
  }
  return false;
}

}  // namespace

std::string to_json(const BoundOperation& bound) {
  Json attributes = json_of({bound.attributes()});
  try {
    return Json{{"name", bound.operation().name}, {"attributes", std::move(attributes)}}.dump();
  } catch (const Json::exception&) {
    throw ValueError(fmt::format("{}: a text that is not UTF-8 has no JSON", bound.operation().name));
  }
}

BoundOperation operation_from_json(std::string_view text, const Registry& registry) {
  const Json json =
      is_nested_too_deep(text) ? Json(Json::value_t::discarded) : Json::parse(text, nullptr, false);
  if (json.is_discarded()) throw ValueError("an operation is expected in JSON; this is none");
  const auto name = json.is_object() ? json.find("name") : json.end();
  if (name == json.end() || !name->is_string())
    throw ValueError("JSON of an operation has no \"name\" that is a text");
  const auto attributes = json.find("attributes");
  if (attributes == json.end()) return {registry.at(name->get<std::string>()), {}};
  if (!attributes->is_object()) throw ValueError("\"attributes\" of an operation are not a JSON object");
  return {registry.at(name->get<std::string>()), record_of(*attributes, 0)};
}
#else
namespace {
[[noreturn]] void refuse_json() {
  throw Error(
      "Gradweave was built without nlohmann-json, which reads and writes JSON (Debian: apt-get install "
      "nlohmann-json3-dev, then configure and build again)");
}
}  // namespace
std::string to_json(const BoundOperation&) { refuse_json(); }
BoundOperation operation_from_json(std::string_view, const Registry&) { refuse_json(); }
#endif

}  // namespace gradweave
