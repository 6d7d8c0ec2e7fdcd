// A line on the terminal that says how far something is; nothing where standard error is no terminal.
//
// Ownership and threads: one thread; the line is erased when the object dies.
#pragma once

#include <chrono>
#include <string>

namespace exa {

class Progress {
 public:
  // label: "loading the model"
  explicit Progress(std::string label);
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // fraction: 0 … 1. Redraws at most ten times a second, the first time after a fifth of a second.
  void update(double fraction);
  // Erases the line; a later update() draws it anew.
  void clear();

 private:
  std::string label_;
  bool terminal_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point next_;
};

}  // namespace exa
