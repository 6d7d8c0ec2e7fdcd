#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <vector>

#include "sanitized.h"

namespace exa {
namespace {

std::vector<float> random_logits(std::size_t vocab, std::uint32_t seed, float spread = 3.0f) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, spread);
  std::vector<float> logits(vocab);
  for (float& x : logits) x = normal(generator);
  return logits;
}

// The same steps the slow way: everything sorted, everything in double. Returns each token's probability.
std::vector<double> reference_distribution(const std::vector<float>& logits, const SamplingValues& v) {
  std::vector<std::size_t> order(logits.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return logits[a] > logits[b]; });
  std::vector<double> p(logits.size());
  for (const std::size_t i : order) {
    p[i] = std::exp((static_cast<double>(logits[i]) - static_cast<double>(logits[order[0]])) / v.temperature);
  }
  const auto cut = [&](std::size_t n) {
    for (std::size_t i = n; i < order.size(); ++i) p[order[i]] = 0;
  };
  const auto normalize = [&] {
    const double total = std::accumulate(p.begin(), p.end(), 0.0);
    for (double& x : p) x /= total;
  };
  if (v.top_k > 0) cut(static_cast<std::size_t>(v.top_k));
  normalize();
  if (v.top_p < 1) {
    double passed = 0;
    std::size_t n = 0;
    while (n < order.size() && passed < v.top_p) passed += p[order[n++]];
    cut(n);
    normalize();
  }
  const double highest = p[order[0]];
  for (double& x : p) {
    if (x < v.min_p * highest) x = 0;
  }
  normalize();
  return p;
}

// Draws at n positions and compares: nothing outside the kept set, and frequencies within 5 standard
// deviations.
void expect_distribution(const std::vector<float>& logits, const SamplingValues& values,
                         int n = test::kSanitized ? 2000 : 20000) {
  const std::vector<double> expected = reference_distribution(logits, values);
  std::vector<int> seen(logits.size(), 0);
  Sampler sampler(values);
  for (int position = 0; position < n; ++position) {
    const auto id = sampler.sample(logits, position);
    ASSERT_TRUE(id);
    ASSERT_GT(expected[static_cast<std::size_t>(*id)], 0.0) << "token " << *id << " should have been cut";
    ++seen[static_cast<std::size_t>(*id)];
  }
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double mean = expected[i] * n;
    const double deviation = std::sqrt(mean * (1 - expected[i])) + 1;
    EXPECT_NEAR(seen[i], mean, 5 * deviation) << "token " << i;
  }
}

SamplingValues sampling(double temperature, std::int64_t top_k, double top_p, double min_p,
                        std::uint64_t seed = 7) {
  SamplingValues v;
  v.temperature = temperature;
  v.top_k = top_k;
  v.top_p = top_p;
  v.min_p = min_p;
  v.seed = seed;
  return v;
}

TEST(Sampler, GreedyTakesTheHighestAndOfEqualsTheLowestId) {
  Sampler sampler(SamplingValues{});
  EXPECT_EQ(sampler.sample(std::vector<float>{-1, 5, 2, 5, 4}, 0), 1);
  EXPECT_EQ(sampler.sample(std::vector<float>{-3, -3, -3}, 9), 0);
  EXPECT_EQ(sampler.sample(std::vector<float>{2}, 0), 0);
  for (const std::size_t vocab : {15u, 16u, 17u, 31u, 33u, 1000u}) {
    for (std::size_t peak = 0; peak < vocab; ++peak) {
      std::vector<float> logits(vocab, -4.0f);
      logits[peak] = -3.5f;
      logits[vocab - 1] = -3.5f;
      ASSERT_EQ(sampler.sample(logits, 0), static_cast<TokenId>(peak));
    }
  }
}

TEST(Sampler, TopOneAndTinyTemperatureAreGreedy) {
  std::vector<float> logits = random_logits(500, 3);
  logits[77] = logits[400] = 50;
  for (int position = 0; position < 100; ++position) {
    EXPECT_EQ(Sampler(sampling(1.0, 1, 1, 0)).sample(logits, position), 77);
    EXPECT_EQ(Sampler(sampling(1e-300, 0, 0.9, 0)).sample(logits, position), 77);
    EXPECT_EQ(Sampler(sampling(1.0, 0, 1e-9, 0)).sample(logits, position), 77);
  }
}

TEST(Sampler, LogitsThatAreNotNumbersGiveNothing) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), infinity, -infinity}) {
    for (const std::size_t at : {0u, 5u, 16u, 39u}) {
      std::vector<float> logits = random_logits(40, 1);
      logits[at] = bad;
      EXPECT_FALSE(Sampler(SamplingValues{}).sample(logits, 0));
      EXPECT_FALSE(Sampler(sampling(1, 5, 0.9, 0.1)).sample(logits, 0));
    }
  }
  EXPECT_FALSE(Sampler(SamplingValues{}).sample({}, 0));
}

TEST(Sampler, PlainTemperatureFollowsTheSoftmax) {
  expect_distribution(random_logits(50, 11, 1.0f), sampling(1.0, 0, 1, 0));
  expect_distribution(random_logits(50, 12, 2.0f), sampling(0.6, 0, 1, 0));
  expect_distribution(random_logits(50, 13, 2.0f), sampling(5.0, 0, 1, 0));
}

TEST(Sampler, EachFilterKeepsWhatTheReferenceKeeps) {
  const std::vector<float> logits = random_logits(200, 21);
  expect_distribution(logits, sampling(1.0, 10, 1, 0));
  expect_distribution(logits, sampling(1.3, 1000, 1, 0));
  expect_distribution(logits, sampling(1.0, 0, 0.8, 0));
  expect_distribution(logits, sampling(1.0, 0, 0.999, 0));
  expect_distribution(logits, sampling(1.0, 0, 1, 0.2));
  expect_distribution(logits, sampling(0.8, 40, 0.9, 0.05));
}

TEST(Sampler, FlatAndPeakedDistributions) {
  expect_distribution(std::vector<float>(300, 0.0f), sampling(1.0, 0, 0.5, 0));
  expect_distribution(std::vector<float>(300, 0.0f), sampling(1.0, 7, 1, 0));
  std::vector<float> peaked(300, -60.0f);
  peaked[4] = 0;
  peaked[250] = -1;
  expect_distribution(peaked, sampling(1.0, 0, 0.95, 0));
  expect_distribution(peaked, sampling(1.0, 50, 1, 0));  // the rank reaches below the near candidates
  expect_distribution(peaked, sampling(30.0, 0, 0.99, 0));
}

TEST(Sampler, TheKeptSetIsExactForRandomSettings) {
  std::mt19937 generator(5);
  const auto below = [&generator](int n) { return std::uniform_int_distribution<int>(0, n - 1)(generator); };
  for (int round = 0; round < 200; ++round) {
    const int vocab = below(700) + 2;
    const std::vector<float> logits =
        random_logits(static_cast<std::size_t>(vocab), static_cast<std::uint32_t>(round),
                      0.5f + 0.7f * static_cast<float>(round % 8));
    SamplingValues values;
    values.temperature = 0.3 + below(20) * 0.1;
    values.top_k = below(3) == 0 ? below(vocab) + 1 : 0;
    values.top_p = below(2) == 0 ? 0.05 + below(90) * 0.01 : 1.0;
    values.min_p = below(2) == 0 ? below(50) * 0.01 : 0.0;
    values.seed = static_cast<std::uint64_t>(round);
    const std::vector<double> expected = reference_distribution(logits, values);
    Sampler sampler(values);
    for (int position = 0; position < 50; ++position) {
      const auto id = sampler.sample(logits, position);
      ASSERT_TRUE(id);
      ASSERT_GT(expected[static_cast<std::size_t>(*id)], 0.0) << "round " << round;
    }
  }
}

TEST(Sampler, ADrawIsAFunctionOfSeedPositionAndLogits) {
  const std::vector<float> logits = random_logits(1000, 31);
  const auto values = sampling(1.0, 0, 0.95, 0, 42);
  std::vector<TokenId> forward;
  Sampler sampler(values);
  for (int position = 0; position < 200; ++position) forward.push_back(*sampler.sample(logits, position));
  for (int position = 199; position >= 0; --position) {
    EXPECT_EQ(*Sampler(values).sample(logits, position), forward[static_cast<std::size_t>(position)]);
  }
  EXPECT_GT(std::set<TokenId>(forward.begin(), forward.end()).size(), 20u);
  std::vector<TokenId> other_seed;
  Sampler other(sampling(1.0, 0, 0.95, 0, 43));
  for (int position = 0; position < 200; ++position) other_seed.push_back(*other.sample(logits, position));
  EXPECT_NE(forward, other_seed);
}

TEST(Sampler, TheGeneratorIsFixedAndUniform) {
  // Written down once: these numbers may never change, or seeds stop meaning the same answer.
  EXPECT_EQ(uniform_at(0, 0), 0x1.4e0dba5e9a32fp-1);
  EXPECT_EQ(uniform_at(42, 7), 0x1.782d47a99890cp-1);
  std::vector<int> buckets(16, 0);
  double mean = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    for (std::uint64_t position = 0; position < 1000; ++position) {
      const double u = uniform_at(seed, position);
      ASSERT_GE(u, 0.0);
      ASSERT_LT(u, 1.0);
      mean += u;
      ++buckets[static_cast<std::size_t>(u * 16)];
    }
  }
  EXPECT_NEAR(mean / 100000, 0.5, 0.005);
  for (const int n : buckets) EXPECT_NEAR(n, 6250, 400);
}

TEST(Sampler, PenaltiesCountGeneratedTokens) {
  SamplingValues v;
  v.presence_penalty = 1.5;
  Sampler presence(v);
  const std::vector<float> logits = {2.0f, 1.0f, 0.0f};
  EXPECT_EQ(presence.sample(logits, 0), 0);
  presence.accept(0);
  EXPECT_EQ(presence.sample(logits, 1), 1);  // 0.5, 1, 0
  presence.accept(1);
  EXPECT_EQ(presence.sample(logits, 2), 0);  // 0.5, -0.5, 0
  presence.accept(0);
  EXPECT_EQ(presence.sample(logits, 3), 0);  // once, however often

  v = {};
  v.frequency_penalty = 0.6;
  Sampler frequency(v);
  frequency.accept(0);
  EXPECT_EQ(frequency.sample(logits, 1), 0);  // 1.4
  frequency.accept(0);
  EXPECT_EQ(frequency.sample(logits, 2), 1);  // 0.8

  v = {};
  v.repetition_penalty = 2;
  Sampler repetition(v);
  repetition.accept(0);
  EXPECT_EQ(repetition.sample(std::vector<float>{3.0f, 1.6f}, 1), 1);    // 3 / 2
  EXPECT_EQ(repetition.sample(std::vector<float>{-1.0f, -1.9f}, 1), 1);  // -1 * 2
}

TEST(Sampler, BiasComesBeforeTheRepetitionPenalty) {
  SamplingValues v;
  v.logit_bias = {{2, 100.0}, {0, -100.0}};
  Sampler sampler(v);
  EXPECT_EQ(sampler.sample(std::vector<float>{9.0f, 1.0f, 0.0f}, 0), 2);
  v.logit_bias = {{0, 4.0}};
  v.repetition_penalty = 2;
  Sampler both(v);
  both.accept(0);
  EXPECT_EQ(both.sample(std::vector<float>{0.0f, 2.1f}, 0), 1);  // (0 + 4) / 2, not 0 / 2 + 4
  v.logit_bias = {{1, 0.5}};
  EXPECT_EQ(Sampler(v).sample(std::vector<float>{0.0f, -0.4f}, 0), 1);
}

TEST(Sampler, PenaltiesEnterTheDistribution) {
  std::vector<float> logits = random_logits(60, 51, 1.0f);
  auto values = sampling(0.9, 0, 0.9, 0);
  values.presence_penalty = 0.7;
  values.frequency_penalty = 0.3;
  values.logit_bias = {{5, 1.0}};
  Sampler sampler(values);
  for (const TokenId id : {3, 3, 8, 59}) sampler.accept(id);
  std::vector<float> adjusted = logits;
  adjusted[5] += 1.0f;
  adjusted[3] -= 0.7f + 2 * 0.3f;
  adjusted[8] -= 1.0f;
  adjusted[59] -= 1.0f;
  auto plain = values;
  plain.presence_penalty = plain.frequency_penalty = 0;
  plain.logit_bias.clear();
  Sampler reference(plain);
  for (int position = 0; position < 2000; ++position) {
    ASSERT_EQ(sampler.sample(logits, position), reference.sample(adjusted, position));
  }
}

TEST(Sampler, FullVocabularyWithEverySetting) {
  const std::vector<float> logits = random_logits(153600, 61);
  for (const auto& values : {sampling(1, 0, 0.95, 0), sampling(1, 20, 0.95, 0.01), sampling(100, 0, 0.5, 0),
                             sampling(0.6, 100000, 1, 0), sampling(1, 0, 1, 0)}) {
    Sampler sampler(values);
    const auto id = sampler.sample(logits, 12);
    ASSERT_TRUE(id);
    EXPECT_LT(*id, 153600);
  }
}

}  // namespace
}  // namespace exa
