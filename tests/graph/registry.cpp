// Attributes with names, and operations as values: printed, read back, found by name.
#include <gradweave/graph/registry.hpp>

#include <bit>
#include <cmath>
#include <limits>

#include <gradweave/graph/define.hpp>
#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave {
namespace {

using Catch::Matchers::ContainsSubstring;

enum class Mode { nearest, linear, cubic };
struct Border {
  Index left = 0, right = 0;
  bool wraps = false;
};

// An op with attributes of all kinds.
struct Resample {
  Mode mode = Mode::nearest;
  std::string label = {};
  std::vector<double> knots = {};
  std::array<int, 2> window{};
  Border border = {};
  float tension = 0;
  std::uint64_t seed = 0;
  std::vector<std::string> channels = {};
  static constexpr std::string_view name = "resample";
  static constexpr bool not_differentiable = true;
  static auto forward(const auto& x) noexcept { return x * 1; }
};

Tensor resample(const Resample& op, const Operand& x) { return apply(op, {x}); }

const Registry& registry() {
  static const Registry all = [] {
    Registry result = builtin_operations();
    result.add<Resample>();
    return result;
  }();
  return all;
}

TEST_CASE("an operation is printed with the names of its attributes, and read back", "[registry]") {
  const Tensor x = constant({{1, 2}, {3, 4}});
  const BoundOperation product(linear(x, x));
  CHECK(to_string(product) == "matmul(transpose_a=false, transpose_b=true)");
  CHECK(to_string(BoundOperation(exp(x))) == "exp");
  CHECK(to_string(BoundOperation(cast(x, DType::int64))) == "cast(dtype=int64)");

  const BoundOperation again = parse_operation("matmul( transpose_b =true,transpose_a=false )", registry());
  CHECK(again == product);
  CHECK(again.hash() == product.hash());
  CHECK(again(std::array<Operand, 2>{x, x}).to_vector() == std::vector<float>{5, 11, 11, 25});
  CHECK_FALSE(parse_operation("matmul(transpose_a=true, transpose_b=true)", registry()) == product);
}

TEST_CASE("attributes of every kind have names, text and JSON", "[registry]") {
  const Resample op{.mode = Mode::cubic,
                    .label = "a \"b\"\\\n\x01",
                    .knots = {0.1, -0.0, std::numeric_limits<double>::infinity()},
                    .window = {3, -4},
                    .border = {1, 2, true},
                    .tension = 0.1F,
                    .seed = ~std::uint64_t{0},
                    .channels = {"red"}};
  const BoundOperation bound(resample(op, constant(1)));
  CHECK(to_string(bound) ==
        R"(resample(mode=cubic, label="a \"b\"\\\u000a\u0001", knots=(0.1, -0.0, inf), window=(3, -4), )"
        R"(border={left=1, right=2, wraps=true}, tension=0.10000000149011612, seed=18446744073709551615, )"
        R"(channels=("red",)))");
  CHECK(parse_operation(to_string(bound), registry()) == bound);
#ifdef GRADWEAVE_HAS_JSON
  CHECK(operation_from_json(to_json(bound), registry()) == bound);
  CHECK(to_json(BoundOperation(matmul(constant({{1}}), constant({{1}})))) ==
        R"({"name":"matmul","attributes":{"transpose_a":false,"transpose_b":false}})");
#endif
#ifdef GRADWEAVE_HAS_JSON
  CHECK_THROWS_AS(to_json(BoundOperation(resample({.label = "\xff"}, constant(1)))), ValueError);
#endif
  // Each member is a part of what an op is.
  Resample other = op;
  other.border.wraps = false;
  CHECK_FALSE(BoundOperation(resample(other, constant(1))) == bound);
  // An enumerator without a name is a number.
  CHECK_THAT(to_string(BoundOperation(resample({.mode = static_cast<Mode>(7)}, constant(1)))),
             ContainsSubstring("mode=7"));
}

TEST_CASE("numbers read back to the last bit", "[registry]") {
  using Limits = std::numeric_limits<double>;
  const double payload = std::bit_cast<double>(std::uint64_t{0xfff8'0000'0000'0123});
  const double signalling = std::bit_cast<double>(std::uint64_t{0x7ff0'0000'0000'0001});
  for (const double number : {0.0, -0.0, 1.0, 0.1, -1e300, 5e-324, Limits::max(), Limits::infinity(),
                              -Limits::infinity(), Limits::quiet_NaN(), payload, signalling}) {
    INFO(to_string(AttributeValue{number}));
    CHECK(parse_attribute_value(to_string(AttributeValue{number})) == AttributeValue{number});
    const BoundOperation bound(resample({.knots = {number}}, constant(1)));
    CHECK(parse_operation(to_string(bound), registry()) == bound);
#ifdef GRADWEAVE_HAS_JSON
    CHECK(operation_from_json(to_json(bound), registry()) == bound);
#endif
  }
  for (const std::uint32_t bits : {0x7fc0'0000U, 0xffc0'0001U, 0x7f80'0001U, 0x8000'0000U, 1U}) {
    const BoundOperation bound(resample({.tension = std::bit_cast<float>(bits)}, constant(1)));
    INFO(to_string(bound));
    CHECK(parse_operation(to_string(bound), registry()) == bound);
  }
}

TEST_CASE("name and attributes give every operation back, over its samples", "[registry][ops]") {
  std::size_t with_attributes = 0;
  for (const Operation* op : builtin_operations()) {
    for (const Sample& sample : op->samples()) {
      std::vector<Tensor> inputs;
      for (const InputSpec& input : sample.inputs)
        inputs.push_back(full(input.shape, input.low, input.dtype));
      const BoundOperation bound(sample.call(inputs));
      const std::string text = to_string(bound);
      INFO(text);
      CHECK(text.starts_with(op->name));
      if (op->bodies != nullptr) continue;  // graphs are printed in short
      const BoundOperation again = parse_operation(text, registry());
      CHECK(again == bound);
      CHECK(to_string(again) == text);
      for (const AttributeField& attribute : bound.attributes()) {
        ++with_attributes;
        CHECK_FALSE(attribute.name.empty());
      }
#ifdef GRADWEAVE_HAS_JSON
      CHECK(operation_from_json(to_json(bound), registry()) == bound);
#endif
    }
  }
  CHECK(with_attributes > 50);
}

TEST_CASE("a registry knows operations by name", "[registry]") {
  Registry mine;
  CHECK(mine.find("resample") == nullptr);
  CHECK_THROWS_WITH(mine.at("resample"), ContainsSubstring("there is no operation \"resample\""));
  mine.add<Resample>().add<Resample>();
  CHECK(mine.size() == 1);
  CHECK(&mine.at("resample") == &operation_of<Resample>());
  static const Operation impostor = [] {
    Operation other = operation_of<Resample>();
    other.attribute_size = 0;
    return other;
  }();
  CHECK_THROWS_AS(mine.add(impostor), ValueError);
  CHECK_THROWS_WITH(BoundOperation(variable({1})), ContainsSubstring("leaf"));
  CHECK_THROWS_AS(BoundOperation(Tensor()), GraphError);
}

TEST_CASE("attributes that do not fit their operands are errors", "[registry]") {
  const Tensor x = constant({{1, 2, 3}, {4, 5, 6}});
  for (const char* text :
       {"slice(axis=-1, start=1, count=3, step=1)", "slice(axis=-1, start=-1, count=1, step=1)",
        "slice(axis=-1, start=0, count=2, step=3)", "slice(axis=-3, start=0, count=1, step=1)",
        "slice(axis=-1, start=0, count=1, step=0)", "slice(axis=-1, start=4, count=0, step=1)",
        "slice(axis=-1, start=0, count=9223372036854775807, step=9223372036854775807)",
        "slice_vjp(axis=-1, start=0, step=1, size=2)", "sum(axes=(-3,), keepdims=false)",
        "permute(axes=(-1, -2, -3))", "argmax(axis=-3)", "argmax(axis=7)", "broadcast_to(shape=(3, 3))"}) {
    INFO(text);
    const BoundOperation bound = parse_operation(text, registry());
    CHECK_THROWS_AS(bound(std::array<Operand, 1>{x}), ShapeError);
  }
  const BoundOperation output =
      parse_operation("output(number=0, offset=4, shape=(2,), dtype=float32)", registry());
  CHECK_THROWS_AS(output(std::array<Operand, 1>{zeros({11}, DType::bool_)}), ShapeError);
  CHECK(output(std::array<Operand, 1>{zeros({12}, DType::bool_)}).shape() == Shape{2});
  CHECK_THROWS_AS(parse_operation("matmul(transpose_a=false, transpose_b=false)",
                                  registry())(std::array<Operand, 2>{constant({1}), x}),
                  ShapeError);
}

TEST_CASE("hostile texts are errors", "[registry]") {
  const std::string deep(100'000, '('), deep_json(100'000, '[');
  for (const std::string text : {"",
                                 "matmul(",
                                 "matmul(transpose_a)",
                                 "matmul(transpose_a=)",
                                 "matmul(transpose_a=true)",
                                 "matmul(transpose_a=1, transpose_b=true)",
                                 "matmul(transpose_a=true, transpose_b=true, more=1)",
                                 "matmul(transpose_a=true, transpose_a=true)",
                                 "matmul(transpose_a=true, transpose_b=true) x",
                                 "nothing",
                                 "exp(a=1)",
                                 "sum",
                                 "cast(dtype=float128)",
                                 "cast(dtype=\"",
                                 "scale(factor=1e999)",
                                 "scale(factor=nan(0x1))",
                                 "scale(factor=99999999999999999999999)",
                                 "reshape(shape=(-1,))",
                                 "reshape(shape=(1,1,1,1,1,1,1,1,1))",
                                 "reshape(shape=(4611686018427387904,4611686018427387904))",
                                 "resample(mode=sideways)",
                                 "\"\\u00",
                                 "scale(factor=--1)"}) {
    INFO(text);
    CHECK_THROWS_AS(parse_operation(text, registry()), ValueError);
  }
  CHECK_THROWS_AS(parse_operation("reshape(shape=" + deep, registry()), ValueError);
#ifdef GRADWEAVE_HAS_JSON
  for (const char* json :
       {"", "{", "[]", "null", "{\"name\":1}", "{\"name\":\"nothing\"}",
        "{\"name\":\"exp\",\"attributes\":[]}", R"({"name":"scale","attributes":{"factor":null}})",
        R"({"name":"scale","attributes":{"factor":"x"}})",
        R"({"name":"matmul","attributes":{"transpose_a":false}})", "{\"name\":\"\xff\"}"}) {
    INFO(json);
    CHECK_THROWS_AS(operation_from_json(json, registry()), ValueError);
  }
  CHECK_THROWS_AS(operation_from_json(deep_json, registry()), ValueError);
#endif
}

}  // namespace
}  // namespace gradweave
