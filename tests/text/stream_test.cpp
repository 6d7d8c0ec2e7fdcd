#include <gtest/gtest.h>

#include <random>

#include "base/error.h"
#include "text/utf8.h"
#include "tokenizer_cases.h"

namespace exa {
namespace {

const std::filesystem::path kData = std::filesystem::path(EXAONE_SOURCE_DIR) / "tests/data";

// Any ids at all, so also broken sequences: pieces are valid UTF-8 and join to the decoding of the whole.
TEST(StreamDecoder, PiecesJoinToTheWhole) {
  const Tokenizer tokenizer = Tokenizer::from_json_file(kData / "models/tiny-exaone4/tokenizer.json");
  std::mt19937 random(9);
  // Bytes are ids 362 to 617 here; they make most of the damage.
  for (int round = 0; round < 3000; ++round) {
    std::vector<TokenId> ids;
    const auto n = random() % 20;
    for (std::size_t i = 0; i < n; ++i) {
      const bool byte = random() % 3 != 0;
      ids.push_back(static_cast<TokenId>(byte ? 362 + random() % 256 : random() % tokenizer.vocab_size()));
    }
    StreamDecoder stream(tokenizer);
    std::string joined;
    for (const TokenId id : ids) {
      const std::string piece = stream.push(id);
      ASSERT_EQ(find_invalid_utf8(piece), std::string_view::npos);
      joined += piece;
    }
    joined += stream.finish();
    ASSERT_EQ(joined, tokenizer.decode(ids));
    ASSERT_EQ(stream.finish(), "");
  }
}

TEST(StreamDecoder, HoldsBackOnlyAnUnfinishedCharacter) {
  const Tokenizer tokenizer = Tokenizer::from_json_file(kData / "models/tiny-exaone4/tokenizer.json");
  StreamDecoder stream(tokenizer);
  const auto byte = [&tokenizer](char c) { return tokenizer.find(std::string(1, c)).value(); };
  EXPECT_EQ(stream.push(byte('a')), "a");
  EXPECT_EQ(stream.push(byte('\xEA')), "");
  EXPECT_EQ(stream.push(byte('\xB0')), "");
  EXPECT_EQ(stream.push(byte('\x80')), "가");
  EXPECT_EQ(stream.push(byte('\xEA')), "");
  EXPECT_EQ(stream.push(byte('b')),
            "\uFFFD"
            "b");
  EXPECT_EQ(stream.push(byte('\xF0')), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
}

TEST(Decode, RefusesIdsOutsideTheVocabulary) {
  const Tokenizer tokenizer = Tokenizer::from_json_file(kData / "models/tiny-exaone4/tokenizer.json");
  const auto n = static_cast<TokenId>(tokenizer.vocab_size());
  for (const TokenId id : {-1, n, TokenId{2'000'000'000}}) {
    EXPECT_THROW(tokenizer.token_bytes(id), Error);
    EXPECT_THROW(tokenizer.kind(id), Error);
    EXPECT_THROW(tokenizer.decode(std::vector{id}), Error);
  }
}

}  // namespace
}  // namespace exa
