#ifdef GRADWEAVE_HAS_JSON
#include "call.hpp"

#include <cmath>
#include <limits>
#include <stdexcept>

#include <gradweave/ops/ops.hpp>

namespace gradweave::pytorch {
namespace {

double number_of(const Json& json) {
  if (!json.is_object()) return json.is_boolean() ? (json.get<bool>() ? 1 : 0) : json.get<double>();
  const auto text = json.at("x").get<std::string>();
  if (text == "nan") return std::numeric_limits<double>::quiet_NaN();
  return text == "-inf" ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
}

Index whole(double number) {
  if (!(std::abs(number) <= 0x1p53))
    throw std::runtime_error("a number that the record does not hold exactly");
  return static_cast<Index>(number);
}

}  // namespace

double hashed(std::uint64_t seed, std::uint64_t place) {
  std::uint64_t z = (place + 1) * 0x9E3779B97F4A7C15 + seed * 0xD1B54A32D192ED03;
  z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27U)) * 0x94D049BB133111EB;
  z ^= z >> 31U;
  return static_cast<double>(z >> 11U) * 0x1p-53;
}

Tensor direction(std::uint64_t seed, const Shape& shape) {
  std::vector<double> values(static_cast<std::size_t>(numel(shape)));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = hashed(seed, i) * 2 - 1;
  return constant(values, shape);
}

DType dtype_of(const std::string& name) {
  if (name == "bool") return DType::bool_;
  for (std::size_t t = 0; t < dtype_count; ++t) {
    if (name_of(static_cast<DType>(t)) == name) return static_cast<DType>(t);
  }
  throw std::runtime_error("no dtype " + name);
}

Call::Call(const Json& sample) {
  for (const Json& argument : sample.at("args")) arguments_.push_back(read(argument));
  for (const auto& [name, argument] : sample.at("kwargs").items()) named_.emplace_back(name, read(argument));
}

Call::Argument Call::read(const Json& json) {
  Argument argument{json, {}, {}};
  if (json.is_array()) {
    for (const Json& item : json) argument.items.push_back(read(item));
  } else if (json.is_object() && json.contains("s")) {
    const auto sizes = json.at("s").get<std::vector<Index>>();
    const Shape shape{Dims(sizes)};
    const auto dtype = dtype_of(json.at("t").get<std::string>());
    std::vector<double> values(static_cast<std::size_t>(numel(shape)));
    if (json.contains("r")) {
      const auto seed = json.at("r").at(0).get<std::uint64_t>();
      const double low = number_of(json.at("r").at(1)), high = number_of(json.at("r").at(2));
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = low + (high - low) * hashed(seed, i);
    } else {
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = number_of(json.at("v").at(i));
    }
    argument.tensor = cast(constant(values, shape), dtype);
    eval(argument.tensor);
    if (json.contains("g")) {
      argument.tensor = variable(argument.tensor);
      leaves_.push_back(argument.tensor);
    }
  }
  return argument;
}

const Call::Argument* Call::find(std::size_t place, std::string_view name) const {
  for (const auto& [key, argument] : named_) {
    if (key == name) return argument.json.is_null() ? nullptr : &argument;
  }
  return place < arguments_.size() && !arguments_[place].json.is_null() ? &arguments_[place] : nullptr;
}
const Call::Argument& Call::need(std::size_t place, std::string_view name) const {
  const Argument* found = find(place, name);
  if (found == nullptr) throw std::runtime_error("no argument " + std::string(name));
  return *found;
}

bool Call::has(std::size_t place, std::string_view name) const { return find(place, name) != nullptr; }
bool Call::is_tensor(std::size_t place, std::string_view name) const {
  return has(place, name) && !need(place, name).tensor.is_empty();
}
const Json* Call::json(std::size_t place, std::string_view name) const {
  const Argument* found = find(place, name);
  return found == nullptr ? nullptr : &found->json;
}

Operand Call::operand(std::size_t place, std::string_view name) const {
  const Argument& argument = need(place, name);
  if (!argument.tensor.is_empty()) return argument.tensor;
  if (argument.json.is_boolean()) return argument.json.get<bool>();
  if (argument.json.is_number_integer()) return argument.json.get<Index>();
  return number_of(argument.json);
}
Tensor Call::tensor(std::size_t place, std::string_view name) const {
  return has(place, name) ? need(place, name).tensor : Tensor();
}
std::vector<Tensor> Call::tensors(std::size_t place, std::string_view name) const {
  std::vector<Tensor> all;
  for (const Argument& item : need(place, name).items) all.push_back(item.tensor);
  return all;
}
std::vector<Tensor> Call::all_tensors() const {
  std::vector<Tensor> all;
  for (const Argument& argument : arguments_) {
    if (!argument.tensor.is_empty()) all.push_back(argument.tensor);
    for (const Argument& item : argument.items) all.push_back(item.tensor);
  }
  return all;
}

double Call::number(std::size_t place, std::string_view name) const {
  const Argument& argument = need(place, name);
  return argument.tensor.is_empty() ? number_of(argument.json) : argument.tensor.item<double>();
}
double Call::number(std::size_t place, std::string_view name, double fallback) const {
  return has(place, name) ? number(place, name) : fallback;
}
std::optional<double> Call::some_number(std::size_t place, std::string_view name) const {
  if (!has(place, name)) return {};
  return number(place, name);
}
Index Call::integer(std::size_t place, std::string_view name) const { return whole(number(place, name)); }
Index Call::integer(std::size_t place, std::string_view name, Index fallback) const {
  return has(place, name) ? integer(place, name) : fallback;
}
bool Call::flag(std::size_t place, std::string_view name, bool fallback) const {
  return number(place, name, fallback ? 1 : 0) != 0;
}
std::string Call::text(std::size_t place, std::string_view name, std::string_view fallback) const {
  const Argument* found = find(place, name);
  if (found == nullptr || !found->json.is_object() || !found->json.contains("str"))
    return std::string(fallback);
  return found->json.at("str").get<std::string>();
}
DType Call::dtype(std::size_t place, std::string_view name, DType fallback) const {
  const Argument* found = find(place, name);
  if (found == nullptr || !found->json.is_object() || !found->json.contains("d")) return fallback;
  return dtype_of(found->json.at("d").get<std::string>());
}
std::vector<double> Call::numbers(std::size_t place, std::string_view name) const {
  const Argument* found = find(place, name);
  std::vector<double> all;
  if (found == nullptr) return all;
  if (found->json.is_array()) {
    for (const Argument& item : found->items) {
      all.push_back(item.tensor.is_empty() ? number_of(item.json) : item.tensor.item<double>());
    }
    return all;
  }
  if (!found->tensor.is_empty()) return found->tensor.to_vector<double>();
  all.push_back(number_of(found->json));
  for (std::size_t next = place + 1; next < arguments_.size() && found == &arguments_[next - 1]; ++next) {
    found = &arguments_[next];
    if (!found->json.is_number()) break;
    all.push_back(number_of(found->json));
  }
  return all;
}
std::vector<Index> Call::integers(std::size_t place, std::string_view name) const {
  std::vector<Index> all;
  for (const double number : numbers(place, name)) all.push_back(whole(number));
  return all;
}
Shape Call::shape(std::size_t place, std::string_view name) const {
  const auto sizes = integers(place, name);
  return Shape(Dims(sizes));
}

}  // namespace gradweave::pytorch
#endif
