// A progress bar for terminals, and plain lines for everything else (files, pipes, logs).
#pragma once
#include <cstdio>
#include <optional>
#include <string_view>

#include <gradweave/graph/types/dtype.hpp>

namespace gradweave::nn {

struct ProgressOptions {
  std::FILE* out = stdout;
  /// Whether `out` can redraw a line; by default the system is asked.
  std::optional<bool> is_terminal = std::nullopt;
  /// Elsewhere: how many lines a run from nothing to `total` prints, evenly spread; the last when it is done.
  Index lines = 1;
};

/// Shows how far something is. On a terminal a bar that redraws itself, at most twenty times a second, with
/// the text behind it; elsewhere only every so often a line, so that a log stays readable.
class Progress {
 public:
  explicit Progress(const ProgressOptions& options = {});
  /// Leaves the line that a bar stands on.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `done` of `total` is done. When all of it is, the bar gives way to the text alone, on a line that stays;
  /// the next call starts another bar.
  void show(Index done, Index total, std::string_view text);

 private:
  void draw(Index done, Index total, std::string_view text);

  std::FILE* out_;
  bool is_terminal_;
  Index lines_;
  Index printed_ = 0;
  bool is_drawn_ = false;
  double last_ = 0;  // when it was drawn, in seconds
};

}  // namespace gradweave::nn
