// A gradient checker that cannot lie: derivatives against central differences whose error has to fall at its
// order as the step shrinks, forward mode against reverse mode, and the gradient's own gradient in the same
// way.
#pragma once
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <span>
#include <string>
#include <vector>

#include <gradweave/graph/operation.hpp>
#include <gradweave/graph/samples.hpp>

namespace gradweave {

/// A function to check: inputs to output. It must build the same graph whenever it is called.
using GradcheckFunction = std::function<Tensor(std::span<const Tensor>)>;

struct GradcheckOptions {
  int order =
      2;  ///< how many times to differentiate: 1 checks f, 2 (default) its gradient as well, and so on
  double step =
      1.0 /
      64;  ///< the largest step, for inputs about 1; five halvings follow, and a second round 64 times finer
  Index full_up_to =
      32;              ///< up to so many elements the Jacobian is checked whole, beyond in random directions
  int directions = 4;  ///< how many random directions
  std::uint64_t seed = 1;  ///< of the random directions
  bool allow_unconnected =
      false;  ///< an input that does not reach the output passes when moving it changes nothing
};

/// What a check found.
enum class Gradcheck {
  right,
  wrong,             ///< analytic and numeric derivative differ
  kink,              ///< one-sided differences disagree: there is no derivative to compare with at this point
  zero,              ///< vacuous: the derivative is zero on both sides, so nothing was checked
  unconnected,       ///< vacuous: the input does not reach the output, and indeed does not change it
  adjoint,           ///< forward and reverse mode differ: <u, J v> is not <J' u, v>
  nondeterministic,  ///< the same inputs gave other values when asked again
  not_finite,        ///< a value or derivative is NaN or infinite
  error              ///< building or evaluating the graph threw
};

struct GradcheckReport {
  bool ok = false;  ///< whether the verdict is `right`
  Gradcheck verdict = Gradcheck::error;
  std::string message;  ///< one line that says all of what follows
  int order = 1;        ///< at which derivative, counted from 1
  std::size_t input = 0;
  Index input_index = 0;   ///< the element moved; of a random direction, its number
  Index output_index = 0;  ///< the element observed; of a random cotangent, its number
  double analytic = 0;
  double numeric = 0;  ///< Richardson's extrapolation of the differences
  double step = 0;     ///< the smallest one
  double observed_order =
      0;  ///< at which the error of the differences falls; 2 is right, 0 says the rule is wrong
  explicit operator bool() const { return ok; }
};
std::ostream& operator<<(std::ostream& out, const GradcheckReport& report);

/// Checks the derivatives of `f` at `inputs`: float64 variables are moved, everything else is held. Never
/// throws for what f does: see Gradcheck::error. Throws ValueError when no input is a float64 variable, or an
/// option is out of its range.
///
///   const Tensor x = variable({0.5, -1}, DType::float64);
///   const auto report = gradcheck([](auto in) { return sigmoid(in[0]); }, {x});
///   if (!report) std::cerr << report.message;
GradcheckReport gradcheck(const GradcheckFunction& f, const std::vector<Tensor>& inputs,
                          const GradcheckOptions& options = {});

/// Checks an op over its own samples: derivatives (redrawn where a kink is hit; an op that is not
/// differentiable only runs), the kernel of every dtype against float64's, and inputs that are not row-major.
/// The first failure is reported. An op without samples fails. With `table` (a copy of `op` that differs, say
/// in its vjp) that one is checked on the samples of `op`.
GradcheckReport check_operation(const Operation& op, const GradcheckOptions& options = {},
                                const Operation* table = nullptr);

}  // namespace gradweave
