// How good a classifier is: the share it gets right, and what it takes for what.
#pragma once
#include <string>
#include <vector>

#include <gradweave/graph/tensor.hpp>

namespace gradweave::nn {

/// The share of rows of `logits` (n, classes) whose largest entry is at the label; `labels` are int64 (n).
/// Evaluates it; NaN when there are no rows. Throws ShapeError when the shapes do not fit, DTypeError unless
/// the labels are int64, and ValueError for a label outside [0, classes).
double accuracy(const Tensor& logits, const Tensor& labels);

/// Counts of true class against guessed class, batch by batch.
class ConfusionMatrix {
 public:
  /// Throws ValueError unless there are from 1 to 10,000 classes.
  explicit ConfusionMatrix(Index classes);

  /// Counts the rows of `logits` (n, classes) with their `labels` (n), int64. Throws as `accuracy`: then
  /// nothing of this call is counted.
  void add(const Tensor& logits, const Tensor& labels);
  /// How many examples of class `truth` were taken for `guess`. Throws ValueError outside [0, classes).
  Index at(Index truth, Index guess) const;
  Index classes() const { return classes_; }
  Index count() const;
  /// The share on the diagonal; NaN when nothing was counted.
  double accuracy() const;

 private:
  Index classes_;
  std::vector<Index> counts_;
};

/// A table: one row for each true class, one column for each guess, the share found at the end of each row.
std::string to_string(const ConfusionMatrix& matrix);

}  // namespace gradweave::nn
