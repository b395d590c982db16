#include <gradweave/nn/optimizers/optimizers.hpp>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <gradweave/graph/evaluate.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/index.hpp>
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
    : SGD(std::vector<ParameterGroup<SgdOptions>>{{std::move(parameters), options}}) {}

SGD::SGD(const std::vector<ParameterGroup<SgdOptions>>& groups)
    : Optimizer(detail::groups_of<Group>(groups)), options_(detail::options_of(groups)) {
  for (const SgdOptions& options : options_) {
    require_not_negative("SGD", "momentum", options.momentum);
    require_not_negative("SGD", "weight_decay", options.weight_decay);
    if (options.nesterov)
      require(options.momentum > 0, "SGD", "momentum", options.momentum, "positive with nesterov");
  }
  if (std::ranges::any_of(options_, [](const SgdOptions& options) { return options.momentum != 0; }))
    velocities_ = zeros_like_parameters();
}

Tensor SGD::update(std::size_t i, const Tensor& value, const Tensor& gradient) {
  const SgdOptions& options = options_[group_of(i)];
  const Tensor& rate = this->rate(value.dtype());
  const Tensor g =
      options.weight_decay == 0 ? gradient : decayed_gradient(gradient, value, options.weight_decay);
  if (options.momentum == 0) return sgd_update(value, g, rate);
  const Tensor velocity = advance(velocities_[i], velocity_update(velocities_[i], g, options.momentum));
  if (!options.nesterov) return sgd_update(value, velocity, rate);
  return nesterov_update(value, g, velocity, rate, options.momentum);
}

Adam::Adam(std::vector<Parameter> parameters, const AdamOptions& options)
    : Adam(std::vector<ParameterGroup<AdamOptions>>{{std::move(parameters), options}}, false) {}
Adam::Adam(const std::vector<ParameterGroup<AdamOptions>>& groups) : Adam(groups, false) {}

Adam::Adam(const std::vector<ParameterGroup<AdamOptions>>& groups, bool decoupled)
    : Optimizer(detail::groups_of<Group>(groups)),
      options_(detail::options_of(groups)),
      shares_(groups.size()),
      decoupled_(decoupled),
      means_(zeros_like_parameters()),
      mean_squares_(zeros_like_parameters()) {
  const char* name = decoupled ? "AdamW" : "Adam";
  for (const AdamOptions& options : options_) {
    require_fraction(name, "beta1", options.beta1);
    require_fraction(name, "beta2", options.beta2);
    require_not_negative(name, "epsilon", options.epsilon);
    require_not_negative(name, "weight_decay", options.weight_decay);
  }
}

void Adam::begin(Index step) {
  for (std::size_t g = 0; g < options_.size(); ++g) {
    shares_[g].mean.set(share_of_newest(options_[g].beta1, step));
    shares_[g].mean_square.set(share_of_newest(options_[g].beta2, step));
  }
}

Tensor Adam::update(std::size_t i, const Tensor& value, const Tensor& gradient) {
  const AdamOptions& options = options_[group_of(i)];
  const Shares& shares = shares_[group_of(i)];
  const DType dtype = value.dtype();
  const bool decays_gradient = options.weight_decay != 0 && !decoupled_;
  const Tensor g = decays_gradient ? decayed_gradient(gradient, value, options.weight_decay) : gradient;
  const Tensor mean = advance(means_[i], mean_update(means_[i], g, shares.mean.as(dtype)));
  const Tensor mean_square =
      advance(mean_squares_[i], mean_square_update(mean_squares_[i], g, shares.mean_square.as(dtype)));
  return adam_update(value, mean, mean_square, rate(dtype), options.epsilon,
                     decoupled_ ? options.weight_decay : 0);
}

namespace {

std::vector<ParameterGroup<AdamOptions>> as_adam(const std::vector<ParameterGroup<AdamWOptions>>& groups) {
  std::vector<ParameterGroup<AdamOptions>> all;
  all.reserve(groups.size());
  for (const auto& [parameters, o] : groups) {
    all.push_back({parameters,
                   {.learning_rate = o.learning_rate,
                    .beta1 = o.beta1,
                    .beta2 = o.beta2,
                    .epsilon = o.epsilon,
                    .weight_decay = o.weight_decay}});
  }
  return all;
}

}  // namespace

AdamW::AdamW(std::vector<Parameter> parameters, const AdamWOptions& options)
    : AdamW(std::vector<ParameterGroup<AdamWOptions>>{{std::move(parameters), options}}) {}
AdamW::AdamW(const std::vector<ParameterGroup<AdamWOptions>>& groups) : Adam(as_adam(groups), true) {}

Adagrad::Adagrad(std::vector<Parameter> parameters, const AdagradOptions& options)
    : Adagrad(std::vector<ParameterGroup<AdagradOptions>>{{std::move(parameters), options}}) {}

Adagrad::Adagrad(const std::vector<ParameterGroup<AdagradOptions>>& groups)
    : Optimizer(detail::groups_of<Group>(groups)),
      options_(detail::options_of(groups)),
      decays_(groups.size()),
      square_sums_(zeros_like_parameters()) {
  for (const AdagradOptions& options : options_) {
    require_not_negative("Adagrad", "learning_rate_decay", options.learning_rate_decay);
    require_not_negative("Adagrad", "initial_accumulator_value", options.initial_accumulator_value);
    require_not_negative("Adagrad", "epsilon", options.epsilon);
    require_not_negative("Adagrad", "weight_decay", options.weight_decay);
  }
  for (std::size_t i = 0; i < square_sums_.size(); ++i) {
    const double first = options_[group_of(i)].initial_accumulator_value;
    if (first != 0) eval(square_sums_[i] = square_sums_[i] + first);
  }
}

void Adagrad::begin(Index step) {
  for (std::size_t g = 0; g < options_.size(); ++g)
    decays_[g].set(1 / (1 + static_cast<double>(step - 1) * options_[g].learning_rate_decay));
}

Tensor Adagrad::update(std::size_t i, const Tensor& value, const Tensor& gradient) {
  const AdagradOptions& options = options_[group_of(i)];
  const DType dtype = value.dtype();
  const Tensor g =
      options.weight_decay == 0 ? gradient : decayed_gradient(gradient, value, options.weight_decay);
  const Tensor square_sum = advance(square_sums_[i], square_sum_update(square_sums_[i], g));
  const Tensor decayed =
      options.learning_rate_decay == 0 ? rate(dtype) : rate(dtype) * decays_[group_of(i)].as(dtype);
  return adagrad_update(value, g, square_sum, decayed, options.epsilon);
}

SparseAdam::SparseAdam(std::vector<Parameter> parameters, const SparseAdamOptions& options)
    : SparseAdam(std::vector<ParameterGroup<SparseAdamOptions>>{{std::move(parameters), options}}) {}

SparseAdam::SparseAdam(const std::vector<ParameterGroup<SparseAdamOptions>>& groups)
    : Optimizer(detail::groups_of<Group>(groups)),
      options_(detail::options_of(groups)),
      numbers_(groups.size()),
      means_(zeros_like_parameters()),
      mean_squares_(zeros_like_parameters()) {
  for (std::size_t g = 0; g < options_.size(); ++g) {
    require_fraction("SparseAdam", "beta1", options_[g].beta1);
    require_fraction("SparseAdam", "beta2", options_[g].beta2);
    require_not_negative("SparseAdam", "epsilon", options_[g].epsilon);
    numbers_[g].mean.set(1 - options_[g].beta1);
    numbers_[g].mean_square.set(1 - options_[g].beta2);
  }
}

void SparseAdam::begin(Index step) {
  const auto t = static_cast<double>(step);
  for (std::size_t g = 0; g < options_.size(); ++g) {
    const double of_mean = 1 - std::pow(options_[g].beta1, t), of_square = 1 - std::pow(options_[g].beta2, t);
    numbers_[g].correction.set(std::sqrt(of_square) / of_mean);
  }
}

Tensor SparseAdam::update(std::size_t i, const Tensor& value, const Tensor& gradient) {
  const Numbers& numbers = numbers_[group_of(i)];
  const DType dtype = value.dtype();
  const std::optional<GradientRows> g = gradient_rows(gradient);
  if (!g) throw GraphError("SparseAdam: a gradient that is not that of an embedding");
  const Tensor mean = mean_update(take_rows(means_[i], g->indices), g->rows, numbers.mean.as(dtype));
  const Tensor mean_square =
      mean_square_update(take_rows(mean_squares_[i], g->indices), g->rows, numbers.mean_square.as(dtype));
  advance(means_[i], put_rows(means_[i], mean, g->indices));
  advance(mean_squares_[i], put_rows(mean_squares_[i], mean_square, g->indices));
  const Tensor rows =
      adam_update(take_rows(value, g->indices), mean, mean_square, rate(dtype) * numbers.correction.as(dtype),
                  options_[group_of(i)].epsilon, 0);
  return put_rows(value, rows, g->indices);
}

}  // namespace gradweave::nn
