#include "model/kv_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <set>

#include "base/error.h"

namespace exa {
namespace {

constexpr std::size_t kBlock = 4096;

TEST(KvPool, ABlockIsFreeBehindItsLastHolder) {
  KvPool pool(kBlock, 3 * kBlock + 1);
  EXPECT_EQ(pool.n_free(), 3u);
  std::byte* const block = pool.take();
  std::fill_n(block, kBlock, std::byte{7});
  pool.share(block);
  pool.release(block);
  EXPECT_EQ(pool.n_used(), 1u);
  EXPECT_EQ(block[0], std::byte{7});
  pool.release(block);
  EXPECT_EQ(pool.n_used(), 0u);
  std::set<std::byte*> taken;
  for (int i = 0; i < 3; ++i) {
    std::byte* const next = pool.take();
    EXPECT_EQ(std::count(next, next + kBlock, std::byte{0}), static_cast<std::ptrdiff_t>(kBlock));
    taken.insert(next);
  }
  EXPECT_EQ(taken.size(), 3u);
  EXPECT_TRUE(taken.contains(block));
  EXPECT_LE(pool.size_bytes(), 3 * kBlock);
  EXPECT_THROW(pool.take(), Error);
  for (std::byte* const each : taken) pool.release(each);
  EXPECT_EQ(pool.n_free(), 3u);
}

TEST(KvPool, TooLittleIsAnErrorWithBothNumbers) {
  KvPool pool(kBlock, 2 * kBlock);
  pool.take();
  EXPECT_NO_THROW(pool.require(1));
  try {
    pool.require(3);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kMemory);
    EXPECT_EQ(error.message(), "keys and values need 12288 bytes more, 4096 are free");
  }
  EXPECT_EQ(pool.n_used(), 1u);
}

}  // namespace
}  // namespace exa
