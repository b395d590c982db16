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

std::vector<const Operation*> activation_operations();

}  // namespace gradweave
