#include <gradweave/ops/random.hpp>

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include <gradweave/graph/capture.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/graph/kernels/parallel.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/graph/node.hpp>
#include <gradweave/ops/draw.hpp>
#include <gradweave/ops/kernels/philox.hpp>

namespace gradweave {

namespace {

// Where the numbers of a node begin is an input, (seed, offset): it is data, which changes from step to step
// while the structure of the graph stays.
std::uint64_t seed_of(const ArrayView& state) {
  return static_cast<std::uint64_t>(state.as<const Index>()[0]);
}
std::uint64_t offset_of(const ArrayView& state) {
  return static_cast<std::uint64_t>(state.as<const Index>()[1]);
}

// Elements that a thread draws at once.
constexpr Index random_grain = draw_grain * 256;

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
      const auto bottom = static_cast<T>(low), top = static_cast<T>(high);
      const T below_high =
          dtype == y.dtype ? std::nextafter(top, bottom) : top - std::abs(top) * half_step(dtype);
      parallel_for(y.size(), random_grain, [&](Index first, Index last) {
        const std::span<T> part = y.span<T>().subspan(first, last - first);
        draw_uniform(seed, offset, first, last - first, part.data());
        // The distance may be too large for T, and rounding may not reach `high`.
        for (T& u : part) u = std::clamp((1 - u) * bottom + u * top, bottom, below_high);
      });
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
      const auto center = static_cast<T>(mean), scale = static_cast<T>(std);
      parallel_for(y.size(), random_grain, [&](Index first, Index last) {
        const std::span<T> part = y.span<T>().subspan(first, last - first);
        draw_normal(seed, offset, first, last - first, part.data());
        for (T& x : part) x = center + scale * x;
      });
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

// Of the numbers that `generator` gives next.
template <class Op>
Tensor draw(const Op& op, Generator& generator, std::source_location where) {
  const Draw numbers(generator, op.shape);
  Tensor result = apply(op, {Operand(numbers.state(), where)});
  numbers.take();
  return result;
}

}  // namespace

Draw::Draw(Generator& generator, const Shape& shape)
    : generator_(&generator == &default_generator() ? nullptr : &generator),
      // A draw begins where no counter of the one before is used again.
      count_(static_cast<std::uint64_t>((numel(shape) + draw_grain - 1) / draw_grain * draw_grain)),
      state_(constant(std::vector<Index>{0, 0})) {}
void Draw::take() const {
  // The thread's own generator is that of the thread which runs.
  const auto next = [generator = generator_]() -> Generator& {
    return generator != nullptr ? *generator : default_generator();
  };
  const auto write = [next, count = count_, state = state_] {
    auto* words = reinterpret_cast<Index*>(state.node()->data);
    words[0] = static_cast<Index>(next().seed());
    words[1] = static_cast<Index>(next().advance(count));
  };
  if (Capture* capture = Capture::current())
    capture->before_next_runs(
        write, [next, count = count_] { next().advance(0 - count); }, state_);
  write();
}

Generator& default_generator() {
  thread_local Generator generator;
  return generator;
}
void seed(std::uint64_t seed) { default_generator() = Generator(seed); }

std::uint64_t Generator::below(std::uint64_t bound) {
  if (bound == 0) throw ValueError("Generator::below: the bound is 0");
  // Words past the last whole multiple of the bound would favour small numbers.
  const std::uint64_t tail = (0 - bound) % bound;
  for (;;) {
    const auto words = words_at(seed_, advance(1));
    const std::uint64_t word = words[0] | std::uint64_t{words[1]} << 32;
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

Tensor random_uniform(const Shape& shape, double low, double high, DType dtype, std::source_location where) {
  return random_uniform(shape, default_generator(), low, high, dtype, where);
}
Tensor random_normal(const Shape& shape, double mean, double std, DType dtype, std::source_location where) {
  return random_normal(shape, default_generator(), mean, std, dtype, where);
}

std::vector<const Operation*> random_operations() {
  return {&operation_of<RandomUniform>(), &operation_of<RandomNormal>()};
}

}  // namespace gradweave
