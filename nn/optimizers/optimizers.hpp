// The optimizers. Formulas and defaults are PyTorch's (pytorch.org/docs/stable/optim.html).
#pragma once
#include <vector>

#include <gradweave/nn/optimizers/optimizer.hpp>

namespace gradweave::nn {

struct SgdOptions {
  double learning_rate = 0.01;
  double momentum = 0;
  bool nesterov = false;    ///< looks ahead along the momentum, which must not be 0 then
  double weight_decay = 0;  ///< adds weight_decay * p to the gradient
};

/// Gradient descent: p -= rate * v, where v = momentum * v + g and starts at 0. With Nesterov's momentum p -=
/// rate * (g + momentum * v) (I. Sutskever et al., ICML 2013). Throws ValueError for options out of range.
class SGD final : public Optimizer {
 public:
  explicit SGD(std::vector<Parameter> parameters, const SgdOptions& options = {});

 private:
  Tensor update(std::size_t i, const Tensor& value, const Tensor& gradient) override;
  SgdOptions options_;
  std::vector<Tensor> velocities_;  // empty without momentum
};

struct AdamOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;  ///< adds weight_decay * p to the gradient
};

/// p -= rate * m / (sqrt(v) + epsilon), where m and v are running means of g and g^2, corrected for their
/// start at 0 (D. Kingma, J. Ba, ICLR 2015). Throws ValueError for options out of range.
class Adam : public Optimizer {
 public:
  explicit Adam(std::vector<Parameter> parameters, const AdamOptions& options = {});

 protected:
  Adam(std::vector<Parameter> parameters, const AdamOptions& options, bool decoupled);

 private:
  void begin(Index step) override;
  Tensor update(std::size_t i, const Tensor& value, const Tensor& gradient) override;
  AdamOptions options_;
  bool decoupled_;
  ScalarInput share1_, share2_;  // of the newest gradient in the means
  std::vector<Tensor> means_, mean_squares_;
};

struct AdamWOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.01;  ///< p -= rate * weight_decay * p, apart from the gradient
};

/// Adam with decoupled weight decay (I. Loshchilov, F. Hutter, ICLR 2019).
class AdamW final : public Adam {
 public:
  explicit AdamW(std::vector<Parameter> parameters, const AdamWOptions& options = {});
};

}  // namespace gradweave::nn
