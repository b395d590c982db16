#include <gradweave/nn/data/loader.hpp>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include <gradweave/graph/algebra.hpp>

#include "catch.hpp"
#include "nn/data/idx_files.hpp"

using namespace gradweave;
using Catch::Matchers::ContainsSubstring;

namespace {

// Two training images and one test image of 1 x 2 pixels, the brightest pixel of the training images 16.
void write_tiny_set(const TemporaryFolder& folder) {
  folder.write("train-images-idx3-ubyte", idx_header(0x08, {2, 1, 2}) + std::string("\x00\x04\x08\x10", 4));
  folder.write("train-labels-idx1-ubyte.gz", gzip(idx_header(0x08, {2}) + std::string("\x01\x00", 2)));
  folder.write("t10k-images.idx3-ubyte.gz", gzip(idx_header(0x08, {1, 1, 2}) + std::string("\x10\x02", 2)));
  folder.write("t10k-labels.idx1-ubyte", idx_header(0x08, {1}) + std::string("\x02", 1));
}

std::vector<Index> class_counts(const Tensor& labels) {
  std::vector<Index> counts(10);
  for (const Index label : labels.to_vector<Index>()) ++counts.at(static_cast<std::size_t>(label));
  return counts;
}

Tensor column(Index rows) {
  std::vector<float> values(static_cast<std::size_t>(rows));
  std::iota(values.begin(), values.end(), 0.0F);
  return constant(values, {rows, 1});
}

// The rows of x in the order in which one epoch shows them.
std::vector<int> one_epoch(nn::DataLoader& loader) {
  std::vector<int> seen;
  for (auto [x, y] : loader) {
    const std::vector<int> rows = x.to_vector<int>();
    seen.insert(seen.end(), rows.begin(), rows.end());
  }
  return seen;
}

}  // namespace

TEST_CASE("a folder in MNIST's layout, whatever the spelling of its files", "[nn][data]") {
  const TemporaryFolder folder;
  write_tiny_set(folder);
  const nn::Dataset set = nn::load_mnist_format(folder.path());
  CHECK(set.rows == 1);
  CHECK(set.cols == 2);
  CHECK(set.classes == 3);
  CHECK(set.train.images.shape() == Shape{2, 2});
  CHECK(set.train.images.to_vector() == std::vector<float>{0, 0.25F, 0.5F, 1});
  CHECK(set.train.labels.dtype() == DType::int64);
  CHECK(set.train.labels.to_vector<Index>() == std::vector<Index>{1, 0});
  CHECK(set.test.images.to_vector() ==
        std::vector<float>{1, 0.125F});  // the same scale as the training images
  CHECK(set.test.labels.to_vector<Index>() == std::vector<Index>{2});
}

TEST_CASE("files that do not belong together are an error that names them", "[nn][data]") {
  const TemporaryFolder folder;
  write_tiny_set(folder);
  const auto complaint = [&] {
    try {
      nn::load_mnist_format(folder.path());
      return std::string("no complaint");
    } catch (const IoError& error) {
      return std::string(error.what());
    }
  };
  SECTION("a file is missing") {
    std::filesystem::remove(folder.path() + "/t10k-labels.idx1-ubyte");
    CHECK_THAT(complaint(), ContainsSubstring("t10k-labels-idx1-ubyte") && ContainsSubstring(folder.path()));
  }
  SECTION("more labels than images") {
    folder.write("train-labels-idx1-ubyte.gz", gzip(idx_header(0x08, {3}) + "\1\1\1"));
    CHECK_THAT(complaint(), ContainsSubstring("2 images") && ContainsSubstring("3 labels"));
  }
  SECTION("labels where images are expected") {
    folder.write("train-images-idx3-ubyte", idx_header(0x08, {2}) + "\1\1");
    CHECK_THAT(complaint(), ContainsSubstring("3 axes") && ContainsSubstring("(2,)"));
  }
  SECTION("numbers where bytes are expected") {
    folder.write("t10k-labels.idx1-ubyte", idx_header(0x0B, {1}) + std::string(2, '\0'));
    CHECK_THAT(complaint(), ContainsSubstring("type 0b"));
  }
  SECTION("images of another size") {
    folder.write("t10k-images.idx3-ubyte.gz", idx_header(0x08, {1, 2, 2}) + "1234");
    CHECK_THAT(complaint(), ContainsSubstring("1 x 2") && ContainsSubstring("2 x 2"));
  }
  SECTION("no pixels") {
    folder.write("t10k-images.idx3-ubyte.gz", idx_header(0x08, {1, 0, 2}));
    CHECK_THAT(complaint(), ContainsSubstring("no pixels"));
  }
  SECTION("a damaged file") {
    folder.write("t10k-images.idx3-ubyte.gz", gzip(idx_header(0x08, {1, 1, 2}) + "ab").substr(0, 20));
    CHECK_THAT(complaint(), ContainsSubstring("truncated"));
  }
}

TEST_CASE("MNIST has the class counts that are published", "[nn][data][mnist]") {
  const char* folder = std::getenv("GRADWEAVE_MNIST");
  if (folder == nullptr || !std::filesystem::is_directory(folder)) {
    SKIP_TEST("set GRADWEAVE_MNIST to a folder with MNIST's four files");
  }
  const nn::Dataset set = nn::load_mnist_format(folder);
  CHECK(set.train.images.shape() == Shape{60000, 784});
  CHECK(set.test.images.shape() == Shape{10000, 784});
  CHECK(set.classes == 10);
  CHECK(class_counts(set.train.labels) ==
        std::vector<Index>{5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949});
  CHECK(class_counts(set.test.labels) ==
        std::vector<Index>{980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009});
  double sum = 0;
  for (const float pixel : set.train.images.data<float>()) sum += pixel;
  CHECK(sum / (60000.0 * 784) ==
        Approx(0.1307).margin(0.00005));  // the mean that PyTorch's examples subtract
}

TEST_CASE("every epoch shows every row once, in an order of its own", "[nn][data]") {
  nn::DataLoader loader(column(103), column(103), {.batch_size = 10, .seed = 7});
  CHECK(loader.size() == 11);
  const std::vector<int> first = one_epoch(loader), second = one_epoch(loader);
  CHECK(first != second);
  CHECK(loader.epoch() == 2);
  for (const auto& epoch : {first, second}) {
    CHECK(epoch.size() == 103);
    CHECK(std::set<int>(epoch.begin(), epoch.end()).size() == 103);
    CHECK_FALSE(std::ranges::is_sorted(epoch));
  }

  nn::DataLoader again(column(103), column(103), {.batch_size = 25, .seed = 7});
  CHECK(one_epoch(again) == first);  // the order is the seed's and the epoch's alone
  CHECK(one_epoch(again) == second);
  nn::DataLoader other(column(103), column(103), {.batch_size = 10, .seed = 8});
  CHECK(one_epoch(other) != first);
}

TEST_CASE("shuffling is fair: each row is as often first as any other", "[nn][data]") {
  nn::DataLoader loader(column(4), column(4), {.seed = 1});
  std::vector<int> first(4);
  for (int epoch = 0; epoch < 4000; ++epoch) ++first.at(static_cast<std::size_t>(one_epoch(loader)[0]));
  // 1000 expected, standard deviation 27: five of them.
  for (const int count : first) CHECK(std::abs(count - 1000) < 137);
}

TEST_CASE("batches keep rows together with their targets, whatever the shapes and dtypes", "[nn][data]") {
  const Tensor x = constant({{{0, 1}, {2, 3}}, {{4, 5}, {6, 7}}, {{8, 9}, {10, 11}}});
  const Tensor y = constant({0, 4, 8}, DType::int64);
  nn::DataLoader loader(x, y, {.batch_size = 2});
  std::vector<Shape> shapes;
  for (auto [a, b] : loader) {
    shapes.push_back(a.shape());
    CHECK(b.dtype() == DType::int64);
    CHECK(b.shape() == Shape{a.size(0)});
    const std::vector<Index> rows = a.to_vector<Index>(), labels = b.to_vector<Index>();
    for (std::size_t i = 0; i < labels.size(); ++i) CHECK(rows[4 * i] == labels[i]);
  }
  CHECK(shapes == std::vector<Shape>{{2, 2, 2}, {1, 2, 2}});
}

TEST_CASE("in order, and without a smaller last batch", "[nn][data]") {
  nn::DataLoader loader(column(5), column(5), {.batch_size = 2, .shuffle = false, .drop_last = true});
  CHECK(loader.size() == 2);
  CHECK(one_epoch(loader) == std::vector<int>{0, 1, 2, 3});
  nn::DataLoader all(column(5), column(5), {.batch_size = 8, .shuffle = false});
  CHECK(one_epoch(all) == std::vector<int>{0, 1, 2, 3, 4});
  nn::DataLoader none(column(0), column(0), {});
  CHECK(none.size() == 0);
  CHECK(one_epoch(none).empty());
}

TEST_CASE("a loader refuses what cannot be cut into batches", "[nn][data]") {
  CHECK_THROWS_AS(nn::DataLoader(column(3), column(4)), ShapeError);
  CHECK_THROWS_WITH(nn::DataLoader(column(3), column(4)),
                    ContainsSubstring("(3, 1)") && ContainsSubstring("(4, 1)"));
  CHECK_THROWS_AS(nn::DataLoader(constant(1), constant(1)), ShapeError);
  CHECK_THROWS_AS(nn::DataLoader(column(3), column(3), {.batch_size = 0}), ValueError);
}

TEST_CASE("there is nothing behind the last batch", "[nn][data]") {
  nn::DataLoader loader(zeros({5, 2}), zeros({5}), {.batch_size = 100});
  CHECK(loader.size() == 1);
  auto at = loader.begin();
  CHECK((*at).x.size(0) == 5);
  ++at;
  CHECK_THROWS_AS(*at, ValueError);
  nn::DataLoader none(zeros({5, 2}), zeros({5}), {.batch_size = 100, .drop_last = true});
  for (auto [x, y] : none) FAIL("a batch of " << x.size(0));
}
