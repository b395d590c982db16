// compile: a function of tensors that is looked at once and then runs without building any graph.
#pragma once
#include <algorithm>
#include <array>
#include <concepts>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include <gradweave/graph/tensor.hpp>

namespace gradweave {

class Plan;
struct PlanReport;

struct CompileOptions {
  /// Calls the function at each call to compare the graph that it builds then, and what that reads beside
  /// arguments and parameters, with the first one. For finding a number, a flag or a tensor that was meant to
  /// change: GraphError then names the line.
  bool verify = false;
};

/// What `Compiled` keeps of a function: a program for each kind of arguments.
class CompiledFunction {
 public:
  using Call = std::vector<Tensor> (*)(void* function, std::span<const Tensor> arguments);

  explicit CompiledFunction(const CompileOptions& options = {});
  CompiledFunction(CompiledFunction&&) noexcept;
  CompiledFunction& operator=(CompiledFunction&&) noexcept;
  ~CompiledFunction();

  using Give = void (*)(void* to, std::span<const Tensor> results);
  /// Gives the results of `call(function, arguments)`, which the next run may overwrite unless somebody holds
  /// them by then. Throws GraphError while it runs in another thread, or in this one.
  void run(Call call, void* function, std::span<const Tensor> arguments, Give give, void* to);
  /// How many kinds of arguments it has met.
  std::size_t programs() const;
  /// Of the latest call. Throws GraphError before the first one.
  const Plan& plan() const;

 private:
  struct Version;
  struct State;
  std::unique_ptr<State> state_;
};

/// See `compile`.
template <class F>
class Compiled {
 public:
  explicit Compiled(F f, const CompileOptions& options = {})
      : f_(std::make_unique<F>(std::move(f))), function_(std::make_unique<CompiledFunction>(options)) {}

  template <std::convertible_to<const Tensor&>... Arguments>
  auto operator()(const Arguments&... arguments) const {
    using Result = std::invoke_result_t<F&, std::conditional_t<true, const Tensor&, Arguments>...>;
    const std::array<Tensor, sizeof...(arguments)> all{static_cast<const Tensor&>(arguments)...};
    const auto call = [](void* f, std::span<const Tensor> x) {
      return [&]<std::size_t... I>(std::index_sequence<I...>) -> std::vector<Tensor> {
        F& function = *static_cast<F*>(f);
        if constexpr (std::is_void_v<Result>) {
          function(x[I]...);
          return {};
        } else if constexpr (std::convertible_to<Result, Tensor>) {
          return {function(x[I]...)};
        } else {
          auto list = function(x[I]...);
          return {list.begin(), list.end()};
        }
      }(std::make_index_sequence<sizeof...(Arguments)>());
    };
    if constexpr (std::is_void_v<Result>) {
      function_->run(
          call, f_.get(), all, [](void*, std::span<const Tensor>) {}, nullptr);
    } else {
      using Given = std::conditional_t<std::convertible_to<Result, Tensor>, Tensor, Result>;
      Given given{};
      const auto give = [](void* to, std::span<const Tensor> results) {
        Given& result = *static_cast<Given*>(to);
        if constexpr (std::same_as<Given, Tensor>) {
          result = results[0];
        } else if constexpr (requires { result.assign(results.begin(), results.end()); }) {
          result.assign(results.begin(), results.end());
        } else {
          std::copy(results.begin(), results.end(), result.begin());  // std::array
        }
      };
      function_->run(call, f_.get(), all, give, &given);
      return given;
    }
  }

  /// How many kinds of arguments (shapes, dtypes, layouts) it has met: each has a program of its own.
  std::size_t programs() const { return function_->programs(); }
  /// What the latest call ran (report/explain.hpp). Throws GraphError before the first call.
  template <std::same_as<PlanReport> Report = PlanReport, std::same_as<Plan> P = Plan>
  Report explain() const {
    const P& plan = function_->plan();
    return explain_plan(plan);  // of the header that only those include who ask
  }

 private:
  std::unique_ptr<F> f_;
  std::unique_ptr<CompiledFunction> function_;
};

/// A function that does what `f` does: `f` maps tensors to a tensor, a std::vector or std::array of tensors,
/// or nothing, and may take steps with optimizers. The first call with arguments of some shapes and dtypes
/// runs `f` to see which graph it builds; each further call runs that program on its arguments, on the
/// parameters as they are then, and with fresh random numbers, without calling `f` again or building a graph:
/// results are the same bit for bit. So `f` must do the same each time: no printing, no branches on values.
/// Evaluating a tensor inside `f` (`item`, `to_vector`, printing) throws GraphError, as does reading an
/// argument or a parameter, assigning to one, or a second step with the same parameter.
///
/// A common beginner's error: a number, a flag or a tensor that `f` captures is frozen at the first call:
/// what is neither an argument nor a parameter keeps the value that it had then. Make what changes an
/// argument; `compile(f, {.verify = true})` finds what was forgotten. Results have no history: gradients
/// through one are an error, take `detach(result)` for one that is meant as data.
///
///     auto step = compile([&](const Tensor& x, const Tensor& y) {
///       Tensor loss = nn::cross_entropy(net(x), y);
///       optimizer.minimize(loss);
///       return loss;
///     });
///     for (auto [x, y] : loader) total += step(x, y).item();
///
/// What `f` refers to must outlive it. One thread at a time may call it: a second one gets an error. Another
/// one compiled from the same network may run meanwhile, and one thread train it while others infer: a run
/// reads each parameter as it is before a step or after it, never in between.
template <class F>
Compiled<F> compile(F f, const CompileOptions& options = {}) {
  return Compiled<F>(std::move(f), options);
}

}  // namespace gradweave
