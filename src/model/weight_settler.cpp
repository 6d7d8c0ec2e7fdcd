#include "model/weight_settler.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <system_error>

namespace exa {
namespace {

// Runs only where nothing else wants the core or the disk; a refusal costs speed, not results.
void step_aside() {
  constexpr int kIoPriorityOfThread = 1;
  constexpr int kIdleClass = 3 << 13;
  sched_param none{};
  ::sched_setscheduler(0, SCHED_IDLE, &none);
  ::syscall(SYS_ioprio_set, kIoPriorityOfThread, 0, kIdleClass);
}

}  // namespace

WeightSettler::~WeightSettler() {
  stop();
}

void WeightSettler::stop() {
  stopping_.store(true, std::memory_order_relaxed);
  if (thread_.joinable()) thread_.join();
}

std::unique_lock<std::mutex> WeightSettler::pause() {
  pausing_.fetch_add(1);
  std::unique_lock lock(piece_);
  pausing_.fetch_sub(1);
  return lock;
}

// A mutex alone would let this thread in again and again before one that waits has woken up.
std::unique_lock<std::mutex> WeightSettler::next_piece() {
  while (pausing_.load() > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return std::unique_lock(piece_);
}

void WeightSettler::start() {
  if (started_ || weights_.from_cache || !weights_.region) return;
  started_ = true;
  try {
    thread_ = std::thread([this] {
      step_aside();
      settle();
    });
  } catch (const std::system_error&) {
    // The weights serve where they are.
  }
}

bool WeightSettler::write_file() {
  if (cache_ == nullptr) return false;
  try {
    const auto writer = cache_->write(weights_.fingerprint, weights_.pack, *weights_.region);
    if (!writer) return false;
    for (bool more = true; more;) {
      const auto lock = next_piece();
      if (stopping_.load(std::memory_order_relaxed)) return false;
      more = writer->step();
    }
    writer->commit();
    return true;
  } catch (const std::exception&) {
    return false;  // a full disk, a folder that may not be written: nothing is lost but the file
  }
}

void WeightSettler::settle() {
  if (write_file()) {
    written_.store(true, std::memory_order_relaxed);
    auto lock = next_piece();
    const auto let_others_in = [&] {
      lock.unlock();
      lock = next_piece();
    };
    if (cache_->adopt(weights_.fingerprint, *weights_.region, let_others_in)) return;
  }
  for (std::size_t begin = 0; begin < weights_.region_bytes; begin += kHugePageBytes) {
    const auto lock = next_piece();
    if (stopping_.load(std::memory_order_relaxed)) return;
    if (!weights_.region->collapse(begin, std::min(kHugePageBytes, weights_.region_bytes - begin))) return;
  }
}

void WeightSettler::finish_in_child() {
  if (!started_) return;
  stop();
  if (cache_ == nullptr || written_.load(std::memory_order_relaxed)) return;
  if (::fork() != 0) return;
  // No terminal, no pipe of whoever waits for the parent's output, no signal that is meant for it.
  ::setsid();
  ::syscall(SYS_close_range, 0U, ~0U, 0U);
  step_aside();
  stopping_.store(false, std::memory_order_relaxed);
  write_file();
  ::_exit(0);
}

}  // namespace exa
