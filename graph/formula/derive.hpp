// The terms of an array expression, read off its type and its numbers. Part of define.hpp.
#pragma once
#include <concepts>
#include <string_view>
#include <tuple>
#include <type_traits>

#include <Eigen/Core>

#include <gradweave/graph/formula/builder.hpp>
#include <gradweave/graph/formula/function.hpp>
#include <gradweave/graph/formula/symbol.hpp>

namespace gradweave::detail {

// The functors of Eigen that are functions of the table.
template <class F>
inline constexpr ElementFunction function_of = ElementFunction::hidden;

template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_opposite_op<T>> =
    ElementFunction::negative;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_abs_op<T>> = ElementFunction::abs;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_sign_op<T>> = ElementFunction::sign;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_floor_op<T>> = ElementFunction::floor;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_ceil_op<T>> = ElementFunction::ceil;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_rint_op<T>> = ElementFunction::rint;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_round_op<T>> = ElementFunction::round;
template <class From, class To>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_cast_op<From, To>> =
    ElementFunction::cast;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_sqrt_op<T>> = ElementFunction::sqrt;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_rsqrt_op<T>> = ElementFunction::rsqrt;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_exp_op<T>> = ElementFunction::exp;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_expm1_op<T>> = ElementFunction::expm1;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_log_op<T>> = ElementFunction::log;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_log1p_op<T>> = ElementFunction::log1p;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_log2_op<T>> = ElementFunction::log2;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_log10_op<T>> = ElementFunction::log10;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_sin_op<T>> = ElementFunction::sin;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_cos_op<T>> = ElementFunction::cos;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_tan_op<T>> = ElementFunction::tan;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_asin_op<T>> = ElementFunction::asin;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_acos_op<T>> = ElementFunction::acos;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_atan_op<T>> = ElementFunction::atan;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_sinh_op<T>> = ElementFunction::sinh;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_cosh_op<T>> = ElementFunction::cosh;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_tanh_op<T>> = ElementFunction::tanh;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_asinh_op<T>> = ElementFunction::asinh;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_acosh_op<T>> = ElementFunction::acosh;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_atanh_op<T>> = ElementFunction::atanh;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_erf_op<T>> = ElementFunction::erf;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_erfc_op<T>> = ElementFunction::erfc;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_lgamma_op<T>> = ElementFunction::lgamma;
template <class A, class B>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_sum_op<A, B>> = ElementFunction::add;
template <class A, class B>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_difference_op<A, B>> =
    ElementFunction::subtract;
template <class A, class B>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_product_op<A, B>> =
    ElementFunction::multiply;
template <class A, class B>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_quotient_op<A, B>> =
    ElementFunction::divide;
template <class A, class B>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_pow_op<A, B>> = ElementFunction::pow;
template <class A, class B>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_hypot_op<A, B>> = ElementFunction::hypot;
template <class A, class B>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_max_op<A, B, Eigen::PropagateFast>> =
    ElementFunction::max;
template <class A, class B>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_max_op<A, B, Eigen::PropagateNaN>> =
    ElementFunction::maximum;
template <class A, class B>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_max_op<A, B, Eigen::PropagateNumbers>> =
    ElementFunction::fmax;
template <class A, class B>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_min_op<A, B, Eigen::PropagateFast>> =
    ElementFunction::min;
template <class A, class B>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_min_op<A, B, Eigen::PropagateNaN>> =
    ElementFunction::minimum;
template <class A, class B>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_min_op<A, B, Eigen::PropagateNumbers>> =
    ElementFunction::fmin;
template <class A, class B>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_cmp_op<A, B, Eigen::internal::cmp_EQ>> =
    ElementFunction::equal;
template <class A, class B>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_cmp_op<A, B, Eigen::internal::cmp_NEQ>> =
    ElementFunction::not_equal;
template <class A, class B>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_cmp_op<A, B, Eigen::internal::cmp_LT>> =
    ElementFunction::less;
template <class A, class B>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_cmp_op<A, B, Eigen::internal::cmp_LE>> =
    ElementFunction::less_equal;
template <>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_boolean_and_op> =
    ElementFunction::logical_and;
template <>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_boolean_or_op> =
    ElementFunction::logical_or;
template <class T>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_boolean_not_op<T>> =
    ElementFunction::logical_not;

// A comparison the other way round is one of the table.
template <class F>
inline constexpr bool swaps = false;
template <class A, class B>
inline constexpr bool swaps<Eigen::internal::scalar_cmp_op<A, B, Eigen::internal::cmp_GT>> = true;
template <class A, class B>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_cmp_op<A, B, Eigen::internal::cmp_GT>> =
    ElementFunction::less;
template <class A, class B>
inline constexpr bool swaps<Eigen::internal::scalar_cmp_op<A, B, Eigen::internal::cmp_GE>> = true;
template <class A, class B>
inline constexpr ElementFunction function_of<Eigen::internal::scalar_cmp_op<A, B, Eigen::internal::cmp_GE>> =
    ElementFunction::less_equal;

// Functors of Eigen that are several functions of the table.
template <class F>
inline constexpr bool is_product_with_itself = false;
template <class T>
inline constexpr bool is_product_with_itself<Eigen::internal::scalar_square_op<T>> = true;
template <class T>
inline constexpr bool is_product_with_itself<Eigen::internal::scalar_abs2_op<T>> = true;
template <class F>
inline constexpr bool is_cube = false;
template <class T>
inline constexpr bool is_cube<Eigen::internal::scalar_cube_op<T>> = true;
template <class F>
inline constexpr bool is_inverse = false;
template <class T>
inline constexpr bool is_inverse<Eigen::internal::scalar_inverse_op<T>> = true;

template <class T>
inline constexpr bool is_element = []<class... Elements>(std::type_identity<std::tuple<Elements...>>) {
  return (std::same_as<T, Elements> || ...);
}(std::type_identity<ElementTypes>());

// The compiler's spelling of a type, such as that of a lambda.
template <class T>
constexpr std::string_view type_name() {
  std::string_view text = __PRETTY_FUNCTION__;
  const std::size_t begin = text.find("T = ") + 4;
  text = text.substr(begin, text.rfind(']') - begin);
  return text.substr(0, text.find("; std::string_view"));  // GCC says what that stands for
}

// The term of functor `f` of dtype `result`, applied to terms.
template <class F, std::same_as<TermId>... Terms>
TermId term_of_functor(FormulaBuilder& b, const F& f, DType result, Terms... x) {
  if constexpr (requires { F::composed; }) {
    return f(Symbol(b, x)...).term();
  } else if constexpr (requires { f.function; }) {
    return b.apply(f.function, result, x...);
  } else if constexpr (is_product_with_itself<F>) {
    return b.apply(ElementFunction::multiply, result, x..., x...);
  } else if constexpr (is_cube<F>) {
    return b.apply(ElementFunction::multiply, result, b.apply(ElementFunction::multiply, result, x..., x...),
                   x...);
  } else if constexpr (is_inverse<F>) {
    return b.apply(ElementFunction::divide, result, b.real_number(1, result), x...);
  } else if constexpr (function_of<F> != ElementFunction::hidden) {
    return b.apply(function_of<F>, result, x...);
  } else {
    return b.hide(type_name<F>(), result, {x...});
  }
}

template <class E>
TermId term_of_expression(FormulaBuilder& b, const E& e);

template <class F, class X>
TermId term_of_node(FormulaBuilder& b, const Eigen::CwiseUnaryOp<F, X>& e, DType result) {
  return term_of_functor(b, e.functor(), result, term_of_expression(b, e.nestedExpression()));
}
template <class F, class X, class Y>
TermId term_of_node(FormulaBuilder& b, const Eigen::CwiseBinaryOp<F, X, Y>& e, DType result) {
  const TermId x = term_of_expression(b, e.lhs()), y = term_of_expression(b, e.rhs());
  return swaps<F> ? term_of_functor(b, e.functor(), result, y, x)
                  : term_of_functor(b, e.functor(), result, x, y);
}
template <class F, class X, class Y, class Z>
TermId term_of_node(FormulaBuilder& b, const Eigen::CwiseTernaryOp<F, X, Y, Z>& e, DType result) {
  const TermId x = term_of_expression(b, e.arg1()), y = term_of_expression(b, e.arg2());
  return term_of_functor(b, e.functor(), result, x, y, term_of_expression(b, e.arg3()));
}
template <class X, class Y, class Z>
TermId term_of_node(FormulaBuilder& b, const Eigen::Select<X, Y, Z>& e, DType result) {
  const TermId x = term_of_expression(b, e.conditionMatrix()), y = term_of_expression(b, e.thenMatrix());
  return b.apply(ElementFunction::select, result, x, y, term_of_expression(b, e.elseMatrix()));
}
template <class T, class X>
TermId term_of_node(FormulaBuilder& b,
                    const Eigen::CwiseNullaryOp<Eigen::internal::scalar_constant_op<T>, X>& e, DType) {
  return number_term(b, T(e.functor()()));
}
template <class E>
TermId term_of_node(FormulaBuilder& b, const E& e, DType result) {
  if constexpr (requires { e.data(); }) {
    return b.term_of(e.data(), result);
  } else {
    return b.hide(type_name<E>(), result, {});
  }
}
template <class E>
[[gnu::cold]] TermId term_of_expression(FormulaBuilder& b, const E& e) {
  using T = std::remove_cv_t<typename E::Scalar>;
  if constexpr (is_element<T>) {
    return term_of_node(b, e, dtype_of<T>);
  } else {
    return b.hide(type_name<T>(), DType::float64, {});
  }
}

}  // namespace gradweave::detail
