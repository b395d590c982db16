#include <gradweave/nn/optimizers/optimizers.hpp>

#include <cmath>

#include <fmt/format.h>

#include <gradweave/ops/optimizer_updates.hpp>

namespace gradweave::nn {
namespace {

void require(bool holds, const char* optimizer, const char* option, double value, const char* range) {
  if (!holds) throw ValueError(fmt::format("{}: {} is {}; it must be {}", optimizer, option, value, range));
}
void require_not_negative(const char* optimizer, const char* option, double value) {
  require(std::isfinite(value) && value >= 0, optimizer, option, value, "finite and not negative");
}
void require_fraction(const char* optimizer, const char* option, double value) {
  require(value >= 0 && value < 1, optimizer, option, value, "in [0, 1)");
}

// The share of the newest of `step` numbers in their running mean with decay `beta`, freed of the bias of its
// start at zero. (That mean is sum beta^(step-k) x_k over sum beta^(step-k): itself a running mean, whose
// first share is 1.)
double share_of_newest(double beta, Index step) {
  return (1 - beta) / (1 - std::pow(beta, static_cast<double>(step)));
}

}  // namespace

SGD::SGD(std::vector<Parameter> parameters, const SgdOptions& options)
    : Optimizer(std::move(parameters), options.learning_rate), options_(options) {
  require_not_negative("SGD", "momentum", options.momentum);
  require_not_negative("SGD", "weight_decay", options.weight_decay);
  if (options.nesterov)
    require(options.momentum > 0, "SGD", "momentum", options.momentum, "positive with nesterov");
  if (options.momentum != 0) velocities_ = zeros_like_parameters();
}

Tensor SGD::update(std::size_t i, const Tensor& value, const Tensor& gradient) {
  const Tensor& rate = this->rate(value.dtype());
  const Tensor g =
      options_.weight_decay == 0 ? gradient : decayed_gradient(gradient, value, options_.weight_decay);
  if (options_.momentum == 0) return sgd_update(value, g, rate);
  const Tensor velocity = advance(velocities_[i], velocity_update(velocities_[i], g, options_.momentum));
  if (!options_.nesterov) return sgd_update(value, velocity, rate);
  return nesterov_update(value, g, velocity, rate, options_.momentum);
}

Adam::Adam(std::vector<Parameter> parameters, const AdamOptions& options)
    : Adam(std::move(parameters), options, false) {}

Adam::Adam(std::vector<Parameter> parameters, const AdamOptions& options, bool decoupled)
    : Optimizer(std::move(parameters), options.learning_rate),
      options_(options),
      decoupled_(decoupled),
      means_(zeros_like_parameters()),
      mean_squares_(zeros_like_parameters()) {
  const char* name = decoupled ? "AdamW" : "Adam";
  require_fraction(name, "beta1", options.beta1);
  require_fraction(name, "beta2", options.beta2);
  require_not_negative(name, "epsilon", options.epsilon);
  require_not_negative(name, "weight_decay", options.weight_decay);
}

void Adam::begin(Index step) {
  share1_.set(share_of_newest(options_.beta1, step));
  share2_.set(share_of_newest(options_.beta2, step));
}

Tensor Adam::update(std::size_t i, const Tensor& value, const Tensor& gradient) {
  const DType dtype = value.dtype();
  const bool decays_gradient = options_.weight_decay != 0 && !decoupled_;
  const Tensor g = decays_gradient ? decayed_gradient(gradient, value, options_.weight_decay) : gradient;
  const Tensor mean = advance(means_[i], mean_update(means_[i], g, share1_.as(dtype)));
  const Tensor mean_square =
      advance(mean_squares_[i], mean_square_update(mean_squares_[i], g, share2_.as(dtype)));
  return adam_update(value, mean, mean_square, rate(dtype), options_.epsilon,
                     decoupled_ ? options_.weight_decay : 0);
}

AdamW::AdamW(std::vector<Parameter> parameters, const AdamWOptions& o)
    : Adam(std::move(parameters),
           {.learning_rate = o.learning_rate,
            .beta1 = o.beta1,
            .beta2 = o.beta2,
            .epsilon = o.epsilon,
            .weight_decay = o.weight_decay},
           true) {}

}  // namespace gradweave::nn
