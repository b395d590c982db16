#include <gradweave/nn/module.hpp>

#include <optional>
#include <string>
#include <vector>

#include <gradweave/nn/layers/layers.hpp>
#include <gradweave/nn/losses.hpp>
#include <gradweave/nn/optimizers/optimizers.hpp>
#include <gradweave/ops/ops.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace gradweave;
using Catch::Matchers::ContainsSubstring;

namespace {

struct Encoder : nn::Module {
  nn::Dense hidden = child("hidden", nn::Dense(3, 4));
  nn::Dense output = child("output", nn::Dense(4, 2, {.bias = false}));
  Tensor operator()(const Tensor& x) const { return output(sigmoid(hidden(x))); }
};

struct Model : nn::Module {
  Encoder encoder = child("encoder", Encoder());
  nn::Parameter scale = parameter("scale", constant({1, 2}));
  std::vector<nn::Dense> more;
  Model() { more.push_back(child("more", nn::Dense(2, 2))); }
  Tensor operator()(const Tensor& x) const { return more[0](encoder(x) * scale); }
};

std::vector<std::string> names_of(const nn::Module& module) {
  std::vector<std::string> names;
  for (const nn::Parameter& p : module.parameters()) names.push_back(p.name());
  return names;
}

std::string what_of(auto&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST_CASE("parameters come depth first, in order of registration, with their full paths", "[nn][module]") {
  const Model model;
  CHECK(names_of(model) == std::vector<std::string>{"encoder/hidden/weight", "encoder/hidden/bias",
                                                    "encoder/output/weight", "scale", "more/weight",
                                                    "more/bias"});
  CHECK(model.parameter_count() == (12 + 4) + 8 + 2 + (4 + 2));
  CHECK(model.encoder.hidden.path() == "encoder/hidden");
  CHECK(model.path().empty());

  const auto named = model.encoder.named_parameters();  // paths from the module that was asked
  REQUIRE(named.size() == 3);
  CHECK(named[2].first == "output/weight");
  CHECK(is_same(named[2].second, model.encoder.output.weight));
}

TEST_CASE("names must be free, not empty and without a slash", "[nn][module]") {
  struct Twice : nn::Module {
    nn::Dense a = child("layer", nn::Dense(1, 1));
    nn::Dense b = child("layer", nn::Dense(1, 1));
  };
  CHECK_THROWS_AS(Twice(), ValueError);
  struct Clash : nn::Module {
    nn::Dense a = child("a", nn::Dense(1, 1));
    nn::Parameter b = parameter("a", constant({1}));
  };
  CHECK_THROWS_AS(Clash(), ValueError);
  struct Slash : nn::Module {
    nn::Dense a = child("a/b", nn::Dense(1, 1));
  };
  CHECK_THROWS_AS(Slash(), ValueError);
  struct Nameless : nn::Module {
    nn::Dense a = child("", nn::Dense(1, 1));
  };
  CHECK_THROWS_AS(Nameless(), ValueError);
  struct Inside : nn::Module {
    Inside() { child("self", *this); }
  };
  CHECK_THROWS_AS(Inside(), GraphError);
}

TEST_CASE("a copy shares parameters", "[nn][module]") {
  const Model a;
  const Model b = a;
  CHECK(is_same(a.encoder.hidden.weight, b.encoder.hidden.weight));
  CHECK(is_same(a.parameters()[0], b.parameters()[0]));
  nn::Parameter(a.scale).assign(constant({5, 6}));
  CHECK(values(b.scale) == std::vector<float>{5, 6});
}

TEST_CASE("a clone has parameters of its own, with the same values, paths and type", "[nn][module]") {
  Model a;
  Model b = nn::clone(a);
  CHECK(names_of(b) == names_of(a));
  const Tensor x = constant({{0.1, 0.2, 0.3}});
  CHECK(values(a(x)) == values(b(x)));

  // Every way to a parameter leads to the clone's own cell: members, containers, and the list.
  CHECK_FALSE(is_same(a.encoder.hidden.weight, b.encoder.hidden.weight));
  CHECK_FALSE(is_same(a.more[0].bias, b.more[0].bias));
  CHECK(is_same(b.parameters()[0], b.encoder.hidden.weight));
  CHECK(is_same(b.parameters()[4], b.more[0].weight));

  const std::vector<float> before = values(a(x));
  nn::SGD optimizer(b.parameters(), {.learning_rate = 0.5});
  optimizer.minimize(sum(square(b(x))));
  CHECK(values(a(x)) == before);
  CHECK(values(b(x)) != before);
  // Gradients tell them apart although their memory was the same at first.
  const Model c = nn::clone(a);
  const auto [only_c] = gradients(sum(c.scale.value() * 3), {c.scale}, {}, Unconnected::zeros);
  const auto [not_a] = gradients(sum(c.scale.value() * 3), {a.scale}, {}, Unconnected::zeros);
  CHECK(values(only_c) == std::vector<float>{3, 3});
  CHECK(values(not_a) == std::vector<float>{0, 0});
}

struct Tied : nn::Module {
  nn::Dense there = child("there", nn::Dense(2, 2));
  nn::Dense back = child("back", there);  // a copy: the same parameters under a second name
};

TEST_CASE("shared parameters are listed once, and stay shared inside a clone", "[nn][module]") {
  const Tied tied;
  CHECK(names_of(tied) == std::vector<std::string>{"there/weight", "there/bias"});
  const Tied other = nn::clone(tied);
  CHECK(is_same(other.there.weight, other.back.weight));
  CHECK_FALSE(is_same(other.there.weight, tied.there.weight));
  CHECK(names_of(other) == names_of(tied));
}

TEST_CASE("a child can be replaced; its parent knows the new one", "[nn][module]") {
  Model model;
  model.encoder.hidden = nn::Dense(3, 4, {.bias = false});
  CHECK(names_of(model) == std::vector<std::string>{"encoder/hidden/weight", "encoder/output/weight", "scale",
                                                    "more/weight", "more/bias"});
  CHECK(is_same(model.parameters()[0], model.encoder.hidden.weight));

  const Model best = nn::clone(model);
  model = best;  // and a whole model: as a copy
  CHECK(is_same(model.parameters()[0], best.encoder.hidden.weight));
  CHECK(is_same(model.encoder.hidden.weight, best.encoder.hidden.weight));
}

TEST_CASE("assigning to a parameter keeps shape and dtype", "[nn][module]") {
  Model model;
  CHECK_THAT(what_of([&] {
               model.scale.assign(constant({1, 2, 3}));
             }),
             ContainsSubstring("\"scale\" has shape (2,)") && ContainsSubstring("(3,)"));
  CHECK_THROWS_AS(model.scale.assign(constant({1, 2, 3})), ShapeError);
  CHECK_THROWS_AS(model.scale.assign(constant({1, 2}, DType::float64)), DTypeError);
  CHECK_THROWS_AS(model.scale.assign(Tensor()), GraphError);
  CHECK(values(model.scale) == std::vector<float>{1, 2});

  model.scale.assign(zeros({2}));  // one element seen twice: laid out before it becomes a parameter
  CHECK(model.scale.value().data<float>().size() == 2);
  CHECK(model.scale.value().is_tracked());
}

TEST_CASE("an error in a layer names the path of its module", "[nn][module]") {
  const Model model;
  const std::string message = what_of([&] { model(constant({{1, 2, 3, 4}})); });
  CHECK_THAT(message, ContainsSubstring("\"encoder/hidden\"") && ContainsSubstring("(1, 4)"));
  CHECK_THROWS_AS(model(constant({{1, 2, 3, 4}})), ShapeError);
  CHECK(Scope::current() == nullptr);  // the scope closed behind the error

  // So does one about a parameter that plays no part.
  CHECK_THAT(what_of([&] { gradients(sum(model.scale.value()), {model.encoder.hidden.bias}); }),
             ContainsSubstring("encoder/hidden/bias"));
}

TEST_CASE("an empty parameter says so", "[nn][module]") {
  const nn::Dense plain(2, 2, {.bias = false});
  CHECK_FALSE(plain.bias);
  CHECK_THROWS_AS(plain.bias.value(), GraphError);
  CHECK_THROWS_AS(nn::Parameter("p", Tensor()), GraphError);
  CHECK_THROWS_AS(nn::Parameter("p", constant({1}, DType::int64)), DTypeError);
}

TEST_CASE("a module that was moved from can be filled again", "[nn][module]") {
  nn::Sequential first(nn::Dense(2, 3));
  const nn::Sequential second = std::move(first);
  CHECK(first.parameters().empty());
  first.add(nn::Dense(4, 5));
  CHECK(first(zeros({1, 4})).shape() == Shape{1, 5});
  CHECK(second(zeros({1, 2})).shape() == Shape{1, 3});
}

TEST_CASE("an op with a parameter first knows its line, too", "[nn][module]") {
  const nn::Parameter w("w", zeros({3, 2}));
  const std::string line = ":" + std::to_string(__LINE__ + 1) + ")";
  CHECK_THROWS_WITH(matmul(w, zeros({5, 5})), Catch::Matchers::ContainsSubstring(line));
}

TEST_CASE("a layer that is given the wrong size says where it was called", "[nn][module]") {
  const nn::Dense layer(3, 4);
  const std::string line = ":" + std::to_string(__LINE__ + 1) + ")";
  CHECK_THROWS_WITH(layer(zeros({5, 7})), Catch::Matchers::ContainsSubstring(line));
}

}  // namespace
