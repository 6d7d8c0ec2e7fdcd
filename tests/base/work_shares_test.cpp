#include "base/work_shares.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <vector>

namespace exa {
namespace {

TEST(WorkShares, EveryItemIsTakenOnceByWhoeverAsks) {
  for (const int n_workers : {1, 2, 3, 5}) {
    for (const std::size_t total : {0UL, 1UL, 7UL, 64UL, 1001UL}) {
      for (const std::size_t piece : {1UL, 3UL, 64UL, 5000UL}) {
        WorkShares shares(n_workers);
        shares.deal(total, piece);
        std::vector<int> taken(total);
        // One worker alone does the others' runs, too.
        for (WorkRange range; shares.take(n_workers - 1, range);) {
          ASSERT_LT(range.begin, range.end);
          ASSERT_LE(range.end, total);
          if (n_workers > 1) {
            ASSERT_LE(range.end - range.begin, piece);
          }
          for (std::size_t i = range.begin; i < range.end; ++i) ++taken[i];
        }
        EXPECT_EQ(std::count(taken.begin(), taken.end(), 1), static_cast<std::ptrdiff_t>(total));
        WorkRange none{};
        EXPECT_FALSE(shares.take(0, none));
      }
    }
  }
}

TEST(WorkShares, AWorkerBeginsWithItsOwnRunInOrder) {
  WorkShares shares(2);
  shares.deal(10, 2);
  WorkRange range{};
  ASSERT_TRUE(shares.take(1, range));
  EXPECT_EQ(range.begin, 5U);
  EXPECT_EQ(range.end, 7U);
  ASSERT_TRUE(shares.take(0, range));
  EXPECT_EQ(range.begin, 0U);
  ASSERT_TRUE(shares.take(1, range));
  EXPECT_EQ(range.begin, 7U);
  ASSERT_TRUE(shares.take(1, range));
  EXPECT_EQ(range.begin, 9U);
  EXPECT_EQ(range.end, 10U);
  ASSERT_TRUE(shares.take(1, range)) << "the other's run";
  EXPECT_EQ(range.begin, 2U);
}

TEST(WorkShares, WorkersAtOnceShareNothingTwice) {
  constexpr std::size_t kTotal = 20000;
  ThreadPool pool(4);
  WorkShares shares(4);
  for (int round = 0; round < 20; ++round) {
    const auto taken = std::make_unique<std::atomic<int>[]>(kTotal);
    shares.deal(kTotal, 7);
    pool.parallel([&](int worker, int) {
      for (WorkRange range; shares.take(worker, range);) {
        for (std::size_t i = range.begin; i < range.end; ++i) taken[i].fetch_add(1);
      }
    });
    for (std::size_t i = 0; i < kTotal; ++i) ASSERT_EQ(taken[i].load(), 1) << i;
  }
}

}  // namespace
}  // namespace exa
