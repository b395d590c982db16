// Compiled functions do what the functions do, bit for bit, without calling them again.
#include <gradweave/graph/compile.hpp>

#include <array>
#include <memory>
#include <vector>

#include <gradweave/nn/nn.hpp>

#include "catch.hpp"

namespace gradweave {
namespace {

using Floats = std::vector<float>;

struct Net : nn::Module {
  nn::Dense hidden = child("hidden", nn::Dense(4, 5, {.seed = 1}));
  nn::Dense output = child("output", nn::Dense(5, 3, {.seed = 2}));
  Tensor operator()(const Tensor& x) const { return output(tanh(hidden(x))); }
};

std::vector<Floats> values_of(const nn::Module& net) {
  std::vector<Floats> all;
  for (const nn::Parameter& p : net.parameters()) all.push_back(p.value().to_vector());
  return all;
}

Tensor batch(std::uint64_t seed, Index rows = 6) {
  Generator generator(seed);
  Tensor x = random_normal({rows, 4}, generator);
  eval(x);
  return x;
}
Tensor labels(Index rows = 6) {
  std::vector<Index> all;
  for (Index i = 0; i < rows; ++i) all.push_back(i % 3);
  return constant(all);
}

TEST_CASE("a compiled step takes the same steps as the loop, to the last bit", "[compile]") {
  using Make = std::unique_ptr<nn::Optimizer> (*)(std::vector<nn::Parameter>);
  const Make makers[] = {
      [](std::vector<nn::Parameter> p) -> std::unique_ptr<nn::Optimizer> {
        return std::make_unique<nn::SGD>(p, nn::SgdOptions{.learning_rate = 0.1});
      },
      [](std::vector<nn::Parameter> p) -> std::unique_ptr<nn::Optimizer> {
        return std::make_unique<nn::SGD>(
            p, nn::SgdOptions{.learning_rate = 0.1, .momentum = 0.9, .nesterov = true, .weight_decay = 0.01});
      },
      [](std::vector<nn::Parameter> p) -> std::unique_ptr<nn::Optimizer> {
        return std::make_unique<nn::Adam>(p, nn::AdamOptions{.learning_rate = 0.01});
      },
      [](std::vector<nn::Parameter> p) -> std::unique_ptr<nn::Optimizer> {
        return std::make_unique<nn::AdamW>(p, nn::AdamWOptions{.learning_rate = 0.01});
      }};
  for (const Make& make : makers) {
    const Net net, twin = nn::clone(net);
    const auto optimizer = make(net.parameters()), loop = make(twin.parameters());
    int calls = 0;
    auto step = compile([&](const Tensor& x, const Tensor& y) {
      ++calls;
      Tensor loss = nn::cross_entropy(net(x), y);
      optimizer->minimize(loss);
      return loss;
    });
    for (std::uint64_t k = 0; k < 20; ++k) {
      const Tensor x = batch(k), y = labels();
      const Tensor loss = nn::cross_entropy(twin(x), y);
      loop->minimize(loss);
      REQUIRE(step(x, y).item() == loss.item());
      REQUIRE(values_of(net) == values_of(twin));
    }
    CHECK(calls == 1);
    CHECK(optimizer->steps() == 20);
    optimizer->set_learning_rate(0.5);
    loop->set_learning_rate(0.5);
    step(batch(99), labels());
    loop->minimize(nn::cross_entropy(twin(batch(99)), labels()));
    CHECK(values_of(net) == values_of(twin));
  }
}

TEST_CASE("each kind of arguments has a program of its own", "[compile]") {
  int calls = 0;
  auto f = compile([&](const Tensor& x) {
    ++calls;
    return sum(square(x));
  });
  CHECK(f(constant({1, 2})).item() == 5);
  CHECK(f(constant({3, 4})).item() == 25);
  CHECK(f(constant({1, 2, 3})).item() == 14);
  CHECK(f(constant({1, 2}, DType::float64)).item<double>() == 5);
  CHECK(f(transpose(constant({{1, 2}, {3, 4}}))).item() == 30);  // a view: another layout
  CHECK(f(constant({{1, 2}, {3, 4}})).item() == 30);
  CHECK(f(constant({0, 1})).item() == 1);
  CHECK(calls == 5);
  CHECK(f.programs() == 5);
}

TEST_CASE("a result that somebody keeps stays what it is", "[compile]") {
  auto twice = compile([](const Tensor& x) { return x * 2; });
  const Tensor first = twice(constant({1, 2})), second = twice(constant({3, 4}));
  CHECK(first.to_vector() == Floats{2, 4});
  CHECK(second.to_vector() == Floats{6, 8});
}

TEST_CASE("vectors, arrays and nothing as results", "[compile]") {
  const Tensor x = constant({1, 2});
  auto pair = compile([](const Tensor& a) { return std::array{a + 1, a * a}; });
  for (int k = 0; k < 2; ++k) {
    const auto [sum_, product] = pair(x);
    CHECK(sum_.to_vector() == Floats{2, 3});
    CHECK(product.to_vector() == Floats{1, 4});
  }
  auto list = compile([](const Tensor& a, const Tensor& b) { return std::vector<Tensor>{a - b, b, a - b}; });
  CHECK(list(x, x)[2].to_vector() == Floats{0, 0});  // the same tensor twice
  CHECK(list(x, constant({5, 5}))[0].to_vector() == Floats{-4, -3});
  CHECK(list(x, constant({5, 5}))[1].to_vector() == Floats{5, 5});

  nn::Parameter p("p", constant(8.0));
  nn::SGD sgd({p}, {.learning_rate = 0.25});
  auto halve = compile([&] { sgd.minimize(square(p.value())); });  // p <- p - 0.25 * 2 p
  halve();
  halve();
  CHECK(p.value().item() == 2);
}

TEST_CASE("parameters are read as they are, and trained elsewhere", "[compile]") {
  const Net net;
  auto infer = compile([&](const Tensor& x) { return net(x); });
  const Tensor x = batch(3);
  CHECK(infer(x).to_vector() == net(x).to_vector());
  nn::SGD sgd(net.parameters(), {.learning_rate = 1});
  sgd.minimize(nn::cross_entropy(net(x), labels()));
  CHECK(infer(x).to_vector() == net(x).to_vector());
  nn::Parameter bias = net.output.bias;
  bias.assign(constant({1, 2, 3}));
  CHECK(infer(x).to_vector() == net(x).to_vector());
}

TEST_CASE("what a compiled function only reads stays as it is", "[compile]") {
  const nn::Parameter p("p", constant({1, 2, 3}));
  auto scaled = compile([&](const Tensor& x) { return p.value() * x; });
  const nn::Dense dense(3, 3);
  const Floats bias = dense.bias.value().to_vector();
  auto layer = compile([&](const Tensor& x) { return dense(x); });
  for (int k = 0; k < 3; ++k) {
    CHECK(scaled(constant(2)).to_vector() == Floats{2, 4, 6});
    CHECK(p.value().to_vector() == Floats{1, 2, 3});
    CHECK(layer(constant({1, 2, 3})).to_vector() == dense(constant({1, 2, 3})).to_vector());
    CHECK(dense.bias.value().to_vector() == bias);
  }

  nn::Parameter trained("trained", constant({4, 4, 4}));
  nn::SGD sgd({trained}, {.learning_rate = 0.25});
  auto step = compile([&] {  // halves the distance
    sgd.minimize(sum(square(trained.value() - p.value())));
    return std::array{p.value() * 2, trained.value() - p.value()};
  });
  for (int k = 0; k < 3; ++k) {
    CHECK(step()[0].to_vector() == Floats{2, 4, 6});
    CHECK(p.value().to_vector() == Floats{1, 2, 3});
  }
  CHECK(trained.value().to_vector() == Floats{1.375F, 2.25F, 3.125F});
}

TEST_CASE("a handle to an old value of a parameter is not the parameter", "[compile]") {
  std::vector<Floats> losses;
  for (const bool compiled : {false, true}) {
    nn::Parameter p("p", constant({1, 2}));
    nn::SGD sgd({p}, {.learning_rate = 0.125});
    const Tensor start = p.value();
    const auto step = [&](const Tensor& x) {
      Tensor loss = sum(square(p - start)) + sum(p * x) + start.to_vector()[1];
      sgd.minimize(loss);
      return loss;
    };
    auto program = compile(step);
    const Tensor x = constant({1, 1});
    Floats& all = losses.emplace_back();
    for (int k = 0; k < 4; ++k) all.push_back((compiled ? program(x) : step(x)).item());
    CHECK(start.to_vector() == Floats{1, 2});
  }
  CHECK(losses[0] == losses[1]);
}

TEST_CASE("random numbers are new at each run, and those of the loop", "[compile]") {
  const auto noise = [](const Tensor& x, Generator& generator) {
    const Tensor mask = cast(random_uniform({3}, generator) < 0.5, DType::float32);
    return x * mask + random_normal({3}, generator);
  };
  Generator one(7), other(7);
  auto noisy = compile([&](const Tensor& x) { return noise(x, one); });
  const Tensor x = constant({1, 2, 3});
  Floats last;
  for (int k = 0; k < 5; ++k) {
    const Floats found = noisy(x).to_vector();
    CHECK(found == noise(x, other).to_vector());
    CHECK(found != last);
    last = found;
  }
}

TEST_CASE("two optimizers in one function", "[compile]") {
  const Net a, b = nn::clone(a), c = nn::clone(a), d = nn::clone(a);
  nn::SGD left(a.parameters(), {.learning_rate = 0.1});
  nn::Adam right(b.parameters());
  nn::SGD left_loop(c.parameters(), {.learning_rate = 0.1});
  nn::Adam right_loop(d.parameters());
  auto both = compile([&](const Tensor& x, const Tensor& y) {
    left.minimize(nn::cross_entropy(a(x), y));
    right.minimize(nn::cross_entropy(b(x), y));
    return a(x);  // with the parameters as they are after the step
  });
  for (std::uint64_t k = 0; k < 3; ++k) {
    const Tensor x = batch(k), y = labels();
    const Tensor after = both(x, y);
    left_loop.minimize(nn::cross_entropy(c(x), y));
    right_loop.minimize(nn::cross_entropy(d(x), y));
    CHECK(values_of(a) == values_of(c));
    CHECK(values_of(b) == values_of(d));
    CHECK(after.to_vector() == c(x).to_vector());
  }
}

TEST_CASE("what a compiled function may not do, it says", "[compile]") {
  const Tensor x = constant({1, 2});
  auto looks = compile([](const Tensor& a) { return a * sum(a).item(); });
  CHECK_THROWS_AS(looks(x), GraphError);
  CHECK_THROWS_WITH(looks(x), Catch::Matchers::ContainsSubstring("compiled"));
  CHECK(sum(x).item() == 3);  // and nothing is left behind
  const nn::Parameter p("p", constant({1, 2}));
  auto branches = compile([](const Tensor& a) { return a.to_vector()[0] > 0 ? a : -a; });
  CHECK_THROWS_AS(branches(x), GraphError);
  auto reads = compile([&](const Tensor& a) { return a * p.value().to_vector()[0]; });
  CHECK_THROWS_AS(reads(x), GraphError);
  const Tensor two = constant(2);
  auto knows = compile([&](const Tensor& a) { return a * two.item(); });  // is always the same
  CHECK(knows(x).to_vector() == Floats{2, 4});

  nn::Parameter q("q", constant(8.0));
  nn::SGD sgd({q}, {.learning_rate = 0.25});
  auto twice = compile([&] {
    sgd.minimize(square(q.value()));
    sgd.minimize(square(q.value()));
  });
  CHECK_THROWS_WITH(twice(), Catch::Matchers::ContainsSubstring("\"q\" has already taken a step"));
  CHECK(q.value().item() == 8);
  auto assigns = compile([&](const Tensor& a) {
    q.assign(constant(1.0));
    return a * q.value();
  });
  CHECK_THROWS_AS(assigns(x), GraphError);
  auto slows = compile([&](const Tensor& a) {
    sgd.set_learning_rate(0.125);
    return a + 1;
  });
  CHECK_THROWS_AS(slows(x), GraphError);
  auto empty = compile([](const Tensor&) { return Tensor(); });
  CHECK_THROWS_AS(empty(x), GraphError);
  auto good = compile([](const Tensor& a) { return a + 1; });
  CHECK_THROWS_AS(good(Tensor()), GraphError);
  CHECK(good(x).to_vector() == Floats{2, 3});
}

TEST_CASE("a compiled function inside another becomes a part of it", "[compile]") {
  auto inner = compile([](const Tensor& x) { return square(x); });
  auto outer = compile([&](const Tensor& x) { return inner(x) + inner(x + 1); });
  CHECK(outer(constant({1, 2})).to_vector() == Floats{5, 13});
  CHECK(outer(constant({0, 3})).to_vector() == Floats{1, 25});
  CHECK(inner.programs() == 0);
}

TEST_CASE("gradients by an argument", "[compile]") {
  auto slope = compile([](const Tensor& x) { return gradients(sum(pow(x, 3)), {x})[0]; });
  const Tensor x = variable({1, 2}), other = variable({3, -1});
  CHECK(slope(x).to_vector() == Floats{3, 12});
  CHECK(slope(other).to_vector() == Floats{27, 3});
  CHECK_THROWS_AS(slope(constant({1, 2})), GraphError);  // no variable
}

TEST_CASE("an error while running leaves parameters and optimizer as they were", "[compile]") {
  const Net net, twin = nn::clone(net);
  nn::Adam adam(net.parameters()), same(twin.parameters());
  auto step = compile([&](const Tensor& x, const Tensor& y) {
    Tensor loss = nn::cross_entropy(net(x), y);
    adam.minimize(loss);
    return loss;
  });
  const Tensor x = batch(1, 2), good = constant(std::vector<Index>{0, 2}),
               bad = constant(std::vector<Index>{0, 3});
  step(x, good);
  CHECK_THROWS_AS(step(x, bad), ValueError);
  CHECK(adam.steps() == 1);
  step(x, good);
  for (int k = 0; k < 2; ++k) same.minimize(nn::cross_entropy(twin(x), good));
  CHECK(values_of(net) == values_of(twin));
}

TEST_CASE("what is made of nothing is known inside a compiled function, and so are derivatives along it",
          "[compile]") {
  const Tensor x = variable({1.0, 2.0, -3.0}), along = constant({1.0, 0.5, 2.0});
  const auto moved =
      compile([&](const Tensor& a) { return jvp(a * square(a), a, along) + zeros({}).item(); });
  for (int k = 0; k < 2; ++k) CHECK(moved(x).to_vector() == Floats{3, 6, 54});
  const auto shifted = compile([&](const Tensor& a) { return a + variable(arange(3, DType::float32)); });
  CHECK(shifted(x).to_vector() == Floats{1, 3, -1});
  const auto row = compile([&](const Tensor& a) { return a * sum(a + zeros({3})).item(); });
  CHECK_THROWS_AS(row(x), GraphError);
}

TEST_CASE("results that are views have memory of their own at each run", "[compile]") {
  auto middle = compile([](const Tensor& x) { return slice(x * 2, 0, 100, 102); });
  const Tensor ones_ = constant(std::vector<float>(200, 1)), twos = constant(std::vector<float>(200, 2));
  for (int k = 0; k < 10; ++k) {
    CHECK(middle(ones_).to_vector() == Floats{2, 2});
    CHECK(middle(twos).to_vector() == Floats{4, 4});
  }
}

}  // namespace
}  // namespace gradweave
