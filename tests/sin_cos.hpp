// An op with two outputs, as a user writes one.
#pragma once
#include <cmath>

#include <gradweave/graph/define.hpp>

namespace gradweave {

// sin(x) and cos(x) together.
struct SinCos {
  static constexpr std::string_view name = "sin_cos";
  static constexpr DTypes dtypes = floating;
  static Specs infer(const Spec& x) { return {x, x}; }
  static void forward(Outputs y, const ArrayView& x) {
    dispatch<floating>(x.dtype, [&]<class T>() {
      for (Index i = 0; i < x.size(); ++i) {
        if (y[0].data != nullptr) y[0].as<T>()[i] = std::sin(x.as<T>()[i]);
        if (y[1].data != nullptr) y[1].as<T>()[i] = std::cos(x.as<T>()[i]);
      }
    });
  }
  static void vjp(Pullback& p) { p.give(0, p.cotangent(0) * p.output(1) - p.cotangent(1) * p.output(0)); }
  static Samples samples() { return {{uniform(-3, 3)}, {uniform(-3, 3, {4})}}; }
};

}  // namespace gradweave
