#include "model/kv_cache.h"

#include <gtest/gtest.h>

#include <set>

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

TEST(KvCache, SizeIsWhatItSays) {
  const ModelConfig config = two_layers(24);
  EXPECT_EQ(KvCache::bytes_for(config, KvType::kBF16, 8, 320),
            (10 + 2) * kv_block_bytes(KvType::kBF16, 2, 16));
  EXPECT_EQ(KvCache::bytes_for(config, KvType::kF32, 8, 0), 0u);
}

}  // namespace
}  // namespace exa
