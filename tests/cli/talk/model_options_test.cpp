#include "cli/talk/model_options.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace exa {
namespace {

AnswerFlags parsed(std::vector<std::string> words) {
  CLI::App app;
  AnswerFlags flags;
  add_answer_flags(app, flags);
  std::reverse(words.begin(), words.end());
  app.parse(words);
  return flags;
}

TEST(AnswerFlags, WithoutFlagsTheModelDecides) {
  const GenerateRequest request = make_request(parsed({}));
  EXPECT_EQ(request.think, Think::kAuto);
  EXPECT_FALSE(request.max_tokens);
  EXPECT_FALSE(request.sampling.temperature);
  EXPECT_FALSE(request.sampling.top_k);
  EXPECT_FALSE(request.sampling.presence_penalty);
  EXPECT_TRUE(request.sampling.seed) << "a seed that can be told";
  EXPECT_TRUE(request.messages.empty());
  EXPECT_NE(*request.sampling.seed, *make_request(parsed({})).sampling.seed);
}

TEST(AnswerFlags, EveryFlagArrives) {
  const GenerateRequest request = make_request(parsed({"--system",
                                                       "짧게",
                                                       "--think",
                                                       "on",
                                                       "-n",
                                                       "5",
                                                       "--temp",
                                                       "0.5",
                                                       "--top-k",
                                                       "3",
                                                       "--top-p",
                                                       "0.9",
                                                       "--min-p",
                                                       "0.1",
                                                       "--repeat-penalty",
                                                       "1.1",
                                                       "--presence-penalty",
                                                       "-1.5",
                                                       "--frequency-penalty",
                                                       "0.25",
                                                       "--logit-bias",
                                                       "7=-100",
                                                       "--logit-bias",
                                                       "9=2.5",
                                                       "--seed",
                                                       "18446744073709551615"}));
  ASSERT_EQ(request.messages.size(), 1u);
  EXPECT_EQ(request.messages[0].role, "system");
  EXPECT_EQ(text_of(request.messages[0]), "짧게");
  EXPECT_EQ(request.think, Think::kOn);
  EXPECT_EQ(request.max_tokens, 5);
  EXPECT_EQ(request.sampling.temperature, 0.5);
  EXPECT_EQ(request.sampling.top_k, 3);
  EXPECT_EQ(request.sampling.top_p, 0.9);
  EXPECT_EQ(request.sampling.min_p, 0.1);
  EXPECT_EQ(request.sampling.repetition_penalty, 1.1);
  EXPECT_EQ(request.sampling.presence_penalty, -1.5);
  EXPECT_EQ(request.sampling.frequency_penalty, 0.25);
  EXPECT_EQ(request.sampling.logit_bias, (std::map<std::int32_t, double>{{7, -100.0}, {9, 2.5}}));
  EXPECT_EQ(request.sampling.seed, 18446744073709551615u);
  EXPECT_EQ(make_request(parsed({"--think", "off"})).think, Think::kOff);
}

TEST(AnswerFlags, BrokenValuesAreRefused) {
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{{"--think", "perhaps"},
                                                                                     {"--think", "1"},
                                                                                     {"-n", "0"},
                                                                                     {"-n", "-3"},
                                                                                     {"--temp", "warm"},
                                                                                     {"--seed", "-1"},
                                                                                     {"--top-k", "1.5"}}) {
    EXPECT_THROW(parsed(words), CLI::ParseError) << words[0] << " " << words[1];
  }
  for (const char* text : {"", "=", "5", "5=", "=5", "x=1", "5=x", "5=1 ", "99999999999=1", "5=1=2"}) {
    AnswerFlags flags;
    flags.logit_bias = {text};
    try {
      make_request(flags);
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      EXPECT_EQ(error.where(), "--logit-bias");
    }
  }
  AnswerFlags flags;
  flags.system = "\xff";
  EXPECT_THROW(make_request(flags), Error);
}

TEST(Speed, CountsStepsAndGuardsAgainstNothing) {
  Usage usage;
  EXPECT_EQ(prompt_per_second(usage), 0);
  EXPECT_EQ(predicted_per_second(usage), 0);
  usage.prompt_tokens = 110;
  usage.cached_tokens = 10;
  usage.completion_tokens = 21;
  usage.prefill_seconds = 0.5;
  usage.decode_seconds = 2;
  EXPECT_DOUBLE_EQ(prompt_per_second(usage), 200);
  EXPECT_DOUBLE_EQ(predicted_per_second(usage), 10);
}

}  // namespace
}  // namespace exa
