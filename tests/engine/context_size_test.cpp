#include "engine/context_size.h"

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "model/kv_cache.h"

namespace exa {
namespace {

constexpr std::size_t kGiB = std::size_t{1} << 30;

ModelConfig config_of(std::int64_t max_context) {
  ModelConfig config;
  config.n_kv_heads = 8;
  config.head_dim = 128;
  config.max_context = max_context;
  config.layers.assign(32, LayerSpec{});
  return config;
}

Error failure(const ModelConfig& config, std::int64_t requested, std::size_t free_bytes) {
  try {
    choose_context(config, KvType::kBF16, requested, {}, free_bytes);
  } catch (const Error& error) {
    return error;
  }
  return {ErrorKind::kInternal, "nothing was thrown"};
}

TEST(ContextSize, TakesTheModelsLimitWhereItFits) {
  EXPECT_EQ(choose_context(config_of(65536), KvType::kBF16, 0, {}, 64 * kGiB), 65536);
  EXPECT_EQ(choose_context(config_of(300), KvType::kBF16, 0, {}, 64 * kGiB), 300);
}

TEST(ContextSize, TakesTheMostThatFits) {
  const ModelConfig config = config_of(131072);
  const std::int64_t n = choose_context(config, KvType::kBF16, 0, {}, 2 * kGiB);
  EXPECT_GE(n, kLeastContext);
  EXPECT_LT(n, 131072);
  EXPECT_LT(KvCache::bytes_for(config, KvType::kBF16, 512, n), 2 * kGiB);
  EXPECT_GT(KvCache::bytes_for(config, KvType::kBF16, 512, n), kGiB);
  EXPECT_LT(n, choose_context(config, KvType::kBF16, 0, {}, 3 * kGiB));
}

TEST(ContextSize, ARequestIsObeyedOrRefusedWithNumbers) {
  const ModelConfig config = config_of(4096);
  EXPECT_EQ(choose_context(config, KvType::kBF16, 1000, {}, 2 * kGiB), 1000);
  EXPECT_EQ(choose_context(config, KvType::kBF16, 4096, {}, 2 * kGiB), 4096);
  const Error beyond = failure(config, 4097, 2 * kGiB);
  EXPECT_EQ(beyond.kind(), ErrorKind::kUsage);
  EXPECT_NE(beyond.message().find("4097"), std::string::npos);
  EXPECT_NE(beyond.message().find("4096"), std::string::npos);
  EXPECT_EQ(failure(config, -1, 2 * kGiB).kind(), ErrorKind::kUsage);
}

TEST(ContextSize, TooLittleMemoryIsAnErrorWithNumbers) {
  const ModelConfig config = config_of(131072);
  const Error least = failure(config, 0, std::size_t{200} << 20);
  EXPECT_EQ(least.kind(), ErrorKind::kMemory);
  EXPECT_EQ(least.message(),
            "a context of 512 tokens needs 64.0 MiB, 0.0 MiB of memory are free after loading");
  EXPECT_EQ(failure(config, 0, 0).kind(), ErrorKind::kMemory);
  EXPECT_EQ(failure(config, 131072, kGiB).kind(), ErrorKind::kMemory);
}

// What pictures would need is not given away to the cache, nor are weights and activations.
TEST(ContextSize, WhatElseIsNeededComesFirst) {
  const ModelConfig config = config_of(131072);
  const MemoryNeed need = {.weight_bytes = kGiB,
                           .activation_bytes = kGiB / 4,
                           .vision_weight_bytes = kGiB / 2,
                           .vision_activation_bytes = kGiB / 4};
  const std::int64_t beside = choose_context(config, KvType::kBF16, 0, need, 4 * kGiB);
  EXPECT_EQ(beside, choose_context(config, KvType::kBF16, 0, {}, 2 * kGiB));
  EXPECT_LT(beside, choose_context(config, KvType::kBF16, 0, {}, 4 * kGiB));
  try {
    choose_context(config, KvType::kBF16, 0, need, kGiB / 2);
    FAIL() << "weights that do not fit were taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kMemory);
    EXPECT_EQ(error.message(), "the weights need 1.0 GiB, 512.0 MiB of memory are free");
  }
}

TEST(ContextSize, ReadableBytes) {
  EXPECT_EQ(readable_bytes(0), "0.0 MiB");
  EXPECT_EQ(readable_bytes(std::size_t{3} << 19), "1.5 MiB");
  EXPECT_EQ(readable_bytes(kGiB), "1.0 GiB");
  EXPECT_EQ(readable_bytes(kGiB * 5 / 2), "2.5 GiB");
}

}  // namespace
}  // namespace exa
