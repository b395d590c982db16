// Errors say what was given, what was expected, where in the network, and on which line.
#include <gradweave/graph/scope.hpp>
#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave {
namespace {

using Catch::Matchers::ContainsSubstring;

template <class F>
std::string message_of(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST_CASE("a shape error names op, operands, module path, file and line", "[errors]") {
  const Tensor a = zeros({64, 128}), b = zeros({784, 10});
  const Scope outer("encoder"), inner("output");
  const unsigned line = __LINE__ + 1;
  const std::string message = message_of([&] { matmul(a, b); });
  CHECK_THAT(message, ContainsSubstring("matmul"));
  CHECK_THAT(message, ContainsSubstring("float32 (64, 128)"));
  CHECK_THAT(message, ContainsSubstring("float32 (784, 10)"));
  CHECK_THAT(message, ContainsSubstring("128 and 784 differ"));
  CHECK_THAT(message, ContainsSubstring("module \"encoder/output\""));
  CHECK_THAT(message, ContainsSubstring("errors.cpp:" + std::to_string(line)));
}

TEST_CASE("operators know the line they stand on", "[errors]") {
  const Tensor a = zeros({2, 3}), b = zeros({4});
  const unsigned line = __LINE__ + 1;
  const std::string message = message_of([&] { return a + b; });
  CHECK_THAT(message, ContainsSubstring("errors.cpp:" + std::to_string(line)));
  CHECK_THAT(message, ContainsSubstring("add of float32 (2, 3) with float32 (4,)"));
  CHECK_THAT(message, !ContainsSubstring("module"));
}

TEST_CASE("scopes nest, and end with their block", "[errors]") {
  {
    const Scope outer("a");
    {
      const Scope inner("b");
      CHECK(Scope::current()->path == "a/b");
    }
    CHECK(Scope::current()->path == "a");
  }
  CHECK_FALSE(Scope::current());
}

TEST_CASE("a scope ends when an error passes through it", "[errors]") {
  message_of([] {
    const Scope scope("doomed");
    matmul(zeros({2, 3}), zeros({2, 3}));
  });
  CHECK_FALSE(Scope::current());
}

TEST_CASE("an error while gradients are computed names the module too", "[errors]") {
  Tensor x;
  {
    const Scope scope("hidden");
    x = exp(variable({1, 2}));
  }
  CHECK_THAT(message_of([&] { gradients(x, {variable({1})}); }),
             ContainsSubstring("exp float32 (2,) of module \"hidden\""));
}

TEST_CASE("wrong axes, dtypes and numbers", "[errors]") {
  const Tensor x = zeros({2, 3});
  CHECK_THROWS_AS(sum(x, {2}), ShapeError);
  CHECK_THROWS_AS(sum(x, {0, 0}), ShapeError);
  CHECK_THROWS_AS(sum(x, {0, -2}), ShapeError);
  CHECK_THROWS_AS(transpose(x, 0, 5), ShapeError);
  CHECK_THROWS_AS(permute(x, {0, 0}), ShapeError);
  CHECK_THROWS_AS(permute(x, {0}), ShapeError);
  CHECK_THROWS_AS(reshape(x, {4}), ShapeError);
  CHECK_THROWS_AS(reshape(x, {-1, 4}), ShapeError);
  CHECK_THROWS_AS(reshape(x, {-1, -1}), ShapeError);
  CHECK_THROWS_AS(squeeze(x, 0), ShapeError);
  CHECK_THROWS_AS(broadcast_to(x, {3, 2}), ShapeError);
  CHECK_THROWS_AS(concat({x, zeros({2, 4})}, 0), ShapeError);
  CHECK_THROWS_AS(concat(std::span<const Tensor>()), Error);
  CHECK_THROWS_AS(stack({x, zeros({2, 4})}), ShapeError);
  CHECK_THROWS_AS(select(x, 1, 3), ValueError);
  CHECK_THROWS_AS(slice(x, 1, 0, 2, 0), ValueError);
  CHECK_THROWS_AS(clamp(x, 1, 0), ValueError);
  CHECK_THROWS_AS(matmul(x, constant(1)), ShapeError);
  CHECK_THROWS_AS(take(x, constant({0}, DType::int64), 7), ShapeError);
  CHECK_THROWS_AS(take(x, constant({2}, DType::int64)).to_vector(), ValueError);
  CHECK_THROWS_AS(take(x, constant({-1}, DType::int64)).to_vector(), ValueError);
  CHECK_THROWS_AS(one_hot(constant({3}, DType::int64), 3).to_vector(), ValueError);
  CHECK_THROWS_AS(max(zeros({0})), ShapeError);
  CHECK_THROWS_AS(argmax(zeros({2, 0})), ShapeError);
}

TEST_CASE("every kind of error is an Error and a std::runtime_error", "[errors]") {
  CHECK_THROWS_AS(zeros({-1}), Error);
  CHECK_THROWS_AS(zeros({-1}), std::runtime_error);
}

}  // namespace
}  // namespace gradweave
