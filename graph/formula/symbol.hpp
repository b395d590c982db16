// A symbol: what a composed functor is called with to say its formula, as it is called with numbers to
// compute.
#pragma once
#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <span>
#include <type_traits>

#include <gradweave/graph/formula/builder.hpp>

namespace gradweave::detail {

/// An element of a formula: composed functors are called with it as with a number, and build terms.
class Symbol {
 public:
  Symbol(double number) : number_(number) {}  // NOLINT(google-explicit-constructor): as numbers are written
  Symbol(FormulaBuilder& builder, TermId term) : builder_(&builder), term_(term) {}

  friend Symbol operator+(const Symbol& a, const Symbol& b) { return of(ElementFunction::add, a, b); }
  friend Symbol operator-(const Symbol& a, const Symbol& b) { return of(ElementFunction::subtract, a, b); }
  friend Symbol operator*(const Symbol& a, const Symbol& b) { return of(ElementFunction::multiply, a, b); }
  friend Symbol operator/(const Symbol& a, const Symbol& b) { return of(ElementFunction::divide, a, b); }
  friend Symbol operator<(const Symbol& a, const Symbol& b) { return of(ElementFunction::less, a, b); }
  friend Symbol operator>(const Symbol& a, const Symbol& b) { return of(ElementFunction::less, b, a); }
  friend Symbol operator==(const Symbol& a, const Symbol& b) { return of(ElementFunction::equal, a, b); }
  friend Symbol operator!=(const Symbol& a, const Symbol& b) { return of(ElementFunction::not_equal, a, b); }
  friend Symbol operator&&(const Symbol& a, const Symbol& b) {
    return of(ElementFunction::logical_and, a, b);
  }
  friend Symbol operator||(const Symbol& a, const Symbol& b) { return of(ElementFunction::logical_or, a, b); }

  /// A function of operands, of which some are numbers.
  [[gnu::cold, gnu::noinline]] static Symbol of(ElementFunction function, const Symbol& a) {
    return {*a.builder_, a.builder_->combine(function, {&a, 1})};
  }
  [[gnu::cold, gnu::noinline]] static Symbol of(ElementFunction function, const Symbol& a, const Symbol& b) {
    const Symbol operands[] = {a, b};
    return of_several(function, operands);
  }
  [[gnu::cold, gnu::noinline]] static Symbol of(ElementFunction function, const Symbol& a, const Symbol& b,
                                                const Symbol& c) {
    const Symbol operands[] = {a, b, c};
    return of_several(function, operands);
  }

  bool is_number() const { return builder_ == nullptr; }
  double number() const { return number_; }
  TermId term() const { return term_; }

 private:
  static Symbol of_several(ElementFunction function, std::span<const Symbol> operands) {
    const auto known = std::ranges::find_if(operands, [](const Symbol& x) { return !x.is_number(); });
    return {*known->builder_, known->builder_->combine(function, operands)};
  }

  FormulaBuilder* builder_ = nullptr;
  double number_ = 0;
  TermId term_ = 0;
};

// The functions that composed functors call, of numbers and of symbols.
template <class T>
T chosen(bool condition, T yes, T no) {
  return condition ? yes : no;
}
inline Symbol chosen(const Symbol& condition, const Symbol& yes, const Symbol& no) {
  return Symbol::of(ElementFunction::select, condition, yes, no);
}
template <class T>
T fmod(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    return a % b;
  } else {
    return std::fmod(a, b);
  }
}
inline Symbol fmod(const Symbol& a, const Symbol& b) { return Symbol::of(ElementFunction::fmod, a, b); }
template <std::floating_point T>
T copysign(T size, T sign) {
  return std::copysign(size, sign);
}
inline Symbol copysign(const Symbol& a, const Symbol& b) {
  return Symbol::of(ElementFunction::copysign, a, b);
}
template <std::floating_point T>
T floor(T x) {
  return std::floor(x);
}
inline Symbol floor(const Symbol& x) { return Symbol::of(ElementFunction::floor, x); }
inline Index divide_unsigned(Index a, Index b) {
  return static_cast<Index>(static_cast<std::uint64_t>(a) / static_cast<std::uint64_t>(b));
}
inline Symbol divide_unsigned(const Symbol& a, const Symbol& b) {
  return Symbol::of(ElementFunction::divide_unsigned, a, b);
}
inline Index fmod_unsigned(Index a, Index b) {
  return static_cast<Index>(static_cast<std::uint64_t>(a) % static_cast<std::uint64_t>(b));
}
inline Symbol fmod_unsigned(const Symbol& a, const Symbol& b) {
  return Symbol::of(ElementFunction::fmod_unsigned, a, b);
}

}  // namespace gradweave::detail
