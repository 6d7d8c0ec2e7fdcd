// Gives freshly packed weights the memory they stay in, between requests: the pack cache's file, mapped in
// place of what they were packed into, or huge pages where there is no cache.
//
// Weights are packed into small pages, because the first token should not wait for huge ones: where the
// system must fetch them from a host first, touching them takes longer than all the rest of a start.
// Ownership and threads: owns a thread of idle priority; borrows weights, whose matrices may be read all the
// while. Source: kernels specification 3.11; Linux sched(7), madvise(2).
#pragma once

#include <atomic>
#include <mutex>
#include <thread>

#include "model/pack_cache.h"
#include "model/weights.h"

namespace exa {

class WeightSettler {
 public:
  // Both outlive the settler; cache may be null.
  WeightSettler(Weights& weights, const PackCache* cache) : weights_(weights), cache_(cache) {}
  // Stops within a piece; a file that is not complete leaves nothing.
  ~WeightSettler();
  WeightSettler(const WeightSettler&) = delete;
  WeightSettler& operator=(const WeightSettler&) = delete;

  // Begins, once; does nothing for weights that came out of the cache.
  void start();
  // Nothing is copied or moved while the result lives. Waits for the piece at hand, some milliseconds.
  std::unique_lock<std::mutex> pause();
  // Stops, and lets a child process write the file if it is not complete: the program need not wait for the
  // disk. Only for programs that end now.
  void finish_in_child();

 private:
  void settle();
  std::unique_lock<std::mutex> next_piece();
  bool write_file();
  void stop();

  Weights& weights_;
  const PackCache* cache_;
  std::thread thread_;
  std::mutex piece_;
  std::atomic<int> pausing_{0};  // threads that wait for piece_ and go first
  std::atomic<bool> stopping_{false};
  std::atomic<bool> written_{false};
  bool started_ = false;
};

}  // namespace exa
