// Checking an op over its own samples: derivatives, then the kernel of every dtype and layout against
// float64's.
#include <algorithm>
#include <cmath>
#include <random>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/check/gradcheck.hpp>
#include <gradweave/graph/evaluate.hpp>
#include <gradweave/graph/gradients.hpp>
#include <gradweave/graph/kernels/convert.hpp>
#include <gradweave/graph/node.hpp>
#include <gradweave/graph/outputs.hpp>
#include <gradweave/graph/plan/plan.hpp>

namespace gradweave {
namespace {

using Values = std::vector<double>;

Values draw_values(const InputSpec& draw, std::mt19937_64& random) {
  Values values(static_cast<std::size_t>(numel(draw.shape)));
  for (double& value : values) {
    value = draw.low + (draw.high - draw.low) * static_cast<double>(random() >> 11) * 0x1p-53;
    if (!is_floating(draw.dtype)) value = std::floor(value);
  }
  return values;
}

Tensor leaf(DType dtype, const Values& values, const Shape& shape, bool by_columns = false) {
  const auto element = static_cast<Index>(size_of(dtype));
  Ref<Storage> storage = allocate_storage(values.size() * size_of(dtype));
  std::array<Index, max_rank> strides{};
  Index step = 1;
  for (std::size_t axis = 0; axis < shape.rank(); ++axis)
    strides[axis] = step, step *= std::max<Index>(shape[axis], 1);
  const Shape packed = row_major(shape);
  for (std::size_t i = 0; i < values.size(); ++i) {
    auto at = static_cast<Index>(i);
    if (by_columns) {
      at = 0;
      for (std::size_t axis = 0; axis < shape.rank(); ++axis)
        at += static_cast<Index>(i) / packed[axis] % shape[axis] * strides[axis];
    }
    convert_elements(DType::float64, &values[i], dtype, storage->data + at * element, 1);
  }
  const bool strided = by_columns && !is_row_major(shape, Dims(strides.data(), shape.rank()));
  auto* bytes = storage->data;
  return make_leaf(is_floating(dtype) ? variable_leaf : constant_leaf, {shape, dtype}, std::move(storage),
                   bytes, strided ? Dims(strides.data(), shape.rank()) : Dims());
}

// What a dtype keeps of a number.
double rounded(double value, DType dtype) {
  if (dtype == DType::bool_) return value > 0.5 ? 1 : 0;
  std::uint64_t kept = 0;
  convert_elements(DType::float64, &value, dtype, &kept, 1);
  return number_at(dtype, &kept);
}

// How far a result may be from the same in float64, and a gradient, whose rule is several ops.
double tolerance_of(DType dtype) {
  switch (kind_of(dtype)) {
    case DTypeKind::boolean:
    case DTypeKind::integer:
      return 1e-12;
    case DTypeKind::floating:
      break;
  }
  return dtype == DType::float64   ? 1e-12
         : dtype == DType::float32 ? 1e-5
         : dtype == DType::float16 ? 1e-3
                                   : 8e-3;
}
double gradient_tolerance_of(DType dtype) { return 10 * tolerance_of(dtype); }

bool agree(double found, double expected, DType dtype, double tolerance) {
  if (std::isnan(found) && std::isnan(expected)) return true;
  if (dtype == DType::bool_) return (found != 0) == (expected != 0);
  return found == expected || std::abs(found - expected) <= tolerance * (1 + std::abs(expected));
}

class OperationCheck {
 public:
  OperationCheck(const Operation& op, const GradcheckOptions& options, const Operation* table)
      : op_(op), table_(table == nullptr ? op : *table), options_(options), random_(options.seed) {
    options_.allow_unconnected =
        true;  // an empty cotangent claims that the derivative is zero, and is checked
  }

  GradcheckReport run() {
    const std::vector<Sample> samples = op_.samples == nullptr ? std::vector<Sample>() : op_.samples();
    if (samples.empty()) return fail("it has no samples: add a static function `samples`");
    for (number_ = 0; number_ < samples.size(); ++number_) {
      sample_ = &samples[number_];
      try {
        // Each of several outputs alone, then all of them in one result.
        const std::size_t outputs = output_count();
        for (output_ = 0; output_ < outputs; ++output_) {
          if (GradcheckReport report = check_derivatives(); !report.ok) return report;
          if (output_ == all_of_them()) break;
          if (GradcheckReport report = check_kernels(); !report.ok) return report;
          if (GradcheckReport report = check_leading_axis(); !report.ok) return report;
        }
      } catch (const std::exception& error) {
        return fail(error.what());
      }
    }
    return passed(fmt::format("{}: right over {} samples", op_.name, samples.size()));
  }

 private:
  static GradcheckReport passed(std::string message = {}) {
    GradcheckReport report;
    report.ok = true;
    report.verdict = Gradcheck::right;
    report.message = std::move(message);
    return report;
  }
  GradcheckReport fail(const std::string& what, Gradcheck verdict = Gradcheck::error) const {
    GradcheckReport report;
    report.verdict = verdict;
    report.message = fmt::format("{}, sample {}: {}", op_.name, number_, what);
    return report;
  }

  bool has_several_outputs() const { return table_.infer_outputs != nullptr; }
  std::size_t all_of_them() const { return output_total_; }
  // How many results there are to check: the outputs, and all of them together.
  std::size_t output_count() {
    if (!has_several_outputs()) return output_total_ = static_cast<std::size_t>(-1), 1;
    std::vector<Tensor> inputs = leaves(draw(), DType::float64, DType::float64);
    output_total_ = outputs_of(call_node(inputs)).size();
    return output_total_ + 1;
  }

  // The sample's op with the table to check in place of its own.
  Tensor call_node(std::span<const Tensor> inputs) const {
    Tensor y = sample_->call(inputs);
    Node& node = *y.node();
    if (node.operation != &op_)
      throw GraphError(fmt::format("the sample calls {} instead", node.operation->name));
    if (&table_ == &op_) return y;
    return apply(table_, node.attributes(), std::vector<Operand>(node.inputs().begin(), node.inputs().end()));
  }

  Tensor call(std::span<const Tensor> inputs) const {
    Tensor node = call_node(inputs);
    if (!has_several_outputs()) return node;
    if (output_ != all_of_them()) return output_of(node, output_);
    std::vector<Tensor> sums;
    for (const Tensor& output : outputs_of(node)) {
      if (!is_floating(output.dtype())) continue;
      sums.push_back(cast(sum_to(output, {}), DType::float64));
    }
    return add(sums);
  }

  std::vector<Values> draw() {
    std::vector<Values> values;
    values.reserve(sample_->inputs.size());
    for (const InputSpec& input : sample_->inputs) values.push_back(draw_values(input, random_));
    return values;
  }

  bool is_fixed(std::size_t i) const { return i < table_.fixed.size() && table_.fixed[i].has_value(); }

  // The drawn values as leaves of a dtype, but for inputs whose dtype is the op's own business.
  std::vector<Tensor> leaves(const std::vector<Values>& values, DType dtype, DType rounded_as,
                             bool by_columns = false, const std::vector<Shape>* shapes = nullptr) const {
    std::vector<Tensor> inputs;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const InputSpec& draw = sample_->inputs[i];
      Values kept = values[i];
      if (!is_fixed(i)) {
        for (double& value : kept) {
          if (is_integral(rounded_as) && !about(rounded_as).is_signed) value = std::abs(value);
          value = rounded(value, rounded_as);
        }
      }
      const Shape& shape = shapes == nullptr ? draw.shape : (*shapes)[i];
      inputs.push_back(leaf(is_fixed(i) ? draw.dtype : dtype, kept, shape, by_columns));
    }
    return inputs;
  }

  GradcheckReport check_derivatives() {
    constexpr int attempts = 16;
    GradcheckReport report;
    for (int attempt = 0; attempt < attempts; ++attempt) {
      std::vector<Tensor> inputs;
      const std::vector<Values> values = draw();
      for (std::size_t i = 0; i < values.size(); ++i) {
        const InputSpec& draw = sample_->inputs[i];
        inputs.push_back(leaf(is_floating(draw.dtype) ? DType::float64 : draw.dtype, values[i], draw.shape));
      }
      const Tensor y = call(inputs);
      const Values once = y.to_vector<double>();
      const Values again = call(inputs).to_vector<double>();
      if (!std::equal(once.begin(), once.end(), again.begin(), again.end(),
                      [](double a, double b) { return agree(a, b, DType::float64, 0); })) {
        return fail("the same inputs gave other values when asked again", Gradcheck::nondeterministic);
      }
      is_differentiable_ = (table_.vjp != nullptr || table_.pull_back != nullptr) && y.is_tracked();
      if (!is_differentiable_) return passed();
      report = gradcheck([this](std::span<const Tensor> x) { return call(x); }, inputs, options_);
      report.message = fmt::format("{}, sample {}: {}", op_.name, number_, report.message);
      const bool unlucky = report.verdict == Gradcheck::kink || report.verdict == Gradcheck::zero;
      if (!unlucky) break;  // else: step around the kink
    }
    return report;
  }

  GradcheckReport check_kernels() {
    const bool has_reference = contains(table_.dtypes, DType::float64);
    const std::vector<Values> values = draw();
    for (std::size_t t = 0; t < dtype_count; ++t) {
      const auto dtype = static_cast<DType>(t);
      if (!contains(table_.dtypes, dtype)) continue;
      const std::vector<Tensor> inputs = leaves(values, dtype, dtype);
      const Tensor y = call(inputs);
      if (auto report = check_rows(y, dtype); !report.ok) return report;
      const Tensor reference = call(leaves(values, has_reference ? DType::float64 : dtype, dtype));
      if (auto report = compare(y, reference, fmt::format("{} kernel", name_of(dtype)), tolerance_of(dtype));
          !report.ok) {
        return report;
      }
      const Tensor by_columns = call(leaves(values, dtype, dtype, true));
      if (auto report =
              compare(by_columns, y, fmt::format("{} kernel on column-major inputs", name_of(dtype)),
                      tolerance_of(dtype));
          !report.ok) {
        return report;
      }
      if (is_floating(dtype) && dtype != DType::float64 && has_reference && is_differentiable_) {
        if (auto report = compare_gradients(y, inputs, values, dtype); !report.ok) return report;
      }
    }
    return passed();
  }

  // A stack of two draws gives the stack of what each gives alone, and its gradients those of each.
  GradcheckReport check_leading_axis() {
    if (!table_.leading_axes || !table_.pure || sample_->inputs.empty()) return passed();
    const DType dtype = contains(table_.dtypes, DType::float64) ? DType::float64
                        : contains(table_.dtypes, DType::int64) ? DType::int64
                                                                : DType::bool_;
    const std::size_t count = sample_->inputs.size(), shared_from = count - table_.shared_inputs;
    std::size_t rank = 0;
    for (std::size_t i = 0; i < shared_from; ++i) rank = std::max(rank, sample_->inputs[i].shape.rank());
    if (rank == max_rank) return passed();

    const std::vector<Values> first = draw();
    std::vector<Values> second = draw(), both = first;
    std::vector<Shape> shapes;
    for (std::size_t i = 0; i < count; ++i) {
      const Shape& shape = sample_->inputs[i].shape;
      if (i >= shared_from) {
        second[i] = first[i];
        shapes.push_back(shape);
        continue;
      }
      both[i].insert(both[i].end(), second[i].begin(), second[i].end());
      Shape stacked{2};
      for (std::size_t k = shape.rank(); table_.broadcasts && k < rank; ++k) stacked.push_back(1);
      for (const Index size : shape) stacked.push_back(size);
      shapes.push_back(stacked);
    }

    // The result, and the gradients of a weighted sum of its elements.
    const auto all_of = [&](const std::vector<Values>& values, const std::vector<Shape>* as, Values weights) {
      std::vector<Tensor> inputs = leaves(values, dtype, dtype, false, as);
      std::vector<Tensor> results{call(inputs)};
      const Tensor& y = results[0];
      if (is_differentiable_ && is_floating(y.dtype())) {
        weights.resize(static_cast<std::size_t>(y.numel()));
        inputs.resize(shared_from);
        std::vector<Tensor> all =
            gradients(y, inputs, leaf(y.dtype(), weights, y.shape()), Unconnected::zeros);
        std::ranges::move(all, std::back_inserter(results));
      }
      return results;
    };
    const std::string what = "with an axis in front (see leading_axes in define.hpp)";
    try {
      const Index size = call(leaves(first, dtype, dtype)).numel();
      const Values u = draw_values({.shape = {2 * size}}, random_), v(u.begin() + size, u.end());
      const std::vector<Tensor> a = all_of(first, nullptr, u), b = all_of(second, nullptr, v),
                                stacked = all_of(both, &shapes, u);
      return compare_stacked(stacked, a, b, shapes, what);
    } catch (const Error& error) {
      return fail(fmt::format("{}: {}", what, error.what()));
    }
  }

  GradcheckReport compare_stacked(const std::vector<Tensor>& stacked, const std::vector<Tensor>& a,
                                  const std::vector<Tensor>& b, const std::vector<Shape>& shapes,
                                  const std::string& what) const {
    for (std::size_t k = 0; k < stacked.size(); ++k) {
      Values expected = a[k].to_vector<double>();
      const Values behind = b[k].to_vector<double>();
      expected.insert(expected.end(), behind.begin(), behind.end());
      Shape shape{2};
      for (const Index size : k == 0 ? a[k].shape() : Shape(Dims(shapes[k - 1]).subspan(1)))
        shape.push_back(size);
      const std::string which = k == 0 ? what : fmt::format("the gradient by input {}, {}", k - 1, what);
      if (auto report = compare(stacked[k], leaf(stacked[k].dtype(), expected, shape), which, 1e-12);
          !report.ok)
        return report;
    }
    return passed();
  }

  // A kernel that works by rows gives the same when each row is asked for alone.
  GradcheckReport check_rows(const Tensor& y, DType dtype) const {
    if (table_.run_rows == nullptr || computed_as(dtype) != dtype || computed_as(y.dtype()) != y.dtype())
      return passed();
    Node& node = *y.node();
    std::vector<Tensor> operands(node.inputs().begin(), node.inputs().end());
    eval(y);
    std::vector<ArrayView> inputs;
    inputs.reserve(operands.size());
    for (Tensor& x : operands) {
      x = contiguous(x);  // a sample may make what the op is applied to
      eval(x);
      inputs.push_back({x.node()->data, x.dtype(), x.node()->shape(), {}});
    }
    ArrayView whole{node.data, y.dtype(), node.shape(), {}};
    const Index width = table_.row_width(node.attributes(), whole, inputs);
    const Tensor alone = leaf(y.dtype(), Values(static_cast<std::size_t>(y.numel())), y.shape());
    whole.data = nullptr;
    for (Index row = 0; row < y.numel() / width; ++row) {
      auto* to = alone.node()->data + static_cast<std::size_t>(row * width) * size_of(y.dtype());
      table_.run_rows(node.attributes(), {to, row, 1, width}, whole, inputs);
    }
    return compare(alone, y, fmt::format("{} kernel, row by row", name_of(dtype)), tolerance_of(dtype));
  }

  GradcheckReport compare(const Tensor& found, const Tensor& expected, const std::string& what,
                          double tolerance) const {
    if (found.shape() != expected.shape()) {
      return fail(fmt::format("{}: shape {}, expected {}", what, to_string(found.shape()),
                              to_string(expected.shape())),
                  Gradcheck::wrong);
    }
    const Values f = found.to_vector<double>(), e = expected.to_vector<double>();
    for (std::size_t i = 0; i < f.size(); ++i) {
      const double wanted = is_integral(found.dtype()) ? rounded(e[i], found.dtype()) : e[i];  // it wraps
      if (!agree(f[i], wanted, found.dtype(), tolerance)) {
        return fail(fmt::format("{}: element {} is {:.9g}, expected {:.9g}", what, i, f[i], e[i]),
                    Gradcheck::wrong);
      }
    }
    return passed();
  }

  // Derivatives have the dtype of their tensor and agree with those in float64.
  GradcheckReport compare_gradients(const Tensor& y, const std::vector<Tensor>& inputs,
                                    const std::vector<Values>& values, DType dtype) const {
    if (y.dtype() != dtype) return passed();
    const std::vector<Tensor> wide = leaves(values, DType::float64, dtype);
    const Tensor reference = call(wide);
    const Values ones(static_cast<std::size_t>(y.numel()), 1);
    const Tensor u = leaf(DType::float64, ones, y.shape());
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (!inputs[i].is_tracked()) continue;
      const Tensor g = gradients(y, {inputs[i]}, u, Unconnected::zeros)[0];
      if (g.dtype() != dtype) {
        return fail(
            fmt::format("the gradient by the {} input {} is {}", name_of(dtype), i, name_of(g.dtype())),
            Gradcheck::wrong);
      }
      const Tensor expected = gradients(reference, {wide[i]}, u, Unconnected::zeros)[0];
      if (auto report = compare(g, expected, fmt::format("{} gradient by input {}", name_of(dtype), i),
                                gradient_tolerance_of(dtype));
          !report.ok)
        return report;
    }
    return passed();
  }

  const Operation& op_;
  const Operation& table_;
  GradcheckOptions options_;
  std::mt19937_64 random_;
  std::size_t number_ = 0;
  std::size_t output_ = 0;  // which of several, or all of them
  std::size_t output_total_ = 0;
  const Sample* sample_ = nullptr;
  bool is_differentiable_ = false;
};

}  // namespace

GradcheckReport check_operation(const Operation& op, const GradcheckOptions& options,
                                const Operation* table) {
  Passes passes;
  passes.cache =
      table == nullptr;  // a table that lives no longer than this check must not be referred to later
  const WithPasses with(passes);
  return OperationCheck(op, options, table).run();
}

}  // namespace gradweave
