#include "text/unicode.h"

#include <gtest/gtest.h>
#include <utf8proc.h>

#include <cstdlib>
#include <ctime>
#include <random>

#include "text/utf8.h"

namespace exa {
namespace {

std::string normalized(std::string_view text, Normalization form) {
  std::string out;
  return normalize(text, form, out) ? out : std::string(text);
}

TEST(Utf8, FindsTheFirstIllFormedSequence) {
  const auto at = [](std::string_view text) { return find_invalid_utf8(text); };
  EXPECT_EQ(at(""), std::string_view::npos);
  EXPECT_EQ(at("plain, 한글, 👩, \u07FF\uFFFF"), std::string_view::npos);
  EXPECT_EQ(at("\xF4\x8F\xBF\xBF"), std::string_view::npos);
  EXPECT_EQ(at("12345678\xFF"), 8u);
  EXPECT_EQ(at("a\xC0\x80"), 1u);         // overlong
  EXPECT_EQ(at("a\xE0\x9F\xBF"), 1u);     // overlong
  EXPECT_EQ(at("\xED\xA0\x80"), 0u);      // surrogate
  EXPECT_EQ(at("\xF4\x90\x80\x80"), 0u);  // past U+10FFFF
  EXPECT_EQ(at("ab\xEA\xB0"), 2u);        // cut
  EXPECT_EQ(at("\x80"), 0u);
}

// What Python's bytes.decode(errors="replace") makes of them.
TEST(Utf8, ReplacesMaximalSubparts) {
  const std::string r = "\uFFFD";
  const auto replaced = [](std::string_view bytes) {
    std::string out;
    append_replacing_invalid(out, bytes);
    return out;
  };
  EXPECT_EQ(replaced("a\xEA\xB0z"), "a" + r + "z");
  EXPECT_EQ(replaced("\xEA\xB0"), r);
  EXPECT_EQ(replaced("\xF0\x9F\x91\xEA\xB0\x80"), r + "가");
  EXPECT_EQ(replaced("\xE0\x80\x80"), r + r + r);
  EXPECT_EQ(replaced("\xED\xA0\x80"), r + r + r);
  EXPECT_EQ(replaced("\xFF\xC2"), r + r);
}

TEST(Utf8, KnowsWhatCouldStillBeCompleted) {
  EXPECT_EQ(incomplete_tail(""), 0u);
  EXPECT_EQ(incomplete_tail("abc"), 0u);
  EXPECT_EQ(incomplete_tail("a\xEA"), 1u);
  EXPECT_EQ(incomplete_tail("a\xEA\xB0"), 2u);
  EXPECT_EQ(incomplete_tail("\xF0\x9F\x91"), 3u);
  EXPECT_EQ(incomplete_tail("가"), 0u);
  EXPECT_EQ(incomplete_tail("\xE0\x80"), 0u);  // can never become valid
  EXPECT_EQ(incomplete_tail("\x80\x80\x80\x80"), 0u);
}

TEST(CharTable, Classes) {
  const CharTable& table = CharTable::get();
  const auto classes = [&table](char32_t c) { return table.flags(c) & 15; };
  for (const char32_t c :
       {U'a', U'Z', U'é', U'가', U'힣', U'ㅋ', U'中', U'\u01C5', U'\u02B0', U'\U00010400', U'\u1C89'}) {
    EXPECT_EQ(classes(c), CharTable::kLetter) << std::hex << static_cast<unsigned>(c);
  }
  for (const char32_t c : {U'0', U'½', U'④', U'Ⅷ', U'\u0664', U'\U0001D7CE', U'\U0001CCF0'}) {
    EXPECT_EQ(classes(c), CharTable::kNumber) << std::hex << static_cast<unsigned>(c);
  }
  for (const char32_t c : {U'\u0301', U'\u20DD', U'\u0903', U'\uFE0F', U'\u0897'}) {
    EXPECT_EQ(classes(c), CharTable::kMark) << std::hex << static_cast<unsigned>(c);
  }
  int n_spaces = 0;
  for (char32_t c = 0; c < 0x110000; ++c) n_spaces += (classes(c) & CharTable::kSpace) != 0;
  EXPECT_EQ(n_spaces, 25);
  for (const char32_t c : {U'\0', U'\x1C', U'\u200B', U'\u180E', U'!', U'\U0010FFFF'})
    EXPECT_EQ(classes(c), 0);
}

TEST(Normalize, KnownForms) {
  EXPECT_EQ(normalized("cafe\u0301", Normalization::kNfc), "caf\u00E9");
  EXPECT_EQ(normalized("\u1112\u1161\u11AB\u1100\u1173\u11AF", Normalization::kNfc), "한글");
  EXPECT_EQ(normalized("\uAC00\u11A8", Normalization::kNfc), "\uAC01");
  EXPECT_EQ(normalized("\u212B", Normalization::kNfc), "\u00C5");
  EXPECT_EQ(normalized("a\u0301\u0323", Normalization::kNfc), "\u1EA1\u0301");
  EXPECT_EQ(normalized("\uFB01 \u00BD \uFF1C", Normalization::kNfc), "\uFB01 \u00BD \uFF1C");
  EXPECT_EQ(normalized("\uFB01 \u00BD \uFF1C", Normalization::kNfkc), "fi 1\u20442 <");
  EXPECT_EQ(normalized("e\u0301", Normalization::kNone), "e\u0301");
  std::string untouched = "as before";
  EXPECT_FALSE(normalize("한글 caf\u00E9 ascii", Normalization::kNfc, untouched));
  EXPECT_EQ(untouched, "as before");
}

// Assigned after Unicode 9: Hugging Face's library leaves it and its neighbours alone.
TEST(Normalize, LeavesWhatTheLibraryDoesNotKnow) {
  const std::string newer = "a\u0898\u0323";
  EXPECT_EQ(normalized(newer, Normalization::kNfc), newer);
  EXPECT_EQ(normalized("\U00011935\U00011930", Normalization::kNfc), "\U00011935\U00011930");
  EXPECT_EQ(normalized("\u32FF", Normalization::kNfkc), "\u32FF");
}

// Cut into chunks and quickly checked, it must still be what utf8proc makes of the whole.
TEST(Normalize, EqualsUtf8procOnRandomText) {
  const CharTable& table = CharTable::get();
  std::vector<char32_t> alphabet = {'a',   'e',    ' ',    0xE9,   0x301,  0x323,  0x308,
                                    0x345, 0x1100, 0x1161, 0x11A8, 0xAC00, 0xAC01, 0x212B,
                                    0x344, 0xFB01, 0xBD,   0x3131, 0x928,  0x93C,  0x9C7,
                                    0x9BE, 0x1F00, 0x1F82, 0x3099, 0x304B, 0xF73,  0xFDFA};
  std::mt19937 random(5);
  while (alphabet.size() < 600) {
    const auto c = static_cast<char32_t>(random() % 0x3400);
    if (!(table.flags(c) & CharTable::kFrozen)) alphabet.push_back(c);
  }
  for (int i = 0; i < 40'000; ++i) {
    std::string text;
    const auto length = 1 + random() % 12;
    const std::size_t reach = i % 2 ? 28 : alphabet.size();
    for (std::size_t n = 0; n < length; ++n) append_utf8(text, alphabet[random() % reach]);
    for (const auto form : {Normalization::kNfc, Normalization::kNfkc}) {
      utf8proc_uint8_t* expected = nullptr;
      const int options =
          UTF8PROC_STABLE | UTF8PROC_COMPOSE | (form == Normalization::kNfkc ? UTF8PROC_COMPAT : 0);
      const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                     static_cast<utf8proc_ssize_t>(text.size()), &expected,
                                     static_cast<utf8proc_option_t>(options));
      ASSERT_GE(size, 0);
      const std::string whole(reinterpret_cast<const char*>(expected), static_cast<std::size_t>(size));
      std::free(expected);
      std::string out;
      std::vector<NormalizedChunk> chunks;
      const bool changed = normalize(text, form, out, &chunks);
      ASSERT_EQ(changed ? out : text, whole) << testing::PrintToString(text);
      // Between the chunks both texts are the same.
      std::size_t source = 0, result = 0;
      for (const auto& chunk : chunks) {
        ASSERT_EQ(text.substr(source, chunk.source_begin - source), out.substr(result, chunk.begin - result));
        source = chunk.source_end;
        result = chunk.end;
      }
      if (changed) {
        ASSERT_EQ(text.substr(source), out.substr(result));
      }
    }
  }
}

TEST(Normalize, AMegabyteOfMarksInTheWrongOrder) {
  std::string text = "a";
  while (text.size() < 1 << 20) text += "\u0301\u0323";
  const std::clock_t start = std::clock();
  const std::string out = normalized(text, Normalization::kNfc);
  EXPECT_EQ(out.substr(0, 3), "\u1EA1");
  EXPECT_LT(std::clock() - start, 20 * CLOCKS_PER_SEC);
}

}  // namespace
}  // namespace exa
