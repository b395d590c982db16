#include <gradweave/graph/attribute_value.hpp>

#include <bit>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

namespace gradweave {
namespace {

constexpr std::uint64_t quiet_nan = 0x7ff8'0000'0000'0000U;

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

std::string text_of(double number) {
  if (std::isnan(number)) {
    const auto bits = std::bit_cast<std::uint64_t>(number);
    return bits == quiet_nan ? "nan" : fmt::format("nan({:#x})", bits);
  }
  std::string text = fmt::format("{}", number);
  // Told apart from a whole number, which has no -0.
  if (text.find_first_not_of("-0123456789") == std::string::npos) text += ".0";
  return text;
}

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      result += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      result += c;
    }
  }
  return result + '"';
}

void append(std::string& text, const AttributeValue& value);

void append(std::string& text, const AttributeValue::Record& record) {
  const char* separator = "";
  for (const auto& [name, value] : record) {
    text += std::exchange(separator, ", ");
    text += name;
    text += '=';
    append(text, value);
  }
}

void append(std::string& text, const AttributeValue::List& list) {
  text += '(';
  const char* separator = "";
  for (const AttributeValue& item : list) {
    text += std::exchange(separator, ", ");
    append(text, item);
  }
  text += list.size() == 1 ? ",)" : ")";
}

void append(std::string& text, const AttributeValue& value) {
  std::visit(Overloaded{[&](bool is) { text += is ? "true" : "false"; },
                        [&](Index number) { text += std::to_string(number); },
                        [&](std::uint64_t number) { text += std::to_string(number); },
                        [&](double number) { text += text_of(number); },
                        [&](const std::string& string) { text += quoted(string); },
                        [&](const AttributeValue::Word& word) { text += word.text; },
                        [&](const AttributeValue::List& list) { append(text, list); },
                        [&](const AttributeValue::Record& record) {
                          text += '{';
                          append(text, record);
                          text += '}';
                        }},
             value.value);
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Reads from left to right; lists and records may be nested a few times, since a member is.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  AttributeValue whole_value() {
    AttributeValue result = value(0);
    require_end();
    return result;
  }
  std::pair<std::string, AttributeValue::Record> whole_call() {
    std::string name = word();
    AttributeValue::Record record;
    if (taken('(')) record = fields(')', 0);
    require_end();
    return {std::move(name), std::move(record)};
  }

 private:
  static constexpr int deepest = 16;

  [[noreturn]] void refuse(std::string_view expected) const {
    throw ValueError(fmt::format("expected {} at character {} of \"{}\"", expected, at_ + 1,
                                 text_.size() > 80 ? std::string(text_.substr(0, 80)) + "..." : text_));
  }
  void skip_spaces() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
  }
  char next() {
    skip_spaces();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool taken(char c) {
    if (next() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }
  void require_end() {
    skip_spaces();
    if (at_ != text_.size()) refuse("the end");
  }

  std::string word() {
    skip_spaces();
    const std::size_t begin = at_;
    if (at_ < text_.size() && is_letter(text_[at_])) {
      while (at_ < text_.size() && (is_letter(text_[at_]) || is_digit(text_[at_]))) ++at_;
    }
    if (at_ == begin) refuse("a name");
    return std::string(text_.substr(begin, at_ - begin));
  }

  AttributeValue value(int depth) {
    if (depth > deepest) refuse("less nesting");
    const char c = next();
    if (c == '"') return {string()};
    if (taken('(')) return {list(depth + 1)};
    if (taken('{')) return {fields('}', depth + 1)};
    if (is_digit(c) || c == '-') return number();
    if (!is_letter(c)) refuse("a value");
    std::string name = word();
    if (name == "true") return {true};
    if (name == "false") return {false};
    if (name == "inf") return {HUGE_VAL};
    if (name == "nan") return {nan()};
    return {AttributeValue::Word{std::move(name)}};
  }

  AttributeValue::List list(int depth) {
    AttributeValue::List items;
    while (!taken(')')) {
      items.push_back(value(depth));
      if (!taken(',') && next() != ')') refuse("a comma or a closing parenthesis");
    }
    return items;
  }

  AttributeValue::Record fields(char end, int depth) {
    AttributeValue::Record record;
    while (!taken(end)) {
      std::string name = word();
      if (!taken('=')) refuse("\"=\"");
      record.push_back({std::move(name), value(depth)});
      if (!taken(',') && next() != end) refuse("a comma or the end of the list");
    }
    return record;
  }

  std::string string() {
    std::string result;
    for (++at_;;) {
      if (at_ >= text_.size()) refuse("a closing quote");
      const char c = text_[at_++];
      if (c == '"') return result;
      if (c != '\\') {
        result += c;
        continue;
      }
      const char escape = at_ < text_.size() ? text_[at_++] : '\0';
      if (escape == 'u') {
        unsigned code = 0;
        const char* begin = text_.data() + at_;
        const char* end = text_.data() + std::min(at_ + 4, text_.size());
        const auto [rest, error] = std::from_chars(begin, end, code, 16);
        if (error != std::errc() || rest != begin + 4 || code >= 0x20) refuse("an escape \\u00xx");
        at_ += 4;
        result += static_cast<char>(code);
      } else if (escape == '"' || escape == '\\') {
        result += escape;
      } else {
        refuse("an escape");
      }
    }
  }

  AttributeValue number() {
    const char* begin = text_.data() + at_;
    const char* end = text_.data() + text_.size();
    if (std::string_view(begin, end).starts_with("-inf")) return at_ += 4, AttributeValue{-HUGE_VAL};
    const auto is_part = [](char c) {
      return is_digit(c) || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-';
    };
    const char* last = begin;
    while (last != end && is_part(*last)) ++last;
    const bool is_whole = std::string_view(begin, last).find_first_of(".eE") == std::string_view::npos;
    at_ += static_cast<std::size_t>(last - begin);
    if (is_whole) {
      Index small = 0;
      if (is_number(begin, last, small)) return {small};
      std::uint64_t large = 0;
      if (is_number(begin, last, large)) return {large};
    } else {
      double number = 0;
      if (is_number(begin, last, number)) return {number};
    }
    at_ -= static_cast<std::size_t>(last - begin);
    refuse("a number that fits");
  }
  template <class T>
  static bool is_number(const char* begin, const char* end, T& number) {
    const auto [rest, error] = std::from_chars(begin, end, number);
    return error == std::errc() && rest == end;
  }

  double nan() {
    if (!taken('(')) return std::bit_cast<double>(quiet_nan);
    const char* begin = text_.data() + at_;
    const char* end = text_.data() + text_.size();
    std::uint64_t bits = 0;
    if (!std::string_view(begin, end).starts_with("0x")) refuse("0x");
    const auto [rest, error] = std::from_chars(begin + 2, end, bits, 16);
    if (error != std::errc() || !std::isnan(std::bit_cast<double>(bits))) refuse("the bits of a NaN");
    at_ += static_cast<std::size_t>(rest - begin);
    if (!taken(')')) refuse("\")\"");
    return std::bit_cast<double>(bits);
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

bool operator==(const AttributeValue& a, const AttributeValue& b) {
  const auto* x = std::get_if<double>(&a.value);
  const auto* y = std::get_if<double>(&b.value);
  if (x != nullptr && y != nullptr)
    return std::bit_cast<std::uint64_t>(*x) == std::bit_cast<std::uint64_t>(*y);
  return a.value == b.value;
}

std::string to_string(const AttributeValue& value) {
  std::string text;
  append(text, value);
  return text;
}
std::string to_string(const AttributeValue::Record& record) {
  std::string text;
  append(text, record);
  return text;
}

AttributeValue parse_attribute_value(std::string_view text) { return Parser(text).whole_value(); }
std::pair<std::string, AttributeValue::Record> parse_call(std::string_view text) {
  return Parser(text).whole_call();
}

}  // namespace gradweave
