#include "base/threads.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <numeric>
#include <set>
#include <thread>
#include <vector>

#include "base/error.h"

namespace exa {
namespace {

TEST(WorkRange, CoversEverythingOnceInNearlyEqualParts) {
  for (const std::size_t total : {0UL, 1UL, 2UL, 7UL, 64UL, 1001UL}) {
    for (const int count : {1, 2, 3, 7, 64}) {
      std::size_t next = 0;
      for (int i = 0; i < count; ++i) {
        const WorkRange range = work_range(total, i, count);
        EXPECT_EQ(range.begin, next);
        EXPECT_LE(range.end - range.begin, total / static_cast<std::size_t>(count) + 1);
        next = range.end;
      }
      EXPECT_EQ(next, total);
    }
  }
}

TEST(UsableCores, HonoursTheAffinityMask) {
  const int all = usable_cores();
  EXPECT_GE(all, 1);
  EXPECT_LE(all, static_cast<int>(std::thread::hardware_concurrency()));
  int with_one = 0;
  std::thread([&] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(sched_getcpu()), &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
    with_one = usable_cores();
  }).join();
  EXPECT_EQ(with_one, 1);
}

TEST(ThreadPool, RefusesNoThreads) {
  EXPECT_THROW(ThreadPool(0), Error);
  EXPECT_THROW(ThreadPool(-3), Error);
}

class Pool : public testing::TestWithParam<int> {};

TEST_P(Pool, EveryWorkerRunsOnceAndTheCallerIsWorkerZero) {
  ThreadPool pool(GetParam());
  EXPECT_EQ(pool.n_threads(), GetParam());
  std::vector<int> runs(static_cast<std::size_t>(GetParam()));
  std::vector<std::thread::id> ids(runs.size());
  pool.parallel([&](int worker, int n) {
    EXPECT_EQ(n, GetParam());
    ++runs[static_cast<std::size_t>(worker)];
    ids[static_cast<std::size_t>(worker)] = std::this_thread::get_id();
  });
  for (const int count : runs) EXPECT_EQ(count, 1);
  EXPECT_EQ(ids[0], std::this_thread::get_id());
  EXPECT_EQ(std::set<std::thread::id>(ids.begin(), ids.end()).size(), ids.size());
}

// Plain memory on purpose: the thread sanitizer sees a missing happens-before in either direction.
TEST_P(Pool, MemoryCrossesBothWaysThroughManyTinyJobs) {
  ThreadPool pool(GetParam());
  const int jobs = GetParam() <= usable_cores() ? 100'000 : 5'000;
  std::vector<std::uint64_t> counts(static_cast<std::size_t>(GetParam()) * 16);
  std::uint64_t input = 0;
  for (int i = 0; i < jobs; ++i) {
    ++input;
    pool.parallel([&](int worker, int) { counts[static_cast<std::size_t>(worker) * 16] += input; });
  }
  const auto n = static_cast<std::uint64_t>(jobs);
  for (std::size_t i = 0; i < counts.size(); i += 16) ASSERT_EQ(counts[i], n * (n + 1) / 2);
}

TEST_P(Pool, ParkedWorkersWakeForTheNextJob) {
  ThreadPool pool(GetParam());
  std::atomic<int> runs{0};
  for (int i = 0; i < 200; ++i) {
    pool.parallel([&](int, int) { ++runs; });
    pool.park();
    if (i % 20 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(runs.load(), 200 * GetParam());
}

TEST_P(Pool, WaitsForTheSlowestWorker) {
  ThreadPool pool(GetParam());
  std::vector<int> finished(static_cast<std::size_t>(GetParam()));
  pool.parallel([&](int worker, int n) {
    if (worker == n - 1) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    finished[static_cast<std::size_t>(worker)] = 1;
  });
  EXPECT_EQ(std::accumulate(finished.begin(), finished.end(), 0), GetParam());
}

TEST_P(Pool, EndsIdleOrParkedWithoutHanging) {
  for (int i = 0; i < 50; ++i) {
    ThreadPool pool(GetParam());
    if (i % 3 != 0) pool.parallel([](int, int) {});
    if (i % 3 == 2) pool.park();
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, Pool, testing::Values(1, 2, 3, 8));

}  // namespace
}  // namespace exa
