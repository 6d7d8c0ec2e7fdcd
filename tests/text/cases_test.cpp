#include <gtest/gtest.h>

#include "formats/checkpoint.h"
#include "tokenizer_cases.h"

namespace exa {
namespace {

const std::filesystem::path kData = std::filesystem::path(EXAONE_SOURCE_DIR) / "tests/data";

TEST(Cases, RulesOfExaone4) {
  expect_cases(Tokenizer::from_json_file(kData / "models/tiny-exaone4/tokenizer.json"),
               read_tokenizer_cases(kData / "tokenizer/tiny-exaone4.cases.jsonl"));
}

TEST(Cases, RulesOfExaone45) {
  expect_cases(Tokenizer::from_json_file(kData / "models/tiny-exaone4_5/tokenizer.json"),
               read_tokenizer_cases(kData / "tokenizer/tiny-exaone4_5.cases.jsonl"));
}

TEST(Cases, RulesOfExaone3) {
  expect_cases(Tokenizer::from_json_file(kData / "tokenizer/exaone-3.5.tokenizer.json"),
               read_tokenizer_cases(kData / "tokenizer/exaone-3.5.cases.jsonl"));
}

TEST(Cases, AddedTokensAfterNormalisation) {
  expect_cases(Tokenizer::from_json_file(kData / "tokenizer/late-added.tokenizer.json"),
               read_tokenizer_cases(kData / "tokenizer/late-added.cases.jsonl"));
}

TEST(Cases, FilesHoldWhatTheyShould) {
  for (const char* name : {"tiny-exaone4", "tiny-exaone4_5", "exaone-3.5", "late-added"}) {
    EXPECT_GT(read_tokenizer_cases(kData / "tokenizer" / (std::string(name) + ".cases.jsonl")).size(), 200u);
  }
}

TEST(Cases, TokenizersOfTheTinyModels) {
  for (const char* name : {"tiny-exaone3", "tiny-exaone3-deep"}) {
    expect_cases(Tokenizer::from_checkpoint(Checkpoint::open(kData / "models" / name)),
                 read_tokenizer_cases(kData / "models" / name / "tokenizer.cases.jsonl"));
  }
}

// The same tokenizer through GGUF metadata and through the folder.
class Checkpoints : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(Checkpoints, AgreeWithTokenizerJson) {
  const auto [model, gguf] = GetParam();
  const auto folder = kData / "models" / model;
  const auto cases = read_tokenizer_cases(kData / "tokenizer" / (std::string(model) + ".cases.jsonl"));
  const Tokenizer from_folder = Tokenizer::from_checkpoint(Checkpoint::open(folder));
  const Tokenizer from_gguf = Tokenizer::from_checkpoint(Checkpoint::open(folder / gguf));
  expect_cases(from_folder, cases);
  expect_cases(from_gguf, cases);
  EXPECT_EQ(from_folder.eos(), from_gguf.eos());
  EXPECT_EQ(from_folder.bos(), from_gguf.bos());
  EXPECT_EQ(from_folder.vocab_size(), from_gguf.vocab_size());
  EXPECT_EQ(from_folder.description(), from_gguf.description());
  ASSERT_TRUE(from_gguf.eos());
  EXPECT_TRUE(from_gguf.ends_generation(*from_gguf.eos()));
  EXPECT_TRUE(from_gguf.ends_generation(2));
  EXPECT_FALSE(from_gguf.ends_generation(0));
  for (TokenId id = 0; id < static_cast<TokenId>(from_gguf.vocab_size()); ++id) {
    ASSERT_EQ(from_folder.token_bytes(id), from_gguf.token_bytes(id)) << id;
    ASSERT_EQ(from_folder.kind(id), from_gguf.kind(id)) << id;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Checkpoints,
                         testing::Values(std::pair("tiny-exaone4", "tiny-exaone4.BF16.gguf"),
                                         std::pair("tiny-exaone4_5", "tiny-exaone4_5.Q4_0.gguf")));

}  // namespace
}  // namespace exa
