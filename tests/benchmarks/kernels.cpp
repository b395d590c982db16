// What single kernels cost: matrix products of the shapes that networks have, reductions, functions of each
// element.
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include <gradweave/graph/kernels/parallel.hpp>
#include <gradweave/ops/ops.hpp>

using namespace gradweave;

namespace {

Tensor uniform(const Shape& shape) {
  Generator generator(1);
  const Tensor x = random_uniform(shape, generator);
  eval(x);
  return x;
}

// (n, k) x (k, m) in GFLOP/s; `a` and `b` may lie transposed, as the gradients of a layer read them.
void matmul_of(benchmark::State& state, Index batch, Index n, Index k, Index m, bool a_lies, bool b_lies) {
  const auto operand = [&](Index rows, Index cols, bool transposed) {
    const Tensor x = transposed ? transpose(uniform({batch, cols, rows})) : uniform({batch, rows, cols});
    const Tensor y = batch == 1 ? squeeze(x, 0) : x;
    eval(y);
    return y;
  };
  const Tensor a = operand(n, k, a_lies), b = operand(k, m, b_lies);
  for (auto _ : state) eval(matmul(a, b));
  state.counters["FLOP/s"] = benchmark::Counter(static_cast<double>(2 * batch * n * k * m),
                                                benchmark::Counter::kIsIterationInvariantRate);
}

struct Product {
  Index batch, n, k, m;
  bool a_lies = false, b_lies = false;
};

const int registered = [] {
  for (const Product& p : std::vector<Product>{{1, 64, 784, 128},
                                               {1, 784, 64, 128, true},
                                               {1, 64, 128, 10},
                                               {1, 128, 64, 10, true},
                                               {1, 64, 10, 128, false, true},
                                               {1, 10, 784, 30},
                                               {1, 784, 10, 30, true},
                                               {1, 1, 784, 128},
                                               {1, 784, 1, 128, true},
                                               {1, 768, 128, 128},
                                               {1, 768, 128, 384},
                                               {1, 768, 128, 512},
                                               {1, 768, 512, 128},
                                               {1, 768, 512, 128, false, true},
                                               {1, 128, 768, 512, true},
                                               {1, 512, 768, 128, true},
                                               {1, 32, 128, 512},
                                               {1, 32, 512, 128, false, true},
                                               {1, 128, 32, 512, true},
                                               {48, 64, 32, 64, false, true},
                                               {48, 64, 64, 32},
                                               {48, 64, 64, 32, true},
                                               {1, 64, 400, 120},
                                               {1, 64, 120, 84},
                                               {1, 512, 512, 512},
                                               {1, 1024, 1024, 1024}}) {
    std::string name = "kernel/matmul/";
    if (p.batch > 1) name += std::to_string(p.batch) + "x";
    name += std::to_string(p.n) + (p.a_lies ? "t" : "") + "x" + std::to_string(p.k) + (p.b_lies ? "t" : "") +
            "x" + std::to_string(p.m);
    benchmark::RegisterBenchmark(name.c_str(), [p](benchmark::State& state) {
      matmul_of(state, p.batch, p.n, p.k, p.m, p.a_lies, p.b_lies);
    })->UseRealTime();
  }
  return 0;
}();

// The time is that of one element.
void elements(benchmark::State& state, const Shape& shape, Tensor (*f)(const Tensor&)) {
  const Tensor x = uniform(shape);
  const Index count = x.numel();
  while (state.KeepRunningBatch(count)) eval(f(x));
}

#define ELEMENTS(name, shape, expression)                              \
  BENCHMARK_CAPTURE(elements, name, Shape shape, [](const Tensor& x) { \
    return expression;                                                 \
  })->Name("kernel/" #name)
ELEMENTS(mul1M, ({1'000'000}), x* x);
ELEMENTS(exp1M, ({1'000'000}), exp(x));
ELEMENTS(log1M, ({1'000'000}), log(x));
ELEMENTS(tanh1M, ({1'000'000}), tanh(x));
ELEMENTS(sigmoid1M, ({1'000'000}), sigmoid(x));
ELEMENTS(erf1M, ({1'000'000}), erf(x));
ELEMENTS(sqrt1M, ({1'000'000}), sqrt(x));
ELEMENTS(relu1M, ({1'000'000}), relu(x));
ELEMENTS(where1M, ({1'000'000}), where(x > 0.5, x, 0));
ELEMENTS(to_int1M, ({1'000'000}), cast(x, DType::int64));
ELEMENTS(to_double1M, ({1'000'000}), cast(x, DType::float64));
ELEMENTS(sum1M, ({1'000'000}), sum(x));
ELEMENTS(sum_leading64x128, ({64, 128}), sum(x, {0}));
ELEMENTS(sum_leading1000x1000, ({1000, 1000}), sum(x, {0}));
ELEMENTS(sum_last64x128, ({64, 128}), sum(x, {1}));
ELEMENTS(sum_last64x10, ({64, 10}), sum(x, {1}));
ELEMENTS(sum_last1000x1000, ({1000, 1000}), sum(x, {1}));
ELEMENTS(sum_middle100x100x100, ({100, 100, 100}), sum(x, {1}));
ELEMENTS(max_last1000x1000, ({1000, 1000}), max(x, {1}));
ELEMENTS(argmax_last64x10, ({64, 10}), argmax(x, 1));
ELEMENTS(argmax_last1000x1000, ({1000, 1000}), argmax(x, 1));
ELEMENTS(argmax_leading1000x1000, ({1000, 1000}), argmax(x, 0));
ELEMENTS(logsumexp64x10, ({64, 10}), logsumexp(x, {1}));
ELEMENTS(logsumexp1000x1000, ({1000, 1000}), logsumexp(x, {1}));
ELEMENTS(softmax48x64x64, ({48, 64, 64}), softmax(x));
ELEMENTS(transposed1000x1000, ({1000, 1000}), contiguous(transpose(x)));
ELEMENTS(transposed64x128, ({64, 128}), contiguous(transpose(x)));
ELEMENTS(heads12x64x4x32, ({12, 64, 4, 32}), contiguous(permute(x, {0, 2, 1, 3})));
#undef ELEMENTS

void rows_of_table(benchmark::State& state, bool backward) {
  const Tensor table = uniform({10'000, 128});
  std::vector<Index> numbers;
  for (Index i = 0; i < 768; ++i) numbers.push_back(i * 7919 % 10'000);
  const Tensor indices = constant(numbers);
  for (auto _ : state) {
    const Tensor x = variable(table), y = take(x, indices);
    eval(backward ? gradients(y, {x}, y)[0] : y);
  }
}
BENCHMARK_CAPTURE(rows_of_table, forward, false)->Name("kernel/take768_of10000x128");
BENCHMARK_CAPTURE(rows_of_table, backward, true)->Name("kernel/take768_of10000x128_backward");

}  // namespace
