#include "model/kv_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "model/kv_pool.h"

namespace exa {
namespace {

ModelConfig two_layers(std::int64_t window) {
  ModelConfig config;
  config.n_kv_heads = 2;
  config.head_dim = 16;
  config.layers = {{.window = window, .rope = true}, {.window = 0, .rope = false}};
  return config;
}

TEST(KvCache, GlobalLayersGrowRingsDoNot) {
  KvCache cache(two_layers(24), KvType::kBF16, 8);
  for (int i = 0; i < 100; ++i) {
    cache.reserve(8);
    cache.advance(8);
  }
  EXPECT_EQ(cache.length(), 800);
  EXPECT_EQ(cache.view(1).n_blocks, 25);
  const KvView ring = cache.view(0);
  EXPECT_LE(ring.n_blocks, 3);
  std::set<const std::byte*> distinct(ring.blocks, ring.blocks + ring.n_blocks);
  EXPECT_EQ(static_cast<std::int64_t>(distinct.size()), ring.n_blocks);
  EXPECT_FALSE(distinct.contains(nullptr));
}

// In every step all positions that the step's rows look back at must lie in other ring slots than those it
// writes beyond them.
TEST(KvCache, RingHoldsWindowAndChunk) {
  for (const std::int64_t window : {1, 2, 16, 24, 31, 32, 33, 64, 100}) {
    for (const std::int64_t chunk : {1, 7, 24, 31, 32, 33, 128}) {
      KvCache cache(two_layers(window), KvType::kBF16, chunk);
      cache.reserve(chunk);
      const std::int64_t n_blocks = cache.view(0).n_blocks;
      for (std::int64_t first = 0; first < 300; ++first) {
        const std::int64_t lowest = std::max<std::int64_t>(0, first - window + 1) / kKvBlock;
        const std::int64_t highest = (first + chunk - 1) / kKvBlock;
        ASSERT_LE(highest - lowest + 1, n_blocks)
            << "window " << window << " chunk " << chunk << " first " << first;
      }
    }
  }
}

TEST(KvCache, TruncateKeepsWhatTheRingStillHolds) {
  KvCache cache(two_layers(24), KvType::kBF16, 8);
  cache.reserve(8);
  cache.advance(8);
  EXPECT_EQ(cache.truncate(5), 5);
  EXPECT_EQ(cache.truncate(9), 5);
  while (cache.length() < 1000) {
    cache.reserve(1);
    cache.advance(1);
  }
  EXPECT_EQ(cache.truncate(995), 995);
  // What row 500 would look back at was overwritten long ago.
  EXPECT_EQ(cache.truncate(500), 0);
}

void append(KvCache& cache, std::int64_t n_tokens) {
  for (std::int64_t i = 0; i < n_tokens; ++i) {
    cache.reserve(1);
    cache.advance(1);
  }
}

TEST(KvCache, HeldBlocksComeBackAndTheirMemoryIsUsedAgain) {
  const std::int64_t window = 100;
  const ModelConfig config = two_layers(window);
  const auto pool = std::make_shared<KvPool>(kv_block_bytes(KvType::kBF16, 2, 16));
  KvCache cache(pool, config, KvType::kBF16, 8);
  append(cache, 1000);
  const KvView before = cache.view(0);
  const std::vector<std::byte*> held(before.blocks, before.blocks + before.n_blocks);
  cache.hold();
  append(cache, 3000);
  EXPECT_EQ(cache.truncate(2000), 1000);  // the rings do not reach, what was held is what is left
  const KvView after = cache.view(0);
  EXPECT_EQ(std::vector<std::byte*>(after.blocks, after.blocks + after.n_blocks), held);
  const std::size_t n_bytes = pool->size_bytes();
  for (int i = 0; i < 5; ++i) {
    append(cache, 3000);
    EXPECT_EQ(cache.truncate(996), 996);
    cache.hold();
  }
  EXPECT_LE(pool->size_bytes(), n_bytes + kv_block_bytes(KvType::kBF16, 2, 16) * 100);
  EXPECT_EQ(cache.truncate(0), 0);
  append(cache, 3000);
  EXPECT_EQ(cache.truncate(996), 0);  // nothing is held any more
}

TEST(KvCache, APlaceBeforeTheHeldOneIsReachedAsFarAsItWasThen) {
  KvCache cache(two_layers(24), KvType::kBF16, 64);
  append(cache, 500);
  cache.hold();
  append(cache, 1000);
  EXPECT_EQ(cache.truncate(460), 460);
  append(cache, 1000);
  EXPECT_EQ(cache.truncate(480), 460);  // 460 to 480 were written anew
  append(cache, 1000);
  EXPECT_EQ(cache.truncate(300), 0);
}

// With any sequence of steps, every slot that a row may look back at holds the block that was written there.
TEST(KvCache, BlocksAreThoseOfTheirPositionsWhateverHappens) {
  std::minstd_rand random(7);
  const auto below = [&random](std::int64_t n) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint_fast32_t>(n));
  };
  const std::int64_t window = 70;
  for (int round = 0; round < 200; ++round) {
    KvCache cache(two_layers(window), KvType::kBF16, 40);
    std::vector<std::int64_t> written;  // a number for each position, in the block of its ring
    std::int64_t serial = 0;
    for (int step = 0; step < 60; ++step) {
      const std::int64_t what = below(8);
      if (what == 0) cache.hold();
      if (what == 1 && cache.length() > 0) {
        cache.truncate(below(cache.length()) / 2 + cache.length() / 2);
        written.resize(static_cast<std::size_t>(cache.length()));
      }
      const std::int64_t n = 1 + below(40);
      cache.reserve(n);
      const KvView ring = cache.view(0);
      const auto slot = [&](std::int64_t position) {
        std::byte* const block = ring.blocks[position / kKvBlock % ring.n_blocks];
        return reinterpret_cast<std::int64_t*>(block) + position % kKvBlock;
      };
      const std::int64_t first = cache.length();
      for (std::int64_t position = first; position < first + n; ++position) {
        written.push_back(++serial);
        *slot(position) = serial;
      }
      for (std::int64_t p = std::max<std::int64_t>(0, first - window + 1); p < first + n; ++p) {
        ASSERT_EQ(*slot(p), written[static_cast<std::size_t>(p)]) << round << " " << step << " " << p;
      }
      cache.advance(n);
    }
  }
}

TEST(KvCache, WhatIsSavedComesBackWithWhatIsHeld) {
  std::string saved;
  const auto write = [&saved](std::span<const std::byte> bytes) {
    saved.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  KvCache cache(two_layers(24), KvType::kBF16, 8);
  append(cache, 500);
  cache.hold();
  append(cache, 300);
  cache.save(write);
  const std::string whole = saved;
  std::size_t at = 0;
  const auto read = [&saved, &at](std::span<std::byte> bytes) {
    if (saved.size() - at < bytes.size()) throw Error(ErrorKind::kBadInput, "ends early");
    std::copy_n(saved.data() + at, bytes.size(), reinterpret_cast<char*>(bytes.data()));
    at += bytes.size();
  };
  KvCache other(two_layers(24), KvType::kBF16, 8);
  append(other, 100);
  other.load(read, 4096);
  EXPECT_EQ(other.length(), 800);
  EXPECT_EQ(at, whole.size());
  saved.clear();
  other.save(write);
  EXPECT_EQ(saved, whole);
  append(other, 400);
  EXPECT_EQ(other.truncate(500), 500);

  const auto expect_refused = [&](const std::string& bytes, std::int64_t most_tokens) {
    saved = bytes;
    at = 0;
    EXPECT_THROW(other.load(read, most_tokens), Error);
    EXPECT_EQ(other.length(), 0);
    append(other, 200);
  };
  expect_refused(whole, 799);
  for (std::size_t n = 0; n < whole.size(); n += whole.size() / 50) expect_refused(whole.substr(0, n), 4096);
  for (std::size_t i = 0; i < 32; ++i) {
    std::string broken = whole;
    broken[i] = static_cast<char>(0x80 | broken[i]);
    saved = broken;
    at = 0;
    try {
      other.load(read, 4096);
      EXPECT_LE(other.length(), 4096);
    } catch (const Error&) {
      EXPECT_EQ(other.length(), 0);
    }
    append(other, 10);
  }
}

TEST(KvCache, WithoutWindowsEveryPrefixStays) {
  ModelConfig config = two_layers(24);
  config.layers = {{.window = 0, .rope = true}};
  KvCache cache(config, KvType::kF32, 64);
  for (int i = 0; i < 10; ++i) {
    cache.reserve(64);
    cache.advance(64);
  }
  EXPECT_EQ(cache.truncate(3), 3);
}

constexpr std::size_t kBlock = kv_block_bytes(KvType::kBF16, 2, 16);

TEST(KvCache, BlocksComeBack) {
  const ModelConfig config = two_layers(24);
  const auto pool = std::make_shared<KvPool>(kBlock);
  {
    KvCache cache(pool, config, KvType::kBF16, 8);
    append(cache, 320);
    EXPECT_EQ(pool->n_used(), 10u + 2);
    EXPECT_EQ(cache.truncate(310), 310);
    EXPECT_EQ(pool->n_used(), 10u + 2);
    cache.hold();
    append(cache, 90);
    EXPECT_EQ(pool->n_used(), 13u + 2 + 2);
    EXPECT_EQ(cache.truncate(310), 310);
    EXPECT_EQ(pool->n_used(), 10u + 2);
    cache.reserve(8);
    KvCache moved(std::move(cache));
    append(moved, 100);
    EXPECT_EQ(moved.truncate(0), 0);
    EXPECT_EQ(pool->n_used(), 0u);
    append(moved, 100);
    KvCache other(pool, config, KvType::kBF16, 8);
    append(other, 40);
    EXPECT_EQ(pool->n_used(), (4u + 2) + (2u + 2));
  }
  EXPECT_EQ(pool->n_used(), 0u);
}

// A pool of what bytes_for() says never runs short, whatever is held and taken back; one of less refuses rows
// before anything changed.
TEST(KvCache, TheBudgetIsKept) {
  std::minstd_rand random(11);
  const auto below = [&random](std::int64_t n) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint_fast32_t>(n));
  };
  const ModelConfig config = two_layers(70);
  for (const std::int64_t context : {100, 200, 640}) {
    const std::size_t enough = KvCache::bytes_for(config, KvType::kBF16, 40, context);
    KvCache cache(std::make_shared<KvPool>(kBlock, enough), config, KvType::kBF16, 40);
    for (int step = 0; step < 2000; ++step) {
      const std::int64_t what = below(6);
      if (what == 0) cache.hold();
      if (what == 1) cache.truncate(below(cache.length() + 1));
      const std::int64_t n = std::min(1 + below(40), context - cache.length());
      cache.reserve(n);
      cache.advance(n);
    }
  }

  const auto pool = std::make_shared<KvPool>(kBlock, 9 * kBlock);
  KvCache cache(pool, config, KvType::kBF16, 40);
  append(cache, 120);
  EXPECT_EQ(pool->n_free(), 1u);
  try {
    cache.reserve(40);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kMemory);
    EXPECT_EQ(error.message(), "keys and values need " + std::to_string(2 * kBlock) + " bytes more, " +
                                   std::to_string(kBlock) + " are free");
  }
  EXPECT_EQ(pool->n_free(), 1u);
  EXPECT_EQ(cache.length(), 120);
  EXPECT_EQ(cache.room(), 0);
  append(cache, 8);
  cache.truncate(0);
  append(cache, 100);
}

// Section 6.6, ollama 14909: a window layer keeps its window and a step (4 blocks), only a global one the
// context.
TEST(KvCache, SizeIsWhatItSays) {
  const ModelConfig config = two_layers(24);
  EXPECT_EQ(KvCache::bytes_for(config, KvType::kBF16, 8, 320),
            (10 + 4) * kv_block_bytes(KvType::kBF16, 2, 16));
  EXPECT_EQ(KvCache::bytes_for(config, KvType::kF32, 8, 0), 0u);
}

}  // namespace
}  // namespace exa
