// How far elementary functions are from the truth, in units in the last place: swept over their range and
// compared with long double. The bounds are what was measured (GCC 12 and Clang 16, with and without AVX),
// rounded up.
#include <cmath>
#include <limits>

#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave {
namespace {

using Exact = long double (*)(long double);

// The distance of `value` to `truth` in steps of T at the truth (the smallest normal number's below that).
template <class T>
double ulps(T value, long double truth) {
  const T nearest = static_cast<T>(truth);
  if (value == nearest || (std::isnan(value) && std::isnan(nearest))) return 0;
  if (!std::isfinite(value) || !std::isfinite(nearest)) return std::numeric_limits<double>::infinity();
  int exponent = 0;
  std::frexp(nearest, &exponent);
  exponent = std::max(exponent, std::numeric_limits<T>::min_exponent) - std::numeric_limits<T>::digits;
  return static_cast<double>(std::abs(static_cast<long double>(value) - truth) / std::ldexp(1.0L, exponent));
}

struct Range {
  double low, high;
  bool by_ratio = false;  // spaced evenly in the logarithm
};

template <class T>
double worst_ulps(Tensor (*function)(const Operand&), Exact exact, Range range) {
  constexpr int count = 100'003;  // not a multiple of a vector's width
  const auto at = [&](int i) {
    const double share = static_cast<double>(i) / (count - 1);
    return range.by_ratio ? range.low * std::pow(range.high / range.low, share)
                          : range.low + (range.high - range.low) * share;
  };
  std::vector<T> x(count);
  for (int i = 0; i < count; ++i) x[static_cast<std::size_t>(i)] = static_cast<T>(at(i));
  const std::vector<T> y = function(constant(x)).template to_vector<T>();
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) worst = std::max(worst, ulps(y[i], exact(x[i])));
  return worst;
}

long double sigmoid_of(long double x) {
  return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x));
}
long double softplus_of(long double x) { return std::max(x, 0.0L) + std::log1p(std::exp(-std::abs(x))); }
long double cube_of(long double x) { return x * x * x; }
Tensor cube(const Operand& x) { return pow(x, 3); }
long double power_of(long double x) { return std::pow(x, 2.5L); }
Tensor power(const Operand& x) { return pow(x, 2.5); }

TEST_CASE("elementary functions are right to a few units in the last place", "[ops][accuracy]") {
  struct Row {
    const char* name;
    Tensor (*function)(const Operand&);
    Exact exact;
    double float_bound;
    Range float_range;
    double double_bound;
    Range double_range;
  };
  const Row rows[] = {
      {"exp", exp, std::exp, 1.5, {-87, 88}, 2, {-708, 709}},
      {"expm1", expm1, std::expm1, 3, {-80, 80}, 1, {-700, 700}},
      {"expm1 near 0", expm1, std::expm1, 3, {1e-30, 1, true}, 1, {1e-300, 1, true}},
      {"log", log, std::log, 1, {1e-37, 1e38, true}, 1.5, {1e-307, 1e308, true}},
      {"log near 1", log, std::log, 1, {0.5, 2}, 1.5, {0.5, 2}},
      {"log1p", log1p, std::log1p, 3, {-0.99, 10}, 1, {-0.99, 10}},
      {"log1p near 0", log1p, std::log1p, 3, {1e-30, 1, true}, 1, {1e-300, 1, true}},
      {"sqrt", sqrt, std::sqrt, 0.5, {1e-44, 3e38, true}, 0.5, {1e-320, 1e308, true}},
      {"sin", sin, std::sin, 1.5, {-1000, 1000}, 1, {-1000, 1000}},
      {"cos", cos, std::cos, 1.5, {-1000, 1000}, 1, {-1000, 1000}},
      {"tanh", tanh, std::tanh, 5, {-10, 10}, 2.5, {-25, 25}},
      {"tanh near 0", tanh, std::tanh, 5, {1e-30, 1, true}, 2.5, {1e-300, 1, true}},
      {"sigmoid", sigmoid, sigmoid_of, 3, {-87, 20}, 2.5, {-700, 40}},
      {"softplus", softplus, softplus_of, 3, {-87, 100}, 2, {-700, 1000}},
      {"erf", erf, std::erf, 6, {-6, 6}, 1, {-7, 7}},
      {"erf near 0", erf, std::erf, 4, {1e-30, 1, true}, 1, {1e-300, 1, true}},
      {"pow(x, 3)", cube, cube_of, 1.5, {-100, 100}, 1.5, {-100, 100}},
      {"pow(x, 2.5)", power, power_of, 2, {1e-10, 1e10, true}, 4, {1e-100, 1e100, true}},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    CHECK(worst_ulps<float>(row.function, row.exact, row.float_range) <= row.float_bound);
    CHECK(worst_ulps<double>(row.function, row.exact, row.double_range) <= row.double_bound);
  }
}

TEST_CASE("what underflows becomes 0", "[ops][accuracy]") {
  // exp(-88) is below the smallest normal float, 1.2e-38.
  for (Index count : {1, 67}) {  // alone, and in a vector
    const Tensor x = full({count}, -88) + zeros({count});
    CHECK(max(exp(x)).item() == 0);
    CHECK(max(softplus(x)).item() == 0);
    CHECK(max(sigmoid(full({count}, -104) + zeros({count}))).item() == 0);
  }
}

TEST_CASE("results do not depend on addresses", "[ops][accuracy]") {
  constexpr Index count = 40;
  const Tensor numbers = arange(100, DType::float32) * 0.037;
  const auto results = [&](Index start) {  // computed in the memory of a slice, wherever that begins
    const Tensor x =
        slice(contiguous(concat({zeros({start}), slice(numbers, 0, 3, 3 + count)})), 0, start, start + count);
    return concat({exp(x), tanh(x), sigmoid(x), pow(x, 2.5), log1p(x)}).to_vector();
  };
  const auto first = results(0);
  for (Index start = 1; start < 16; ++start) CHECK(results(start) == first);
}

}  // namespace
}  // namespace gradweave
