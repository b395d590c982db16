#include <gradweave/ops/random.hpp>

#include <array>
#include <cmath>
#include <numbers>

#include <fmt/format.h>

#include <gradweave/graph/capture.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/graph/node.hpp>
#include <gradweave/ops/kernels/philox.hpp>

namespace gradweave {

std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  constexpr std::uint64_t multiplier[] = {0xD2511F53U, 0xCD9E8D57U};
  constexpr std::uint32_t weyl[] = {0x9E3779B9U, 0xBB67AE85U};
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = multiplier[0] * counter[0], b = multiplier[1] * counter[2];
    counter = {static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
               static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key[0] += weyl[0];
    key[1] += weyl[1];
  }
  return counter;
}

namespace {

// Two 64-bit words at a position of the stream.
std::array<std::uint64_t, 2> words_at(std::uint64_t seed, std::uint64_t position) {
  const auto low = [](std::uint64_t v) { return static_cast<std::uint32_t>(v); };
  const auto high = [](std::uint64_t v) { return static_cast<std::uint32_t>(v >> 32); };
  const auto r = philox({low(position), high(position), 0, 0}, {low(seed), high(seed)});
  return {r[0] | std::uint64_t{r[1]} << 32, r[2] | std::uint64_t{r[3]} << 32};
}

// In [0, 1), in steps of 2^-53.
double unit(std::uint64_t word) { return static_cast<double>(word >> 11) * 0x1p-53; }

// Where the numbers of a node begin is an input, (seed, offset): it is data, which changes from step to step
// while the structure of the graph stays.
std::uint64_t seed_of(const ArrayView& state) {
  return static_cast<std::uint64_t>(state.as<const Index>()[0]);
}
std::uint64_t offset_of(const ArrayView& state) {
  return static_cast<std::uint64_t>(state.as<const Index>()[1]);
}

// How far apart two halves lie, at most, for numbers of about 1.
float half_step(DType dtype) { return dtype == DType::float16 ? 0x1p-10F : 0x1p-7F; }

struct RandomUniform {
  double low, high;
  Shape shape;
  DType dtype;
  static constexpr std::string_view name = "random_uniform";
  static constexpr bool leading_axes = false;
  static constexpr bool throws = false;
  static constexpr bool not_differentiable = true;
  static constexpr DTypes dtypes = any_dtype;
  static constexpr std::array<std::optional<DType>, 1> fixed{DType::int64};
  Spec infer(const Spec&) const { return {shape, dtype}; }
  void forward(const ArrayView& y, const ArrayView& state) const {
    const std::uint64_t seed = seed_of(state), offset = offset_of(state);
    dispatch<floating>(y.dtype, [&]<class T>() {
      const T top = static_cast<T>(high);
      const T below_high = dtype == y.dtype ? std::nextafter(top, static_cast<T>(low))
                                            : top - std::abs(top) * half_step(dtype);
      for (Index i = 0; i < y.size(); ++i) {
        const double u = unit(words_at(seed, offset + static_cast<std::uint64_t>(i))[0]);
        y.as<T>()[i] =
            std::min(static_cast<T>(low + (high - low) * u), below_high);  // rounding may not reach `high`
      }
    });
  }
  static SamplesOf<RandomUniform> samples() {
    return {{{-1, 1, {2, 3}, DType::float64}, {integers(0, 100, {2})}}};
  }
};

struct RandomNormal {
  double mean, std;
  Shape shape;
  DType dtype;
  static constexpr std::string_view name = "random_normal";
  static constexpr bool leading_axes = false;
  static constexpr bool throws = false;
  static constexpr bool not_differentiable = true;
  static constexpr DTypes dtypes = any_dtype;
  static constexpr std::array<std::optional<DType>, 1> fixed{DType::int64};
  Spec infer(const Spec&) const { return {shape, dtype}; }
  void forward(const ArrayView& y, const ArrayView& state) const {
    const std::uint64_t seed = seed_of(state), offset = offset_of(state);
    dispatch<floating>(y.dtype, [&]<class T>() {
      for (Index i = 0; i < y.size(); ++i) {
        const auto words = words_at(seed, offset + static_cast<std::uint64_t>(i));
        const double radius = std::sqrt(-2 * std::log(1 - unit(words[0])));  // 1 - u is never 0
        y.as<T>()[i] = static_cast<T>(mean + std * radius * std::cos(2 * std::numbers::pi * unit(words[1])));
      }
    });
  }
  static SamplesOf<RandomNormal> samples() {
    return {{{0, 1, {2, 3}, DType::float64}, {integers(0, 100, {2})}}};
  }
};

void require_floating(std::string_view op, DType dtype, std::source_location where) {
  if (!is_floating(dtype))
    throw DTypeError(at_line(fmt::format("{}: dtype {} is not floating", op, name_of(dtype)), where));
}

// What `op` draws. In a compiled function, each further run draws on from where the generator is then. The
// numbers are taken last: those of a draw that fails are not lost.
template <class Op>
Tensor draw(const Op& op, Generator& generator, std::source_location where) {
  const auto count = static_cast<std::uint64_t>(numel(op.shape));
  const auto as_index = [](std::uint64_t word) { return static_cast<Index>(word); };
  const Tensor state = constant(std::vector<Index>{as_index(generator.seed()), 0});
  Tensor result = apply(op, {Operand(state, where)});
  const auto take = [&generator, count, state, as_index] {
    reinterpret_cast<Index*>(state.node()->data)[1] = as_index(generator.advance(count));
  };
  if (Capture* capture = Capture::current())
    capture->before_next_runs(
        take, [&generator, count] { generator.advance(0 - count); }, state);
  take();
  return result;
}

}  // namespace

std::uint64_t Generator::below(std::uint64_t bound) {
  if (bound == 0) throw ValueError("Generator::below: the bound is 0");
  // Words past the last whole multiple of the bound would favour small numbers.
  const std::uint64_t tail = (0 - bound) % bound;
  for (;;) {
    const std::uint64_t word = words_at(seed_, advance(1))[0];
    if (word >= tail) return word % bound;
  }
}

Tensor random_uniform(const Shape& shape, Generator& generator, double low, double high, DType dtype,
                      std::source_location where) {
  require_floating("random_uniform", dtype, where);
  if (!(low < high))
    throw ValueError(at_line(fmt::format("random_uniform: low {} is not below high {}", low, high), where));
  if (!std::isfinite(high - low))
    throw ValueError(at_line(fmt::format("random_uniform: from {} to {} is too far", low, high), where));
  return draw(RandomUniform{low, high, shape, dtype}, generator, where);
}

Tensor random_normal(const Shape& shape, Generator& generator, double mean, double std, DType dtype,
                     std::source_location where) {
  require_floating("random_normal", dtype, where);
  if (!(std >= 0) || !std::isfinite(std) || !std::isfinite(mean)) {
    throw ValueError(at_line(
        fmt::format("random_normal: mean {} and std {} must be finite, std not negative", mean, std), where));
  }
  return draw(RandomNormal{mean, std, shape, dtype}, generator, where);
}

std::vector<const Operation*> random_operations() {
  return {&operation_of<RandomUniform>(), &operation_of<RandomNormal>()};
}

}  // namespace gradweave
