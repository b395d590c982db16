// Gradweave's functions answer the samples of PyTorch's own tests as PyTorch does: values, first and second
// derivatives, in float64.
#include "../../catch.hpp"
#include "../../support.hpp"

#ifdef GRADWEAVE_HAS_JSON
#include <zlib.h>

#include <cmath>
#include <filesystem>
#include <iostream>
#include <map>
#include <set>

#include <gradweave/graph/gradients.hpp>
#include <gradweave/graph/scope.hpp>
#include <gradweave/ops/ops.hpp>

#include "call.hpp"

namespace gradweave::pytorch_tests {
namespace {

using namespace pytorch;

std::string read_fixtures() {
  const auto path = std::filesystem::path(__FILE__).parent_path() / "op_db.jsonl.gz";
  gzFile file = gzopen(path.string().c_str(), "rb");
  REQUIRE(file != nullptr);
  std::string text, block(1 << 20, '\0');
  for (int count = 0; (count = gzread(file, block.data(), static_cast<unsigned>(block.size()))) > 0;)
    text.append(block, 0, static_cast<std::size_t>(count));
  gzclose(file);
  return text;
}

double recorded_number(const Json& json) {
  if (!json.is_object()) return json.get<double>();
  const auto text = json.at("x").get<std::string>();
  return text == "nan" ? nan : text == "-inf" ? -inf : inf;
}

bool close(double found, double expected, double scale, double tolerance) {
  if (std::isnan(expected) || std::isinf(expected)) {
    return std::isnan(expected) ? std::isnan(found) : found == expected;
  }
  return std::abs(found - expected) <= tolerance * std::max(1.0, scale);
}

/// Empty where the tensor is what was recorded, else what differs.
std::string difference(const Tensor& found, const Json& expected, double tolerance) {
  const auto sizes = expected.at("s").get<std::vector<Index>>();
  if (!same(found.shape(), sizes))
    return "shape " + to_string(Dims(found.shape())) + ", not " + expected.at("s").dump();
  if (found.dtype() != pytorch::dtype_of(expected.at("t").get<std::string>()))
    return "dtype " + std::string(name_of(found.dtype())) + ", not " + expected.at("t").get<std::string>();
  const auto values = found.to_vector<double>();
  if (expected.contains("v")) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double right = recorded_number(expected.at("v").at(i));
      if (!close(values[i], right, std::abs(right), tolerance))
        return "element " + std::to_string(i) + ": " + std::to_string(values[i]) + ", not " +
               std::to_string(right);
    }
    return {};
  }
  const double worst = recorded_number(expected.at("w").at(1));
  double at_worst = values[expected.at("w").at(0).get<std::size_t>()];
  if (!std::isfinite(at_worst) && worst == 0) at_worst = 0;  // nothing is finite
  if (!close(at_worst, worst, std::abs(worst), tolerance))
    return "worst element " + expected.at("w").dump() + ": " + std::to_string(at_worst);
  std::vector<int> odd(3);
  for (const double v : values) {
    odd[0] += std::isnan(v) ? 1 : 0;
    odd[1] += v == inf ? 1 : 0;
    odd[2] += v == -inf ? 1 : 0;
  }
  if (odd != (expected.contains("n") ? expected.at("n").get<std::vector<int>>() : std::vector<int>(3)))
    return "other NaN or infinities";
  for (std::uint64_t k = 1; k <= 3; ++k) {
    double projection = 0;
    for (std::size_t i = 0; i < values.size(); ++i)
      projection += std::isfinite(values[i]) ? values[i] * (hashed(k, i) * 2 - 1) : 0;
    const double right = recorded_number(expected.at("p").at(k - 1));
    if (!close(projection, right, std::abs(worst) * std::sqrt(static_cast<double>(values.size())), tolerance))
      return "projection " + std::to_string(projection) + ", not " + std::to_string(right);
  }
  return {};
}

std::string difference(const std::vector<Tensor>& found, const Json& expected, const std::string& what,
                       double tolerance) {
  if (found.size() != expected.size())
    return what + ": " + std::to_string(found.size()) + " tensors, not " + std::to_string(expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::string text = difference(found[i], expected.at(i), tolerance);
    if (!text.empty()) return what + " " + std::to_string(i) + ": " + text;
  }
  return {};
}

/// The gradient of these times fixed cotangents.
std::vector<Tensor> derivative(const std::vector<Tensor>& outputs, const std::vector<Tensor>& leaves) {
  Tensor loss;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].is_tracked()) continue;
    const Tensor term = sum(outputs[i] * direction(11 + i, outputs[i].shape()));
    loss = loss.is_empty() ? term : loss + term;
  }
  std::vector<Tensor> zero;
  if (loss.is_empty()) {
    for (const Tensor& leaf : leaves) zero.push_back(zeros(leaf.shape(), leaf.dtype()));
    return zero;
  }
  return gradients(loss, leaves, {}, Unconnected::zeros);
}

/// PyTorch lets a scalar have an axis 0, and -1; here, as in NumPy, it has none, which is an error.
bool is_scalars_axis(const Json& sample, const std::string& error) {
  if (sample.dump().find("\"s\":[]") == std::string::npos) return false;
  for (const char* text : {"outside a tensor of 0 axes", "the logits are a scalar", "expected an axis"}) {
    if (error.find(text) != std::string::npos) return true;
  }
  return false;
}

/// Samples that are answered otherwise, and why. Their entries do not count as right.
struct Difference {
  std::string_view name;
  std::size_t samples;
  std::string_view why;
};
constexpr Difference differences[] = {
    {"__getitem__", 4, "a list and a tuple look the same in the record"},
    {"cholesky", 6, "the gradient is that of the triangle that is read, not half of it in each"},
    {"linalg.cholesky", 6, "the gradient is that of the triangle that is read, not half of it in each"},
    {"linalg.eigvalsh", 3, "the gradient is that of the triangle that is read, not half of it in each"},
    {"cholesky_inverse", 6, "what is not read has gradient 0"},
    {"cholesky_solve", 6, "what is not read has gradient 0"},
    {"nn.functional.batch_norm", 2, "an input without batch and channels is an error"},
    {"nn.functional.ctc_loss", 12,
     "PyTorch's gradient takes for granted that log_softmax gave the logarithms"},
    {"nn.functional.group_norm", 4, "a negative epsilon is an error"},
    {"nn.functional.layer_norm", 1, "a negative epsilon is an error"},
    {"nn.functional.rms_norm", 1, "a negative epsilon is an error"},
    {"nn.functional.scaled_dot_product_attention", 12, "dropout draws other numbers"},
    {"cov", 1, "PyTorch computes with float32 weights in float32"},
    {"gather", 1, "an empty index of another rank is an error here"},
    {"index_fill", 1, "a value that goes to one place twice gets its cotangent once per index here"},
    {"nn.functional.cross_entropy", 6, "classes are the last axis, not axis 1"},
    {"nn.functional.gaussian_nll_loss", 216, "shapes that differ are an error, as in all losses here"},
    {"nn.functional.multi_margin_loss", 1, "labels of one row are a scalar here"},
    {"nn.functional.nll_loss", 20, "classes are the last axis, not axis 1"},
    {"nonzero", 12, "as_tuple is `unbind(nonzero(x), 1)`"},
    {"quantile", 12, "which quantile is a number, so that no gradient flows into it"},
    {"tensordot", 1, "sizes that differ are an error here, also where one is 1"},
    {"unravel_index", 1, "a position beyond 2^53 that the record does not hold exactly"},
};
std::size_t known_to_differ(std::string_view name) {
  const auto* found = std::ranges::find(differences, name, &Difference::name);
  return found == std::end(differences) ? 0 : found->samples;
}

std::string replay(const Entry& entry, const Json& sample) {
  try {
    const Call call(sample);
    // Arguments of float32 are computed with in float32 by PyTorch.
    const double tolerance = sample.dump().find("\"float32\"") == std::string::npos ? 2e-8 : 1e-5;
    auto outputs = entry.answer(call).tensors;
    eval(outputs);
    std::string text = difference(outputs, sample.at("out"), "output", tolerance);
    if (!text.empty() || !sample.contains("first")) return text;
    std::erase_if(outputs, [](const Tensor& t) { return !is_floating(t.dtype()); });
    const auto first = derivative(outputs, call.leaves());
    text = difference(first, sample.at("first"), "gradient", tolerance);
    if (!text.empty() || !sample.contains("second")) return text;
    return difference(derivative(first, call.leaves()), sample.at("second"), "second derivative", tolerance);
  } catch (const std::exception& error) {
    return is_scalars_axis(sample, error.what()) ? std::string() : error.what();
  }
}

TEST_CASE("values, first and second derivatives are PyTorch's") {
  std::map<std::string, Entry, std::less<>> entries;
  for (const auto& family : {elementwise_entries(), reduction_entries(), movement_entries(),
                             network_entries(), window_entries(), linalg_entries()}) {
    for (const Entry& entry : family) REQUIRE(entries.emplace(entry.name, entry).second);
  }
  const char* only = std::getenv("GRADWEAVE_OP_DB");  // one entry, with all that differs
  std::size_t samples = 0, right = 0;
  const std::string fixtures = read_fixtures();
  std::set<std::string, std::less<>> seen;
  for (std::size_t begin = 0; begin < fixtures.size();) {
    const std::size_t end = fixtures.find('\n', begin);
    const std::string_view line(fixtures.data() + begin, end - begin);
    begin = end + 1;
    const auto name = std::string(line.substr(9, line.find('"', 9) - 9));
    const auto entry = entries.find(name);
    if (entry == entries.end() || (only != nullptr && name != only)) continue;
    seen.insert(name);
    std::size_t number = 0, wrong = 0, seen_of_it = 0;
    std::string first_wrong;
    const Json record = Json::parse(line);
    for (const Json& sample : record.at("samples")) {
      if (is_sanitized && seen_of_it++ % 16 != 0) continue;  // which look for other things, and take long
      const std::string text = replay(entry->second, sample);
      if (!text.empty()) {
        if (wrong == 0 || only != nullptr)
          first_wrong +=
              "\n  sample " + std::to_string(number) + " " + sample.dump().substr(0, 400) + "\n    " + text;
        ++wrong;
      }
      ++number;
    }
    samples += number;
    if (wrong == 0) ++right;
    INFO(name << ": " << wrong << " of " << number << " differ" << first_wrong);
    CHECK((is_sanitized ? wrong <= known_to_differ(name) : wrong == known_to_differ(name)));
  }
  if (only == nullptr) {
    for (const auto& [name, entry] : entries) {
      INFO(name);
      CHECK(seen.contains(name));
    }
    std::cout << "PyTorch's samples: " << right << " of 702 entries are answered right, " << samples
              << " samples\n";
  }
}

}  // namespace
}  // namespace gradweave::pytorch_tests
#endif
