// Ops on elements that kernels compute as a wider dtype: whole numbers that wrap, halves that are rounded
// once an op, uint64 to the last bit.
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include <gradweave/graph/check/gradcheck.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/graph/eigen.hpp>
#include <gradweave/nn/nn.hpp>
#include <gradweave/ops/ops.hpp>

#include "catch.hpp"
#include "support.hpp"

namespace gradweave {
namespace {

constexpr DType i8 = DType::int8, u8 = DType::uint8, u64 = DType::uint64, f16 = DType::float16,
                bf16 = DType::bfloat16;
constexpr std::uint64_t top = std::numeric_limits<std::uint64_t>::max(), upper = std::uint64_t{1} << 63U;

std::vector<int> ints(const Tensor& t) { return t.to_vector<int>(); }
template <class T>
Tensor of(std::vector<T> values) {
  return constant(values);
}

TEST_CASE("whole numbers overflow by wrapping", "[dtype]") {
  const Tensor x = of<std::int8_t>({127, -128, 100}), y = of<std::uint8_t>({255, 0, 200});
  CHECK(ints(x + of<std::int8_t>({1})) == std::vector<int>{-128, -127, 101});
  CHECK(ints(x * x) == std::vector<int>{1, 0, 16});
  CHECK(ints(-x) == std::vector<int>{-127, -128, -100});
  CHECK(ints(abs(x)) == std::vector<int>{127, -128, 100});
  CHECK(ints(y + 1) == std::vector<int>{0, 1, 201});
  CHECK(ints(y - 1) == std::vector<int>{254, 255, 199});
  CHECK(ints(x + y) == std::vector<int>{382, -128, 300});  // of int16
  CHECK((y + 1).dtype() == u8);
}

TEST_CASE("a chain of narrow ops wraps after each of them", "[dtype]") {
  const Tensor x = of<std::uint8_t>({200, 100});
  CHECK(ints(floor_divide(x * 2, 2)) == std::vector<int>{72, 100});
  CHECK((maximum(x + 100, 50) > 60).to_vector<bool>() == std::vector<bool>{false, true});
}

TEST_CASE("uint64 is computed and compared exactly", "[dtype]") {
  const Tensor x = of<std::uint64_t>({top, upper, 1}), y = of<std::uint64_t>({top - 1, 1, upper});
  CHECK((x > y).to_vector<bool>() == std::vector<bool>{true, true, false});
  CHECK((x <= y).to_vector<bool>() == std::vector<bool>{false, false, true});
  CHECK((x == y).to_vector<bool>() == std::vector<bool>{false, false, false});
  CHECK(maximum(x, y).to_vector<std::uint64_t>() == std::vector<std::uint64_t>{top, upper, upper});
  CHECK(minimum(x, y).to_vector<std::uint64_t>() == std::vector<std::uint64_t>{top - 1, 1, 1});
  CHECK(max(x).item<std::uint64_t>() == top);
  CHECK(min(y).item<std::uint64_t>() == 1);
  CHECK(argmax(x, 0).item<Index>() == 0);
  CHECK((x + y).to_vector<std::uint64_t>() == std::vector<std::uint64_t>{top - 2, upper + 1, upper + 1});
  CHECK(abs(x).to_vector<std::uint64_t>() == x.to_vector<std::uint64_t>());
  CHECK(relu(x).to_vector<std::uint64_t>() == x.to_vector<std::uint64_t>());
  CHECK(ints(sign(x * 2)) == std::vector<int>{1, 0, 1});
  CHECK(clamp(x, 2, 1e19).to_vector<std::uint64_t>() ==
        std::vector<std::uint64_t>{10000000000000000000U, upper, 2});
  CHECK((x / 1.0).to_vector<double>() == std::vector<double>{0x1p64, 0x1p63, 1});
  CHECK((x + ones({}, i64)).dtype() == f64);
}

TEST_CASE("a comparison meets the number that was written", "[dtype]") {
  const Tensor x = of<std::uint8_t>({0, 44, 255});
  CHECK((x < -1).to_vector<bool>() == std::vector<bool>{false, false, false});
  CHECK((x == 300).to_vector<bool>() == std::vector<bool>{false, false, false});
  CHECK((x <= 255).to_vector<bool>() == std::vector<bool>{true, true, true});
  CHECK((of<std::uint64_t>({top}) > -1).to_vector<bool>() == std::vector<bool>{true});
}

TEST_CASE("functions of the reals of whole numbers give the default dtype", "[dtype]") {
  for (const DType t : {i8, u8, u64, DType::uint32}) {
    CHECK(exp(ones({2}, t)).dtype() == f32);
    CHECK((ones({2}, t) / ones({2}, t)).dtype() == f32);
    CHECK(mean(ones({2}, t)).dtype() == f32);
    CHECK(softmax(ones({2}, t)).dtype() == f32);
  }
  CHECK(exp(ones({}, u8)).item<double>() == Approx(2.718281828).epsilon(1e-6));
}

// torch.tensor([...], dtype=torch.float16), op by op
TEST_CASE("halves are rounded once an op", "[dtype]") {
  const Tensor x = cast(constant({2048, 1, 0.1}), f16), one = ones({}, f16);
  CHECK((x + one).to_vector<double>() == std::vector<double>{2048, 2, 1.099609375});
  CHECK((x * 40).to_vector<double>() == std::vector<double>{INFINITY, 40, 4});
  CHECK(((x + one) - x).to_vector<double>() == std::vector<double>{0, 1, 0.99951171875});
  CHECK(exp(x).to_vector<double>()[1] == 2.71875);
  const Tensor y = cast(constant({256, 3}), bf16);
  CHECK((y + 1).to_vector<double>() == std::vector<double>{256, 4});
  CHECK((x + cast(ones({}), bf16)).dtype() == f32);
}

TEST_CASE("a chain of halves has the same bits fused, apart and on several threads", "[dtype]") {
  Generator generator(3);
  for (const DType t : {f16, bf16}) {
    const Tensor a = random_uniform({37, 211}, generator, -3, 3, t),
                 b = random_uniform({211}, generator, 0.5, 2, t);
    eval(a, b);
    const auto f = [&] {
      const Tensor y = tanh(a * b + 1) * exp(-square(a)) / (b + sqrt(abs(a)));
      return std::vector<Tensor>{y, sum(y, {1}), max(y), matmul(y, transpose(y)), softmax(y)};
    };
    std::vector<std::vector<double>> expected;
    for_each_mode([&](const Mode& mode) {
      if (mode.compiled) return;
      std::vector<Tensor> y = f();
      evaluate(y);
      for (std::size_t k = 0; k < y.size(); ++k) {
        CHECK(y[k].dtype() == t);
        if (expected.size() <= k) expected.push_back(y[k].to_vector<double>());
        CHECK(y[k].to_vector<double>() == expected[k]);
      }
    });
    // Op by op, each result stored as halves.
    Tensor p = a * b;
    eval(p), p = p + 1, eval(p), p = tanh(p), eval(p);
    Tensor q = square(a);
    eval(q), q = -q, eval(q), q = exp(q), eval(q), q = p * q, eval(q);
    Tensor r = abs(a);
    eval(r), r = sqrt(r), eval(r), r = b + r, eval(r), q = q / r;
    CHECK(q.to_vector<double>() == expected[0]);
  }
}

TEST_CASE("a chain of halves is one step", "[dtype]") {
  const Tensor x = cast(constant({{1, 2}, {3, 4}}), f16);
  eval(x);
  const PlanReport report = explain_plan(sum(cast(tanh(x * x) + x, f32)));
  CHECK(report.steps.size() == 1);
}

TEST_CASE("sums of whole numbers are wide, of halves rounded once", "[dtype]") {
  CHECK(sum(full({1000}, 100, i8)).dtype() == i64);
  CHECK(sum(full({1000}, 100, i8)).item<Index>() == 100000);
  CHECK(sum(full({1000}, 200, u8)).dtype() == u64);
  CHECK(sum(full({1}, 200, u8)).dtype() == u64);
  CHECK(sum(ones({3}) > 0).dtype() == i64);
  const Tensor halves = sum(ones({4096 + 1}, f16));  // one after the other they would stop at 2048
  CHECK(halves.dtype() == f16);
  CHECK(halves.item() == 4096);
  CHECK(mean(full({100000}, 3, f16)).item() == 3);
  CHECK(mean(ones({2}, u8)).dtype() == f32);
  CHECK(max(of<std::int8_t>({-3, 5})).dtype() == i8);
}

TEST_CASE("a product of halves is rounded once", "[dtype]") {
  const Tensor a = ones({3, 4099}, f16), b = ones({4099, 2}, f16);
  const Tensor y = matmul(a, b);
  CHECK(y.dtype() == f16);
  CHECK(y.to_vector<double>() == std::vector<double>(6, 4100));  // the half next to 4099
  CHECK(ints(matmul(full({1, 2}, 100, i8), full({2, 1}, 3, i8))) == std::vector<int>{88});  // 600, wrapped
}

TEST_CASE("what only moves elements keeps their bits", "[dtype]") {
  std::vector<float16> patterns(512);
  for (std::size_t k = 0; k < patterns.size(); ++k) patterns[k].bits = static_cast<std::uint16_t>(0x7B00 + k);
  const Tensor x = constant(patterns, {16, 32});  // the large ones, infinity, and NaNs
  const auto same_bits = [](const Tensor& a, const Tensor& b) {
    const Tensor p = contiguous(a), q = contiguous(b);
    return std::memcmp(p.data<float16>().data(), q.data<float16>().data(),
                       2 * static_cast<std::size_t>(p.numel())) == 0;
  };
  CHECK(same_bits(contiguous(transpose(transpose(x))), x));
  CHECK(same_bits(transpose(contiguous(transpose(x))), x));
  CHECK(same_bits(concat({slice(x, 0, 0, 5), slice(x, 0, 5, 16)}), x));
  CHECK(same_bits(concat({slice(x, 1, 0, 7), slice(x, 1, 7, 32)}, 1), x));
  CHECK(same_bits(take(x, arange(16, u8)), x));
  CHECK(same_bits(reshape(permute(reshape(transpose(x), {32, 4, 4}), {1, 2, 0}), {16, 32}), x));
  CHECK(same_bits(cast(cast(cast(x, f32), f64), f16), cast(cast(x, f32), f16)));
}

TEST_CASE("indices may be of any whole dtype", "[dtype]") {
  const Tensor x = constant({{1, 2}, {3, 4}, {5, 6}});
  for (const DType t : {i8, u8, DType::int16, DType::uint16, DType::int32, DType::uint32, u64, i64}) {
    INFO(name_of(t));
    CHECK(values(take(x, cast(constant({2, 0}), t))) == std::vector<float>{5, 6, 1, 2});
    CHECK(ints(one_hot(cast(constant({1}), t), 3, t)) == std::vector<int>{0, 1, 0});
    CHECK(nn::cross_entropy(x, cast(constant({0, 1, 1}), t)).item() > 0);
  }
  CHECK_THROWS_AS(take(x, cast(constant({0.0}), f16)), DTypeError);
}

TEST_CASE("elements of every dtype come in, go out and are printed", "[dtype]") {
  CHECK(to_string(of<std::int8_t>({-1, 2})) == "int8 (2,) [-1,  2]");
  CHECK(to_string(of<std::uint64_t>({top})) == "uint64 (1,) [18446744073709551615]");
  CHECK(to_string(constant({1.5, 0.1}, f16)) == "float16 (2,) [    1.5, 0.09998]");
  CHECK(to_string(constant({1.5, 0.1}, bf16)) == "bfloat16 (2,) [   1.5, 0.1001]");
  const Tensor x = of<std::uint16_t>({1, 65535});
  CHECK(x.data<std::uint16_t>()[1] == 65535);
  CHECK_THROWS_AS(x.data<std::int16_t>(), DTypeError);
  CHECK(constant({1, 2, 300}, u8).to_vector<std::uint8_t>() == std::vector<std::uint8_t>{1, 2, 44});
  CHECK(static_cast<float>(constant({0.1}, bf16).item<bfloat16>()) == 0.10009765625F);
  CHECK(arange(5, i8).dtype() == i8);
  CHECK(as_matrix<std::uint16_t>(x)(1, 0) == 65535);
  CHECK(constant(Eigen::Array<std::int8_t, Eigen::Dynamic, 1>::Constant(2, 3)).dtype() == i8);
}

TEST_CASE("a large tensor of one half takes the memory of one", "[dtype]") {
  const Tensor x = zeros({1 << 20, 1 << 20}, f16);
  CHECK((slice(x, 0, 5, 6) + 1).numel() == 1 << 20);
}

TEST_CASE("gradients of halves are halves", "[dtype]") {
  for (const DType t : {f16, bf16}) {
    const Tensor x = variable({1, 2, 3}, t), w = variable({{1, 0.5}, {2, -1}, {0, 1}}, t);
    const Tensor loss = sum(tanh(matmul(reshape(x, {1, 3}), w)));
    const auto [dx, dw] = gradients(loss, {x, w});
    CHECK(loss.dtype() == t);
    CHECK(dx.dtype() == t);
    CHECK(dw.dtype() == t);
    const Tensor x64 = variable({1, 2, 3}, f64), w64 = variable({{1, 0.5}, {2, -1}, {0, 1}}, f64);
    const auto [ex, ew] = gradients(sum(tanh(matmul(reshape(x64, {1, 3}), w64))), {x64, w64});
    const std::vector<double> found = dx.to_vector<double>(), expected = ex.to_vector<double>();
    for (std::size_t k = 0; k < 3; ++k) CHECK(found[k] == Approx(expected[k]).margin(0.02));
  }
  const Tensor p = variable({2}, f16);
  CHECK(gradients(sum(cast(square(p), f32)), {p})[0].dtype() == f16);
  CHECK_THROWS_AS(variable({1, 2}, i8), DTypeError);
}

TEST_CASE("a float16 network learns", "[dtype]") {
  const WithDefaultDType halves(f16);
  nn::Dense layer(1, 1);
  CHECK(layer.parameters()[0].value().dtype() == f16);
  nn::Adam adam(layer.parameters(), {.learning_rate = 0.05});
  const Tensor x = constant({{-1.0}, {0.0}, {1.0}, {2.0}}), y = 2 * x + 1;
  for (int step = 0; step < 200; ++step) adam.minimize(nn::mse_loss(layer(x), y));
  CHECK(nn::mse_loss(layer(x), y).item() < 0.01);
  CHECK(layer.parameters()[0].value().dtype() == f16);
}

// Several outputs keep their dtypes.
struct SplitSigns {
  static constexpr std::string_view name = "split_signs";
  static constexpr bool not_differentiable = true;
  static Specs infer(const Spec& x) { return {x, {x.shape, DType::bool_}}; }
  static void forward(Outputs y, const ArrayView& x) {
    dispatch<numeric>(x.dtype, [&]<class T>() {
      for (Index k = 0; k < x.size(); ++k) {
        if (y[0].data != nullptr)
          y[0].as<T>()[k] = static_cast<T>(x.as<T>()[k] < 0 ? -x.as<T>()[k] : x.as<T>()[k]);
        if (y[1].data != nullptr) y[1].as<bool>()[k] = x.as<T>()[k] < 0;
      }
    });
  }
};

TEST_CASE("an op with several outputs need not name the narrow dtypes", "[dtype]") {
  for (const DType t : {i8, DType::int32, f16, bf16, f32, i64}) {
    INFO(name_of(t));
    const auto [size, negative] = apply_outputs<2>(SplitSigns{}, {constant({-2, 3, -5}, t)});
    CHECK(size.dtype() == t);
    CHECK(ints(size + 1) == std::vector<int>{3, 4, 6});
    CHECK(negative.to_vector<bool>() == std::vector<bool>{true, false, true});
  }
}

// A planted mistake: an op that forgets that it compares.
struct ForgetfulMax {
  static constexpr std::string_view name = "forgetful_max";
  static constexpr DTypes dtypes = numeric;
  static constexpr bool not_differentiable = true;
  static auto forward(const auto& a, const auto& b) noexcept { return a.max(b); }
};

TEST_CASE("without `ordered` the upper half of uint64 counts as negative", "[dtype]") {
  const Tensor y = apply<ForgetfulMax>(Operand(of<std::uint64_t>({upper})), Operand(of<std::uint64_t>({1})));
  CHECK(y.item<std::uint64_t>() == 1);
}

// Another one: an op that computes and says that it only moves.
struct FalseMover {
  static constexpr std::string_view name = "false_mover";
  static constexpr DTypes dtypes = numeric;
  static constexpr bool as_stored = true;
  static constexpr bool not_differentiable = true;
  static Spec infer(const Spec& x) { return x; }
  static void forward(const ArrayView& y, const ArrayView& x) {
    dispatch<numeric>(x.dtype, [&]<class T>() {
      for (Index k = 0; k < x.size(); ++k) y.as<T>()[k] = x.as<T>()[k] + T(1);
    });
  }
  static Samples samples() { return {{uniform(-2, 2)}}; }
};

TEST_CASE("the checker finds an op that wrongly says as_stored", "[dtype]") {
  const GradcheckReport report = check_operation(operation_of<FalseMover>());
  CHECK_FALSE(report.ok);
  CHECK_THAT(report.message, Catch::Matchers::ContainsSubstring("no kernel for elements of type uint8"));
}

TEST_CASE("random halves stay below their limit", "[dtype]") {
  Generator generator(1);
  for (const DType t : {f16, bf16}) {
    const Tensor x = random_uniform({20000}, generator, 0, 1, t);
    CHECK(x.dtype() == t);
    CHECK(max(x).item() < 1);
    CHECK(max(x).item() > 0.98F);
    CHECK(mean(x).item() == Approx(0.5).margin(0.01));
    CHECK(random_normal({10}, generator, 0, 1, t).dtype() == t);
  }
}

TEST_CASE("many strided parts are laid out", "[dtype]") {
  std::vector<Tensor> parts;
  for (int k = 0; k < 40; ++k) {
    parts.push_back(transpose(full({3, 2}, k, f16) + arange(2, i8)));
    eval(parts.back());
  }
  const Tensor all = concat(parts);
  CHECK(all.shape() == Shape{80, 3});
  CHECK(all.to_vector<double>()[239] == 40);
}

}  // namespace
}  // namespace gradweave
