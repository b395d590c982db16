#include <gradweave/nn/init.hpp>

#include <cmath>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>

namespace gradweave::nn {
namespace {

struct Fans {
  double in;
  double out;
};

Fans fans_of(const Shape& shape) {
  if (shape.rank() < 2) {
    throw ShapeError(
        fmt::format("shape {} has no fan-in and fan-out: a weight is (out, in) or (out, in, window...)",
                    to_string(shape)));
  }
  const auto window = static_cast<double>(numel(Dims(shape).subspan(2)));
  return {static_cast<double>(shape[1]) * window, static_cast<double>(shape[0]) * window};
}

Tensor symmetric(const Shape& shape, DType dtype, Generator& generator, double limit) {
  return random_uniform(shape, generator, -limit, limit, dtype);
}

}  // namespace

Tensor xavier_uniform(const Shape& shape, DType dtype, Generator& generator) {
  const Fans fans = fans_of(shape);
  return symmetric(shape, dtype, generator, std::sqrt(6 / (fans.in + fans.out)));
}
Tensor xavier_normal(const Shape& shape, DType dtype, Generator& generator) {
  const Fans fans = fans_of(shape);
  return random_normal(shape, generator, 0, std::sqrt(2 / (fans.in + fans.out)), dtype);
}
Tensor he_uniform(const Shape& shape, DType dtype, Generator& generator) {
  return symmetric(shape, dtype, generator, std::sqrt(6 / fans_of(shape).in));
}
Tensor he_normal(const Shape& shape, DType dtype, Generator& generator) {
  return random_normal(shape, generator, 0, std::sqrt(2 / fans_of(shape).in), dtype);
}
Tensor lecun_uniform(const Shape& shape, DType dtype, Generator& generator) {
  return symmetric(shape, dtype, generator, std::sqrt(3 / fans_of(shape).in));
}
Tensor lecun_normal(const Shape& shape, DType dtype, Generator& generator) {
  return random_normal(shape, generator, 0, std::sqrt(1 / fans_of(shape).in), dtype);
}
Tensor zeros(const Shape& shape, DType dtype, Generator&) { return full(shape, 0, dtype); }
Tensor ones(const Shape& shape, DType dtype, Generator&) { return full(shape, 1, dtype); }

Initializer normal(double mean, double std) {
  return [=](const Shape& shape, DType dtype, Generator& generator) {
    return random_normal(shape, generator, mean, std, dtype);
  };
}
Initializer uniform(double low, double high) {
  return [=](const Shape& shape, DType dtype, Generator& generator) {
    return random_uniform(shape, generator, low, high, dtype);
  };
}

}  // namespace gradweave::nn
