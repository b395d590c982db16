#include <gradweave/ops/elementwise.hpp>

#include <cmath>
#include <numbers>

#include <fmt/format.h>
#include <unsupported/Eigen/SpecialFunctions>

#include <gradweave/graph/define.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/kernels/elementary.hpp>

namespace gradweave {
namespace {

Tensor sigmoid_vjp(const Operand& g, const Operand& y);
Tensor tanh_vjp(const Operand& g, const Operand& y);
Tensor relu_vjp(const Operand& g, const Operand& x);
Tensor prefer(const Operand& a, const Operand& b);
Tensor scale(const Operand& x, double factor);

struct Subtract {
  static constexpr std::string_view name = "subtract";
  static constexpr DTypes dtypes = numeric;
  static auto forward(const auto& a, const auto& b) noexcept { return a - b; }
  static Tensor vjp(std::size_t i, const Tensor& g, const Tensor&, const Tensor&, const Tensor&) {
    return i == 0 ? g : -g;
  }
  static Samples samples() { return {{uniform(-2, 2), uniform(-2, 2, {3})}}; }
};

struct Multiply {
  static constexpr std::string_view name = "multiply";
  static constexpr double identity = 1;
  static constexpr DTypes dtypes = any_dtype;
  static auto forward(const auto& a, const auto& b) noexcept { return a * b; }
  static Tensor vjp(std::size_t i, const Tensor& g, const Tensor& a, const Tensor& b, const Tensor&) {
    return g * (i == 0 ? b : a);
  }
  static Samples samples() { return {{uniform(-2, 2), uniform(-2, 2, {2, 1})}}; }
};

struct Scale {
  double factor;
  static constexpr std::string_view name = "scale";
  template <class X>
  auto forward(const X& x) const noexcept {
    return x * static_cast<typename X::Scalar>(factor);
  }
  Tensor vjp(const Tensor& g, const Tensor&, const Tensor&) const { return scale(g, factor); }
  static SamplesOf<Scale> samples() { return {{{-1.5}, {uniform(-2, 2)}}}; }
};

struct Divide {
  static constexpr std::string_view name = "divide";
  static auto forward(const auto& a, const auto& b) noexcept { return a / b; }
  static Tensor vjp(std::size_t i, const Tensor& g, const Tensor&, const Tensor& b, const Tensor& y) {
    return i == 0 ? g / b : -(g * y / b);
  }
  static Samples samples() {
    return {{uniform(-2, 2), uniform(0.5, 2, {3})}, {uniform(-2, 2, {}), uniform(-2, -0.5)}};
  }
};

struct DivideByNumber {
  double divisor;
  static constexpr std::string_view name = "divide_number";
  template <class X>
  auto forward(const X& x) const noexcept {
    return x / static_cast<typename X::Scalar>(divisor);
  }
  Tensor vjp(const Tensor& g, const Tensor&, const Tensor&) const { return g / divisor; }
  static SamplesOf<DivideByNumber> samples() { return {{{-1.5}, {uniform(-2, 2)}}}; }
};

struct Negative {
  static constexpr std::string_view name = "negative";
  static constexpr DTypes dtypes = numeric;
  template <class X>
  static auto forward(const X& x) noexcept {
    return x * typename X::Scalar(-1);  // Eigen's minus subtracts from 0, which loses the sign of a zero
  }
  static Tensor vjp(const Tensor& g, const Tensor&, const Tensor&) { return -g; }
  static Samples samples() { return {{uniform(-2, 2)}}; }
};

struct Equal {
  static constexpr std::string_view name = "equal";
  static constexpr DTypes dtypes = any_dtype;
  static auto forward(const auto& a, const auto& b) noexcept { return a == b; }
  static Samples samples() { return {{integers(0, 3), integers(0, 3, {3})}}; }
};

struct NotEqual {
  static constexpr std::string_view name = "not_equal";
  static constexpr DTypes dtypes = any_dtype;
  static auto forward(const auto& a, const auto& b) noexcept { return a != b; }
  static Samples samples() { return {{integers(0, 3), integers(0, 3, {3})}}; }
};

struct Less {
  static constexpr std::string_view name = "less";
  static constexpr bool ordered = true;
  static constexpr DTypes dtypes = any_dtype;
  static auto forward(const auto& a, const auto& b) noexcept { return a < b; }
  static Samples samples() { return {{uniform(-2, 2), uniform(-2, 2, {3})}}; }
};

struct LessEqual {
  static constexpr std::string_view name = "less_equal";
  static constexpr bool ordered = true;
  static constexpr DTypes dtypes = any_dtype;
  static auto forward(const auto& a, const auto& b) noexcept { return a <= b; }
  static Samples samples() { return {{integers(0, 3), integers(0, 3, {3})}}; }
};

struct LogicalAnd {
  static constexpr std::string_view name = "logical_and";
  static constexpr DTypes dtypes = only(DType::bool_);
  static auto forward(const auto& a, const auto& b) noexcept { return a && b; }
  static Samples samples() { return {{booleans(), booleans({3})}}; }
};

struct LogicalOr {
  static constexpr std::string_view name = "logical_or";
  static constexpr DTypes dtypes = only(DType::bool_);
  static auto forward(const auto& a, const auto& b) noexcept { return a || b; }
  static Samples samples() { return {{booleans(), booleans({3})}}; }
};

// Numbers stand for whether they are not zero.
Operand truth(const Operand& x, std::string_view op, Tensor& keep) {
  if (x.tensor() == nullptr) return {x.number() != 0, x.where()};
  if (tensor_of(x, op).dtype() == DType::bool_) return x;
  keep = apply<NotEqual>(x, Operand(0, x.where()));
  return {keep, x.where()};
}

struct Sign {
  static constexpr std::string_view name = "sign";
  static constexpr DTypes dtypes = numeric;
  template <class X>
  static auto forward(const X& x) noexcept {
    using T = typename X::Scalar;
    return (x > T(0)).template cast<T>() - (x < T(0)).template cast<T>();
  }
  static Tensor vjp(const Tensor&, const Tensor&, const Tensor&) { return {}; }
  static Samples samples() { return {{uniform(-2, 2)}}; }
};

struct Abs {
  static constexpr std::string_view name = "abs";
  static constexpr DTypes dtypes = numeric;
  static auto forward(const auto& x) noexcept { return x.abs(); }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return g * sign(x); }
  static Samples samples() { return {{uniform(0.3, 2)}, {uniform(-2, -0.3)}}; }
};

struct Exp {
  static constexpr std::string_view name = "exp";
  static auto forward(const auto& x) noexcept { return exp_of(x); }
  static Tensor vjp(const Tensor& g, const Tensor&, const Tensor& y) { return g * y; }
  static Samples samples() { return {{uniform(-2, 2)}}; }
};

struct Expm1 {
  static constexpr std::string_view name = "expm1";
  static auto forward(const auto& x) noexcept { return expm1_of(x); }
  static Tensor vjp(const Tensor& g, const Tensor&, const Tensor& y) { return g * (y + 1); }
  static Samples samples() { return {{uniform(-2, 2)}}; }
};

struct Log {
  static constexpr std::string_view name = "log";
  static auto forward(const auto& x) noexcept { return x.log(); }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return g / x; }
  static Samples samples() { return {{uniform(0.5, 3)}}; }
};

struct Log1p {
  static constexpr std::string_view name = "log1p";
  static auto forward(const auto& x) noexcept { return x.log1p(); }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return g / (x + 1); }
  static Samples samples() { return {{uniform(-0.5, 3)}}; }
};

struct Sqrt {
  static constexpr std::string_view name = "sqrt";
  static auto forward(const auto& x) noexcept { return sqrt_of(x); }
  static Tensor vjp(const Tensor& g, const Tensor&, const Tensor& y) { return g * 0.5 / y; }
  static Samples samples() { return {{uniform(0.5, 3)}}; }
};

struct Square {
  static constexpr std::string_view name = "square";
  static constexpr DTypes dtypes = numeric;
  static auto forward(const auto& x) noexcept { return x.square(); }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return g * scale(x, 2); }
  static Samples samples() { return {{uniform(-2, 2)}}; }
};

struct Power {
  static constexpr std::string_view name = "pow";
  template <class X>
  static auto forward(const X& a, const X& b) noexcept {
    return a.binaryExpr(b, detail::Pow<typename X::Scalar>());
  }
  static Tensor vjp(std::size_t i, const Tensor& g, const Tensor& a, const Tensor& b, const Tensor& y) {
    if (i == 0) return g * where(b == 0, 0, b * pow(a, where(b == 0, 1, b) - 1));
    const Tensor at_zero = a == 0;
    return g * where(at_zero, 0, y * log(where(at_zero, 1, a)));
  }
  static Samples samples() { return {{uniform(0.5, 2), uniform(-2, 3, {3})}}; }
};

struct PowerOfNumber {
  double exponent;
  static constexpr std::string_view name = "pow_number";
  template <class X>
  auto forward(const X& x) const noexcept {
    return pow_of(x, exponent);
  }
  Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) const {
    return g * scale(pow(x, exponent - 1), exponent);
  }
  static SamplesOf<PowerOfNumber> samples() { return {{{3}, {uniform(-2, 2)}}, {{-1.5}, {uniform(0.5, 2)}}}; }
};

struct Sin {
  static constexpr std::string_view name = "sin";
  static auto forward(const auto& x) noexcept { return x.sin(); }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return g * cos(x); }
  static Samples samples() { return {{uniform(-3, 3)}}; }
};

struct Cos {
  static constexpr std::string_view name = "cos";
  static auto forward(const auto& x) noexcept { return x.cos(); }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return -(g * sin(x)); }
  static Samples samples() { return {{uniform(-3, 3)}}; }
};

struct Tanh {
  static constexpr std::string_view name = "tanh";
  static auto forward(const auto& x) noexcept { return x.tanh(); }
  static Tensor vjp(const Tensor& g, const Tensor&, const Tensor& y) { return tanh_vjp(g, y); }
  static Samples samples() { return {{uniform(-3, 3)}}; }
};

// The derivatives of tanh, sigmoid and relu as ops of their own: a training step is mostly these.
struct TanhVjp {
  static constexpr std::string_view name = "tanh_vjp";
  template <class X>
  static auto forward(const X& g, const X& y) noexcept {
    return g * (typename X::Scalar(1) - y.square());
  }
  static Tensor vjp(std::size_t i, const Tensor& h, const Tensor& g, const Tensor& y, const Tensor&) {
    return i == 0 ? tanh_vjp(h, y) : scale(h * g * y, -2);
  }
  static Samples samples() { return {{uniform(-2, 2), uniform(-0.9, 0.9)}}; }
};

// Eigen's logistic() is thousands of ulp off in its left tail; this form is within 3.
struct Sigmoid {
  static constexpr std::string_view name = "sigmoid";
  template <class X>
  static auto forward(const X& x) noexcept {
    return (typename X::Scalar(1) + exp_of(-x)).inverse();
  }
  static Tensor vjp(const Tensor& g, const Tensor&, const Tensor& y) { return sigmoid_vjp(g, y); }
  static Samples samples() { return {{uniform(-5, 5)}}; }
};

struct SigmoidVjp {
  static constexpr std::string_view name = "sigmoid_vjp";
  template <class X>
  static auto forward(const X& g, const X& y) noexcept {
    return g * y * (typename X::Scalar(1) - y);
  }
  static Tensor vjp(std::size_t i, const Tensor& h, const Tensor& g, const Tensor& y, const Tensor&) {
    return i == 0 ? sigmoid_vjp(h, y) : h * g * (1 - scale(y, 2));
  }
  static Samples samples() { return {{uniform(-2, 2), uniform(0.1, 0.9)}}; }
};

struct Relu {
  static constexpr std::string_view name = "relu";
  static constexpr DTypes dtypes = numeric;
  template <class X>
  static auto forward(const X& x) noexcept {
    return larger(x, filled(x, 0));
  }
  // The output says as much as the input, and the next op reads it too: one of them less to keep.
  static Tensor vjp(const Tensor& g, const Tensor&, const Tensor& y) { return relu_vjp(g, y); }
  static Samples samples() { return {{uniform(0.3, 2)}, {uniform(-3, 3)}}; }
};

struct ReluVjp {
  static constexpr std::string_view name = "relu_vjp";
  template <class X>
  static auto forward(const X& g, const X& x) noexcept {
    return select(x > typename X::Scalar(0), g, filled(g, 0));
  }
  static Tensor vjp(std::size_t i, const Tensor& h, const Tensor&, const Tensor& x, const Tensor&) {
    return i == 0 ? relu_vjp(h, x) : Tensor();
  }
  static Samples samples() { return {{uniform(-2, 2), uniform(-3, 3)}}; }
};

struct Softplus {
  static constexpr std::string_view name = "softplus";
  template <class X>
  static auto forward(const X& x) noexcept {
    return larger(x, filled(x, 0)) + exp_of(-x.abs()).log1p();
  }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return g * sigmoid(x); }
  static Samples samples() { return {{uniform(-6, 6)}}; }
};

struct Erf {
  static constexpr std::string_view name = "erf";
  template <class X>
  static auto forward(const X& x) noexcept {
    return x.erf();
  }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) {
    return g * scale(exp(-square(x)), 2 * std::numbers::inv_sqrtpi);
  }
  static Samples samples() { return {{uniform(-3, 3)}}; }
};

struct Maximum {
  static constexpr std::string_view name = "maximum";
  static constexpr bool ordered = true;
  static constexpr DTypes dtypes = numeric;
  static auto forward(const auto& a, const auto& b) noexcept { return larger(a, b); }
  static Tensor vjp(std::size_t i, const Tensor& g, const Tensor& a, const Tensor& b, const Tensor&) {
    return g * (i == 0 ? prefer(a, b) : prefer(b, a));
  }
  static Samples samples() { return {{uniform(-2, 2), uniform(-2, 2, {3})}}; }
};

struct Minimum {
  static constexpr std::string_view name = "minimum";
  static constexpr bool ordered = true;
  static constexpr DTypes dtypes = numeric;
  static auto forward(const auto& a, const auto& b) noexcept { return smaller(a, b); }
  static Tensor vjp(std::size_t i, const Tensor& g, const Tensor& a, const Tensor& b, const Tensor&) {
    return g * (i == 0 ? prefer(b, a) : prefer(a, b));
  }
  static Samples samples() { return {{uniform(-2, 2), uniform(-2, 2, {3})}}; }
};

// 1 where a > b, 1/2 where they are equal, 0 elsewhere: the share of the cotangent that a maximum gives to a.
struct Prefer {
  static constexpr std::string_view name = "prefer";
  template <class X>
  static auto forward(const X& a, const X& b) noexcept {
    using T = typename X::Scalar;
    return (a > b).template cast<T>() + (a == b).template cast<T>() * T(0.5);
  }
  static Tensor vjp(std::size_t, const Tensor&, const Tensor&, const Tensor&, const Tensor&) { return {}; }
  static Samples samples() { return {{uniform(-2, 2), uniform(-2, 2)}}; }
};

struct Where {
  static constexpr std::string_view name = "where";
  static constexpr DTypes dtypes = any_dtype;
  static constexpr std::array<std::optional<DType>, 1> fixed{DType::bool_};
  static auto forward(const auto& condition, const auto& a, const auto& b) noexcept {
    return select(condition, a, b);
  }
  static Tensor vjp(std::size_t i, const Tensor& g, const Tensor& condition, const Tensor&, const Tensor&,
                    const Tensor&) {
    return i == 1 ? where(condition, g, 0) : where(condition, 0, g);
  }
  static Samples samples() { return {{booleans(), uniform(-2, 2), uniform(-2, 2, {3})}}; }
};

struct Clamp {
  double low, high;
  static constexpr std::string_view name = "clamp";
  static constexpr DTypes dtypes = numeric;
  template <class X>
  auto forward(const X& x) const noexcept {
    using T = typename X::Scalar;
    if constexpr (std::is_same_v<T, Index>) {  // the whole numbers in between
      return smaller(larger(x, filled(x, convert<T>(std::ceil(low)))),
                     filled(x, convert<T>(std::floor(high))));
    } else {
      return smaller(larger(x, filled(x, static_cast<T>(low))), filled(x, static_cast<T>(high)));
    }
  }
  Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) const {
    return where((x >= low) * (x <= high), g, 0);
  }
  static SamplesOf<Clamp> samples() { return {{{-1, 1}, {uniform(-3, 3)}}}; }
};

Tensor sigmoid_vjp(const Operand& g, const Operand& y) { return apply<SigmoidVjp>(g, y); }
Tensor tanh_vjp(const Operand& g, const Operand& y) { return apply<TanhVjp>(g, y); }
Tensor relu_vjp(const Operand& g, const Operand& x) { return apply<ReluVjp>(g, x); }
Tensor prefer(const Operand& a, const Operand& b) { return apply<Prefer>(a, b); }
Tensor scale(const Operand& x, double factor) { return apply(Scale{factor}, {x}); }

// Its kernels would take the upper half of uint64 for negative.
bool is_uint64(const Operand& x) {
  return x.tensor() != nullptr && !x.tensor()->is_empty() && x.tensor()->dtype() == DType::uint64;
}

bool is_floating_tensor(const Operand& x) {
  return x.tensor() != nullptr && !x.tensor()->is_empty() && is_floating(x.tensor()->dtype());
}

}  // namespace

// A number beside a tensor is an attribute and no node; which op that makes is decided by the number alone,
// never by what is behind the tensor: that is left to rewrites.
Tensor subtract(const Operand& a, const Operand& b) { return apply<Subtract>(a, b); }
Tensor multiply(const Operand& a, const Operand& b) {
  if (b.tensor() == nullptr && is_floating_tensor(a)) return scale(a, b.number());
  if (a.tensor() == nullptr && is_floating_tensor(b)) return scale(b, a.number());
  return apply<Multiply>(a, b);
}
Tensor divide(const Operand& a, const Operand& b) {
  if (b.tensor() == nullptr && is_floating_tensor(a)) return apply(DivideByNumber{b.number()}, {a});
  return apply<Divide>(a, b);
}
Tensor negative(const Operand& x) { return apply<Negative>(x); }
Tensor equal(const Operand& a, const Operand& b) { return apply<Equal>(a, b); }
Tensor not_equal(const Operand& a, const Operand& b) { return apply<NotEqual>(a, b); }
Tensor less(const Operand& a, const Operand& b) { return apply<Less>(a, b); }
Tensor less_equal(const Operand& a, const Operand& b) { return apply<LessEqual>(a, b); }
Tensor greater(const Operand& a, const Operand& b) { return apply<Less>(b, a); }
Tensor greater_equal(const Operand& a, const Operand& b) { return apply<LessEqual>(b, a); }
Tensor logical_and(const Operand& a, const Operand& b) {
  Tensor keep_a, keep_b;
  return apply<LogicalAnd>(truth(a, "logical_and", keep_a), truth(b, "logical_and", keep_b));
}
Tensor logical_or(const Operand& a, const Operand& b) {
  Tensor keep_a, keep_b;
  return apply<LogicalOr>(truth(a, "logical_or", keep_a), truth(b, "logical_or", keep_b));
}
Tensor logical_xor(const Operand& a, const Operand& b) {
  Tensor keep_a, keep_b;
  return apply<NotEqual>(truth(a, "logical_xor", keep_a), truth(b, "logical_xor", keep_b));
}
Tensor logical_not(const Operand& x) {
  Tensor keep;
  return apply<Equal>(truth(x, "logical_not", keep), Operand(false, x.where()));
}
Tensor sign(const Operand& x) {
  return is_uint64(x) ? cast(not_equal(x, Operand(0, x.where())), DType::uint64) : apply<Sign>(x);
}
Tensor abs(const Operand& x) { return is_uint64(x) ? *x.tensor() : apply<Abs>(x); }
Tensor exp(const Operand& x) { return apply<Exp>(x); }
Tensor expm1(const Operand& x) { return apply<Expm1>(x); }
Tensor log(const Operand& x) { return apply<Log>(x); }
Tensor log1p(const Operand& x) { return apply<Log1p>(x); }
Tensor sqrt(const Operand& x) { return apply<Sqrt>(x); }
Tensor square(const Operand& x) { return apply<Square>(x); }
Tensor pow(const Operand& x, const Operand& y) {
  if (y.tensor() != nullptr || x.tensor() == nullptr) return apply<Power>(x, y);
  if (y.number() == 0)
    return full(x.tensor()->shape(), 1, is_floating_tensor(x) ? x.tensor()->dtype() : default_dtype());
  if (y.number() == 1 && is_floating_tensor(x)) return *x.tensor();
  if (y.number() == 2 && is_floating_tensor(x)) return square(x);
  return apply(PowerOfNumber{y.number()}, {x});
}
Tensor sin(const Operand& x) { return apply<Sin>(x); }
Tensor cos(const Operand& x) { return apply<Cos>(x); }
Tensor tanh(const Operand& x) { return apply<Tanh>(x); }
Tensor sigmoid(const Operand& x) { return apply<Sigmoid>(x); }
Tensor relu(const Operand& x) { return is_uint64(x) ? *x.tensor() : apply<Relu>(x); }
Tensor softplus(const Operand& x) { return apply<Softplus>(x); }
Tensor erf(const Operand& x) { return apply<Erf>(x); }
Tensor maximum(const Operand& a, const Operand& b) { return apply<Maximum>(a, b); }
Tensor minimum(const Operand& a, const Operand& b) { return apply<Minimum>(a, b); }
Tensor where(const Operand& condition, const Operand& a, const Operand& b) {
  return apply<Where>(condition, a, b);
}
Tensor clamp(const Operand& x, double low, double high) {
  if (!(low <= high))
    refuse<ValueError>("clamp", {x}, fmt::format("low {} is not at most high {}", low, high));
  if (!is_uint64(x)) return apply(Clamp{low, high}, {x});
  const Tensor least = full({}, std::max(std::ceil(low), 0.0), DType::uint64),
               most = full({}, std::max(std::floor(high), 0.0), DType::uint64);
  return minimum(Operand(maximum(x, Operand(least, x.where())), x.where()), Operand(most, x.where()));
}

std::vector<const Operation*> elementwise_operations() {
  return {&operation_of<Subtract>(),
          &operation_of<Multiply>(),
          &operation_of<Scale>(),
          &operation_of<Divide>(),
          &operation_of<DivideByNumber>(),
          &operation_of<Negative>(),
          &operation_of<Equal>(),
          &operation_of<NotEqual>(),
          &operation_of<Less>(),
          &operation_of<LessEqual>(),
          &operation_of<LogicalAnd>(),
          &operation_of<LogicalOr>(),
          &operation_of<Sign>(),
          &operation_of<Abs>(),
          &operation_of<Exp>(),
          &operation_of<Expm1>(),
          &operation_of<Log>(),
          &operation_of<Log1p>(),
          &operation_of<Sqrt>(),
          &operation_of<Square>(),
          &operation_of<Power>(),
          &operation_of<PowerOfNumber>(),
          &operation_of<Sin>(),
          &operation_of<Cos>(),
          &operation_of<Tanh>(),
          &operation_of<TanhVjp>(),
          &operation_of<Sigmoid>(),
          &operation_of<SigmoidVjp>(),
          &operation_of<Relu>(),
          &operation_of<ReluVjp>(),
          &operation_of<Softplus>(),
          &operation_of<Erf>(),
          &operation_of<Maximum>(),
          &operation_of<Minimum>(),
          &operation_of<Prefer>(),
          &operation_of<Where>(),
          &operation_of<Clamp>()};
}

}  // namespace gradweave
