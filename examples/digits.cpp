// Learns handwritten digits: any data set in MNIST's layout of four files, by default the small one in
// examples/data.
//   digits --data mnist --layers 784-30-10 --activation sigmoid --loss quadratic --optimizer sgd
//   --learning-rate 3
#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include <gradweave/graph/kernels/parallel.hpp>
#include <gradweave/nn/nn.hpp>

using namespace gradweave;

struct Options {
  std::string data = DIGITS_DATA;  // the build says where examples/data is
  std::vector<Index> layers;
  std::string activation = "relu";
  std::string loss = "cross_entropy";
  std::string optimizer = "adam";
  std::string init = "lecun_normal";
  double learning_rate = 0.003;
  int epochs = 40;
  Index batch = 16;
  std::uint64_t seed = 2;
  int threads = get_num_threads();
};

const std::map<std::string, nn::Initializer> initializers = {
    {"lecun_normal", nn::lecun_normal},   {"lecun_uniform", nn::lecun_uniform},
    {"xavier_normal", nn::xavier_normal}, {"xavier_uniform", nn::xavier_uniform},
    {"he_normal", nn::he_normal},         {"he_uniform", nn::he_uniform},
    {"normal", nn::normal(0, 1)}};

void add_activation(nn::Sequential& network, const std::string& name) {
  if (name == "sigmoid") network.add(nn::Sigmoid());
  if (name == "tanh") network.add(nn::Tanh());
  if (name == "relu") network.add(nn::ReLU());
}

// Squared errors are measured behind a last sigmoid, cross-entropy from the logits themselves.
nn::Sequential make_network(const Options& options, const std::vector<Index>& sizes) {
  nn::Sequential network;
  for (std::size_t i = 1; i < sizes.size(); ++i) {
    network.add(nn::Dense(sizes[i - 1], sizes[i], {.weight_init = initializers.at(options.init)}));
    if (i + 1 < sizes.size()) add_activation(network, options.activation);
  }
  if (options.loss != "cross_entropy") network.add(nn::Sigmoid());
  return network;
}

Tensor loss_of(const std::string& name, const Tensor& prediction, const Tensor& labels) {
  if (name == "cross_entropy") return nn::cross_entropy(prediction, labels);
  const Tensor target = one_hot(labels, prediction.size(1));
  if (name == "mse") return nn::mse_loss(prediction, target);
  return 0.5 * mean(sum(square(prediction - target), {1}));  // quadratic, as in Nielsen's book
}

std::unique_ptr<nn::Optimizer> make_optimizer(const Options& options,
                                              const std::vector<nn::Parameter>& parameters) {
  const double rate = options.learning_rate;
  if (options.optimizer == "sgd")
    return std::make_unique<nn::SGD>(parameters, nn::SgdOptions{.learning_rate = rate});
  if (options.optimizer == "adam")
    return std::make_unique<nn::Adam>(parameters, nn::AdamOptions{.learning_rate = rate});
  return std::make_unique<nn::AdamW>(parameters, nn::AdamWOptions{.learning_rate = rate});
}

// A few misread digits side by side, two characters wide for a pixel; images beyond 20 pixels at half the
// size.
void draw_misread(const nn::Dataset& set, const std::vector<Index>& guesses) {
  const Index step = set.cols > 20 ? 2 : 1, width = 2 * (set.cols / step);
  const std::vector<float> pixels = set.test.images.to_vector();
  const std::vector<Index> labels = set.test.labels.to_vector<Index>();
  std::vector<std::size_t> misread;
  for (std::size_t i = 0; i < labels.size() && static_cast<Index>(misread.size() + 1) * (width + 2) <= 100;
       ++i) {
    if (guesses[i] != labels[i]) misread.push_back(i);
  }
  if (misread.empty()) return;

  // The darkest of the pixels that one place in the drawing stands for.
  const auto ink_at = [&](std::size_t image, Index row, Index col) {
    float ink = 0;
    for (Index r = row; r < row + step; ++r) {
      for (Index c = col; c < col + step; ++c) {
        ink = std::max(ink, pixels[image * static_cast<std::size_t>(set.rows * set.cols) +
                                   static_cast<std::size_t>(r * set.cols + c)]);
      }
    }
    return ink;
  };
  fmt::print("\n");
  for (const std::size_t i : misread) {
    fmt::print("{:<{}}  ", fmt::format("{} read as {}", labels[i], guesses[i]), width);
  }
  for (Index row = 0; row + step <= set.rows; row += step) {
    fmt::print("\n");
    for (const std::size_t i : misread) {
      for (Index col = 0; col + step <= set.cols; col += step) {
        const char shade = " .:-=+*#%@"[static_cast<int>(std::min(ink_at(i, row, col), 1.0F) * 9.99F)];
        fmt::print("{0}{0}", shade);
      }
      fmt::print("  ");
    }
  }
  fmt::print("\n");
}

void run(const Options& options) {
  const nn::Dataset set = nn::load_mnist_format(options.data);
  const Index inputs = set.rows * set.cols, count = set.train.images.size(0);
  const std::vector<Index> sizes =
      options.layers.empty() ? std::vector<Index>{inputs, 32, set.classes} : options.layers;
  if (sizes.size() < 2 || sizes.front() != inputs || sizes.back() != set.classes) {
    throw ValueError(fmt::format("--layers {}: this data set needs {} at the beginning and {} at the end",
                                 fmt::join(sizes, "-"), inputs, set.classes));
  }

  set_num_threads(options.threads);
  nn::manual_seed(options.seed);
  const nn::Sequential network = make_network(options, sizes);
  const auto optimizer = make_optimizer(options, network.parameters());
  nn::DataLoader loader(set.train.images, set.train.labels,
                        {.batch_size = options.batch, .seed = options.seed});
  fmt::print("{} digits of {} x {} pixels to learn, {} to be tested on; {} parameters\n", count, set.rows,
             set.cols, set.test.images.size(0), network.parameter_count());

  using Clock = std::chrono::steady_clock;
  const auto seconds_since = [](Clock::time_point t) {
    return std::chrono::duration<double>(Clock::now() - t).count();
  };
  const auto start = Clock::now();
  double learning = 0;  // seconds, without the tests
  nn::Progress progress;
  for (int epoch = 1; epoch <= options.epochs; ++epoch) {
    const auto epoch_start = Clock::now();
    const std::string title = fmt::format("epoch {:2}/{}", epoch, options.epochs);
    double total = 0;
    Index batches = 0;
    for (auto [x, y] : loader) {
      const Tensor loss = loss_of(options.loss, network(x), y);
      optimizer->minimize(loss);
      total += loss.item<double>();
      progress.show(batches++, loader.size(), title);
    }
    const double seconds = seconds_since(epoch_start);
    learning += seconds;
    const double found = nn::accuracy(network(set.test.images), set.test.labels);
    progress.show(
        batches, batches,
        fmt::format("{}  loss {:.4f}  test accuracy {:.1f} %  {:.0f} samples/s", title,
                    total / static_cast<double>(batches), 100 * found, static_cast<double>(count) / seconds));
  }

  const Tensor answers = network(set.test.images);
  nn::ConfusionMatrix matrix(set.classes);
  matrix.add(answers, set.test.labels);
  draw_misread(set, argmax(answers).to_vector<Index>());
  fmt::print("\n{}\n", to_string(matrix));
  fmt::print("wall time: {:.1f} s, {:.0f} samples/s\n", seconds_since(start),
             static_cast<double>(options.epochs * count) / learning);
  fmt::print("test accuracy: {:.1f} %\n", 100 * matrix.accuracy());
}

int main(int argc, char** argv) try {
  Options options;
  CLI::App app("Learns handwritten digits.");
  app.option_defaults()->always_capture_default();
  const CLI::Range positive(1, 1'000'000'000);
  app.add_option("--data", options.data, "Folder with a data set in MNIST's layout of four files");
  app.add_option("--layers", options.layers,
                 "From pixels to classes, such as 64-32-10 (default: 32 in the middle)")
      ->delimiter('-')
      ->allow_extra_args(false)
      ->check(positive);
  app.add_option("--activation", options.activation, "Between the layers")
      ->check(CLI::IsMember({"sigmoid", "tanh", "relu"}));
  app.add_option("--loss", options.loss,
                 "quadratic is half the sum of squares, mse the mean; both add a last sigmoid")
      ->check(CLI::IsMember({"cross_entropy", "quadratic", "mse"}));
  app.add_option("--optimizer", options.optimizer)->check(CLI::IsMember({"sgd", "adam", "adamw"}));
  app.add_option("--learning-rate", options.learning_rate);
  app.add_option("--epochs", options.epochs, "How often to go through the data")->check(positive);
  app.add_option("--batch", options.batch, "Digits in a step")->check(positive);
  app.add_option("--init", options.init, "How weights begin")->check(CLI::IsMember(&initializers));
  app.add_option("--seed", options.seed, "Another seed, another beginning and order")
      ->check(CLI::Range(Index{0}, std::numeric_limits<Index>::max()));
  app.add_option("--threads", options.threads, "How many compute; the numbers do not depend on it")
      ->check(CLI::Range(1, 1024));
  CLI11_PARSE(app, argc, argv);
  run(options);
} catch (const std::exception& error) {
  fmt::print(stderr, "digits: {}\n", error.what());
  return 1;
}
