#include "convert/progress.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

namespace exa {
namespace {

std::string gigabytes(std::uint64_t n_bytes) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.2f", static_cast<double>(n_bytes) / 1e9);
  return text.data();
}

}  // namespace

TensorProgress::TensorProgress(std::size_t n_tensors, std::uint64_t n_bytes)
    : n_tensors_(n_tensors),
      n_bytes_(n_bytes),
      terminal_(::isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()),
      last_drawn_(start_) {}

TensorProgress::~TensorProgress() {
  erase_bar();
}

void TensorProgress::begin(std::size_t number, std::string_view tensor_name, std::string_view detail) {
  const std::lock_guard lock(mutex_);
  const std::string total = std::to_string(n_tensors_);
  std::string index = std::to_string(number + 1);
  index.insert(0, total.size() - std::min(total.size(), index.size()), ' ');
  std::string line = "[" + index + "/" + total + "] " + std::string(tensor_name);
  constexpr std::size_t kNameColumn = 44;
  if (line.size() < kNameColumn) line.resize(kNameColumn, ' ');
  line += " " + std::string(detail) + "\n";
  erase_bar();
  std::fwrite(line.data(), 1, line.size(), stderr);
  draw_bar();
}

void TensorProgress::advance(std::uint64_t n_bytes) {
  const std::lock_guard lock(mutex_);
  done_bytes_ += n_bytes;
  if (!terminal_ || std::chrono::steady_clock::now() - last_drawn_ < std::chrono::milliseconds(100)) return;
  erase_bar();
  draw_bar();
}

void TensorProgress::note(std::string_view text) {
  const std::lock_guard lock(mutex_);
  erase_bar();
  const std::string line = std::string(text) + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
}

void TensorProgress::erase_bar() {
  if (!bar_shown_) return;
  std::fputs("\r\x1b[K", stderr);
  bar_shown_ = false;
}

void TensorProgress::draw_bar() {
  if (!terminal_ || n_bytes_ == 0) return;
  last_drawn_ = std::chrono::steady_clock::now();
  const double done = static_cast<double>(done_bytes_) / static_cast<double>(n_bytes_);
  const double seconds = std::chrono::duration<double>(last_drawn_ - start_).count();
  constexpr std::size_t kWidth = 30;
  const auto filled = std::min(kWidth, static_cast<std::size_t>(done * kWidth));
  std::string bar = "[" + std::string(filled, '#') + std::string(kWidth - filled, '.') + "] ";
  bar += gigabytes(done_bytes_) + "/" + gigabytes(n_bytes_) + " GB";
  if (done > 0 && seconds > 0.5) {
    const auto left = static_cast<long>(seconds / done - seconds);
    std::array<char, 64> rest{};
    std::snprintf(rest.data(), rest.size(), "  %.2f GB/s  %ld:%02ld left",
                  static_cast<double>(done_bytes_) / 1e9 / seconds, left / 60, left % 60);
    bar += rest.data();
  }
  std::fputs(bar.c_str(), stderr);
  std::fflush(stderr);
  bar_shown_ = true;
}

}  // namespace exa
