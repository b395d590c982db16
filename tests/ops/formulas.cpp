// The formula of every elementwise op, over its own samples: it is what the kernel computes.
#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include <fmt/format.h>

#include <gradweave/graph/formula_of.hpp>
#include <gradweave/graph/kernels/convert.hpp>
#include <gradweave/graph/node.hpp>
#include <gradweave/graph/samples.hpp>
#include <gradweave/ops/ops.hpp>

#include "catch.hpp"
#include "support.hpp"

namespace gradweave {
namespace {

// Row-major elements of a dtype.
struct Elements {
  DType dtype;
  std::vector<std::byte> bytes;

  Elements(DType t, Index count) : dtype(t), bytes(static_cast<std::size_t>(count) * size_of(t)) {}
  explicit Elements(const Tensor& x) : Elements(x.dtype(), x.numel()) {
    const Tensor y = contiguous(x);
    eval(y);
    std::memcpy(bytes.data(), y.node()->data, bytes.size());
  }
  const std::byte* at(Index i) const { return bytes.data() + static_cast<std::size_t>(i) * size_of(dtype); }
  double number(Index i) const { return number_at(dtype, at(i)); }
};

// An elementwise op applied to numbers, with its formula and what its kernel has computed.
struct Applied {
  const Operation* operation;
  Formula formula;
  std::vector<Interval> ranges;  // that the inputs were drawn from
  std::vector<Elements> inputs;  // of the output's shape
  Elements output;
  Index count;

  std::vector<const void*> addresses() const {
    std::vector<const void*> all;
    for (const Elements& x : inputs) all.push_back(x.bytes.data());
    return all;
  }
};

// Many rows in front of the shape of a sample's input, unless it is a single number.
Tensor drawn(const InputSpec& draw, DType dtype, std::mt19937_64& random) {
  std::vector<Index> sizes;
  if (draw.shape.rank() == 2) sizes.push_back(30);
  for (std::size_t axis = 0; axis < draw.shape.rank(); ++axis) sizes.push_back(draw.shape[axis]);
  std::vector<double> values(static_cast<std::size_t>(numel(Shape(sizes))));
  for (double& value : values) {
    value = draw.low + (draw.high - draw.low) * static_cast<double>(random() >> 11) * 0x1p-53;
    if (!is_floating(dtype)) value = std::floor(value);
    if (!about(dtype).is_signed) value = std::abs(value);
  }
  return reshape(cast(constant(values), dtype), sizes);
}

// A number as a range.
Interval point(double value) { return std::isnan(value) ? Interval{0, 0, true} : Interval{value, value}; }

Applied applied_at(const Tensor& y) {
  Applied applied{y.node()->operation, formula_of(y), {}, {}, Elements(y.dtype(), 0), y.numel()};
  const std::vector<Tensor> inputs(y.node()->inputs().begin(), y.node()->inputs().end());
  for (const Tensor& x : inputs) applied.inputs.emplace_back(broadcast_to(x, y.shape()));
  for (const Elements& x : applied.inputs) {
    Interval range = point(x.number(0));
    for (Index i = 0; i < applied.count; ++i) {
      const Interval one = point(x.number(i));
      range = {std::min(range.low, one.low), std::max(range.high, one.high), range.nan || one.nan};
    }
    applied.ranges.push_back(range);
  }
  applied.output = Elements(y);
  return applied;
}

// Calls f for each elementwise op over its samples, in every dtype that kernels are made for, and some
// others; and for the cast of numbers that few dtypes hold from each dtype to each.
template <class F>
void for_each_applied(const F& f) {
  const auto call = [&](const Tensor& y) {
    const Applied applied = applied_at(y);
    INFO(fmt::format("{} to {}: {}", applied.operation->name, name_of(y.dtype()), to_latex(applied.formula)));
    f(applied);
  };
  std::mt19937_64 random(5);
  for (const Operation* op : all_operations()) {
    if (!op->elementwise) continue;
    for (const Sample& sample : op->samples()) {
      for (const DType dtype : {DType::bool_, DType::int64, DType::float32, DType::float64, DType::float16,
                                DType::uint64, DType::int8}) {
        if (!contains(op->dtypes, dtype)) continue;
        std::vector<Tensor> given;
        for (std::size_t i = 0; i < sample.inputs.size(); ++i) {
          const bool is_fixed = i < op->fixed.size() && op->fixed[i];
          given.push_back(drawn(sample.inputs[i], is_fixed ? sample.inputs[i].dtype : dtype, random));
        }
        const Tensor y = sample.call(given);
        REQUIRE(y.node()->operation == op);
        call(y);
      }
    }
  }
  const Tensor numbers = constant({0.0, -0.0, 1.0, -1.0, 0.4, -2.5, 127.5, 300.0, -40000.0, 3e9, -3e9, 1e19,
                                   -1e19, 1e30, -1e30, inf, -inf, nan},
                                  f64);
  for (std::size_t from = 0; from < dtype_count; ++from) {
    for (std::size_t to = 0; to < dtype_count; ++to) {
      const Tensor x = cast(numbers, static_cast<DType>(from));
      eval(x);
      if (from != to) call(cast(x, static_cast<DType>(to)));
    }
  }
}

bool is_exact(const Formula& formula) {
  return std::ranges::all_of(formula.terms, [](const Formula::Term& term) {
    return about(term.function).float_ulps == 0 && about(term.function).double_ulps == 0;
  });
}

// The first element where `found` is not what the kernel has computed; -1: there is none. Where only
// arithmetic occurs they are the same number, else both are in the range of the formula for these very
// inputs.
Index first_difference(const Applied& applied, const Formula& formula, const Elements& found) {
  const bool exact = is_exact(formula);
  for (Index i = 0; i < applied.count; ++i) {
    const double expected = applied.output.number(i), value = found.number(i);
    if (expected == value || (std::isnan(expected) && std::isnan(value))) continue;
    if (exact) return i;
    std::vector<Interval> points;
    for (const Elements& x : applied.inputs) points.push_back(point(x.number(i)));
    const Interval range = range_of(formula, points);
    if (!range.contains(expected) || !range.contains(value)) return i;
  }
  return -1;
}

Elements evaluated(const Applied& applied, const Formula& formula) {
  Elements found(formula.result().dtype, applied.count);
  evaluate(formula, applied.addresses(), found.bytes.data(), applied.count);
  return found;
}

std::string at_element(const Applied& applied, const Elements& found, Index i) {
  std::string text = fmt::format("element {}:", i);
  if (i < 0) return text;
  for (const Elements& x : applied.inputs) text += fmt::format(" {}", x.number(i));
  return text + fmt::format(" gives {}, found {}", applied.output.number(i), found.number(i));
}

TEST_CASE("the formula of every elementwise op gives what its kernel computes", "[formula]") {
  int formulas = 0;
  for_each_applied([&](const Applied& applied) {
    ++formulas;
    REQUIRE(applied.formula.hidden_by().empty());
    REQUIRE(applied.formula.result().dtype == applied.output.dtype);
    const Elements found = evaluated(applied, applied.formula);
    const Index i = first_difference(applied, applied.formula, found);
    INFO(at_element(applied, found, i));
    CHECK(i == -1);
  });
  CHECK(formulas > 150);
}

TEST_CASE("a range of single numbers is no wider than the error of the functions", "[formula]") {
  for_each_applied([](const Applied& applied) {
    if (applied.output.dtype != DType::float64 || applied.operation->name == "cast") return;
    for (Index i = 0; i < applied.count; ++i) {
      std::vector<Interval> points;
      for (const Elements& x : applied.inputs) points.push_back(point(x.number(i)));
      const Interval range = range_of(applied.formula, points);
      CHECK(range.high - range.low <= 1e-13);
    }
  });
}

// Whether every term counts: of some numbers a condition chooses others.
bool has_conditions(const Formula& formula) {
  return std::ranges::any_of(formula.terms, [](const Formula::Term& term) {
    return term.function == ElementFunction::select || term.function == ElementFunction::equal;
  });
}

// A number moved, a function in place of another one, or operands exchanged.
std::vector<Formula> spoilt(const Formula& formula) {
  using enum ElementFunction;
  std::vector<Formula> all;
  for (std::size_t t = 0; t < formula.terms.size(); ++t) {
    const auto changed = [&](auto change) {
      all.push_back(formula);
      change(all.back().terms[t]);
    };
    const Formula::Term& term = formula.terms[t];
    if (term.function == number && is_floating(term.dtype)) changed([](Formula::Term& x) { x.real += 1; });
    if (term.function == subtract || term.function == divide || term.function == less)
      changed([](Formula::Term& x) { std::swap(x.operands[0], x.operands[1]); });
    if (term.function == multiply) changed([](Formula::Term& x) { x.function = add; });
    if (term.function == exp) changed([](Formula::Term& x) { x.function = expm1; });
    if (term.function == tanh) changed([](Formula::Term& x) { x.function = sin; });
    if (term.function == log1p) changed([](Formula::Term& x) { x.function = sqrt; });
  }
  return all;
}

TEST_CASE("a mistake in a formula is noticed", "[formula]") {
  int mistakes = 0;
  for_each_applied([&](const Applied& applied) {
    if (applied.output.dtype != DType::float64 || has_conditions(applied.formula)) return;
    for (const Formula& formula : spoilt(applied.formula)) {
      ++mistakes;
      INFO("spoilt: " << to_latex(formula));
      CHECK(first_difference(applied, formula, evaluated(applied, formula)) != -1);
    }
  });
  CHECK(mistakes > 50);
}

TEST_CASE("what a kernel computes of numbers in ranges is in the range of the formula", "[formula]") {
  for_each_applied([](const Applied& applied) {
    const Interval range = range_of(applied.formula, applied.ranges);
    INFO(fmt::format("[{}, {}]", range.low, range.high));
    for (Index i = 0; i < applied.count; ++i) CHECK(range.contains(applied.output.number(i)));
  });
}

// A folder that is gone in the end.
struct Folder {
  std::filesystem::path path;
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "gradweave_formulas_XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
};

TEST_CASE("the C text of every formula, compiled, gives what the kernel computes", "[formula]") {
  if (std::system("cc --version > /dev/null 2>&1") != 0) SKIP_TEST("there is no C compiler");
  const auto can_be_c = [](const Applied& applied) {
    return std::ranges::none_of(applied.formula.terms, [](const Formula::Term& term) {
      const bool is_function_of_c = term.operand_count == 0 || *about(term.function).c.text != '\0' ||
                                    term.function == ElementFunction::cast ||
                                    about(term.function).c_whole.text != nullptr;
      return term.dtype == DType::float16 || term.dtype == DType::bfloat16 || !is_function_of_c;
    });
  };
  // Beside each function one that calls it for each element.
  const auto type = [](DType dtype) -> std::string {
    if (dtype == DType::bool_) return "bool";
    return dtype == DType::float32   ? "float"
           : dtype == DType::float64 ? "double"
                                     : std::string(name_of(dtype)) + "_t";
  };
  std::string source = "#include <stdbool.h>\n#include <stdint.h>\n#include <tgmath.h>\n\n";
  int count = 0;
  for_each_applied([&](const Applied& applied) {
    if (!can_be_c(applied)) return;
    const std::string name = fmt::format("f{}", count++);
    source += to_c(applied.formula, name);
    std::string arguments;
    for (std::size_t i = 0; i < applied.inputs.size(); ++i)
      arguments += fmt::format("{}(({}*)x[{}])[i]", i == 0 ? "" : ", ", type(applied.inputs[i].dtype), i);
    source += fmt::format(
        "void run_{0}(void** x, {1}* y, long n) {{\n  for (long i = 0; i < n; ++i) y[i] = {0}({2});\n}}\n\n",
        name, type(applied.output.dtype), arguments);
  });

  const Folder folder;
  std::ofstream(folder.path / "formulas.c") << source;
  const std::string library = (folder.path / "formulas.so").string();
  REQUIRE(std::system(fmt::format("cc -std=c11 -O2 -ffp-contract=off -fPIC -shared -o {} {} -lm", library,
                                  (folder.path / "formulas.c").string())
                          .c_str()) == 0);
  void* const handle = dlopen(library.c_str(), RTLD_NOW);
  REQUIRE(handle != nullptr);
  count = 0;
  for_each_applied([&](const Applied& applied) {
    if (!can_be_c(applied)) return;
    const std::string name = fmt::format("run_f{}", count++);
    const auto run = reinterpret_cast<void (*)(const void**, void*, long)>(dlsym(handle, name.c_str()));
    REQUIRE(run != nullptr);
    Elements found(applied.output.dtype, applied.count);
    run(applied.addresses().data(), found.bytes.data(), applied.count);
    const Index i = first_difference(applied, applied.formula, found);
    INFO(to_c(applied.formula, name) << at_element(applied, found, i));
    CHECK(i == -1);
  });
  CHECK(count > 100);
  dlclose(handle);
}

}  // namespace
}  // namespace gradweave
