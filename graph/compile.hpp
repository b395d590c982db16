// compile: a function of tensors that is looked at once and then runs without building any graph.
#pragma once
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
PlanReport explain_plan(const Plan& plan);

/// What `Compiled` keeps of a function: a program for each kind of arguments.
class CompiledFunction {
 public:
  using Call = std::vector<Tensor> (*)(void* function, std::span<const Tensor> arguments);

  CompiledFunction();
  CompiledFunction(CompiledFunction&&) noexcept;
  CompiledFunction& operator=(CompiledFunction&&) noexcept;
  ~CompiledFunction();

  /// The results of `call(function, arguments)`, whose values may be overwritten by the next run unless
  /// somebody else holds them, too.
  std::span<const Tensor> run(Call call, void* function, std::span<const Tensor> arguments);
  /// How many kinds of arguments it has met.
  std::size_t programs() const;
  /// Of the latest call. Throws GraphError before the first one.
  const Plan& plan() const;

 private:
  struct Version;
  std::vector<std::shared_ptr<Version>> versions_;
  std::shared_ptr<const Version> latest_;  // that ran
  std::vector<Tensor> inlined_;
};

/// See `compile`.
template <class F>
class Compiled {
 public:
  explicit Compiled(F f) : f_(std::make_unique<F>(std::move(f))) {}

  template <std::convertible_to<const Tensor&>... Arguments>
  auto operator()(const Arguments&... arguments) {
    using Result = std::invoke_result_t<F&, std::conditional_t<true, const Tensor&, Arguments>...>;
    const std::array<Tensor, sizeof...(arguments)> all{static_cast<const Tensor&>(arguments)...};
    const std::span<const Tensor> results = function_.run(
        [](void* f, std::span<const Tensor> x) {
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
        },
        f_.get(), all);
    if constexpr (std::is_void_v<Result>) {
      return;
    } else if constexpr (std::convertible_to<Result, Tensor>) {
      return Tensor(results[0]);
    } else if constexpr (std::same_as<Result, std::vector<Tensor>>) {
      return Result(results.begin(), results.end());
    } else {
      Result list;  // std::array
      std::copy(results.begin(), results.end(), list.begin());
      return list;
    }
  }

  /// How many kinds of arguments (shapes, dtypes, layouts) it has met: each has a program of its own.
  std::size_t programs() const { return function_.programs(); }
  /// What the latest call ran (report/explain.hpp). Throws GraphError before the first call.
  template <std::same_as<PlanReport> Report = PlanReport>  // whose header only those include who ask
  Report explain() const {
    constexpr Report (*report_of)(const Plan&) = explain_plan;  // Clang would ask for the header right here
    return report_of(function_.plan());
  }

 private:
  std::unique_ptr<F> f_;
  CompiledFunction function_;
};

/// A function that does what `f` does: `f` maps tensors to a tensor, a std::vector or std::array of tensors,
/// or nothing, and may take steps with optimizers. The first call with arguments of some shapes and dtypes
/// runs `f` to see which graph it builds; each further call runs that program on its arguments, on the
/// parameters as they are then, and with fresh random numbers, without calling `f` again or building a graph:
/// results are the same bit for bit. So `f` must do the same each time: no printing, no branches on values.
/// Evaluating a tensor inside `f` (`item`, `to_vector`, printing) throws GraphError, as does reading an
/// argument or a parameter, assigning to one, or a second step with the same parameter. Tensors from outside
/// that are neither arguments nor parameters keep the values of the first call.
///
///     auto step = compile([&](const Tensor& x, const Tensor& y) {
///       Tensor loss = nn::cross_entropy(net(x), y);
///       optimizer.minimize(loss);
///       return loss;
///     });
///     for (auto [x, y] : loader) total += step(x, y).item();
///
/// What `f` refers to must outlive it. Belongs to one thread at a time.
template <class F>
Compiled<F> compile(F f) {
  return Compiled<F>(std::move(f));
}

}  // namespace gradweave
