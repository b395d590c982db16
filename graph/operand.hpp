// Operand: what functions of tensors take, a tensor or a number, with the caller's source line.
#pragma once
#include <concepts>
#include <source_location>
#include <type_traits>

#include <gradweave/graph/tensor.hpp>

// Clang warns where an Operand outlives the tensor that it refers to.
#if __has_cpp_attribute(clang::lifetimebound)
#define GRADWEAVE_LIFETIMEBOUND [[clang::lifetimebound]]
#else
#define GRADWEAVE_LIFETIMEBOUND
#endif

namespace gradweave {

/// What holds a tensor, such as a parameter, and can be asked for it by reference.
template <class T>
concept TensorHolder = requires(const T& holder) {
  { holder.operator const Tensor&() } -> std::same_as<const Tensor&>;
};

/// What an op is applied to: a tensor, or a number that takes the dtype of the tensors beside it. It
/// remembers the source line it was written on. Only ever a parameter: it refers to the caller's tensor.
class Operand {
 public:
  Operand(const Tensor& tensor GRADWEAVE_LIFETIMEBOUND,
          std::source_location where = std::source_location::current())
      : tensor_(&tensor), where_(where) {}
  /// What holds a tensor (a parameter) stands for it.
  template <TensorHolder T>
  Operand(const T& holder GRADWEAVE_LIFETIMEBOUND,
          std::source_location where = std::source_location::current())
      : Operand(static_cast<const Tensor&>(holder), where) {}
  template <class T>
    requires std::integral<T> || std::floating_point<T>
  Operand(T number, std::source_location where = std::source_location::current())
      : number_(static_cast<double>(number)),
        number_dtype_(std::is_same_v<T, bool> ? DType::bool_
                      : std::integral<T>      ? DType::int64
                                              : DType::float32),
        where_(where) {
    if constexpr (std::integral<T> && sizeof(T) > 4)
      static_cast<void>(Literal(number));  // exact, or an error
  }

  // Member by member: to copy all of it by one instruction would mean to wait for the stores that made it.
  Operand(const Operand& other)  // NOLINT(modernize-use-equals-default)
      : tensor_(other.tensor_),
        number_(other.number_),
        number_dtype_(other.number_dtype_),
        where_(other.where_) {}
  Operand& operator=(const Operand&) = default;
  ~Operand() = default;

  const Tensor* tensor() const { return tensor_; }
  double number() const { return number_; }
  /// bool, int64 or the default dtype.
  DType number_dtype() const { return is_floating(number_dtype_) ? default_dtype() : number_dtype_; }
  std::source_location where() const { return where_; }

 private:
  const Tensor* tensor_ = nullptr;
  double number_ = 0;
  DType number_dtype_ = DType::float32;
  std::source_location where_;
};

}  // namespace gradweave

#undef GRADWEAVE_LIFETIMEBOUND
