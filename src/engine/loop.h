// The engine's loop: a thread that runs the model step by step for the sequences that stand in line.
//
// One sequence runs at a time, first come, first served. What a step brought is handed to the sequence's
// caller, and the sequence goes on when the caller is through with it: a caller that cancels or throws has
// done so before the next step. An error ends its own sequence and is thrown to its caller; the loop goes on.
// Ownership and threads: owns its thread and the cache; borrows what computes, which no other thread may use
// meanwhile, and the sequences, until run() is over. run() and between_sequences() are called from any thread
// but the loop's own.
// Source: continuous batching as a loop over steps (Yu et al. 2022, Orca, section 4.1), here with one
// sequence a step.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/threads.h"
#include "engine/sequence.h"
#include "engine/sight.h"
#include "engine/token_cache.h"
#include "exaone/engine.h"
#include "kernels/backend.h"
#include "model/decoder.h"
#include "model/weight_settler.h"

namespace exa {

class Loop {
 public:
  struct Machine {
    Decoder& decoder;
    Backend& backend;
    ThreadPool& pool;
    WeightSettler& settler;  // pauses while sequences run
    Sight* sight;            // null: no sequence has pictures
  };

  // Errors: kMemory where the system refuses a thread.
  Loop(const Machine& machine, TokenCache cache);
  // Nobody waits in line any more.
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs the sequence to its end, calling on_event on this thread. Errors: those of the sequence, of steps
  // and of pictures; what on_event throws, and the sequence ends there.
  Answer run(Sequence& sequence, const std::function<void(const Event&)>& on_event);
  // Calls job on this thread when its turn in the line comes and no sequence runs. Errors: the job's.
  void between_sequences(const std::function<void(TokenCache& cache)>& job);

 private:
  // Who stands in line.
  struct Caller {
    Sequence* sequence = nullptr;  // null: it does its work itself when it is in front
    bool waiting = false;          // it has no events left and wants more
    bool finished = false;
    std::vector<Event> events;
    std::exception_ptr error;
    std::condition_variable called;  // events or the end came, or it is in front
  };

  void work();
  void advance(Sequence& sequence);
  bool see(Sequence& sequence);

  void submit(Caller& caller);
  void drain(Caller& caller, const std::function<void(const Event&)>& on_event);
  void withdraw(Caller& caller);
  void leave_line(Caller& caller);  // mutex_ is held

  Machine machine_;
  TokenCache cache_;
  std::mutex mutex_;  // of all below and of the callers in line
  std::condition_variable wake_;
  std::deque<Caller*> line_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace exa
