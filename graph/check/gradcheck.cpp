#include <gradweave/graph/check/gradcheck.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <ostream>
#include <random>

#include <fmt/format.h>

#include <gradweave/graph/check/differences.hpp>
#include <gradweave/graph/gradients.hpp>
#include <gradweave/graph/node.hpp>

namespace gradweave {
namespace {

using detail::Differences;
using detail::Judgement;
using detail::rounding;
using detail::step_count;
using Values = std::vector<double>;

double dot(const Values& a, const Values& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}
double largest(const Values& values) {
  return std::accumulate(values.begin(), values.end(), 0.0,
                         [](double m, double v) { return std::max(m, std::abs(v)); });
}
bool all_finite(const Values& values) {
  return std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
}
bool same_values(const Values& a, const Values& b) {  // NaN is NaN
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](double p, double q) { return p == q || (std::isnan(p) && std::isnan(q)); });
}

// Numbers that are far from 0 and of either sign, so that nothing is multiplied away.
Values random_values(Index count, std::mt19937_64& random) {
  Values values(static_cast<std::size_t>(count));
  for (double& value : values) {
    const double unit = static_cast<double>(random() >> 11) * 0x1p-53;
    value = (random() & 1U) != 0 ? 0.5 + unit : -0.5 - unit;
  }
  return values;
}

// Unit vectors, or random ones where these would be too many.
std::vector<Values> directions(Index count, const GradcheckOptions& options, std::mt19937_64& random) {
  std::vector<Values> all;
  if (count <= options.full_up_to) {
    for (Index i = 0; i < count; ++i) {
      all.emplace_back(static_cast<std::size_t>(count)).at(static_cast<std::size_t>(i)) = 1;
    }
  } else {
    for (int k = 0; k < options.directions; ++k) all.push_back(random_values(count, random));
  }
  return all;
}

class Check {
 public:
  Check(GradcheckFunction f, const std::vector<Tensor>& inputs, const GradcheckOptions& options, int order)
      : f_(std::move(f)), inputs_(inputs), options_(options), order_(order), random_(options.seed) {
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (is_moved(inputs[i])) moved_.push_back(i);
    }
  }

  static bool is_moved(const Tensor& x) { return x.dtype() == DType::float64 && x.is_tracked(); }

  GradcheckReport run() {
    report_.order = order_;
    try {
      if (!examine_values()) return report_;
      for (std::size_t input : moved_) {
        if (!examine(input)) return report_;
      }
      if (order_ < options_.order && !examine_gradients()) return report_;
    } catch (const std::exception& error) {
      fail(Gradcheck::error, error.what());
      return report_;
    }
    report_.ok = true;
    report_.verdict = Gradcheck::right;
    report_.message = fmt::format("{}: derivatives up to order {} are right", name_, options_.order);
    return report_;
  }

 private:
  bool fail(Gradcheck verdict, const std::string& what) {
    report_.verdict = verdict;
    report_.message = order_ == 1 ? fmt::format("{}: {}", name_, what)
                                  : fmt::format("{} (derivative of order {}): {}", name_, order_, what);
    return false;
  }

  Tensor call(std::size_t input, const Values& values) const {
    std::vector<Tensor> inputs = inputs_;
    inputs[input] = variable(values, inputs[input].shape());
    return f_(inputs);
  }

  // Calls f, twice, at the inputs themselves.
  bool examine_values() {
    y_ = f_(inputs_);
    if (y_.is_empty()) return fail(Gradcheck::error, "the function returned an empty Tensor");
    if (order_ == 1) name_ = y_.node()->operation->name;
    if (y_.dtype() != DType::float64) {
      return fail(Gradcheck::error,
                  fmt::format("the output is {}, but checks need float64", name_of(y_.dtype())));
    }
    base_ = y_.to_vector<double>();
    if (!all_finite(base_))
      return fail(Gradcheck::not_finite, "a value at the inputs themselves is NaN or infinite");
    const std::size_t any = moved_[0];
    if (!same_values(base_, call(any, inputs_[any].to_vector<double>()).to_vector<double>())) {
      return fail(Gradcheck::nondeterministic, "the same inputs gave other values when asked again");
    }
    probes_ = directions(y_.numel(), options_, random_);
    return true;
  }

  // The rows of the Jacobian (times the probes) by reverse mode; false when the graph says that there is no
  // way from x to y.
  bool analytic(const Tensor& x, std::vector<Values>& rows) {
    for (const Values& probe : probes_) {
      const Tensor cotangent = constant(probe, y_.shape());
      try {
        rows.push_back(gradients(y_, {x}, cotangent)[0].to_vector<double>());
      } catch (const GraphError&) {
        if (y_.is_tracked())
          gradients(y_, {x}, cotangent, Unconnected::zeros);  // throws when that was not the reason
        rows.assign(probes_.size(), Values(static_cast<std::size_t>(x.numel())));
        return false;
      }
    }
    return true;
  }

  Values observe(const Values& y) const {
    if (static_cast<Index>(y.size()) <= options_.full_up_to) return y;
    Values seen;
    for (const Values& probe : probes_) seen.push_back(dot(probe, y));
    return seen;
  }

  Values at(std::size_t input, const Values& direction, double step) const {
    Values x = inputs_[input].to_vector<double>();
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += step * direction[i];
    return observe(call(input, x).to_vector<double>());
  }

  // Second differences over steps too small for any curvature; beside the point itself, where a kink would
  // count.
  double noise(std::size_t input, const Values& direction) const {
    constexpr double tiny = 0x1p-28;
    const Values a = at(input, direction, tiny), b = at(input, direction, 2 * tiny),
                 c = at(input, direction, 3 * tiny);
    double noise = 0;
    for (std::size_t p = 0; p < a.size(); ++p)
      noise = std::max(noise, std::abs((a[p] - b[p]) - (b[p] - c[p])));
    return std::isfinite(noise) ? noise : 0;
  }

  Differences differences(std::size_t input, const Values& direction, double step) {
    Differences seen;
    seen.noise = noise(input, direction);
    const Values base = observe(base_);
    const double reach = largest(inputs_[input].to_vector<double>());
    for (std::size_t k = 0; k < step_count; ++k, step /= 2) {
      const Values up = at(input, direction, step), down = at(input, direction, -step);
      if (!all_finite(up) || !all_finite(down)) continue;  // outside the domain: a smaller step may be inside
      Values central(base.size()), jump(base.size());
      for (std::size_t p = 0; p < base.size(); ++p) {
        central[p] = (up[p] - down[p]) / (2 * step);
        jump[p] = ((up[p] - base[p]) - (base[p] - down[p])) / step;
      }
      seen.magnitude = std::max({seen.magnitude, largest(up), largest(down), largest(central) * reach});
      seen.steps.push_back(step);
      seen.central.push_back(std::move(central));
      seen.jump.push_back(std::move(jump));
    }
    return seen;
  }

  bool examine(std::size_t input) {
    const Tensor& x = inputs_[input];
    std::vector<Values> rows;
    const bool connected = analytic(x, rows);
    for (const Values& row : rows) {
      if (!all_finite(row))
        return fail(Gradcheck::not_finite,
                    fmt::format("the derivative by input {} is NaN or infinite", input));
    }
    bool is_zero = true;
    const std::vector<Values> along = directions(x.numel(), options_, random_);
    for (std::size_t d = 0; d < along.size(); ++d) {
      if (!compare(input, along[d], d, rows, is_zero)) return false;
    }
    if (connected && !examine_adjoint(input)) return false;
    if (order_ > 1) return true;  // second derivatives may well be zero
    report_.input = input;
    if (!connected && options_.allow_unconnected) return true;
    if (!connected)
      return fail(Gradcheck::unconnected, fmt::format("vacuous: input {} does not reach the output", input));
    if (is_zero)
      return fail(Gradcheck::zero,
                  fmt::format("vacuous: all derivatives by input {} are zero at this point", input));
    return true;
  }

  // All observed numbers along one direction, in steps of ordinary size; where that fails, in finer ones.
  bool compare(std::size_t input, const Values& direction, std::size_t number,
               const std::vector<Values>& rows, bool& is_zero) {
    const Differences coarse = differences(input, direction, options_.step);
    Differences fine;
    for (std::size_t p = 0; p < rows.size(); ++p) {
      const double expected = dot(rows[p], direction);
      const Differences* seen = &coarse;
      Judgement found{.verdict = Gradcheck::wrong};
      if (coarse.steps.size() >= 3) found = judge(coarse, p, expected);
      if (found.verdict != Gradcheck::right) {
        if (fine.steps.empty()) fine = differences(input, direction, options_.step / 64);
        if (fine.steps.size() < 3) {
          return fail(Gradcheck::not_finite,
                      fmt::format("values around input {} are NaN or infinite", input));
        }
        seen = &fine;
        found = judge(fine, p, expected);
        if (found.verdict == Gradcheck::wrong &&
            (is_near_kink(fine, p) || (coarse.steps.size() >= 3 && is_near_kink(coarse, p)))) {
          found.verdict = Gradcheck::kink;
        }
      }
      is_zero &= found.is_zero;
      if (found.verdict != Gradcheck::right) return fail(input, number, p, *seen, found, expected);
    }
    return true;
  }

  bool fail(std::size_t input, std::size_t direction, std::size_t p, const Differences& seen,
            const Judgement& found, double analytic) {
    report_.input = input;
    report_.input_index = static_cast<Index>(direction);
    report_.output_index = static_cast<Index>(p);
    report_.analytic = analytic;
    report_.numeric = found.numeric;
    report_.step = seen.steps.back();
    report_.observed_order = found.order;
    const auto name = [&](const char* what, std::size_t number, const Shape& shape) {
      if (numel(shape) > options_.full_up_to)
        return fmt::format("{} along random direction {}", what, number);
      return fmt::format("{}[{}] of shape {}", what, number, to_string(shape));
    };
    const std::string subject =
        fmt::format("derivative of {} by {}", name("output", p, y_.shape()),
                    name(fmt::format("input {}", input).c_str(), direction, inputs_[input].shape()));
    if (found.verdict == Gradcheck::kink) {
      return fail(
          Gradcheck::kink,
          fmt::format("kink: the {} has one-sided differences that disagree by {:.3g} at step {:.2g}; "
                      "check at another point",
                      subject, std::abs(seen.jump.back()[p]), report_.step));
    }
    return fail(
        Gradcheck::wrong,
        fmt::format("wrong: the {} is {:.10g} analytically and {:.10g} numerically (steps down to {:.2g}, "
                    "observed order {:.2f}, expected 2)",
                    subject, analytic, found.numeric, report_.step, found.order));
  }

  // <u, J v> = <J' u, v>: needs no step, and holds to rounding.
  bool examine_adjoint(std::size_t input) {
    const Tensor& x = inputs_[input];
    const Values u = random_values(y_.numel(), random_), v = random_values(x.numel(), random_);
    const Values pushed = jvp(y_, x, constant(v, x.shape())).to_vector<double>();
    const Values pulled = gradients(y_, {x}, constant(u, y_.shape()))[0].to_vector<double>();
    const double forward = dot(u, pushed), reverse = dot(pulled, v);
    const double magnitude =
        std::sqrt(dot(u, u) * dot(pushed, pushed)) + std::sqrt(dot(v, v) * dot(pulled, pulled));
    const double tolerance = 1e-9 * magnitude + rounding * std::sqrt(dot(u, u) * dot(v, v));
    if (std::abs(forward - reverse) <= tolerance) return true;
    report_.input = input;
    report_.analytic = reverse;
    report_.numeric = forward;
    return fail(
        Gradcheck::adjoint,
        fmt::format("forward and reverse mode differ for input {}: <u, J v> is {:.17g}, <J' u, v> {:.17g}; "
                    "is the vjp linear in its cotangent?",
                    input, forward, reverse));
  }

  // The gradient is a function like any other.
  bool examine_gradients() {
    const Tensor cotangent = constant(random_values(y_.numel(), random_), y_.shape());
    for (std::size_t input : moved_) {
      const auto gradient = [f = f_, cotangent, input](std::span<const Tensor> inputs) {
        return gradients(f(inputs), {inputs[input]}, cotangent, Unconnected::zeros)[0];
      };
      Check next(gradient, inputs_, options_, order_ + 1);
      next.name_ = fmt::format("{}, gradient by input {}", name_, input);
      report_ = next.run();
      if (!report_.ok) return false;
    }
    return true;
  }

  GradcheckFunction f_;
  std::vector<Tensor> inputs_;
  GradcheckOptions options_;
  int order_;
  std::mt19937_64 random_;
  std::vector<std::size_t> moved_;  // which inputs
  std::string name_ = "gradcheck";
  Tensor y_;
  Values base_;
  std::vector<Values> probes_;  // cotangents of y
  GradcheckReport report_;
};

}  // namespace

GradcheckReport gradcheck(const GradcheckFunction& f, const std::vector<Tensor>& inputs,
                          const GradcheckOptions& options) {
  if (std::none_of(inputs.begin(), inputs.end(), Check::is_moved)) {
    throw ValueError("gradcheck: no input is a float64 variable: variable(values, DType::float64)");
  }
  if (options.order < 1 || options.directions < 1 || options.full_up_to < 0 || options.step <= 0 ||
      options.step >= 1 || std::isnan(options.step)) {
    throw ValueError(
        "gradcheck: order and directions must be at least 1, full_up_to at least 0, and 0 < step < 1");
  }
  return Check(f, inputs, options, 1).run();
}

std::ostream& operator<<(std::ostream& out, const GradcheckReport& report) { return out << report.message; }

}  // namespace gradweave
