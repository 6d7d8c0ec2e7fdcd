// One job's items dealt to workers in equal runs, of which each takes piece by piece: its own run in
// ascending order, then what is left of the others'. On a quiet machine that is a static split; a worker that
// a neighbour slows down keeps nobody waiting for more than a piece.
//
// Ownership and threads: deal() on one thread while nobody takes; take() on all workers at once.
// Source: kernels specification 3.6.
#pragma once

#include <atomic>
#include <cstddef>
#include <vector>

#include "base/threads.h"

namespace exa {

class WorkShares {
 public:
  explicit WorkShares(int n_workers) : runs_(static_cast<std::size_t>(n_workers)) {}

  // Items [0, total), `piece` of them at a time (at least 1); all at once for one worker.
  void deal(std::size_t total, std::size_t piece) {
    const int n_workers = static_cast<int>(runs_.size());
    piece_ = n_workers == 1 ? total : piece;
    for (int i = 0; i < n_workers; ++i) {
      const WorkRange range = work_range(total, i, n_workers);
      Run& run = runs_[static_cast<std::size_t>(i)];
      run.next.store(range.begin, std::memory_order_relaxed);
      run.end = range.end;
    }
  }

  // The worker's next piece, which nobody else gets; false where nothing is left.
  bool take(int worker, WorkRange& piece) {
    for (std::size_t i = 0; i < runs_.size(); ++i) {
      Run& run = runs_[(static_cast<std::size_t>(worker) + i) % runs_.size()];
      // Looking first keeps the counters of finished runs from growing.
      if (run.next.load(std::memory_order_relaxed) >= run.end) continue;
      const std::size_t begin = run.next.fetch_add(piece_, std::memory_order_relaxed);
      if (begin >= run.end) continue;
      piece = {begin, begin + piece_ < run.end ? begin + piece_ : run.end};
      return true;
    }
    return false;
  }

 private:
  struct alignas(128) Run {
    std::atomic<std::size_t> next{0};
    std::size_t end = 0;
  };
  std::vector<Run> runs_;
  std::size_t piece_ = 1;
};

}  // namespace exa
