#include "engine/token_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "engine/sampler.h"
#include "engine/tiny_models.h"
#include "kernels/isa/matmul.h"

namespace exa {
namespace {

TokenCache new_cache(const OpenedModel& model, KvType type = KvType::kBF16) {
  return TokenCache(KvCache(model.weights.config, type, model.decoder.max_rows()));
}

// Runs the tokens and returns the last one's logits, valid until the next step.
std::span<const float> append(TokenCache& cache, Decoder& decoder, std::span<const TokenId> ids, Role role,
                              bool wants_logits, std::span<const TokenKey> keys = {},
                              std::span<const GivenRow> given = {}) {
  const std::int32_t last_row = static_cast<std::int32_t>(ids.size()) - 1;
  StepSlice slice = cache.append(ids, keys);
  slice.logits_rows = {&last_row, wants_logits ? std::size_t{1} : std::size_t{0}};
  slice.given_rows = given;
  slice.role = role;
  return decoder.step({&slice, 1});
}

std::vector<float> logits_after(OpenedModel& model, TokenCache& cache, std::span<const TokenId> ids) {
  const std::span<const float> row = append(cache, model.decoder, ids, Role::kPrompt, true);
  return {row.begin(), row.end()};
}

std::vector<TokenId> some_ids(std::size_t n, std::size_t vocab) {
  std::vector<TokenId> ids(n);
  for (std::size_t i = 0; i < n; ++i) ids[i] = static_cast<TokenId>((i * 7919 + 13) % vocab);
  return ids;
}

// A decision whose reference margin (highest logit minus the next) is below the arithmetic's error may fall
// otherwise, and from there on the two texts have nothing in common: the comparison ends at the first such
// step. Exact arithmetic is held to 2e-4 a logit (docs/numerics.md). Activations, keys and values rounded to
// bf16 move a logit by 0.01 (rms over all, mean KL 4e-5), so that a margin of 0.05 is 3.5 times what two of
// them move it.
constexpr float kExactMargin = 1e-3f;
constexpr float kProductionMargin = 5e-2f;

// Compares greedy tokens with the reference's and returns how many steps were compared.
std::size_t compare_greedy(const std::filesystem::path& path, const std::filesystem::path& reference_path,
                           Precision precision) {
  OpenedModel model(path, 2, precision);
  const Checkpoint reference = Checkpoint::open(reference_path);
  const std::vector<TokenId> expected = read_ids(reference, "greedy.ids");
  const std::vector<float> margin = read_array<float>(reference, "greedy.margin");
  EXPECT_FALSE(expected.empty());
  EXPECT_EQ(expected.size(), margin.size());
  const bool exact = precision == Precision::kExact;
  TokenCache cache = new_cache(model, exact ? KvType::kF32 : KvType::kBF16);
  Sampler sampler(SamplingValues{});
  std::vector<float> logits = logits_after(model, cache, read_ids(reference, "short.ids"));
  std::size_t step = 0;
  for (; step < expected.size() && margin[step] >= (exact ? kExactMargin : kProductionMargin); ++step) {
    const auto id = sampler.sample(logits, cache.length());
    EXPECT_EQ(id, expected[step]) << path << " step " << step << " margin " << margin[step];
    if (id != expected[step]) break;
    logits = logits_after(model, cache, {&*id, 1});
  }
  return step;
}

TEST(TokenCache, GreedyTokensAreTheReferences) {
  for (const std::string name : {"tiny-exaone4", "tiny-exaone4-hybrid", "tiny-exaone4_5"}) {
    const auto folder = tiny_model(name);
    EXPECT_GT(compare_greedy(folder, folder / "reference.safetensors", Precision::kExact), 10u) << name;
    compare_greedy(folder, folder / "reference.safetensors", Precision::kProduction);
  }
  const auto dense = tiny_model("tiny-exaone4");
  EXPECT_GT(compare_greedy(dense / "tiny-exaone4.BF16.gguf",
                           dense / "tiny-exaone4.BF16.reference.safetensors", Precision::kProduction),
            2u);
}

TEST(TokenCache, GreedyTokensAreTheReferencesOfTheLargerSuite) {
  if (!std::filesystem::exists(golden_model("exaone4-dense"))) {
    GTEST_SKIP() << "no reference suite beside the repository";
  }
  for (const std::string name : {"exaone4-dense", "exaone4-hybrid", "exaone4_5"}) {
    const auto folder = golden_model(name);
    EXPECT_GT(compare_greedy(folder, folder / "reference.safetensors", Precision::kExact), 5u) << name;
    EXPECT_GT(compare_greedy(folder, folder / "reference.safetensors", Precision::kProduction), 5u) << name;
  }
}

// PromptPath::kDeterministic: a prompt whose rows are called generated.
TEST(TokenCache, GeneratedRowsHaveTheBitsOfAPromptOfTheSameRole) {
  OpenedModel model(tiny_model("tiny-exaone4") / "tiny-exaone4.BF16.gguf", 2, Precision::kProduction);
  const std::vector<TokenId> ids = some_ids(60, static_cast<std::size_t>(model.weights.config.vocab));
  const auto last_logits = [&](std::size_t n_prompt, Role prompt_role) {
    TokenCache cache = new_cache(model);
    std::span<const float> row =
        append(cache, model.decoder, std::span(ids).first(n_prompt), prompt_role, n_prompt == ids.size());
    for (std::size_t i = n_prompt; i < ids.size(); ++i) {
      row = append(cache, model.decoder, {&ids[i], 1}, Role::kGenerated, i + 1 == ids.size());
    }
    return std::vector<float>(row.begin(), row.end());
  };
  const auto same = [](const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
  };
  EXPECT_TRUE(same(last_logits(30, Role::kGenerated), last_logits(ids.size(), Role::kGenerated)));
  EXPECT_EQ(same(last_logits(30, Role::kPrompt), last_logits(ids.size(), Role::kPrompt)),
            !matmul_kernels(choose_isa()).has_prompt_path(DType::kBF16));
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
    append(cache, model.decoder, first, Role::kPrompt, false);
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
  append(cache, model.decoder, ids, Role::kPrompt, false);
  EXPECT_EQ(cache.keep_shared(ids), 19);
  EXPECT_EQ(cache.keep_shared(std::span(ids).first(5)), 4);
  EXPECT_EQ(cache.keep_shared(std::span(ids).first(1)), 0);
  EXPECT_EQ(cache.keep_shared({}), 0);
}

// Two prompts of the same ids whose pictures differ share what stands before the picture, and its rows count.
TEST(TokenCache, PicturesAreComparedByContent) {
  OpenedModel model(tiny_model("tiny-exaone4"), 1, Precision::kProduction);
  const auto hidden = static_cast<std::size_t>(model.weights.config.hidden);
  const std::vector<TokenId> ids = {3, 4, 9, 9, 5, 6};
  const auto keys = [](TokenKey picture) {
    return std::vector<TokenKey>{3, 4, picture | kPictureKey, (picture + 1) | kPictureKey, 5, 6};
  };
  const std::vector<float> light(hidden, 0.25f);
  const std::vector<float> dark(hidden, -0.5f);
  const auto show = [&](TokenCache& cache, const std::vector<float>& values,
                        const std::vector<TokenKey>& its_keys) {
    const GivenRow given[] = {{2, values.data()}, {3, values.data()}};
    const auto row = append(cache, model.decoder, ids, Role::kPrompt, true, its_keys, given);
    return std::vector<float>(row.begin(), row.end());
  };
  TokenCache cache = new_cache(model);
  const std::vector<float> of_light = show(cache, light, keys(100));
  EXPECT_EQ(cache.keep_shared(ids, keys(100)), 5);
  EXPECT_EQ(cache.keep_shared(ids, keys(200)), 2);
  TokenCache other = new_cache(model);
  EXPECT_NE(of_light, show(other, dark, keys(200)));
  EXPECT_EQ(other.keep_shared(ids), 2);
}

TEST(TokenCache, ALongWayBackInARingStartsAnewWithTheSameBits) {
  OpenedModel model(tiny_model("tiny-exaone4-hybrid"), 2, Precision::kProduction, 32);
  const auto vocab = static_cast<std::size_t>(model.weights.config.vocab);
  const std::vector<TokenId> ids = some_ids(300, vocab);
  TokenCache cache = new_cache(model);
  for (std::size_t begin = 0; begin < ids.size(); begin += 30) {
    append(cache, model.decoder, std::span(ids).subspan(begin, 30), Role::kPrompt, false);
  }
  const auto prompt = std::span(ids).first(21);
  const std::int64_t kept = cache.keep_shared(prompt);
  EXPECT_EQ(kept, 0);  // the rings have long overwritten the rows before position 20
  const auto again = logits_after(model, cache, prompt.subspan(static_cast<std::size_t>(kept)));
  TokenCache fresh = new_cache(model);
  EXPECT_EQ(again, logits_after(model, fresh, prompt));
}

// What stood there at hold() is gone back to with the same bits, more than once, however long the text got.
TEST(TokenCache, WhatIsHeldStaysThroughARingThatGoesOn) {
  for (const std::string name : {"tiny-exaone4-hybrid", "tiny-exaone4_5"}) {
    OpenedModel model(tiny_model(name), 2, Precision::kProduction, 32);
    const auto vocab = static_cast<std::size_t>(model.weights.config.vocab);
    const std::vector<TokenId> prompt = some_ids(150, vocab);
    TokenCache cache = new_cache(model);
    for (std::size_t begin = 0; begin < prompt.size(); begin += 30) {
      append(cache, model.decoder, std::span(prompt).subspan(begin, 30), Role::kPrompt, false);
    }
    cache.hold();
    for (const std::int64_t shared : {150, 146, 140}) {
      for (TokenId i = 0; i < 40; ++i) {
        const std::vector<TokenId> thought(10, static_cast<TokenId>(100 + i));
        append(cache, model.decoder, thought, Role::kGenerated, false);
      }
      std::vector<TokenId> next(prompt.begin(), prompt.begin() + shared);
      for (const TokenId id : {5, 6, 7, 8, 9}) next.push_back(id);
      ASSERT_EQ(cache.keep_shared(next), shared) << name;
      const auto row = logits_after(model, cache, std::span(next).subspan(static_cast<std::size_t>(shared)));
      TokenCache fresh = new_cache(model);
      for (std::size_t begin = 0; begin < next.size(); begin += 32) {
        const auto piece = std::span(next).subspan(begin, std::min<std::size_t>(32, next.size() - begin));
        if (begin + piece.size() < next.size()) {
          append(fresh, model.decoder, piece, Role::kPrompt, false);
        } else {
          EXPECT_EQ(row, logits_after(model, fresh, piece)) << name << " " << shared;
        }
      }
    }
  }
}

}  // namespace
}  // namespace exa
