#include <gradweave/nn/progress.hpp>

#include <cstdio>
#include <memory>
#include <string>

#include "catch.hpp"

using namespace gradweave;
using Catch::Matchers::ContainsSubstring;

namespace {

// What `use` makes a progress bar print.
template <class F>
std::string printed(nn::ProgressOptions options, F use) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::tmpfile(), &std::fclose);
  REQUIRE(file != nullptr);
  options.out = file.get();
  {
    nn::Progress progress(options);
    use(progress);
  }
  std::rewind(file.get());
  std::string text;
  for (int c = std::fgetc(file.get()); c != EOF; c = std::fgetc(file.get())) text += static_cast<char>(c);
  return text;
}

void two_epochs(nn::Progress& progress) {
  for (const std::string epoch : {"epoch 1", "epoch 2"}) {
    for (int batch = 1; batch <= 100; ++batch) progress.show(batch, 100, epoch);
  }
}

}  // namespace

TEST_CASE("where nothing can be redrawn, an epoch is a plain line", "[nn][progress]") {
  CHECK(printed({}, two_epochs) == "epoch 1\nepoch 2\n");  // a file is not a terminal
}

TEST_CASE("or as many lines as asked for, evenly spread", "[nn][progress]") {
  CHECK(printed({.lines = 4}, two_epochs) ==
        " 25 %  epoch 1\n 50 %  epoch 1\n 75 %  epoch 1\nepoch 1\n"
        " 25 %  epoch 2\n 50 %  epoch 2\n 75 %  epoch 2\nepoch 2\n");
}

TEST_CASE("a terminal gets a bar that gives way to the text", "[nn][progress]") {
  const std::string half = printed({.is_terminal = true}, [](nn::Progress& p) { p.show(1, 2, "loss 0.5"); });
  CHECK(half == "\r\x1b[K[===============>              ]  50 %  loss 0.5\n");  // abandoned: its line is left
  const std::string whole = printed({.is_terminal = true}, two_epochs);
  CHECK_THAT(whole, ContainsSubstring("\r\x1b[Kepoch 1\n") && ContainsSubstring("\r\x1b[Kepoch 2\n"));
}

TEST_CASE("nothing to do is done at once", "[nn][progress]") {
  CHECK(printed({}, [](nn::Progress& p) { p.show(0, 0, "empty"); }) == "empty\n");
}
