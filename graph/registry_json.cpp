// Operations as JSON, apart from the registry: who does not name it does not link it.
#include <gradweave/graph/registry.hpp>

#include <fmt/format.h>

#ifdef GRADWEAVE_HAS_JSON
#include <cmath>

#include <nlohmann/json.hpp>
#endif

namespace gradweave {

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
