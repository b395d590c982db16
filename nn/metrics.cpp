#include <gradweave/nn/metrics.hpp>

#include <algorithm>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/reduction.hpp>

namespace gradweave::nn {
namespace {

void require_fit(const char* who, const Tensor& logits, const Tensor& labels) {
  if (logits.rank() != 2 || labels.rank() != 1 || logits.size(0) != labels.size(0)) {
    throw ShapeError(fmt::format("{}: expected logits (n, classes) and labels (n), got {} and {}", who,
                                 to_string(logits.shape()), to_string(labels.shape())));
  }
}

}  // namespace

double accuracy(const Tensor& logits, const Tensor& labels) {
  require_fit("accuracy", logits, labels);
  return mean(cast(argmax(logits) == labels, DType::float64)).item<double>();
}

ConfusionMatrix::ConfusionMatrix(Index classes) : classes_(classes) {
  if (classes < 1)
    throw ValueError(fmt::format("ConfusionMatrix: {} classes; at least one is needed", classes));
  counts_.resize(static_cast<std::size_t>(classes * classes));
}

void ConfusionMatrix::add(const Tensor& logits, const Tensor& labels) {
  require_fit("ConfusionMatrix", logits, labels);
  if (logits.size(1) != classes_) {
    throw ShapeError(fmt::format("ConfusionMatrix: logits of shape {} for {} classes",
                                 to_string(logits.shape()), classes_));
  }
  const std::vector<Index> truths = labels.to_vector<Index>();
  const auto wrong =
      std::ranges::find_if(truths, [&](Index truth) { return truth < 0 || truth >= classes_; });
  if (wrong != truths.end()) {
    throw ValueError(fmt::format("ConfusionMatrix: the label {} in row {} is outside [0, {})", *wrong,
                                 wrong - truths.begin(), classes_));
  }
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
  const std::size_t width =
      std::max(fmt::formatted_size("{}", matrix.count()), fmt::formatted_size("{}", n)) + 2;
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
