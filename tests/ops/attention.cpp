// Attention and positions. Known answers are PyTorch 2.13's, in float64.
#include <gradweave/ops/attention.hpp>

#include <cmath>

#include <gradweave/ops/ops.hpp>

#include "gradcheck_matcher.hpp"
#include "pattern.hpp"
#include "support.hpp"

namespace gradweave::attention_tests {
namespace {

constexpr auto attention = [](const Tensor& q, const Tensor& k, const Tensor& v,
                              const AttentionOptions& options = {}) {
  return scaled_dot_product_attention(q, k, v, options);
};
struct Inputs {
  Tensor q = variable(pattern({2, 3, 4}, 7, 11, 0.2)), k = variable(pattern({2, 5, 4}, 5, 7, 0.3)),
         v = variable(pattern({2, 5, 2}, 3, 5, 0.4));
};

// The result, and the gradients of its weighted sum by q, k and v, of the first of two heads.
void check(const AttentionOptions& options, const Doubles& values, const Doubles& dq, const Doubles& dk,
           const Doubles& dv) {
  const Inputs in;
  const Tensor y = attention(in.q, in.k, in.v, options);
  check_values(y, values);
  const auto all = gradients(sum(y * pattern({2, 3, 2}, 3, 7)), {in.q, in.k, in.v});
  check_values(select(all[0], 0, 0), dq);
  check_values(select(all[1], 0, 0), dk);
  check_values(select(all[2], 0, 0), dv);
}

TEST_CASE("attention and its gradients are PyTorch's", "[attention]") {
  check({},
        {-0.003578162967, -0.1297858257, 0.1447384146, 0.006419310035, -0.2887134401, 0.2269146245,
         -0.09591994528, 0.07498137824, -0.06407968234, -0.0503476785, 0.2325216566, -0.04108247421},
        {-0.2677135333, 0.358375423, -0.05669073764, -0.3767674449, 0.07446119122, -0.4442093443,
         0.2681774947, 0.5277154144, 0.2495233229, -0.3673388255, -0.0309682391, 0.5780590455},
        {-0.1125396879,    0.09120029276, -0.2580950387, 0.5918814784,   0.0300589628,
         0.05640603093,    -0.1621513327, 0.2083760163,  -0.09629722408, 0.05866855868,
         -0.0005014274332, -0.1311759951, 0.04142220668, -0.01978144626, 0.1023374092,
         -0.3112544772,    0.1373557425,  -0.1864934361, 0.3184103896,   -0.3578270224},
        {0.5688515235, -1.011470365, 0.7286093784, -0.634998147, -0.04896977166, -0.3648247862,
         -0.03210181684, -0.4011956892, 0.7836106866, -0.5875110122});
}

TEST_CASE("causal attention, with a scale", "[attention]") {
  check({.causal = true, .scale = 0.8},
        {-0.8, 0.4, -0.5761145403, 0.6238854597, -0.6478747489, 0.4217549065, -0.8, 0.4, -0.4736888425,
         0.7263111575, -0.4336497439, 0.1460765359},
        {0, 0, 0, 0, 0.2838922907, -0.04731538178, -0.04731538178, -0.04731538178, 0.1986479498,
         -0.1013563851, -0.1013563851, 0.3081339758},
        {0.08274377785,
         0.008915239276,
         -0.09760250998,
         0.1428592071,
         0.07325255013,
         -0.1259124853,
         0.136601592,
         0.05213620285,
         -0.155996328,
         0.116997246,
         -0.038999082,
         -0.19499541,
         0,
         0,
         0,
         0,
         0,
         0,
         0,
         0},
        {-0.3093968588, -1.81003044, 2.179026514, -1.059599216, 0.1303703446, -0.1303703446, 0, 0, 0, 0});
}

TEST_CASE("a bool mask: a row that may look at nothing gives 0, and gets no gradient", "[attention]") {
  const Tensor mask = constant({{1, 0, 1, 1, 0}, {0, 0, 0, 0, 0}, {1, 1, 1, 1, 1}}, DType::bool_);
  check({.mask = mask},
        {-0.1333333333, -0.2666666667, 0, 0, -0.2887134401, 0.2269146245, -0.2777353526, -0.09789760311, 0, 0,
         0.2325216566, -0.04108247421},
        {-0.42, 0.28, 0.28, -0.42, 0, 0, 0, 0, 0.2495233229, -0.3673388255, -0.0309682391, 0.5780590455},
        {-0.09833822917,  -0.04291299479, -0.07458455729, 0.6270772135,   0.1251564658,
         -0.09386734932,  0.03128911644,  0.1564455822,   -0.03720255168, 0.0512352471,
         0.0006993620791, -0.1965031896,  0.1385254909,   -0.01056078483, 0.07463137272,
         -0.4268431364,   -0.1281411758,  0.09610588184,  -0.03203529395, -0.1601764697},
        {-0.1415665516, -0.8584334484, 0.4571946163, -0.4571946163, -0.8026242729, -0.1973757271,
         -0.7565018959, -0.2434981041, 0.2434981041, -0.2434981041});
}

TEST_CASE("a mask that is added has gradients, too", "[attention]") {
  const Inputs in;
  const Tensor mask = variable(pattern({2, 1, 5}, 2, 5, 0.5));
  const Tensor y = attention(in.q, in.k, in.v, {.mask = mask});
  check_values(y, {0.1316765954, -0.3882497218, 0.277969113, -0.1757523732, -0.02973842517, 0.002034679495,
                   0.1196694078, -0.1574441803, 0.00716527983, -0.3350271066, 0.3635225762, -0.1648494808});
  check_values(gradients(sum(y * pattern({2, 3, 2}, 3, 7)), {mask})[0],
               {-0.3550110476, -0.861604238, 0.6191042392, 0.07869655547, 0.5188144909, -0.1127457372,
                0.4036521513, -0.4262666306, 0.02876321406, 0.1065970024});
}

TEST_CASE("heads in groups share keys and values", "[attention]") {
  const Tensor q = pattern({1, 4, 2, 2}, 7, 11, 0.2), k = pattern({1, 2, 3, 2}, 5, 7, 0.3),
               v = pattern({1, 2, 3, 1}, 3, 5, 0.4);
  const Tensor y = attention(q, k, v, {.grouped_heads = true});
  CHECK(y.shape() == Shape{1, 4, 2, 1});
  check_values(y, {-0.4602695035, -0.4739959049, -0.1447025174, -0.2286016168, -0.2790667379, 0.3220748105,
                   0.1403905491, -0.008275810807});
  check_values(attention(q, k, v, {.mask = pattern({1, 4, 2, 3}, 2, 5, 0.5), .grouped_heads = true}),
               {-0.2931100388, -0.2535948141, 0.1280009179, -0.4337674243, -0.1584456084, -0.2095058484,
                0.1312782137, 0.03934106158});
  CHECK_THROWS_AS(attention(q, zeros({1, 3, 3, 2}, f64), zeros({1, 3, 3, 1}, f64), {.grouped_heads = true}),
                  ShapeError);
}

// By its definition.
Tensor plain(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionOptions& options) {
  Tensor scores = matmul(q, transpose(k)) / std::sqrt(static_cast<double>(q.size(-1)));
  if (!options.mask.is_empty()) scores = scores + options.mask;
  if (options.causal) scores = where(tril(ones({q.size(-2), k.size(-2)}, f64)) > 0, scores, -inf);
  return matmul(softmax(scores), v);
}

TEST_CASE("long attention, in many blocks, is what its definition says at any number of threads",
          "[attention]") {
  struct Threads {
    int before = get_num_threads();
    ~Threads() { set_num_threads(before); }
  };
  const Threads restored;
  const Tensor q = variable(pattern({2, 150, 8}, 7, 101, 0.02)),
               k = variable(pattern({2, 1100, 8}, 5, 97, 0.03)),
               v = variable(pattern({2, 1100, 3}, 3, 89, 0.02)), weight = pattern({2, 150, 3}, 3, 7);
  for (const bool causal : {false, true}) {
    for (const bool masked : {false, true}) {
      AttentionOptions options{.causal = causal};
      // The largest scores come last, so that what was summed shrinks.
      if (masked) options.mask = variable(pattern({1, 1100}, 1, 1100, 0.01));
      std::vector<Tensor> of{q, k, v};
      if (masked) of.push_back(options.mask);
      const Tensor expected = plain(q, k, v, options);
      const std::vector<Tensor> slopes = gradients(sum(expected * weight), of);
      std::vector<Doubles> seen;
      for (const int threads : {1, 4}) {
        set_num_threads(threads);
        const Tensor y = attention(q, k, v, options);
        const std::vector<Tensor> found = gradients(sum(y * weight), of);
        CHECK(max(abs(y - expected)).item<double>() < 1e-13);
        for (std::size_t i = 0; i < of.size(); ++i) {
          CHECK(max(abs(slopes[i])).item<double>() > 1e-3);
          CHECK(max(abs(found[i] - slopes[i])).item<double>() <
                1e-12 * (1 + max(abs(slopes[i])).item<double>()));
        }
        seen.push_back(concat({reshape(y, {-1}), reshape(found[0], {-1}), reshape(found[1], {-1}),
                               reshape(found[2], {-1})})
                           .to_vector<double>());
      }
      CHECK(seen[0] == seen[1]);
    }
  }
}

TEST_CASE("attention of what lies in any way: heads moved, repeated, few", "[attention]") {
  const Tensor x = pattern({2, 6, 3, 4}, 7, 31, 0.1);  // (batch, places, heads, width)
  const Tensor q = permute(x, {0, 2, 1, 3}), k = permute(x * 0.5, {0, 2, 1, 3});
  const Tensor straight = attention(reshape(q + 0, {2, 3, 6, 4}), reshape(k + 0, {2, 3, 6, 4}), q);
  check_values(attention(q, k, q), straight.to_vector<double>());
  CHECK(attention(zeros({5, 1, 3, 2}), zeros({4, 6, 2}), zeros({4, 6, 7})).shape() == Shape{5, 4, 3, 7});
  // Nothing to look at, or nobody who looks.
  CHECK(attention(ones({2, 3}), ones({0, 3}), ones({0, 2})).to_vector() == std::vector<float>(4, 0));
  CHECK(attention(ones({0, 3}), ones({4, 3}), ones({4, 2})).shape() == Shape{0, 2});
  CHECK(attention(ones({2, 3}), ones({4, 3}), ones({4, 0})).shape() == Shape{2, 0});
  CHECK(std::isnan(attention(full({1, 2}, nan), ones({3, 2}), ones({3, 1})).item()));
}

TEST_CASE("scores that are large do not overflow, in halves neither", "[attention]") {
  const Tensor q = full({1, 2}, 1e4, f32);
  CHECK(attention(q, constant({{1e4, 1e4}, {1, 1}}), constant({{3}, {5}})).item() == 3);
  const Tensor y = attention(cast(pattern({3, 4}, 7, 11, 0.2), DType::float16),
                             cast(pattern({5, 4}, 5, 7, 0.3), DType::float16),
                             cast(pattern({5, 2}, 3, 5, 0.4), DType::float16));
  CHECK(y.dtype() == DType::float16);
  check_values(y,
               attention(pattern({3, 4}, 7, 11, 0.2), pattern({5, 4}, 5, 7, 0.3), pattern({5, 2}, 3, 5, 0.4))
                   .to_vector<double>(),
               0.02);
}

TEST_CASE("attention drops weights", "[attention]") {
  Generator generator(3);
  const Tensor q = zeros({1, 1}, f64), k = zeros({1000, 1}, f64), v = ones({1000, 1}, f64);
  const auto y = attention(q, k, v, {.dropout = 0.25, .generator = &generator}).item<double>();
  CHECK(y != 1);
  CHECK(y == Approx(1).margin(0.1));
  CHECK_THROWS_AS(attention(q, k, v, {.dropout = 0.25}), ValueError);
}

TEST_CASE("attention has right gradients to second order", "[attention]") {
  const Inputs in;
  for (const bool causal : {false, true}) {
    REQUIRE_THAT(
        [&](std::span<const Tensor> x) {
          return attention(x[0], x[1], x[2], {.mask = x[3], .causal = causal});
        },
        HasRightGradients({in.q, in.k, in.v, variable(pattern({3, 5}, 2, 5, 0.5))}));
  }
}

TEST_CASE("rotary positions turn pairs", "[attention][positions]") {
  // Width 4: the first pair turns by t, the second by t / 100.
  const Tensor x = constant({{1, 2, 3, 4}, {1, 2, 3, 4}}, f64);
  const double c = std::cos(3), s = std::sin(3), c2 = std::cos(0.03), s2 = std::sin(0.03);
  check_values(rotary_embedding(x),
               {1, 2, 3, 4, std::cos(1) - 3 * std::sin(1), 2 * std::cos(0.01) - 4 * std::sin(0.01),
                3 * std::cos(1) + std::sin(1), 4 * std::cos(0.01) + 2 * std::sin(0.01)});
  check_values(slice(rotary_embedding(x, {.interleaved = true, .offset = 2}), 0, 1, 2),
               {c - 2 * s, 2 * c + s, 3 * c2 - 4 * s2, 4 * c2 + 3 * s2});
  check_values(rotary_embedding(x, {.interleaved = true, .positions = constant({3, 3}, i64)}),
               {c - 2 * s, 2 * c + s, 3 * c2 - 4 * s2, 4 * c2 + 3 * s2, c - 2 * s, 2 * c + s, 3 * c2 - 4 * s2,
                4 * c2 + 3 * s2});
  CHECK_THROWS_AS(rotary_embedding(ones({2, 3})), ShapeError);
  CHECK(rotary_embedding(ones({5, 2, 4}, DType::float16)).dtype() == DType::float16);
}

TEST_CASE("products of rotated rows depend on their distance", "[attention][positions]") {
  const Tensor q = pattern({1, 8}, 7, 11, 0.2), k = pattern({1, 8}, 5, 7, 0.3);
  for (const bool interleaved : {false, true}) {
    const auto at = [&](const Tensor& x, Index t) {
      return rotary_embedding(x, {.interleaved = interleaved, .offset = t});
    };
    CHECK(sum(at(q, 7) * at(k, 4)).item<double>() == Approx(sum(at(q, 1003) * at(k, 1000)).item<double>()));
  }
}

TEST_CASE("sinusoidal positions", "[attention][positions]") {
  check_values(sinusoidal_positions(2, 4, 10000, f64),
               {0, 1, 0, 1, std::sin(1), std::cos(1), std::sin(0.01), std::cos(0.01)});
  CHECK_THROWS_AS(sinusoidal_positions(2, 3), ShapeError);
}

TEST_CASE("ALiBi: slopes are those of its paper, and a row's softmax sees distances",
          "[attention][positions]") {
  const Tensor mask = alibi_mask(8, 3, f64);
  CHECK(mask.shape() == Shape{8, 1, 3});
  check_values(select(mask, -1, 0), {-1, -0.5, -0.25, -0.125, -0.0625, -0.03125, -0.015625, -0.0078125});
  // Twelve heads: those of eight, then every other one of sixteen.
  check_values(slice(select(alibi_mask(12, 2, f64), -1, 0), 0, 8, 12),
               {-std::exp2(-0.5), -std::exp2(-1.5), -std::exp2(-2.5), -std::exp2(-3.5)});
  const Tensor scores = pattern({1, 3, 3}, 5, 7, 0.3), place = arange(3, f64);
  const Tensor distances = expand_dims(place, -1) - place;
  check_values(causal_softmax(scores + alibi_mask(1, 3, f64)),
               causal_softmax(scores - std::exp2(-8) * distances).to_vector<double>());
}

}  // namespace
}  // namespace gradweave::attention_tests
