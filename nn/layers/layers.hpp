// Layers: modules that map a tensor to a tensor.
#pragma once
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gradweave/nn/init.hpp>
#include <gradweave/nn/module.hpp>
#include <gradweave/ops/activation.hpp>

namespace gradweave::nn {

struct DenseOptions {
  bool bias = true;
  Initializer weight_init = lecun_normal;
  Initializer bias_init = zeros;
  DType dtype = default_dtype();
  /// Where the numbers come from: this generator, or else a new one of this seed, or else
  /// `default_generator()`.
  Generator* generator = nullptr;
  std::optional<std::uint64_t> seed = {};
};

/// Every output sees every input: y = x W^T + b, for x of shape (..., in) and y of shape (..., out).
class Dense : public Module {
 public:
  /// Throws ValueError unless both sizes are positive.
  Dense(Index in, Index out, const DenseOptions& options = {});
  Tensor operator()(const Operand& x) const;

  Parameter weight;  ///< (out, in): row = to, column = from
  Parameter bias;    ///< (out), or empty
};

// The activations as modules, for `Sequential`.
struct Sigmoid : Module {
  Tensor operator()(const Tensor& x) const;
};
struct Tanh : Module {
  Tensor operator()(const Tensor& x) const;
};
struct ReLU : Module {
  Tensor operator()(const Tensor& x) const;
};
struct GELU : Module {
  explicit GELU(GeluForm f = GeluForm::erf) : form(f) {}
  Tensor operator()(const Tensor& x) const;
  GeluForm form;
};
struct SiLU : Module {
  Tensor operator()(const Tensor& x) const;
};

/// What can be a step of `Sequential`: a module, or any function of a tensor that can be copied.
template <class L>
concept Layer = requires(const L& layer, const Tensor& x) {
  { layer(x) } -> std::same_as<Tensor>;
};

/// Layers one after another, named "0", "1", ...
class Sequential : public Module {
 public:
  Sequential() = default;
  template <Layer... Layers>
    requires(sizeof...(Layers) > 0)
  explicit Sequential(Layers... layers) {
    (add(std::move(layers)), ...);
  }
  /// Appends a layer; returns the whole, so that calls can be chained.
  template <Layer L>
  Sequential& add(L layer) {
    if constexpr (std::derived_from<L, Module>) {
      append(std::make_unique<Holder<L>>(child(std::to_string(size()), std::move(layer))));
    } else {
      append(std::make_unique<Holder<L>>(std::move(layer)));
    }
    return *this;
  }
  std::size_t size() const { return steps_.size(); }
  Tensor operator()(const Tensor& x) const;

 private:
  struct AnyLayer {
    virtual ~AnyLayer() = default;
    virtual Tensor call(const Tensor& x) const = 0;
    virtual std::unique_ptr<AnyLayer> copy() const = 0;
  };
  template <class L>
  struct Holder final : AnyLayer {
    explicit Holder(L l) : layer(std::move(l)) {}
    Tensor call(const Tensor& x) const override { return layer(x); }
    std::unique_ptr<AnyLayer> copy() const override { return std::make_unique<Holder>(*this); }
    L layer;
  };
  // Copies as the layer in it does.
  class Step {
   public:
    explicit Step(std::unique_ptr<AnyLayer> layer) : layer_(std::move(layer)) {}
    Step(const Step& other) : layer_(other.layer_->copy()) {}
    Step(Step&& other) noexcept = default;
    Step& operator=(Step other) noexcept {
      layer_.swap(other.layer_);
      return *this;
    }
    ~Step() = default;
    Tensor operator()(const Tensor& x) const { return layer_->call(x); }

   private:
    std::unique_ptr<AnyLayer> layer_;
  };

  void append(std::unique_ptr<AnyLayer> layer) { steps_.emplace_back(std::move(layer)); }
  std::vector<Step> steps_;
};

}  // namespace gradweave::nn
