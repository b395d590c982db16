// Recurrent layers.
#pragma once
#include <gradweave/nn/init.hpp>
#include <gradweave/nn/module.hpp>

namespace gradweave::nn {

struct LSTMOptions {
  bool batch_first = false;  ///< sequences are (batch, time, size) and not (time, batch, size)
  bool bias = true;
  std::optional<Initializer> init = {};  ///< of weights and biases; by default uniform in +-1/sqrt(hidden)
  DType dtype = default_dtype();
  Generator* generator = nullptr;  ///< where the numbers come from; by default `default_generator()`
};

/// What an LSTM carries from one step to the next, each (batch, hidden); empty: zeros.
struct LSTMState {
  Tensor hidden, cell;
};
struct LSTMOutput {
  Tensor outputs;   ///< the hidden state after every step, laid out as the input
  LSTMState state;  ///< after the last step
};

/// A layer of long short-term memory (S. Hochreiter, J. Schmidhuber, 1997; F. Gers et al., 2000) with
/// PyTorch's parameters: i, f, o = sigmoid and g = tanh of W_ih x + b_ih + W_hh h + b_hh, in the order i, f,
/// g, o; c = f c + i g; h = o tanh(c).
class LSTM : public Module {
 public:
  /// Throws ValueError unless both sizes are positive.
  LSTM(Index in, Index hidden, const LSTMOptions& options = {});
  /// For x of shape (time, batch, in). Throws ShapeError for another shape, no steps, or a state that does
  /// not fit.
  LSTMOutput operator()(const Tensor& x, const LSTMState& state = {}) const;

  Parameter weight_ih;  ///< (4 hidden, in)
  Parameter weight_hh;  ///< (4 hidden, hidden)
  Parameter bias_ih;    ///< (4 hidden), or empty
  Parameter bias_hh;    ///< (4 hidden), or empty

 private:
  Index in_, hidden_;
  bool batch_first_;
};

}  // namespace gradweave::nn
