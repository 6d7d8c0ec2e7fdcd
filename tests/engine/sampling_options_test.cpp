#include "engine/sampling_options.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "base/error.h"

namespace exa {
namespace {

std::string refusal(const SamplingOptions& options) {
  try {
    check_sampling(options, 100);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    return error.message();
  }
  return "";
}

TEST(SamplingOptions, DefaultsOfTheModelCards) {
  const auto quick = sampling_defaults(SamplingCard::kExaone40, {}, false);
  EXPECT_EQ(quick.temperature, 0.0);
  EXPECT_EQ(quick.top_p, 1.0);
  EXPECT_EQ(quick.presence_penalty, 0.0);
  const auto thinking = sampling_defaults(SamplingCard::kExaone40, {}, true);
  EXPECT_EQ(thinking.temperature, 0.6);
  EXPECT_EQ(thinking.top_p, 0.95);
  for (const bool think : {false, true}) {
    const auto later = sampling_defaults(SamplingCard::kExaone45, {}, think);
    EXPECT_EQ(later.temperature, 1.0);
    EXPECT_EQ(later.top_p, 0.95);
    EXPECT_EQ(later.presence_penalty, 1.5);
    EXPECT_EQ(later.top_k, 0);
    EXPECT_EQ(later.min_p, 0.0);
    EXPECT_EQ(later.repetition_penalty, 1.0);
    EXPECT_EQ(later.frequency_penalty, 0.0);
    EXPECT_FALSE(later.seed);
  }
}

TEST(SamplingOptions, WhatTheCheckpointStatesWinsFieldByField) {
  StatedSampling stated;
  stated.temperature = 0.3;
  stated.top_k = 20;
  const auto values = sampling_defaults(SamplingCard::kExaone45, stated, true);
  EXPECT_EQ(values.temperature, 0.3);
  EXPECT_EQ(values.top_k, 20);
  EXPECT_EQ(values.top_p, 0.95);
  stated.do_sample = false;
  EXPECT_EQ(sampling_defaults(SamplingCard::kExaone45, stated, true).temperature, 0.0);
}

TEST(SamplingOptions, TheRequestWinsOverDefaults) {
  SamplingOptions request;
  request.temperature = 0.0;
  request.seed = 5;
  request.logit_bias = {{3, -1.0}};
  const auto values = effective_sampling(request, sampling_defaults(SamplingCard::kExaone45, {}, true));
  EXPECT_EQ(values.temperature, 0.0);
  EXPECT_EQ(values.top_p, 0.95);
  EXPECT_EQ(values.presence_penalty, 1.5);
  EXPECT_EQ(values.seed, 5u);
  ASSERT_EQ(values.logit_bias.size(), 1u);
  EXPECT_EQ(values.logit_bias[0].first, 3);
}

TEST(SamplingOptions, EveryFieldHasItsRange) {
  struct Case {
    std::optional<double> SamplingOptions::*field;
    const char* name;
    double inside_low, inside_high, below, above;
  };
  const Case cases[] = {
      {&SamplingOptions::temperature, "temperature", 0, 100, -0.1, 100.5},
      {&SamplingOptions::top_p, "top_p", 0.0001, 1, 0, 1.01},
      {&SamplingOptions::min_p, "min_p", 0, 1, -0.01, 1.01},
      {&SamplingOptions::repetition_penalty, "repetition_penalty", 0.01, 100, 0, 101},
      {&SamplingOptions::presence_penalty, "presence_penalty", -2, 2, -2.1, 2.1},
      {&SamplingOptions::frequency_penalty, "frequency_penalty", -2, 2, -2.1, 2.1},
  };
  for (const Case& c : cases) {
    for (const double good : {c.inside_low, c.inside_high}) {
      SamplingOptions options;
      options.*c.field = good;
      EXPECT_EQ(refusal(options), "") << c.name;
    }
    for (const double bad : {c.below, c.above, std::nan(""), std::numeric_limits<double>::infinity(),
                             -std::numeric_limits<double>::infinity()}) {
      SamplingOptions options;
      options.*c.field = bad;
      EXPECT_TRUE(refusal(options).starts_with(std::string(c.name) + " is ")) << c.name << " " << bad;
    }
  }
  SamplingOptions options;
  options.temperature = 200;
  EXPECT_EQ(refusal(options), "temperature is 200, expected 0 to 100");
  options = {};
  options.top_p = 0;
  EXPECT_EQ(refusal(options), "top_p is 0, expected more than 0 to 1");
}

TEST(SamplingOptions, RangesOfRankAndBias) {
  SamplingOptions options;
  options.top_k = -1;
  EXPECT_TRUE(refusal(options).starts_with("top_k is -1"));
  options = {};
  options.logit_bias = {{100, 1.0}};
  EXPECT_EQ(refusal(options), "logit_bias is for token 100, expected a token of 0 to 99");
  options.logit_bias = {{-1, 1.0}};
  EXPECT_TRUE(refusal(options).starts_with("logit_bias is for token -1"));
  options.logit_bias = {{4, 100.5}};
  EXPECT_EQ(refusal(options), "logit_bias of token 4 is 100.5, expected -100 to 100");
  options.logit_bias = {{4, std::nan("")}};
  EXPECT_TRUE(refusal(options).starts_with("logit_bias of token 4 is not a number"));
  options.logit_bias = {{0, -100}, {99, 100}};
  EXPECT_EQ(refusal(options), "");
}

}  // namespace
}  // namespace exa
