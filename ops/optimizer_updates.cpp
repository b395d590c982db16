#include <gradweave/ops/optimizer_updates.hpp>

#include <gradweave/graph/define.hpp>
#include <gradweave/graph/rewrite.hpp>
#include <gradweave/ops/index.hpp>

namespace gradweave {
namespace {

// A number as it meets the elements: doubles would turn the arithmetic of float32 into float64.
template <class A>
typename A::Scalar as_scalar(const A&, double value) {
  return static_cast<typename A::Scalar>(value);
}

// For those that leave alone what has gradient 0.
constexpr Rewrite update_of_rows{"update of rows", Rewrite::of_op, updated_rows};

struct SgdUpdate {
  static constexpr std::string_view name = "sgd_update";
  static constexpr bool stops_gradient = true;
  static constexpr std::size_t scaled = 1;
  static constexpr std::size_t scalar_inputs = 1;
  static auto forward(const auto& p, const auto& g, const auto& rate) noexcept { return p - rate * g; }
  static constexpr std::array rewrites{update_of_rows};
  static Samples samples() { return {{uniform(-2, 2), uniform(-2, 2), uniform(0, 1, {})}}; }
};

struct NesterovUpdate {
  double momentum;
  static constexpr std::string_view name = "nesterov_update";
  static constexpr bool stops_gradient = true;
  static constexpr std::size_t scaled = 1;
  static constexpr std::size_t scalar_inputs = 1;
  auto forward(const auto& p, const auto& g, const auto& velocity, const auto& rate) const noexcept {
    return p - rate * (g + as_scalar(p, momentum) * velocity);
  }
  static SamplesOf<NesterovUpdate> samples() {
    return {{{0.9}, {uniform(-2, 2), uniform(-2, 2), uniform(-2, 2), uniform(0, 1, {})}}};
  }
};

struct AdamUpdate {
  double epsilon;
  double weight_decay;
  static constexpr std::string_view name = "adam_update";
  static constexpr bool stops_gradient = true;
  static constexpr std::size_t scalar_inputs = 1;
  auto forward(const auto& p, const auto& mean, const auto& mean_square, const auto& rate) const noexcept {
    return p - rate * (as_scalar(p, weight_decay) * p + mean / (mean_square.sqrt() + as_scalar(p, epsilon)));
  }
  static SamplesOf<AdamUpdate> samples() {
    return {{{1e-8, 0.01}, {uniform(-2, 2), uniform(-2, 2), uniform(0.1, 2), uniform(0, 1, {})}}};
  }
};

struct VelocityUpdate {
  double momentum;
  static constexpr std::string_view name = "velocity_update";
  static constexpr bool stops_gradient = true;
  static constexpr std::size_t scaled = 1;
  auto forward(const auto& velocity, const auto& g) const noexcept {
    return as_scalar(g, momentum) * velocity + g;
  }
  static SamplesOf<VelocityUpdate> samples() { return {{{0.9}, {uniform(-2, 2), uniform(-2, 2)}}}; }
};

struct MeanUpdate {
  static constexpr std::string_view name = "mean_update";
  static constexpr bool stops_gradient = true;
  static constexpr std::size_t scaled = 1;
  static constexpr std::size_t scalar_inputs = 1;
  static auto forward(const auto& mean, const auto& g, const auto& share) noexcept {
    return mean + share * (g - mean);
  }
  static Samples samples() { return {{uniform(-2, 2), uniform(-2, 2), uniform(0, 1, {})}}; }
};

struct MeanSquareUpdate {
  static constexpr std::string_view name = "mean_square_update";
  static constexpr bool stops_gradient = true;
  static constexpr std::size_t scaled = 1;
  static constexpr std::size_t scalar_inputs = 1;
  static auto forward(const auto& mean, const auto& g, const auto& share) noexcept {
    return mean + share * (g * g - mean);
  }
  static Samples samples() { return {{uniform(0, 2), uniform(-2, 2), uniform(0, 1, {})}}; }
};

struct SquareSumUpdate {
  static constexpr std::string_view name = "square_sum_update";
  static constexpr bool stops_gradient = true;
  static constexpr std::size_t scaled = 1;
  static auto forward(const auto& sum, const auto& g) noexcept { return sum + g * g; }
  static constexpr std::array rewrites{update_of_rows};
  static Samples samples() { return {{uniform(0, 2), uniform(-2, 2)}}; }
};

struct AdagradUpdate {
  double epsilon;
  static constexpr std::string_view name = "adagrad_update";
  static constexpr bool stops_gradient = true;
  static constexpr std::size_t scalar_inputs = 1;
  auto forward(const auto& p, const auto& g, const auto& square_sum, const auto& rate) const noexcept {
    return p - rate * (g / (square_sum.sqrt() + as_scalar(p, epsilon)));
  }
  static Term of_rows(const Term& y) {  // 0 / 0 is not left alone
    return y.as<AdagradUpdate>()->epsilon > 0 ? updated_rows(y) : Term();
  }
  static constexpr std::array rewrites{Rewrite{update_of_rows.name, Rewrite::of_op, of_rows}};
  static SamplesOf<AdagradUpdate> samples() {
    return {{{1e-10}, {uniform(-2, 2), uniform(-2, 2), uniform(0.1, 2), uniform(0, 1, {})}}};
  }
};

struct DecayedGradient {
  double weight_decay;
  static constexpr std::string_view name = "decayed_gradient";
  static constexpr bool stops_gradient = true;
  static constexpr std::size_t scaled = 0;
  auto forward(const auto& g, const auto& p) const noexcept { return g + as_scalar(g, weight_decay) * p; }
  static SamplesOf<DecayedGradient> samples() { return {{{0.01}, {uniform(-2, 2), uniform(-2, 2)}}}; }
};

}  // namespace

Tensor sgd_update(const Tensor& p, const Tensor& g, const Tensor& rate) {
  return apply(SgdUpdate{}, {p, g, rate});
}
Tensor nesterov_update(const Tensor& p, const Tensor& g, const Tensor& velocity, const Tensor& rate,
                       double momentum) {
  return apply(NesterovUpdate{momentum}, {p, g, velocity, rate});
}
Tensor adam_update(const Tensor& p, const Tensor& mean, const Tensor& mean_square, const Tensor& rate,
                   double epsilon, double weight_decay) {
  return apply(AdamUpdate{epsilon, weight_decay}, {p, mean, mean_square, rate});
}
Tensor velocity_update(const Tensor& velocity, const Tensor& g, double momentum) {
  return apply(VelocityUpdate{momentum}, {velocity, g});
}
Tensor mean_update(const Tensor& mean, const Tensor& g, const Tensor& share) {
  return apply(MeanUpdate{}, {mean, g, share});
}
Tensor mean_square_update(const Tensor& mean, const Tensor& g, const Tensor& share) {
  return apply(MeanSquareUpdate{}, {mean, g, share});
}
Tensor square_sum_update(const Tensor& sum, const Tensor& g) { return apply(SquareSumUpdate{}, {sum, g}); }
Tensor adagrad_update(const Tensor& p, const Tensor& g, const Tensor& square_sum, const Tensor& rate,
                      double epsilon) {
  return apply(AdagradUpdate{epsilon}, {p, g, square_sum, rate});
}
Tensor decayed_gradient(const Tensor& g, const Tensor& p, double weight_decay) {
  return apply(DecayedGradient{weight_decay}, {g, p});
}

std::vector<const Operation*> update_operations() {
  return {
      &operation_of<SgdUpdate>(),       &operation_of<NesterovUpdate>(), &operation_of<AdamUpdate>(),
      &operation_of<VelocityUpdate>(),  &operation_of<MeanUpdate>(),     &operation_of<MeanSquareUpdate>(),
      &operation_of<SquareSumUpdate>(), &operation_of<AdagradUpdate>(),  &operation_of<DecayedGradient>()};
}

}  // namespace gradweave
