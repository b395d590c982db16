// Activations that are more than one function of elementwise.hpp.
#pragma once
#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// Which formula `gelu` uses.
enum class GeluForm { erf, tanh };

/// x times the normal distribution's cumulative function at x: x (1 + erf(x / sqrt 2)) / 2, or, as GPT-2, the
/// approximation x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, within 5e-4 of it (D. Hendrycks,
/// K. Gimpel, arXiv:1606.08415).
Tensor gelu(const Operand& x, GeluForm form = GeluForm::erf);
/// x sigmoid(x), also called swish.
Tensor silu(const Operand& x);

/// x where it is positive, else slope x; `prelu` takes one slope, or a slope for each channel
/// (axis 1; of a vector axis 0).
Tensor leaky_relu(const Operand& x, double slope = 0.01);
Tensor prelu(const Operand& x, const Tensor& slope);
/// x where it is positive, else alpha (exp(x) - 1). `celu` divides x by alpha in the exponential; `selu` is a
/// scaled elu whose constants keep mean and variance (G. Klambauer et al., arXiv:1706.02515).
Tensor elu(const Operand& x, double alpha = 1);
Tensor celu(const Operand& x, double alpha = 1);
Tensor selu(const Operand& x);
/// log(1 + exp(beta x)) / beta, and x itself where beta x is above `threshold`.
Tensor softplus(const Operand& x, double beta, double threshold = 20);
/// x tanh(softplus(x)).
Tensor mish(const Operand& x);
/// x / (1 + |x|), x - tanh(x), and log(sigmoid(x)) without overflow.
Tensor softsign(const Operand& x);
Tensor tanhshrink(const Operand& x);
Tensor logsigmoid(const Operand& x);
/// `clamp` by their names in PyTorch.
Tensor hardtanh(const Operand& x, double low = -1, double high = 1);
Tensor relu6(const Operand& x);
/// relu6(x + 3) / 6, and x times that.
Tensor hardsigmoid(const Operand& x);
Tensor hardswish(const Operand& x);
/// 0 within [-lambda, lambda]; `softshrink` moves the rest by lambda towards 0.
Tensor hardshrink(const Operand& x, double lambda = 0.5);
Tensor softshrink(const Operand& x, double lambda = 0.5);
/// x where it is above `threshold`, else `value`.
Tensor threshold(const Operand& x, double threshold, double value);
/// The first half along an axis times the sigmoid of the second. Throws ShapeError for an odd size.
Tensor glu(const Operand& x, Index axis = -1);
/// softmax(-x).
Tensor softmin(const Operand& x, Index axis = -1);

std::vector<const Operation*> activation_operations();

}  // namespace gradweave
