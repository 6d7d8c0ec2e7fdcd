// What a long walk over tensors shows on stderr: a line a tensor, and on a terminal a bar with bytes and the
// time left.
//
// Ownership and threads: several threads may report at once.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

namespace exa {

class TensorProgress {
 public:
  // n_bytes: what advance() will add up to.
  TensorProgress(std::size_t n_tensors, std::uint64_t n_bytes);
  ~TensorProgress();
  TensorProgress(const TensorProgress&) = delete;
  TensorProgress& operator=(const TensorProgress&) = delete;

  // "[ 12/723] NAME DETAIL"; number counts from 0.
  void begin(std::size_t number, std::string_view tensor_name, std::string_view detail);
  void advance(std::uint64_t n_bytes);
  // A line of its own.
  void note(std::string_view text);

 private:
  void erase_bar();
  void draw_bar();

  std::mutex mutex_;
  std::size_t n_tensors_;
  std::uint64_t n_bytes_;
  std::uint64_t done_bytes_ = 0;
  bool terminal_;
  bool bar_shown_ = false;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_drawn_;
};

}  // namespace exa
