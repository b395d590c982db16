#include <gradweave/nn/data/loader.hpp>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <span>
#include <string>
#include <utility>

#include <fmt/format.h>

#include <gradweave/graph/evaluate.hpp>
#include <gradweave/graph/node.hpp>
#include <gradweave/graph/operation.hpp>
#include <gradweave/nn/data/idx.hpp>
#include <gradweave/ops/random.hpp>

namespace gradweave::nn {
namespace {

namespace fs = std::filesystem;

fs::path find_file(const fs::path& folder, const std::string& part, int axes) {
  for (const char* separator : {"-", "."}) {
    for (const char* ending : {".gz", ""}) {
      fs::path path = folder / fmt::format("{}{}idx{}-ubyte{}", part, separator, axes, ending);
      std::error_code ignored;
      if (fs::exists(path, ignored)) return path;
    }
  }
  throw IoError(fmt::format(
      "{}: there is no {}-idx{}-ubyte, plain or .gz; a data set in MNIST's layout has four files, "
      "{{train,t10k}}-images-idx3-ubyte and {{train,t10k}}-labels-idx1-ubyte",
      folder.string(), part, axes));
}

// The images and labels of `train` or `t10k`, checked to belong together.
struct Raw {
  Idx images;
  Idx labels;
};

Idx read_bytes(const fs::path& path, std::size_t axes) {
  Idx idx = read_idx(path.string());
  if (idx.type != IdxType::u8 || idx.shape.rank() != axes) {
    throw IoError(fmt::format("{}: expected unsigned bytes over {} axes, it holds type {:02x} of shape {}",
                              path.string(), axes, static_cast<unsigned>(idx.type), to_string(idx.shape)));
  }
  return idx;
}

Raw read_part(const fs::path& folder, const std::string& part) {
  const fs::path images = find_file(folder, part + "-images", 3);
  const fs::path labels = find_file(folder, part + "-labels", 1);
  Raw raw{read_bytes(images, 3), read_bytes(labels, 1)};
  if (raw.images.shape[0] != raw.labels.shape[0]) {
    throw IoError(fmt::format("{} holds {} images, but {} holds {} labels", images.string(),
                              raw.images.shape[0], labels.string(), raw.labels.shape[0]));
  }
  if (raw.images.bytes.empty()) throw IoError(fmt::format("{}: there are no pixels in it", images.string()));
  return raw;
}

Index largest(const Idx& idx) { return std::to_integer<Index>(std::ranges::max(idx.bytes)); }

Examples examples_of(Raw& raw, Index largest_pixel) {
  raw.images.shape = {raw.images.shape[0], raw.images.shape[1] * raw.images.shape[2]};
  return {raw.images.tensor(DType::float32, static_cast<double>(std::max<Index>(largest_pixel, 1))),
          raw.labels.tensor(DType::int64)};
}

// The rows of an evaluated row-major tensor that `rows` names, as a constant.
Tensor gather_rows(const Tensor& tensor, std::span<const Index> rows) {
  Shape shape = tensor.shape();
  std::vector<Index> sizes(shape.begin(), shape.end());
  const std::size_t all = static_cast<std::size_t>(tensor.numel()) * size_of(tensor.dtype());
  const std::size_t row = sizes[0] == 0 ? 0 : all / static_cast<std::size_t>(sizes[0]);
  sizes[0] = static_cast<Index>(rows.size());

  Ref<Storage> storage = allocate_storage(rows.size() * row);
  std::byte* to = storage->data;
  for (Index i : rows) {
    std::memcpy(to, tensor.node()->data + static_cast<std::size_t>(i) * row, row);
    to += row;
  }
  std::byte* data = storage->data;
  return make_leaf(constant_leaf, {Shape(Dims(sizes)), tensor.dtype()}, std::move(storage), data, {});
}

}  // namespace

Dataset load_mnist_format(const std::string& folder) {
  Raw train = read_part(folder, "train");
  Raw test = read_part(folder, "t10k");
  const Index rows = train.images.shape[1], cols = train.images.shape[2];
  if (test.images.shape[1] != rows || test.images.shape[2] != cols) {
    throw IoError(fmt::format("{}: training images are {} x {} pixels, test images {} x {}", folder, rows,
                              cols, test.images.shape[1], test.images.shape[2]));
  }
  const Index pixel = largest(train.images);
  return {.train = examples_of(train, pixel),
          .test = examples_of(test, pixel),
          .rows = rows,
          .cols = cols,
          .classes = std::max(largest(train.labels), largest(test.labels)) + 1};
}

DataLoader::DataLoader(const Tensor& x, const Tensor& y, const DataLoaderOptions& options)
    : options_(options) {
  if (x.rank() == 0 || y.rank() == 0 || x.size(0) != y.size(0)) {
    throw ShapeError(
        fmt::format("DataLoader: x of shape {} and y of shape {} must have the same first size: one row for "
                    "each example",
                    to_string(x.shape()), to_string(y.shape())));
  }
  if (options.batch_size < 1)
    throw ValueError(fmt::format("DataLoader: batch_size is {}, at least 1 is needed", options.batch_size));
  x_ = contiguous(x);
  y_ = contiguous(y);
  eval(x_, y_);
}

Index DataLoader::size() const {
  const Index count = x_.size(0), batch = options_.batch_size;
  return count / batch + (!options_.drop_last && count % batch != 0 ? 1 : 0);
}

std::vector<Index> DataLoader::next_order() {
  std::vector<Index> order(static_cast<std::size_t>(x_.size(0)));
  std::iota(order.begin(), order.end(), Index{0});
  if (options_.shuffle) {
    // Seeds of neighbouring epochs differ in many bits (2^64 over the golden ratio).
    Generator generator(options_.seed ^ (epoch_ * 0x9E3779B97F4A7C15ULL));
    for (std::size_t left = order.size(); left > 1; --left) {  // Fisher and Yates
      std::swap(order[left - 1], order[generator.below(left)]);
    }
  }
  ++epoch_;
  return order;
}

DataLoader::Iterator DataLoader::begin() { return {*this, next_order()}; }

Batch DataLoader::Iterator::operator*() const {
  if (batch_ >= loader_->size())
    throw ValueError(
        fmt::format("DataLoader: there is no batch {} in an epoch of {}", batch_, loader_->size()));
  const auto size = static_cast<std::size_t>(loader_->options_.batch_size);
  const std::size_t first = static_cast<std::size_t>(batch_) * size;
  const std::span<const Index> rows = std::span(order_).subspan(first, std::min(size, order_.size() - first));
  return {gather_rows(loader_->x_, rows), gather_rows(loader_->y_, rows)};
}

}  // namespace gradweave::nn
