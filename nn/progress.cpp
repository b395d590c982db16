#include <gradweave/nn/progress.hpp>

#include <algorithm>
#include <chrono>
#include <string>

#include <fmt/format.h>
#include <unistd.h>

namespace gradweave::nn {
namespace {

constexpr double redraw_every = 0.05;  // seconds
constexpr std::string_view clear_line = "\r\x1b[K";

}  // namespace

Progress::Progress(const ProgressOptions& options)
    : out_(options.out != nullptr ? options.out : throw ValueError("Progress: `out` is null")),
      is_terminal_(options.is_terminal.value_or(::isatty(::fileno(options.out)) == 1)),
      lines_(std::max<Index>(options.lines, 1)) {}

Progress::~Progress() {
  if (!is_drawn_) return;
  std::fputc('\n', out_);
  std::fflush(out_);
}

void Progress::show(Index done, Index total, std::string_view text) {
  done = std::max<Index>(done, 0);
  for (; total > (Index{1} << 40); total /= 2) done /= 2;  // products of them must not overflow
  const bool is_done = done >= total;
  if (is_terminal_) {
    if (!is_done) return draw(done, total, text);
    fmt::print(out_, "{}{}\n", clear_line, text);
  } else {
    const Index due = is_done ? lines_ : done * lines_ / total;
    if (due <= printed_) return;
    printed_ = due;
    if (is_done) {
      fmt::print(out_, "{}\n", text);
    } else {
      fmt::print(out_, "{:3} %  {}\n", 100 * done / total, text);
    }
  }
  std::fflush(out_);
  if (is_done) {
    printed_ = 0;
    is_drawn_ = false;
  }
}

void Progress::draw(Index done, Index total, std::string_view text) {
  const double now =
      std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  if (is_drawn_ && now - last_ < redraw_every) return;
  last_ = now;
  is_drawn_ = true;
  constexpr Index width = 30;
  const auto filled = static_cast<std::size_t>(width * done / total);
  const std::string bar = std::string(filled, '=') + (filled < width ? ">" : "") + std::string(width, ' ');
  fmt::print(out_, "{}[{}] {:3} %  {}", clear_line, bar.substr(0, width), 100 * done / total, text);
  std::fflush(out_);
}

}  // namespace gradweave::nn
