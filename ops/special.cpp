#include <gradweave/ops/special.hpp>

#include <cmath>
#include <numbers>

#include <fmt/format.h>
#include <unsupported/Eigen/SpecialFunctions>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/graph/formula/special.hpp>
#include <gradweave/graph/formula/vocabulary.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/scalar_math.hpp>

namespace gradweave {
namespace {

// Computed as float64, whatever the dtype.
template <class T>
struct ErfInvOf {
  static constexpr ElementFunction function = ElementFunction::erfinv;
  T operator()(T a) const { return static_cast<T>(special::erfinv(a)); }
};
template <class T>
struct ErfcInvOf {
  static constexpr ElementFunction function = ElementFunction::erfcinv;
  T operator()(T a) const { return static_cast<T>(special::erfcinv(a)); }
};
template <class T>
struct LGammaOf {
  static constexpr ElementFunction function = ElementFunction::lgamma;
  T operator()(T a) const { return static_cast<T>(special::lgamma(a)); }
};
template <class T>
struct DigammaOf {
  static constexpr ElementFunction function = ElementFunction::digamma;
  T operator()(T a) const { return static_cast<T>(special::digamma(a)); }
};
template <class T>
struct PolygammaOf {
  static constexpr ElementFunction function = ElementFunction::polygamma;
  T operator()(T a, T b) const { return static_cast<T>(special::polygamma(a, b)); }
};
template <class T>
struct GammaIncOf {
  static constexpr ElementFunction function = ElementFunction::gammainc;
  T operator()(T a, T b) const { return static_cast<T>(special::gammainc(a, b)); }
};
template <class T>
struct GammaInccOf {
  static constexpr ElementFunction function = ElementFunction::gammaincc;
  T operator()(T a, T b) const { return static_cast<T>(special::gammaincc(a, b)); }
};
template <class T>
struct BetaIncOf {
  static constexpr ElementFunction function = ElementFunction::betainc;
  T operator()(T a, T b, T c) const { return static_cast<T>(special::betainc(a, b, c)); }
};
template <class T>
struct ErfcOf {
  static constexpr ElementFunction function = ElementFunction::erfc;
  T operator()(T x) const { return std::erfc(x); }
};

constexpr double root_of_pi = 1 / std::numbers::inv_sqrtpi;

struct Erfc {
  static constexpr std::string_view name = "erfc";
  template <class X>
  static auto forward(const X& x) noexcept {
    return x.unaryExpr(ErfcOf<typename X::Scalar>());
  }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) {
    return g * exp(-square(x)) * (-2 / root_of_pi);
  }
  static Samples samples() { return {{uniform(-2, 2)}}; }
};

struct ErfInv {
  static constexpr std::string_view name = "erfinv";
  template <class X>
  static auto forward(const X& x) noexcept {
    return x.unaryExpr(ErfInvOf<typename X::Scalar>());
  }
  static Tensor vjp(const Tensor& g, const Tensor&, const Tensor& y) {
    return g * exp(square(y)) * (root_of_pi / 2);
  }
  static Samples samples() { return {{uniform(-0.9, 0.9)}}; }
};

struct ErfcInv {
  static constexpr std::string_view name = "erfcinv";
  template <class X>
  static auto forward(const X& x) noexcept {
    return x.unaryExpr(ErfcInvOf<typename X::Scalar>());
  }
  static Tensor vjp(const Tensor& g, const Tensor&, const Tensor& y) {
    return g * exp(square(y)) * (-root_of_pi / 2);
  }
  static Samples samples() { return {{uniform(0.1, 1.9)}}; }
};

struct LGamma {
  static constexpr std::string_view name = "lgamma";
  template <class X>
  static auto forward(const X& x) noexcept {
    return x.unaryExpr(LGammaOf<typename X::Scalar>());
  }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return g * digamma(x); }
  static Samples samples() { return {{uniform(0.3, 4)}}; }
};

struct Digamma {
  static constexpr std::string_view name = "digamma";
  template <class X>
  static auto forward(const X& x) noexcept {
    return x.unaryExpr(DigammaOf<typename X::Scalar>());
  }
  static Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) { return g * polygamma(1, x); }
  static Samples samples() { return {{uniform(0.3, 4)}}; }
};

struct Polygamma {
  Index n;
  static constexpr std::string_view name = "polygamma";
  template <class X>
  auto forward(const X& x) const noexcept {
    using T = typename X::Scalar;
    return filled(x, static_cast<T>(n)).binaryExpr(x, PolygammaOf<T>());
  }
  Tensor vjp(const Tensor& g, const Tensor& x, const Tensor&) const { return g * polygamma(n + 1, x); }
  static SamplesOf<Polygamma> samples() { return {{{1}, {uniform(0.5, 4)}}, {{2}, {uniform(0.5, 4)}}}; }
};

[[noreturn]] void refuse_parameter(std::string_view op) {
  throw GraphError(fmt::format("{} has no derivative in its parameters, only in x: detach them", op));
}

struct GammaInc {
  static constexpr std::string_view name = "gammainc";
  template <class X>
  static auto forward(const X& a, const auto& x) noexcept {
    return a.binaryExpr(x, GammaIncOf<typename X::Scalar>());
  }
  // The density of the gamma distribution.
  static Tensor density(const Tensor& a, const Tensor& x) { return exp(xlogy(a - 1, x) - x - lgamma(a)); }
  static Tensor vjp(std::size_t i, const Tensor& g, const Tensor& a, const Tensor& x, const Tensor&) {
    if (i == 0) refuse_parameter(name);
    return g * density(a, x);
  }
  static std::vector<Sample> samples() { return in_x<GammaInc>(); }
  // With parameters that are data.
  template <class Op>
  static std::vector<Sample> in_x() {
    return {{{uniform(0.5, 3)}, [](std::span<const Tensor> in) {
               return gradweave::apply(Op{}, {cast(full({3}, 1.5), in[0].dtype()), in[0]});
             }}};
  }
};
struct GammaIncc {
  static constexpr std::string_view name = "gammaincc";
  template <class X>
  static auto forward(const X& a, const auto& x) noexcept {
    return a.binaryExpr(x, GammaInccOf<typename X::Scalar>());
  }
  static Tensor vjp(std::size_t i, const Tensor& g, const Tensor& a, const Tensor& x, const Tensor&) {
    if (i == 0) refuse_parameter(name);
    return -g * GammaInc::density(a, x);
  }
  static std::vector<Sample> samples() { return GammaInc::in_x<GammaIncc>(); }
};

struct BetaInc {
  static constexpr std::string_view name = "betainc";
  template <class X>
  static auto forward(const X& a, const auto& b, const auto& x) noexcept {
    using F = BetaIncOf<typename X::Scalar>;
    return Eigen::CwiseTernaryOp<F, const X, const std::remove_cvref_t<decltype(b)>,
                                 const std::remove_cvref_t<decltype(x)>>(a, b, x);
  }
  static Tensor vjp(std::size_t i, const Tensor& g, std::span<const Tensor> in, const Tensor&) {
    if (i < 2) refuse_parameter(name);
    const Tensor &a = in[0], &b = in[1], &x = in[2];
    return g * exp(xlogy(a - 1, x) + xlog1py(b - 1, -x) + lgamma(a + b) - lgamma(a) - lgamma(b));
  }
  static std::vector<Sample> samples() {
    return {{{uniform(0.1, 0.9)}, [](std::span<const Tensor> in) {
               const DType dtype = in[0].dtype();
               return gradweave::apply(BetaInc{},
                                       {cast(full({3}, 1.5), dtype), cast(full({3}, 2.5), dtype), in[0]});
             }}};
  }
};

}  // namespace

Tensor erfc(const Operand& x) { return apply<Erfc>(x); }
Tensor erfinv(const Operand& x) { return apply<ErfInv>(x); }
Tensor erfcinv(const Operand& x) { return apply<ErfcInv>(x); }
Tensor lgamma(const Operand& x) { return apply<LGamma>(x); }
Tensor digamma(const Operand& x) { return apply<Digamma>(x); }
Tensor polygamma(Index n, const Operand& x) {
  if (n < 0) refuse<ValueError>("polygamma", {x}, fmt::format("derivative number {}", n));
  return n == 0 ? digamma(x) : apply(Polygamma{n}, {x});
}
Tensor gammainc(const Operand& a, const Operand& x) { return apply<GammaInc>(a, x); }
Tensor gammaincc(const Operand& a, const Operand& x) { return apply<GammaIncc>(a, x); }
Tensor betainc(const Operand& a, const Operand& b, const Operand& x) { return apply<BetaInc>(a, b, x); }

Tensor ndtr(const Operand& x) { return erfc(x * (-1 / std::numbers::sqrt2)) * 0.5; }
Tensor ndtri(const Operand& p) { return erfcinv(p * 2) * -std::numbers::sqrt2; }

Tensor mvlgamma(const Operand& x, Index p) {
  if (p < 1) refuse<ValueError>("mvlgamma", {x}, fmt::format("order {}", p));
  Tensor y = lgamma(x) + static_cast<double>(p * (p - 1)) / 4 * std::log(std::numbers::pi);
  for (Index j = 1; j < p; ++j) y = y + lgamma(x - static_cast<double>(j) / 2);
  return y;
}
Tensor entr(const Operand& x) {
  return where(less(x, 0), -std::numeric_limits<double>::infinity(), -xlogy(x, x));
}

std::vector<const Operation*> special_operations() {
  return {&operation_of<Erfc>(),     &operation_of<ErfInv>(),    &operation_of<ErfcInv>(),
          &operation_of<LGamma>(),   &operation_of<Digamma>(),   &operation_of<Polygamma>(),
          &operation_of<GammaInc>(), &operation_of<GammaIncc>(), &operation_of<BetaInc>()};
}

}  // namespace gradweave
