// Errors say what was given, what was expected, where in the network, and on which line.
#include <cmath>

#include <gradweave/graph/scope.hpp>
#include <gradweave/nn/nn.hpp>

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

// What every refusal looks like, whichever function found the fault: op, operands, reason, line.
TEST_CASE("wrong arguments are refused with op, operands and line", "[errors]") {
  const Tensor x = zeros({2, 3}), nothing;
  struct Row {
    std::string message;
    const char* op_and_operands;
    const char* reason;
  };
  const Row rows[] = {
      {message_of([&] { sum(x, {2}); }), "sum of float32 (2, 3): ", "axis 2 is outside a tensor of 2 axes"},
      {message_of([&] {
         mean(x, {0, 0});
       }),
       "mean of float32 (2, 3): ", "axis 0 is named twice"},
      {message_of([&] { argmax(x, -3); }), "argmax of float32 (2, 3): ", "axis -3"},
      {message_of([&] { transpose(x, 0, 5); }), "transpose of float32 (2, 3): ", "axis 5"},
      {message_of([&] {
         permute(x, {0, 0});
       }),
       "permute of float32 (2, 3): ", "(0, 0) is not a permutation"},
      {message_of([&] { slice(x, 4, 0, 1); }), "slice of float32 (2, 3): ", "axis 4"},
      {message_of([&] { slice(x, 0, 0, 1, -1); }), "slice of float32 (2, 3): ", "step -1 is not positive"},
      {message_of([&] { select(x, 1, 3); }),
       "select of float32 (2, 3): ", "index 3 is outside axis 1 of size 3"},
      {message_of([&] { expand_dims(x, 4); }), "expand_dims of float32 (2, 3): ", "axis 4"},
      {message_of([&] { squeeze(x, 0); }), "squeeze of float32 (2, 3): ", "axis 0 has size 2"},
      {message_of([&] {
         reshape(x, {-1, 4});
       }),
       "reshape of float32 (2, 3): ", "no size for -1"},
      {message_of([&] {
         reshape(x, {-1, -1});
       }),
       "reshape of float32 (2, 3): ", "only one size of (-1, -1) can be -1"},
      {message_of([&] { reshape(x, {-2}); }), "reshape of float32 (2, 3): ", "must not be negative"},
      {message_of([&] {
         concat({x, zeros({2, 4})});
       }),
       "concat of float32 (2, 3) with float32 (2, 4): ", "differ"},
      {message_of([&] {
         stack({x, x}, 9);
       }),
       "expand_dims of float32 (2, 3): ", "axis 9"},
      {message_of([&] { clamp(x, 2, 1); }), "clamp of float32 (2, 3): ", "low 2 is not at most high 1"},
      {message_of([&] { matmul(x, constant(1)); }), "matmul of float32 (2, 3) with float32 (): ", "scalar"},
      {message_of([&] { take(x, 0.5); }),
       "take of float32 (2, 3) with float32 (): ", "operand 1 must be int64"},
      {message_of([&] { exp(nothing); }), "exp of an empty Tensor: ", "has no shape"},
      {message_of([&] { x + nothing; }), "add of float32 (2, 3) with an empty Tensor: ", "has no shape"},
      {message_of([&] { sum(nothing); }), "sum of an empty Tensor: ", "not empty"},
      {message_of([&] { reshape(1, {1}); }), "reshape of int64 (): ", "not a number"},
  };
  for (const Row& row : rows) {
    INFO(row.message);
    CHECK(row.message.starts_with(row.op_and_operands));
    CHECK_THAT(row.message, ContainsSubstring(row.reason));
    CHECK_THAT(row.message, ContainsSubstring("(errors.cpp:"));
  }
}

TEST_CASE("errors of the evaluation say where the node was built", "[errors]") {
  Tensor bad;
  unsigned line = 0;
  {
    const Scope scope("lookup");
    line = __LINE__ + 1;
    bad = take(zeros({2}), constant({7}, DType::int64));
  }
  const std::string message = message_of([&] { sum(exp(bad)).item(); });
  CHECK(message ==
        "module \"lookup\": take of float32 (2,) with int64 (1,): index 7 at position 0 is outside [0, 2) "
        "(errors.cpp:" +
            std::to_string(line) + ")");
}

TEST_CASE("functions made of ops, and layers, name the caller's line", "[errors]") {
  const Tensor two = ones({2}), three = ones({3});
  const nn::Conv2d conv(1, 2, 3);
  const nn::MaxPool2d pool(2);
  const nn::Embedding embedding(3, 4);
  const auto names = [&](unsigned line, const auto& f) {
    CHECK_THAT(message_of(f), ContainsSubstring("errors.cpp:" + std::to_string(line)));
  };
  names(__LINE__, [&] { layer_norm(two, three, two); });
  names(__LINE__, [&] { layer_norm(two, two, three); });
  names(__LINE__, [&] { conv(two); });
  names(__LINE__, [&] { pool(two); });
  names(__LINE__, [&] { embedding(two); });
}

TEST_CASE("after an error in an evaluation everything else goes on", "[errors]") {
  const Tensor x = variable({1, 2}), good = exp(x);
  const Tensor bad = sum(take(good, constant({5}, DType::int64))) + sum(good);
  for (int again = 0; again < 3; ++again) CHECK_THROWS_AS(bad.item(), ValueError);
  CHECK_FALSE(bad.is_evaluated());
  CHECK(sum(good).item() == Approx(std::exp(1.0) + std::exp(2.0)));
  CHECK(gradients(sum(good), {x})[0].to_vector() == good.to_vector());
}

TEST_CASE("memory that is not there is an error that names the op", "[errors]") {
  const Tensor huge = broadcast_to(constant(1), {Index{1} << 40});
  CHECK_THAT(message_of([&] { eval(huge + 1); }),
             ContainsSubstring("add of float32 (1099511627776,)") && ContainsSubstring("out of memory"));
}

TEST_CASE("nor is the last result blamed for what lies between", "[errors]") {
  const Tensor huge = variable(broadcast_to(constant(0.5), {Index{1} << 40}));
  const auto build = [&] {
    const Tensor between = exp(huge);  // which nobody keeps
    return sum(between) + sum(slice(between, 0, 0, Index{1} << 40, 2));
  };
  const Tensor last = build();
  const std::string message = message_of([&] { eval(last); });
  CHECK(message.starts_with("out of memory: 43980465"));  // four tebibytes, and no op before it
}

}  // namespace
}  // namespace gradweave
