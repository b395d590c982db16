#include <gradweave/nn/metrics.hpp>

#include <algorithm>
#include <functional>
#include <numeric>

#include <fmt/format.h>

#include <gradweave/ops/reduction.hpp>

namespace gradweave::nn {
namespace {

constexpr Index max_classes = 10'000;  // a table of 800 MB

void require_fit(const char* who, const Tensor& logits, const Tensor& labels) {
  if (logits.rank() != 2 || labels.rank() != 1 || logits.size(0) != labels.size(0)) {
    throw ShapeError(fmt::format("{}: expected logits (n, classes) and labels (n), got {} and {}", who,
                                 to_string(logits.shape()), to_string(labels.shape())));
  }
}

// The labels, each in [0, classes).
std::vector<Index> checked_labels(const char* who, const Tensor& labels, Index classes) {
  if (!is_integral(labels.dtype()))
    throw DTypeError(fmt::format("{}: labels are int64, not {}", who, name_of(labels.dtype())));
  std::vector<Index> values = labels.to_vector<Index>();
  const auto wrong = std::ranges::find_if(values, [&](Index v) { return v < 0 || v >= classes; });
  if (wrong != values.end()) {
    throw ValueError(fmt::format("{}: the label {} in row {} is outside [0, {})", who, *wrong,
                                 wrong - values.begin(), classes));
  }
  return values;
}

}  // namespace

double accuracy(const Tensor& logits, const Tensor& labels) {
  require_fit("accuracy", logits, labels);
  const std::vector<Index> truths = checked_labels("accuracy", labels, logits.size(1));
  const std::vector<Index> guesses = argmax(logits).to_vector<Index>();
  const auto right = std::inner_product(truths.begin(), truths.end(), guesses.begin(), Index{0},
                                        std::plus<>(), std::equal_to<>());
  return static_cast<double>(right) / static_cast<double>(truths.size());
}

ConfusionMatrix::ConfusionMatrix(Index classes) : classes_(classes) {
  if (classes < 1 || classes > max_classes) {
    throw ValueError(
        fmt::format("ConfusionMatrix: {} classes; from 1 to {} are possible", classes, max_classes));
  }
  counts_.resize(static_cast<std::size_t>(classes * classes));
}

void ConfusionMatrix::add(const Tensor& logits, const Tensor& labels) {
  require_fit("ConfusionMatrix", logits, labels);
  if (logits.size(1) != classes_) {
    throw ShapeError(fmt::format("ConfusionMatrix: logits of shape {} for {} classes",
                                 to_string(logits.shape()), classes_));
  }
  const std::vector<Index> truths = checked_labels("ConfusionMatrix", labels, classes_);
  const std::vector<Index> guesses = argmax(logits).to_vector<Index>();
  for (std::size_t i = 0; i < truths.size(); ++i)
    ++counts_[static_cast<std::size_t>(truths[i] * classes_ + guesses[i])];
}

Index ConfusionMatrix::at(Index truth, Index guess) const {
  if (truth < 0 || truth >= classes_ || guess < 0 || guess >= classes_) {
    throw ValueError(
        fmt::format("ConfusionMatrix: ({}, {}) is outside of {} classes", truth, guess, classes_));
  }
  return counts_[static_cast<std::size_t>(truth * classes_ + guess)];
}

Index ConfusionMatrix::count() const { return std::accumulate(counts_.begin(), counts_.end(), Index{0}); }

double ConfusionMatrix::accuracy() const {
  Index right = 0;
  for (Index c = 0; c < classes_; ++c) right += at(c, c);
  return static_cast<double>(right) / static_cast<double>(count());
}

std::string to_string(const ConfusionMatrix& matrix) {
  const Index n = matrix.classes();
  const std::size_t width = std::to_string(std::max(matrix.count(), n)).size() + 2;
  std::string table = fmt::format("{:>8}", "true");
  for (Index guess = 0; guess < n; ++guess) table += fmt::format("{:>{}}", guess, width);
  table += fmt::format("{:>9}\n", "found");
  for (Index truth = 0; truth < n; ++truth) {
    table += fmt::format("{:>8}", truth);
    Index total = 0;
    for (Index guess = 0; guess < n; ++guess) {
      const Index count = matrix.at(truth, guess);
      total += count;
      table += count == 0 ? fmt::format("{:>{}}", ".", width) : fmt::format("{:>{}}", count, width);
    }
    const double found =
        100 * static_cast<double>(matrix.at(truth, truth)) / static_cast<double>(std::max<Index>(total, 1));
    table += total == 0 ? fmt::format("{:>9}\n", "-") : fmt::format("{:>7.1f} %\n", found);
  }
  return table;
}

}  // namespace gradweave::nn
