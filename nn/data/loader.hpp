// Data sets and how a training loop walks through them: the four-file layout of MNIST, and shuffled batches.
//
// A common beginner's error: `*loader.begin()` to look at one batch. Every `begin()` starts another epoch,
// with another order, and every `*` copies the batch anew. And the last batch of an epoch may be smaller than
// the others: a mean over batches is then not the mean over examples, and a compiled step has a second
// program; `.drop_last = true` leaves this batch out.
#pragma once
#include <cstdint>
#include <iterator>
#include <string>
#include <vector>

#include <gradweave/graph/tensor.hpp>

namespace gradweave::nn {

/// Images and what they show, row by row.
struct Examples {
  Tensor images;  ///< float32 (n, rows * cols), each pixel in [0, 1]
  Tensor labels;  ///< int64 (n)
};

/// Examples to learn from, and others to be tested on.
struct Dataset {
  Examples train;
  Examples test;
  Index rows = 0;  ///< of an image
  Index cols = 0;
  Index classes = 0;  ///< labels are in [0, classes)
};

/// Reads the four files of a folder in MNIST's layout: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`
/// and the same with `t10k`, each plain or gzipped, with or without ".gz", also spelled ".idx3-ubyte". Pixels
/// are divided by the largest one in the training images (255 in MNIST, 16 in the UCI digits), so that they
/// are in [0, 1]. Throws IoError for a file that is missing or damaged, and for files that do not belong
/// together.
Dataset load_mnist_format(const std::string& folder);

struct DataLoaderOptions {
  Index batch_size = 1;
  bool shuffle = true;
  std::uint64_t seed = 0;
  bool drop_last = false;  ///< leave out the last batch of an epoch when it is smaller than the others
};

/// What a loop sees: `for (auto [x, y] : loader)`.
struct Batch {
  Tensor x;
  Tensor y;
};

/// Cuts examples into batches. Every `begin()` starts another epoch in an order of its own, which depends on
/// the seed and the epoch's number alone, so that runs repeat. Copies rows of x and y (any shapes with the
/// same first size, evaluated once) into constants.
class DataLoader {
 public:
  /// Throws ShapeError unless x and y have the same first size, ValueError for a batch size below one.
  DataLoader(const Tensor& x, const Tensor& y, const DataLoaderOptions& options = {});

  class Iterator;
  Iterator begin();
  static std::default_sentinel_t end() { return {}; }

  /// Batches in an epoch.
  Index size() const;
  /// How many epochs were begun.
  std::uint64_t epoch() const { return epoch_; }

 private:
  std::vector<Index> next_order();

  Tensor x_;
  Tensor y_;
  DataLoaderOptions options_;
  std::uint64_t epoch_ = 0;
};

/// A walk through one epoch; valid while its loader lives.
class DataLoader::Iterator {
 public:
  using value_type = Batch;
  using difference_type = std::ptrdiff_t;

  /// Throws ValueError past the last batch.
  Batch operator*() const;
  Iterator& operator++() {
    ++batch_;
    return *this;
  }
  void operator++(int) { ++batch_; }
  bool operator==(std::default_sentinel_t) const { return batch_ == loader_->size(); }

 private:
  friend class DataLoader;
  Iterator(const DataLoader& loader, std::vector<Index> order) : loader_(&loader), order_(std::move(order)) {}

  const DataLoader* loader_;
  std::vector<Index> order_;
  Index batch_ = 0;
};

}  // namespace gradweave::nn
