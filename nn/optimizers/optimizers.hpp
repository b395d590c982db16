// The optimizers. Formulas and defaults are PyTorch's (pytorch.org/docs/stable/optim.html).
#pragma once
#include <initializer_list>
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
  /// Groups of parameters with options of their own.
  explicit SGD(const std::vector<ParameterGroup<SgdOptions>>& groups);
  explicit SGD(std::initializer_list<ParameterGroup<SgdOptions>> groups) : SGD(std::vector(groups)) {}

 private:
  Tensor update(std::size_t i, const Tensor& value, const Tensor& gradient) override;
  std::vector<SgdOptions> options_;  // by group
  std::vector<Tensor> velocities_;   // empty without momentum
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
  /// Groups of parameters with options of their own.
  explicit Adam(const std::vector<ParameterGroup<AdamOptions>>& groups);
  explicit Adam(std::initializer_list<ParameterGroup<AdamOptions>> groups) : Adam(std::vector(groups)) {}

 protected:
  Adam(const std::vector<ParameterGroup<AdamOptions>>& groups, bool decoupled);

 private:
  void begin(Index step) override;
  Tensor update(std::size_t i, const Tensor& value, const Tensor& gradient) override;
  struct Shares {  // of the newest gradient in the means
    ScalarInput mean, mean_square;
  };
  std::vector<AdamOptions> options_;  // by group
  std::vector<Shares> shares_;        // by group
  bool decoupled_;
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
  /// Groups of parameters with options of their own.
  explicit AdamW(const std::vector<ParameterGroup<AdamWOptions>>& groups);
  explicit AdamW(std::initializer_list<ParameterGroup<AdamWOptions>> groups) : AdamW(std::vector(groups)) {}
};

struct AdagradOptions {
  double learning_rate = 0.01;
  double learning_rate_decay = 0;  ///< the rate of step t is learning_rate / (1 + (t - 1) decay)
  double initial_accumulator_value = 0;
  double epsilon = 1e-10;
  double weight_decay = 0;  ///< adds weight_decay * p to the gradient
};

/// p -= rate * g / (sqrt(s) + epsilon), where s is the sum of g^2 (J. Duchi et al., JMLR 12, 2011). Throws
/// ValueError for options out of range. As with SGD without momentum, a step costs what the rows of an
/// embedding cost that it names, where these are all that has a gradient.
class Adagrad final : public Optimizer {
 public:
  explicit Adagrad(std::vector<Parameter> parameters, const AdagradOptions& options = {});
  /// Groups of parameters with options of their own.
  explicit Adagrad(const std::vector<ParameterGroup<AdagradOptions>>& groups);
  explicit Adagrad(std::initializer_list<ParameterGroup<AdagradOptions>> groups)
      : Adagrad(std::vector(groups)) {}

 private:
  void begin(Index step) override;
  Tensor update(std::size_t i, const Tensor& value, const Tensor& gradient) override;
  std::vector<AdagradOptions> options_;  // by group
  std::vector<ScalarInput> decays_;      // by group
  std::vector<Tensor> square_sums_;
};

struct SparseAdamOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
};

/// Adam of embeddings alone: only the rows that a step names have their means moved and take a step, which
/// costs what they cost. Throws ValueError for options out of range, and GraphError for the gradient of a
/// parameter that is not the weight of one embedding, or is transformed.
class SparseAdam final : public Optimizer {
 public:
  explicit SparseAdam(std::vector<Parameter> parameters, const SparseAdamOptions& options = {});
  /// Groups of parameters with options of their own.
  explicit SparseAdam(const std::vector<ParameterGroup<SparseAdamOptions>>& groups);
  explicit SparseAdam(std::initializer_list<ParameterGroup<SparseAdamOptions>> groups)
      : SparseAdam(std::vector(groups)) {}

 private:
  void begin(Index step) override;
  Tensor update(std::size_t i, const Tensor& value, const Tensor& gradient) override;
  struct Numbers {
    ScalarInput mean, mean_square;  // the shares of the newest gradient
    ScalarInput correction;         // of the rate, for means that begin at 0
  };
  std::vector<SparseAdamOptions> options_;  // by group
  std::vector<Numbers> numbers_;            // by group
  std::vector<Tensor> means_, mean_squares_;
};

}  // namespace gradweave::nn
