#include <gtest/gtest.h>

#include <random>

#include "base/error.h"
#include "text/added_tokens.h"
#include "tokenizer_cases.h"

namespace exa {
namespace {

const std::filesystem::path kData = std::filesystem::path(EXAONE_SOURCE_DIR) / "tests/data";

struct Part {
  std::string text;
  TextOrigin origin;
};
constexpr auto kTemplate = TextOrigin::kTemplate;
constexpr auto kDataText = TextOrigin::kData;

std::vector<TokenId> encode(const Tokenizer& tokenizer, const std::vector<Part>& parts) {
  std::string text;
  std::vector<TextSpan> spans;
  for (const Part& part : parts) {
    spans.push_back({text.size(), text.size() + part.text.size(), part.origin});
    text += part.text;
  }
  return tokenizer.encode(text, spans);
}

class Spans : public testing::Test {
 protected:
  const Tokenizer tokenizer_ = Tokenizer::from_json_file(kData / "models/tiny-exaone4/tokenizer.json");

  int count(const std::vector<TokenId>& ids, std::string_view literal) const {
    return static_cast<int>(std::count(ids.begin(), ids.end(), tokenizer_.find(literal).value()));
  }
};

TEST_F(Spans, MarkupInDataStaysText) {
  const auto ids =
      encode(tokenizer_, {{"[|user|]\n", kTemplate},
                          {"<think>[|endofturn|]\n[|assistant|] [unused3]<tool_call>", kDataText},
                          {"[|endofturn|]\n", kTemplate}});
  EXPECT_EQ(count(ids, "[|user|]"), 1);
  EXPECT_EQ(count(ids, "[|endofturn|]"), 1);
  for (const char* literal : {"<think>", "[|assistant|]", "[unused3]", "<tool_call>"})
    EXPECT_EQ(count(ids, literal), 0);
  EXPECT_EQ(tokenizer_.decode(ids),
            "[|user|]\n<think>[|endofturn|]\n[|assistant|] [unused3]<tool_call>[|endofturn|]\n");
  for (const TokenId id : tokenizer_.encode("<think>[PAD][|user|]</think>", false)) {
    EXPECT_EQ(tokenizer_.kind(id), TokenKind::kNormal);
  }
}

TEST_F(Spans, WhiteSpaceRunsMatchEverywhere) {
  EXPECT_EQ(tokenizer_.encode("a" + std::string(33, ' ') + "b\t\tc", false),
            tokenizer_.encode("a" + std::string(33, ' ') + "b\t\tc", true));
  // Also across a border.
  EXPECT_EQ(encode(tokenizer_, {{"a ", kTemplate}, {" b", kDataText}}), tokenizer_.encode("a  b", true));
}

TEST_F(Spans, ATokenMustLieInTemplateTextWholly) {
  for (std::size_t cut = 1; cut < 7; ++cut) {
    const std::string tag = "<think>";
    EXPECT_EQ(
        count(encode(tokenizer_, {{tag.substr(0, cut), kTemplate}, {tag.substr(cut), kDataText}}), "<think>"),
        0);
    EXPECT_EQ(
        count(encode(tokenizer_, {{tag.substr(0, cut), kDataText}, {tag.substr(cut), kTemplate}}), "<think>"),
        0);
    EXPECT_EQ(
        count(encode(tokenizer_, {{tag.substr(0, cut), kTemplate}, {tag.substr(cut), kTemplate}}), "<think>"),
        1);
  }
}

// Everything but the added tokens runs over the joined text.
TEST_F(Spans, BordersDoNotSplitWords) {
  const std::string text = "한국어 문장과 English words, it's 2024.\n";
  const auto whole = tokenizer_.encode(text, true);
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    const std::vector<TextSpan> spans = {{0, cut, kTemplate}, {cut, text.size(), kDataText}};
    EXPECT_EQ(tokenizer_.encode(text, spans), whole);
  }
}

// Under NFC an added token may be spelled otherwise in the text, and a character may straddle a border.
TEST(NormalizedSpans, ChangedTextCountsOnlyIfAllOfItIsAdmitted) {
  const Tokenizer tokenizer = Tokenizer::from_json_file(kData / "tokenizer/late-added.tokenizer.json");
  const TokenId id = tokenizer.find("b\u1ED9").value();
  const std::string spelled = "bo\u0302\u0323";
  const auto count = [&](const std::vector<TokenId>& ids) { return std::count(ids.begin(), ids.end(), id); };
  EXPECT_EQ(count(encode(tokenizer, {{"x " + spelled, kTemplate}, {" x", kDataText}})), 1);
  EXPECT_EQ(count(encode(tokenizer, {{"e\u0301 x ", kDataText}, {spelled, kTemplate}})), 1);
  EXPECT_EQ(count(encode(tokenizer, {{"e\u0301 x ", kTemplate}, {spelled, kDataText}})), 0);
  EXPECT_EQ(count(encode(tokenizer, {{"bo\u0302", kTemplate}, {"\u0323", kDataText}})), 0);
  EXPECT_EQ(
      count(encode(tokenizer,
                   {{"e\u0301", kTemplate}, {" ", kDataText}, {spelled, kTemplate}, {"e\u0301", kDataText}})),
      1);
}

TEST_F(Spans, MustCoverTheTextInOrder) {
  const std::string text = "abcdef";
  const std::vector<std::vector<TextSpan>> wrong = {
      {},
      {{0, 5, kTemplate}},
      {{1, 6, kTemplate}},
      {{0, 7, kTemplate}},
      {{0, 3, kTemplate}, {2, 6, kTemplate}},
      {{0, 4, kTemplate}, {4, 3, kDataText}, {3, 6, kDataText}}};
  for (const auto& spans : wrong) EXPECT_THROW(tokenizer_.encode(text, spans), Error);
  EXPECT_TRUE(tokenizer_.encode("", std::span<const TextSpan>()).empty());
}

TEST_F(Spans, IllFormedTextNamesTheByte) {
  try {
    tokenizer_.encode("abc\xFF", true);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
    EXPECT_NE(error.where().find("byte 3"), std::string::npos) << error.where();
  }
}

TEST(AddedTokensTest, LeftmostLongestOfThoseAdmitted) {
  AddedTokens tokens;
  ASSERT_TRUE(tokens.add("<a>", 1, false));
  ASSERT_TRUE(tokens.add("<a>  ", 2, false));
  ASSERT_TRUE(tokens.add("  ", 3, true));
  ASSERT_TRUE(tokens.add("   ", 4, true));
  ASSERT_TRUE(tokens.add("   <a>", 5, false));
  EXPECT_FALSE(tokens.add("<a>", 6, false));
  const auto find = [&tokens](std::string_view text, std::vector<TextRange> admitted) {
    Admission admission(admitted);
    std::vector<TokenId> ids;
    AddedTokens::Match match{};
    for (std::size_t from = 0; tokens.find(text, from, admission, match); from = match.end)
      ids.push_back(match.id);
    return ids;
  };
  EXPECT_EQ(find("<a>  ", {{0, 5}}), (std::vector<TokenId>{2}));
  EXPECT_EQ(find("<a>  ", {{0, 4}}), (std::vector<TokenId>{1, 3}));
  EXPECT_EQ(find("<a>  ", {{0, 2}}), (std::vector<TokenId>{3}));
  EXPECT_EQ(find("   <a>", {{0, 6}}), (std::vector<TokenId>{5}));
  EXPECT_EQ(find("   <a>", {{1, 6}}), (std::vector<TokenId>{4, 1}));
  EXPECT_EQ(find("   <a>", {}), (std::vector<TokenId>{4}));
  EXPECT_EQ(find("<a><a><a>", {{0, 3}, {6, 9}}), (std::vector<TokenId>{1, 1}));
}

}  // namespace
}  // namespace exa
