// Interval arithmetic over formulas. Rounding keeps order: where a result is the rounded one of its operands,
// so are the bounds. Elsewhere bounds are moved outwards by what the table says of kernels.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include <gradweave/graph/formula/formula.hpp>
#include <gradweave/graph/kernels/convert.hpp>

namespace gradweave {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr Interval everything{-infinity, infinity, false};
constexpr double exact_whole = 0x1p53;  // beyond it, whole numbers are rounded here

Interval hull(const Interval& a, const Interval& b) {
  return {std::min(a.low, b.low), std::max(a.high, b.high), a.nan || b.nan};
}
bool has(const Interval& a, double value) { return a.low <= value && value <= a.high; }
bool is_unbounded(const Interval& a) { return std::isinf(a.low) || std::isinf(a.high); }
double largest(const Interval& a) { return std::max(std::abs(a.low), std::abs(a.high)); }
double smallest(const Interval& a) { return has(a, 0) ? 0 : std::min(std::abs(a.low), std::abs(a.high)); }

// All numbers of a whole dtype.
Interval all_of(DType dtype) {
  if (dtype == DType::bool_) return {0, 1};
  const double half = std::ldexp(1.0, static_cast<int>(8 * size_of(dtype)) - 1);
  return about(dtype).is_signed ? Interval{-half, half - (half < exact_whole ? 1 : 0)}
                                : Interval{0, 2 * half - (half < exact_whole ? 1 : 0)};
}

double nearest_in(double value, DType dtype) {
  alignas(8) std::array<std::byte, 8> element{};
  convert_elements(DType::float64, &value, dtype, element.data(), 1);
  convert_elements(dtype, element.data(), DType::float64, &value, 1);
  return value;
}

// As numbers of a dtype.
Interval in_dtype(Interval y, DType dtype) {
  if (is_floating(dtype)) return {nearest_in(y.low, dtype), nearest_in(y.high, dtype), y.nan};
  if (dtype == DType::bool_)  // of a sum: whether it is not 0
    return {y.low > 0 || y.high < 0 ? 1.0 : 0.0, y.low == 0 && y.high == 0 ? 0.0 : 1.0, false};
  if (std::abs(y.low) > exact_whole) y.low = std::nextafter(y.low, -infinity);
  if (std::abs(y.high) > exact_whole) y.high = std::nextafter(y.high, infinity);
  const Interval all = all_of(dtype);
  return all.low <= y.low && y.high <= all.high ? Interval{y.low, y.high} : all;  // else it wraps
}

// Moved outwards by so many units in the last place, but not beyond 0: errors are relative. Kernels may give
// 0 for numbers that are not normal.
Interval widened(const Interval& y, double ulps, DType dtype) {
  if (ulps == 0) return y;
  const bool is_single = dtype != DType::float64;
  const double unit =
      is_single ? std::numeric_limits<float>::epsilon() : std::numeric_limits<double>::epsilon();
  const double normal = is_single ? std::numeric_limits<float>::min() : std::numeric_limits<double>::min();
  const auto error = [&](double bound) { return std::abs(bound) * (std::ceil(ulps) + 1) * unit + normal; };
  const auto moved = [&](double bound, double by) {
    if (std::isinf(bound) || bound == 0) return bound;
    const double result = bound + by;
    return (result < 0) != (bound < 0) ? 0 : result;
  };
  return {moved(y.low, -error(y.low)), moved(y.high, error(y.high)), y.nan};
}

// The extremes among the values at the ends of all operands.
Interval of_ends(const FunctionInfo& info, std::span<const Interval> x, bool truncates) {
  Interval y{infinity, -infinity, false};
  for (unsigned corner = 0; corner < 1U << x.size(); ++corner) {
    std::array<double, 3> at{};
    for (std::size_t i = 0; i < x.size(); ++i) at[i] = (corner >> i & 1U) != 0 ? x[i].high : x[i].low;
    double value = info.real(at[0], at[1], at[2]);
    if (std::isnan(value)) {  // out of the domain, or of two infinities
      if (info.function != ElementFunction::multiply) return {-infinity, infinity, true};
      value = 0;  // 0 times as much as you like
      y.nan = true;
    }
    if (truncates) value = std::trunc(value);
    y.low = std::min(y.low, value), y.high = std::max(y.high, value);
  }
  return y;
}

bool is_exact_whole(const Interval& a) { return largest(a) <= exact_whole; }
Interval of_whole_point(const FunctionInfo& info, std::span<const Interval> x) {
  std::array<Index, 3> at{};
  for (std::size_t i = 0; i < x.size(); ++i) at[i] = static_cast<Index>(x[i].low);
  const auto value = static_cast<double>(info.whole(at[0], at[1], at[2]));
  return {value, value};
}

Interval of_even(const FunctionInfo& info, const Interval& x) {
  const double near = info.real(smallest(x), 0, 0), far = info.real(largest(x), 0, 0);
  return {near, far, false};
}

Interval of_power(const FunctionInfo& info, std::span<const Interval> x) {
  const Interval &base = x[0], &exponent = x[1];
  if (base.low >= 0) return of_ends(info, x, false);
  if (exponent.low != exponent.high || exponent.low != std::trunc(exponent.low))
    return {-infinity, infinity, true};
  if (exponent.low < 0 && has(base, 0)) return everything;
  if (std::fmod(exponent.low, 2) != 0) return of_ends(info, x, false);
  const double a = std::pow(smallest(base), exponent.low), b = std::pow(largest(base), exponent.low);
  return {std::min(a, b), std::max(a, b)};
}

// Of sin and cos, whose peaks are at `first` and each whole turn from there.
Interval of_wave(const FunctionInfo& info, const Interval& x, double first) {
  constexpr double turn = 2 * std::numbers::pi;
  if (is_unbounded(x)) return {-1, 1, true};
  const auto meets = [&](double peak) {  // with a little more than rounding errors
    const double slack = 1e-9 * (1 + largest(x));
    return std::ceil((x.low - slack - peak) / turn) * turn + peak <= x.high + slack;
  };
  Interval y = of_ends(info, {&x, 1}, false);
  if (meets(first)) y.high = 1;
  if (meets(first + std::numbers::pi)) y.low = -1;
  return y;
}

Interval bool_range(bool may_be_false, bool may_be_true) {
  return {may_be_false ? 0.0 : 1.0, may_be_true ? 1.0 : 0.0};
}

Interval of_cast(const Interval& x, DType from, DType to) {
  if (to == DType::bool_) return bool_range(has(x, 0), x.low != 0 || x.high != 0 || x.nan);
  if (is_floating(to)) return in_dtype(x, to);
  if (!is_floating(from)) return in_dtype(x, to);
  const Interval whole = {std::trunc(x.low), std::trunc(x.high)};
  const bool saturates = to == DType::int64 || to == DType::int32;
  const Interval all = all_of(to);
  const Interval y = saturates ? Interval{std::clamp(whole.low, all.low, all.high),
                                          std::clamp(whole.high, all.low, all.high)}
                               : in_dtype(whole, to);
  return x.nan ? hull(y, {0, 0}) : y;
}

Interval of_function(const Formula::Term& term, std::span<const Interval> x, std::span<const DType> dtypes) {
  const FunctionInfo& info = about(term.function);
  const bool is_whole = !is_floating(dtypes.back());
  const bool nan = std::ranges::any_of(x, &Interval::nan);
  const auto with_nan = [&](Interval y) { return Interval{y.low, y.high, y.nan || nan}; };
  const auto result = [&](const Interval& y) {
    const double ulps = term.dtype == DType::float64 ? static_cast<double>(info.double_ulps)
                                                     : static_cast<double>(info.float_ulps);
    return widened(in_dtype(with_nan(y), term.dtype), ulps, term.dtype);
  };
  const bool are_points = std::ranges::all_of(x, [](const Interval& a) { return a.low == a.high && !a.nan; });
  if (are_points && info.range == RangeRule::other && term.function != ElementFunction::cast &&
      (is_whole ? info.whole != nullptr && std::ranges::all_of(x, is_exact_whole) : info.real != nullptr))
    return result(is_whole ? of_whole_point(info, x) : of_ends(info, x, false));
  switch (term.function) {
    case ElementFunction::cast:
      return with_nan(of_cast(x[0], dtypes[0], term.dtype));
    case ElementFunction::divide:
      if (has(x[1], 0)) {
        if (is_whole) return all_of(term.dtype);
        return {-infinity, infinity, nan || has(x[0], 0) || (is_unbounded(x[0]) && is_unbounded(x[1]))};
      }
      break;
    case ElementFunction::equal:
      return bool_range(nan || x[0].low != x[0].high || x[1].low != x[1].high || x[0].low != x[1].low,
                        x[0].low <= x[1].high && x[1].low <= x[0].high);
    case ElementFunction::not_equal:
      return bool_range(x[0].low <= x[1].high && x[1].low <= x[0].high,
                        nan || x[0].low != x[0].high || x[1].low != x[1].high || x[0].low != x[1].low);
    case ElementFunction::less:
      return bool_range(nan || x[0].high >= x[1].low, x[0].low < x[1].high);
    case ElementFunction::less_equal:
      return bool_range(nan || x[0].high > x[1].low, x[0].low <= x[1].high);
    case ElementFunction::select:
      return x[0].low > 0 ? x[1] : x[0].high < 1 ? x[2] : hull(x[1], x[2]);
    case ElementFunction::copysign:
      return with_nan(
          {x[1].low > 0 ? smallest(x[0]) : -largest(x[0]), x[1].high < 0 ? -smallest(x[0]) : largest(x[0])});
    case ElementFunction::fmod: {
      const double most = std::min(largest(x[0]), largest(x[1]));
      const bool none = !is_whole && (has(x[1], 0) || is_unbounded(x[0]));
      return with_nan({x[0].low < 0 ? -most : 0, x[0].high > 0 ? most : 0, none});
    }
    case ElementFunction::fmax:
    case ElementFunction::fmin:
      return nan ? with_nan(hull(x[0], x[1])) : of_ends(info, x, false);
    case ElementFunction::pow:
      return result(of_power(info, x));
    case ElementFunction::hypot:
      return result({std::hypot(smallest(x[0]), smallest(x[1])), std::hypot(largest(x[0]), largest(x[1]))});
    case ElementFunction::sin:
      return result(of_wave(info, x[0], std::numbers::pi / 2));
    case ElementFunction::cos:
      return result(of_wave(info, x[0], 0));
    case ElementFunction::tan:
      if (largest(x[0]) < 1.57) return result(of_ends(info, x, false));
      return {-infinity, infinity, nan || is_unbounded(x[0])};
    default:
      break;
  }
  if (info.range == RangeRule::other)  // of nothing more is known
    return is_floating(term.dtype) ? Interval{-infinity, infinity, true} : all_of(term.dtype);
  if (info.range == RangeRule::even) return result(of_even(info, x[0]));
  return result(of_ends(info, x, is_whole && term.function == ElementFunction::divide));
}

}  // namespace

Interval range_of(const Formula& formula, std::span<const Interval> inputs) {
  if (inputs.size() != formula.inputs.size())
    throw ValueError("range_of: the formula of " + formula.name + " has " +
                     std::to_string(formula.inputs.size()) + " inputs, not " + std::to_string(inputs.size()));
  std::vector<Interval> ranges;
  ranges.reserve(formula.terms.size());
  for (const Formula::Term& term : formula.terms) {
    if (term.function == ElementFunction::input) {
      ranges.push_back(in_dtype(inputs[static_cast<std::size_t>(term.whole)], term.dtype));
    } else if (term.function == ElementFunction::number) {
      const double value = is_floating(term.dtype) ? term.real : static_cast<double>(term.whole);
      ranges.push_back(std::isnan(value) ? Interval{infinity, -infinity, true}
                                         : in_dtype({value, value}, term.dtype));
    } else {
      std::array<Interval, 3> x{};
      std::array<DType, 3> dtypes{};
      for (std::size_t i = 0; i < term.operand_count; ++i) {
        x[i] = ranges[term.operands[i]];
        dtypes[i] = formula.terms[term.operands[i]].dtype;
      }
      ranges.push_back(of_function(term, std::span(x).first(term.operand_count),
                                   std::span(dtypes).first(term.operand_count)));
    }
  }
  return ranges.back();
}

}  // namespace gradweave
