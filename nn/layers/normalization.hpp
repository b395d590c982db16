// Layers that normalise.
#pragma once
#include <gradweave/nn/module.hpp>

namespace gradweave::nn {

struct NormOptions {
  double epsilon = 1e-5;
  bool affine = true;  ///< with a weight and a bias, which begin as 1 and 0
  DType dtype = default_dtype();
};

/// `layer_norm` over the last axis, of `size`, times a weight plus a bias.
class LayerNorm : public Module {
 public:
  /// Throws ValueError unless the size is positive.
  explicit LayerNorm(Index size, const NormOptions& options = {});
  Tensor operator()(const Tensor& x) const;

  Parameter weight;  ///< (size), or empty
  Parameter bias;    ///< (size), or empty

 private:
  Index size_;
  double epsilon_;
};

/// `rms_norm` over the last axis, of `size`, times a weight.
class RMSNorm : public Module {
 public:
  /// Throws ValueError unless the size is positive.
  explicit RMSNorm(Index size, const NormOptions& options = {});
  Tensor operator()(const Tensor& x) const;

  Parameter weight;  ///< (size), or empty

 private:
  Index size_;
  double epsilon_;
};

}  // namespace gradweave::nn
