#include <gtest/gtest.h>

#include "tokenizer_cases.h"

namespace exa {
namespace {

const std::filesystem::path kGolden = std::filesystem::path(EXAONE_SHARED_DIR) / "golden/tokenizer";

class Golden : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kGolden)) GTEST_SKIP() << "no golden data at " << kGolden;
  }
  Tokenizer load() const {
    return Tokenizer::from_json_file(kGolden / (std::string(GetParam()) + ".tokenizer.json"));
  }
};

TEST_P(Golden, EveryCaseIsEqual) {
  const Tokenizer tokenizer = load();
  const auto cases = read_tokenizer_cases(kGolden / (std::string(GetParam()) + ".cases.jsonl"));
  ASSERT_EQ(cases.size(), 1500u);
  expect_cases(tokenizer, cases);
}

TEST_P(Golden, StreamedDecodingIsTheWholeDecoding) {
  const Tokenizer tokenizer = load();
  for (const auto& one : read_tokenizer_cases(kGolden / (std::string(GetParam()) + ".cases.jsonl"))) {
    StreamDecoder stream(tokenizer);
    std::string text;
    for (const TokenId id : one.ids) text += stream.push(id);
    text += stream.finish();
    ASSERT_EQ(text, one.decoded);
  }
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, Golden, testing::Values("exaone-4.0", "exaone-4.5-like"));

// Chapter 9 of the specification: made from the published vocabulary without Hugging Face's library.
TEST(GoldenVectors, Exaone4) {
  if (!std::filesystem::exists(kGolden)) GTEST_SKIP() << "no golden data at " << kGolden;
  const Tokenizer tokenizer = Tokenizer::from_json_file(kGolden / "exaone-4.0.tokenizer.json");
  const std::vector<std::pair<std::string, std::vector<TokenId>>> vectors = {
      {"Hello, world!", {33381, 373, 2711, 362}},
      {"  foo", {33, 69533}},
      {"\t\tfoo", {41, 69533}},
      {"안녕하세요, LG AI연구원입니다.", {3801, 1130, 5847, 373, 7401, 10680, 64358, 10996, 375}},
      {"The year 2024 is great.", {1320, 1623, 582, 379, 377, 379, 381, 772, 2789, 375}},
      {"a" + std::string(33, ' ') + "b", {426, 4, 33, 427}},
      {"한국어\n\n\n끝", {84228, 560, 560, 560, 12633}},
      {"def f(x):\n    return x+1\n", {2405, 651, 369, 449, 65754, 560, 31, 2559, 1262, 372, 378, 560}},
      {"[|user|]\nHi[|endofturn|]\n[|assistant|]\n<think>\n\n</think>\n\n",
       {360, 560, 23973, 361, 560, 359, 560, 356, 560, 560, 355, 560, 560}},
      {R"(<tool_call>{"name": "f", "arguments": {"x": 1}}</tool_call>)",
       {352, 10104, 4726, 26942, 738, 431, 9417, 738, 83290, 26942, 12893, 449, 26942, 582, 378, 7428, 351}},
      {"cafe\u0301", {428, 13000, 98401}},
      {" ½", {1191, 483}},
  };
  for (const auto& [text, ids] : vectors) EXPECT_EQ(tokenizer.encode(text, true), ids) << text;
  EXPECT_EQ(tokenizer.vocab_size(), 102400u);
  EXPECT_EQ(tokenizer.eos(), 361);
  EXPECT_EQ(std::vector(tokenizer.end_of_generation().begin(), tokenizer.end_of_generation().end()),
            (std::vector<TokenId>{2, 42, 361}));
  EXPECT_EQ(tokenizer.find("<think>"), 356);
  EXPECT_EQ(tokenizer.find("[BOS]"), 1);
  EXPECT_EQ(tokenizer.kind(1), TokenKind::kControl);
  EXPECT_EQ(tokenizer.kind(356), TokenKind::kUserDefined);
  EXPECT_EQ(tokenizer.kind(362), TokenKind::kNormal);
}

TEST(GoldenVectors, Exaone45) {
  if (!std::filesystem::exists(kGolden)) GTEST_SKIP() << "no golden data at " << kGolden;
  const Tokenizer tokenizer = Tokenizer::from_json_file(kGolden / "exaone-4.5-like.tokenizer.json");
  EXPECT_EQ(tokenizer.encode("cafe\u0301", true), (std::vector<TokenId>{428, 3543, 2581}));
  EXPECT_EQ(tokenizer.eos(), 53);
  EXPECT_EQ(std::vector(tokenizer.end_of_generation().begin(), tokenizer.end_of_generation().end()),
            (std::vector<TokenId>{2, 53, 65}));
}

}  // namespace
}  // namespace exa
