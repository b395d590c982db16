// AttributeValue: what a member of an op's struct holds, without its C++ type. Texts and files of operations
// are written from such values and read into them.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <gradweave/graph/types/dtype.hpp>

namespace gradweave {

struct AttributeField;

struct AttributeValue {
  /// A word without quotes: a dtype, an enumerator, or the text of something that cannot be read back.
  struct Word {
    std::string text;
    friend bool operator==(const Word&, const Word&) = default;
  };
  using List = std::vector<AttributeValue>;
  using Record = std::vector<AttributeField>;  ///< in the order of the members

  /// Whole numbers are `Index` unless only `std::uint64_t` holds them.
  std::variant<bool, Index, std::uint64_t, double, std::string, Word, List, Record> value;

  /// Numbers are equal to the last bit: 0 is not -0, and NaN equals itself.
  friend bool operator==(const AttributeValue& a, const AttributeValue& b);
};

/// A member: `name=value`.
struct AttributeField {
  std::string name;
  AttributeValue value;
  friend bool operator==(const AttributeField&, const AttributeField&) = default;
};

/// `true`, `3`, `-0.0`, `nan`, `"text"` (escaped as in JSON), `float32`, `(2, 3)`, `{rows=1, cols=2}`. The
/// shortest text of a number that reads back to the same bits; a NaN with more than its quiet bit is
/// `nan(0x7ff8000000000001)`.
std::string to_string(const AttributeValue& value);
/// `a=1, b=(2,)`: what stands between the parentheses of `op(a=1, b=(2,))`.
std::string to_string(const AttributeValue::Record& record);
/// Reads what `to_string` writes. Throws ValueError, which says at which character.
AttributeValue parse_attribute_value(std::string_view text);
/// Reads `name` or `name(a=1, b=2)`. Throws as above.
std::pair<std::string, AttributeValue::Record> parse_call(std::string_view text);

}  // namespace gradweave
