#include "base/progress.h"

#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace exa {
namespace {

void to_terminal(std::string_view text) {
  // A progress line that cannot be drawn is no error.
  const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
  static_cast<void>(written);
}

}  // namespace

Progress::Progress(std::string label)
    : label_(std::move(label)),
      terminal_(isatty(STDERR_FILENO) == 1),
      next_(std::chrono::steady_clock::now() + std::chrono::milliseconds(200)) {}

void Progress::update(double fraction) {
  const auto now = std::chrono::steady_clock::now();
  if (!terminal_ || now < next_) return;
  next_ = now + std::chrono::milliseconds(100);
  const int percent = static_cast<int>(std::clamp(fraction, 0.0, 1.0) * 100);
  to_terminal("\r" + label_ + " " + std::to_string(percent) + " %\x1b[K");
  drawn_ = true;
}

void Progress::clear() {
  if (drawn_) to_terminal("\r\x1b[K");
  drawn_ = false;
}

}  // namespace exa
