// A pool of pinned threads that runs one job at a time on all of them: fork, join, nothing else.
//
// Ownership and threads: the pool owns its threads; the thread that calls run() is worker 0 and takes part.
// run() is called by one thread at a time. Jobs must not throw and must not call run().
// Source: kernels specification 3.6 (epoch counter, spin then park, affinity- and cgroup-aware).
#pragma once

#include <atomic>
#include <cstddef>
#include <exception>
#include <memory>
#include <type_traits>

namespace exa {

// Cores this process may use: the affinity mask, cut by the cgroup's cpu.max, one per physical core.
int usable_cores();

// The half-open range of `total` items that worker `index` of `count` takes: contiguous, sizes differ by at
// most one.
struct WorkRange {
  std::size_t begin;
  std::size_t end;
};
inline WorkRange work_range(std::size_t total, int index, int count) {
  const auto i = static_cast<std::size_t>(index);
  const auto n = static_cast<std::size_t>(count);
  return {total * i / n, total * (i + 1) / n};
}

class ThreadPool {
 public:
  // n_threads >= 1; threads beyond usable_cores() are not pinned.
  explicit ThreadPool(int n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int n_threads() const;

  // job(context, worker, n_threads) on every worker; returns when all have finished. Memory written before
  // run() is visible to the workers, and theirs to the caller after it.
  using Job = void (*)(void* context, int worker, int n_threads);
  void run(Job job, void* context);

  // The same for a callable `f(int worker, int n_threads)`.
  template <typename F>
  void parallel(F&& f) {
    run([](void* context, int worker,
           int n) { (*static_cast<std::remove_reference_t<F>*>(context))(worker, n); },
        const_cast<void*>(static_cast<const void*>(&f)));
  }

  // Parks the workers now (end of a generation) instead of after their spin budget.
  void park();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The first of the errors that workers meet, for the thread that waits for them. capture() may be called by
// several threads at once, the rest when they are done or where an old answer does no harm.
class FirstError {
 public:
  bool seen() const { return seen_.load(std::memory_order_relaxed); }
  // In a catch block.
  void capture() {
    if (!seen_.exchange(true)) error_ = std::current_exception();
  }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::atomic<bool> seen_{false};
  std::exception_ptr error_;
};

}  // namespace exa
