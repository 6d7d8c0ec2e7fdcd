#include "base/threads.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "base/error.h"

namespace exa {
namespace {

constexpr auto kSpinBudget = std::chrono::microseconds(80);
constexpr int kPausesARound = 32;
constexpr int kRoundsBeforeYield = 4;

// The processors of the affinity mask, one per physical core.
std::vector<int> allowed_cores() {
  std::vector<int> cores;
  std::vector<std::string> siblings_seen;
  // The kernel refuses a mask shorter than its own, so a short one grows until it fits.
  for (int n_cpus = 1024; n_cpus <= 1 << 20; n_cpus *= 4) {
    cpu_set_t* mask = CPU_ALLOC(static_cast<std::size_t>(n_cpus));
    if (mask == nullptr) break;
    const std::size_t mask_bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(n_cpus));
    const bool known = sched_getaffinity(0, mask_bytes, mask) == 0;
    for (int cpu = 0; known && cpu < n_cpus; ++cpu) {
      if (!CPU_ISSET_S(static_cast<std::size_t>(cpu), mask_bytes, mask)) continue;
      std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) +
                         "/topology/thread_siblings_list");
      std::string siblings;
      if (!std::getline(file, siblings)) siblings = std::to_string(cpu);
      if (std::find(siblings_seen.begin(), siblings_seen.end(), siblings) != siblings_seen.end()) continue;
      siblings_seen.push_back(siblings);
      cores.push_back(cpu);
    }
    CPU_FREE(mask);
    if (known) break;
  }
  return cores;
}

// Cores that one cpu.max file grants ("max 100000", "150000 100000"), rounded up; 0 where it sets no limit.
int granted_cores(const std::string& path) {
  std::ifstream file(path);
  std::string quota_text;
  std::int64_t period = 0;
  if (!(file >> quota_text >> period) || period <= 0) return 0;
  std::int64_t quota = 0;
  const char* end = quota_text.data() + quota_text.size();
  if (std::from_chars(quota_text.data(), end, quota).ptr != end || quota <= 0) return 0;
  return static_cast<int>(std::min<std::int64_t>((quota + period - 1) / period, 1 << 20));
}

// The least that the cgroup (version 2) of this process and its parents grant; 0 for no limit.
int cgroup_cores() {
  std::ifstream file("/proc/self/cgroup");
  std::string line;
  std::string group;
  while (std::getline(file, line)) {
    if (line.starts_with("0::/")) group = line.substr(3);
  }
  int least = 0;
  while (!group.empty()) {
    const int granted =
        granted_cores("/sys/fs/cgroup" + group + (group.back() == '/' ? "" : "/") + "cpu.max");
    if (granted > 0 && (least == 0 || granted < least)) least = granted;
    if (group == "/") break;
    const std::size_t slash = group.rfind('/');
    group.resize(slash == 0 ? 1 : slash);
  }
  return least;
}

void pin(std::thread& thread, int cpu) {
  cpu_set_t* mask = CPU_ALLOC(static_cast<std::size_t>(cpu) + 1);
  if (mask == nullptr) return;
  const std::size_t mask_bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(cpu) + 1);
  CPU_ZERO_S(mask_bytes, mask);
  CPU_SET_S(static_cast<std::size_t>(cpu), mask_bytes, mask);
  // A refusal costs speed, not results.
  pthread_setaffinity_np(thread.native_handle(), mask_bytes, mask);
  CPU_FREE(mask);
}

void pause_core() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Two lines: the prefetcher of x86 fetches lines in pairs.
struct alignas(128) Flag {
  std::atomic<std::uint32_t> value{0};
};

}  // namespace

int usable_cores() {
  const int cores = std::max(1, static_cast<int>(allowed_cores().size()));
  const int granted = cgroup_cores();
  return granted > 0 ? std::min(cores, granted) : cores;
}

struct ThreadPool::State {
  int n_threads = 1;
  bool spins = false;
  Flag epoch;              // the number of the current job; a worker waits for it to change
  Flag parked_epoch;       // no spinning for the job after this one
  std::vector<Flag> done;  // the last job that worker i finished
  Job job = nullptr;       // null: the workers end
  void* context = nullptr;
  std::vector<std::thread> threads;

  // Waits until flag differs from `old`, first spinning, then parked in the kernel.
  void await_change(const std::atomic<std::uint32_t>& flag, std::uint32_t old, bool may_be_parked) const {
    if (spins) {
      std::chrono::steady_clock::time_point deadline;
      for (int round = 0;; ++round) {
        for (int i = 0; i < kPausesARound; ++i) {
          if (flag.load(std::memory_order_acquire) != old) return;
          pause_core();
        }
        if (may_be_parked && parked_epoch.value.load(std::memory_order_relaxed) == old + 1) break;
        const auto now = std::chrono::steady_clock::now();
        if (round == 0) deadline = now + kSpinBudget;
        if (now >= deadline) break;
        // The thread waited for may stand on this very core behind us.
        if (round >= kRoundsBeforeYield) sched_yield();
      }
    }
    while (flag.load(std::memory_order_acquire) == old) flag.wait(old, std::memory_order_acquire);
  }

  void work(int index) {
    for (std::uint32_t finished = 0;; ++finished) {
      await_change(epoch.value, finished, true);
      if (job == nullptr) return;
      job(context, index, n_threads);
      std::atomic<std::uint32_t>& flag = done[static_cast<std::size_t>(index)].value;
      flag.store(finished + 1, std::memory_order_seq_cst);
      flag.notify_one();
    }
  }

  std::uint32_t announce(Job next, void* next_context) {
    job = next;
    context = next_context;
    const std::uint32_t previous = epoch.value.fetch_add(1, std::memory_order_seq_cst);
    epoch.value.notify_all();
    return previous;
  }

  void end_threads() {
    announce(nullptr, nullptr);
    for (std::thread& thread : threads) thread.join();
  }
};

ThreadPool::ThreadPool(int n_threads) : state_(std::make_unique<State>()) {
  if (n_threads < 1) {
    throw Error(ErrorKind::kUsage, "expected at least 1 thread, found " + std::to_string(n_threads));
  }
  State& s = *state_;
  s.n_threads = n_threads;
  if (n_threads == 1) return;
  const std::vector<int> cores = allowed_cores();
  const int granted = cgroup_cores();
  const int usable =
      granted > 0 ? std::min(granted, static_cast<int>(cores.size())) : static_cast<int>(cores.size());
  s.spins = n_threads <= usable;
  // Under a quota smaller than the mask other containers would pin to the same first cores.
  const bool pins = usable == static_cast<int>(cores.size());
  s.done = std::vector<Flag>(static_cast<std::size_t>(n_threads));
  s.threads.reserve(static_cast<std::size_t>(n_threads) - 1);
  try {
    for (int i = 1; i < n_threads; ++i) {
      s.threads.emplace_back([&s, i] { s.work(i); });
      if (pins && i < usable) pin(s.threads.back(), cores[static_cast<std::size_t>(i)]);
    }
  } catch (const std::system_error&) {
    s.end_threads();
    throw Error(ErrorKind::kMemory, "the system refused thread " + std::to_string(s.threads.size() + 2) +
                                        " of " + std::to_string(n_threads));
  }
}

ThreadPool::~ThreadPool() {
  state_->end_threads();
}

int ThreadPool::n_threads() const {
  return state_->n_threads;
}

void ThreadPool::run(Job job, void* context) {
  State& s = *state_;
  if (s.n_threads == 1) return job(context, 0, 1);
  const std::uint32_t previous = s.announce(job, context);
  job(context, 0, s.n_threads);
  for (std::size_t i = 1; i < s.done.size(); ++i) s.await_change(s.done[i].value, previous, false);
}

void ThreadPool::park() {
  State& s = *state_;
  s.parked_epoch.value.store(s.epoch.value.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace exa
