#include "engine/token_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "engine/sampler.h"
#include "engine/tiny_models.h"

namespace exa {
namespace {

TokenCache new_cache(const OpenedModel& model) {
  return TokenCache(KvCache(model.weights.config, KvType::kBF16, model.decoder.max_rows()));
}

std::vector<float> logits_after(OpenedModel& model, TokenCache& cache, std::span<const TokenId> ids) {
  const std::span<const float> row = cache.append(model.decoder, ids, true);
  return {row.begin(), row.end()};
}

std::vector<TokenId> some_ids(std::size_t n, std::size_t vocab) {
  std::vector<TokenId> ids(n);
  for (std::size_t i = 0; i < n; ++i) ids[i] = static_cast<TokenId>((i * 7919 + 13) % vocab);
  return ids;
}

// Rounding of production arithmetic may turn a decision whose reference margin is below this; the reference
// text goes another way from there on, so the comparison ends.
constexpr float kDecidedMargin = 0.1f;

void expect_greedy_ids(const std::filesystem::path& path, const std::filesystem::path& reference_path,
                       std::size_t at_least) {
  OpenedModel model(path, 2, Precision::kProduction);
  const Checkpoint reference = Checkpoint::open(reference_path);
  const std::vector<TokenId> expected = read_ids(reference, "greedy.ids");
  const std::vector<float> margin = read_array<float>(reference, "greedy.margin");
  ASSERT_EQ(expected.size(), margin.size());
  ASSERT_FALSE(expected.empty());
  TokenCache cache = new_cache(model);
  Sampler sampler(SamplingValues{});
  std::vector<float> logits = logits_after(model, cache, read_ids(reference, "short.ids"));
  std::size_t compared = 0;
  for (; compared < expected.size() && margin[compared] >= kDecidedMargin; ++compared) {
    const auto id = sampler.sample(logits, cache.length());
    ASSERT_EQ(id, expected[compared]) << path << " step " << compared << " margin " << margin[compared];
    logits = logits_after(model, cache, {&*id, 1});
  }
  EXPECT_GE(compared, at_least) << path << ": too few steps were decided clearly enough to compare";
}

TEST(TokenCache, GreedyTokensAreTheReferences) {
  const auto dense = tiny_model("tiny-exaone4");
  const auto hybrid = tiny_model("tiny-exaone4-hybrid");
  const auto nested = tiny_model("tiny-exaone4_5");
  expect_greedy_ids(dense, dense / "reference.safetensors", 1);
  expect_greedy_ids(hybrid, hybrid / "reference.safetensors", 1);
  expect_greedy_ids(nested, nested / "reference.safetensors", 1);
  expect_greedy_ids(dense / "tiny-exaone4.BF16.gguf", dense / "tiny-exaone4.BF16.reference.safetensors", 1);
}

TEST(TokenCache, GreedyTokensAreTheReferencesOfTheLargerSuite) {
  if (!std::filesystem::exists(golden_model("exaone4-dense"))) {
    GTEST_SKIP() << "no reference suite beside the repository";
  }
  for (const std::string name : {"exaone4-dense", "exaone4-hybrid", "exaone4_5"}) {
    expect_greedy_ids(golden_model(name), golden_model(name) / "reference.safetensors", 1);
  }
}

TEST(TokenCache, KeepsTheSharedFrontAndComputesTheSameBits) {
  for (const std::string name : {"tiny-exaone4", "tiny-exaone4-hybrid", "tiny-exaone4_5"}) {
    OpenedModel model(tiny_model(name), 2, Precision::kProduction);
    const auto vocab = static_cast<std::size_t>(model.weights.config.vocab);
    const std::vector<TokenId> first = some_ids(90, vocab);
    std::vector<TokenId> second(first.begin(), first.begin() + 60);
    for (const TokenId id : {5, 6, 7, 8, 9}) second.push_back(id);
    ASSERT_NE(first[60], second[60]);

    TokenCache cache = new_cache(model);
    EXPECT_EQ(cache.keep_shared(first), 0);
    cache.append(model.decoder, first, false);
    EXPECT_EQ(cache.length(), 90);
    const std::int64_t kept = cache.keep_shared(second);
    EXPECT_EQ(kept, 60) << name;
    EXPECT_EQ(cache.length(), kept);
    const auto again = logits_after(model, cache, std::span(second).subspan(static_cast<std::size_t>(kept)));

    TokenCache fresh = new_cache(model);
    const auto expected = logits_after(model, fresh, second);
    ASSERT_EQ(again.size(), vocab);
    EXPECT_EQ(again, expected) << name;
  }
}

TEST(TokenCache, LeavesTheLastTokenOfThePromptToCompute) {
  OpenedModel model(tiny_model("tiny-exaone4"), 1, Precision::kProduction);
  TokenCache cache = new_cache(model);
  const std::vector<TokenId> ids = some_ids(20, 800);
  cache.append(model.decoder, ids, false);
  EXPECT_EQ(cache.keep_shared(ids), 19);
  EXPECT_EQ(cache.keep_shared(std::span(ids).first(5)), 4);
  EXPECT_EQ(cache.keep_shared(std::span(ids).first(1)), 0);
  EXPECT_EQ(cache.keep_shared({}), 0);
}

TEST(TokenCache, ALongWayBackInARingStartsAnewWithTheSameBits) {
  OpenedModel model(tiny_model("tiny-exaone4-hybrid"), 2, Precision::kProduction, 32);
  const auto vocab = static_cast<std::size_t>(model.weights.config.vocab);
  const std::vector<TokenId> ids = some_ids(300, vocab);
  TokenCache cache = new_cache(model);
  for (std::size_t begin = 0; begin < ids.size(); begin += 30) {
    cache.append(model.decoder, std::span(ids).subspan(begin, 30), false);
  }
  const auto prompt = std::span(ids).first(21);
  const std::int64_t kept = cache.keep_shared(prompt);
  EXPECT_EQ(kept, 0);  // the rings have long overwritten the rows before position 20
  const auto again = logits_after(model, cache, prompt.subspan(static_cast<std::size_t>(kept)));
  TokenCache fresh = new_cache(model);
  EXPECT_EQ(again, logits_after(model, fresh, prompt));
}

}  // namespace
}  // namespace exa
