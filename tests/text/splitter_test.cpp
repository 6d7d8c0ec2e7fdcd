#include "text/splitter.h"

#include <gtest/gtest.h>

#include <ctime>
#include <random>
#include <string>
#include <vector>

#include "text/utf8.h"
#ifdef EXAONE_HAVE_PCRE2
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#endif

namespace exa {
namespace {

using Pieces = std::vector<std::string>;

Pieces split(SplitterKind kind, std::string_view text) {
  const Splitter splitter(kind);
  Pieces pieces;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = splitter.piece_end(text, begin);
    EXPECT_GT(end, begin);
    EXPECT_LE(end, text.size());
    if (end <= begin || end > text.size()) break;
    pieces.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  return pieces;
}

TEST(Splitter, Exaone4) {
  const auto kind = SplitterKind::kExaone4;
  EXPECT_EQ(split(kind, "I'm 12 ½x  y\n"), (Pieces{"I", "'m", " 12", " ½", "x", " ", " y", "\n"}));
  EXPECT_EQ(split(kind, "I'M"), (Pieces{"I", "'", "M"}));
  EXPECT_EQ(split(kind, " \n x"), (Pieces{" \n", " x"}));
  EXPECT_EQ(split(kind, " \n"), (Pieces{" \n"}));
  EXPECT_EQ(split(kind, " '!s"), (Pieces{" '!", "s"}));
}

TEST(Splitter, ExaoneIsolatesNumbers) {
  const auto kind = SplitterKind::kExaone;
  EXPECT_EQ(split(kind, "a 12  3b"), (Pieces{"a", " ", "1", "2", "  ", "3", "b"}));
  EXPECT_EQ(split(kind, " 4 ½ m"), (Pieces{" ", "4", " ", "½", " m"}));
}

TEST(Splitter, ExaoneMoeKeepsClausesWhole) {
  const auto kind = SplitterKind::kExaoneMoe;
  EXPECT_EQ(split(kind, "Tell me, about 서울 시.\n"), (Pieces{"Tell me", ",", " about 서울 시", ".\n"}));
  EXPECT_EQ(split(kind, "it'S 42"), (Pieces{"it", "'S", " ", "4", "2"}));
  EXPECT_EQ(split(kind, "'\u017F"), (Pieces{"'\u017F"}));
  EXPECT_EQ(split(kind, "a  b"), (Pieces{"a", " ", " b"}));
  EXPECT_EQ(split(kind, "!!/a/\r\nb"), (Pieces{"!!/", "a", "/\r", "\n", "b"}));
  EXPECT_EQ(split(kind, " \n \n  x"), (Pieces{" \n \n", " ", " x"}));
  EXPECT_EQ(split(kind, "e\u0301 e\u0301\u0301"), (Pieces{"e\u0301 e\u0301\u0301"}));
  EXPECT_EQ(split(kind, "\u0301\u0301a"), (Pieces{"\u0301\u0301", "a"}));
  EXPECT_EQ(split(kind, "\u0301a"), (Pieces{"\u0301a"}));
}

TEST(Splitter, NamesAreThoseOfGguf) {
  for (const auto kind : {SplitterKind::kExaone, SplitterKind::kExaone4, SplitterKind::kExaoneMoe}) {
    EXPECT_EQ(splitter_from_name(name(kind)), kind);
  }
  EXPECT_EQ(splitter_from_name("llama3"), std::nullopt);
}

// One piece after another may not look at the same text again and again.
TEST(Splitter, HostileTextTakesLinearTime) {
  const std::size_t n = 1 << 20;
  std::string words;
  while (words.size() < n) words += "ab ";
  std::string marks = "x";
  while (marks.size() < n) marks += "\u0301";
  std::string breaks;
  while (breaks.size() < n) breaks += "\n x";
  const std::string texts[] = {std::string(n, 'a'),
                               std::string(n, ' ') + "x",
                               std::string(n, '\n') + "x",
                               std::string(n, '\''),
                               std::string(n, '7'),
                               words,
                               marks,
                               breaks};
  const std::clock_t start = std::clock();
  for (const auto kind : {SplitterKind::kExaone, SplitterKind::kExaone4, SplitterKind::kExaoneMoe}) {
    for (const std::string& text : texts) split(kind, text);
  }
  EXPECT_LT(std::clock() - start, 60 * CLOCKS_PER_SEC);
}

#ifdef EXAONE_HAVE_PCRE2

class Oracle {
 public:
  explicit Oracle(std::string_view expression) {
    int error = 0;
    PCRE2_SIZE offset = 0;
    code_ = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                          PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr);
    if (code_) match_ = pcre2_match_data_create_from_pattern(code_, nullptr);
  }
  ~Oracle() {
    pcre2_match_data_free(match_);
    pcre2_code_free(code_);
  }
  Oracle(const Oracle&) = delete;
  Oracle& operator=(const Oracle&) = delete;

  Pieces split(std::string_view text) const {
    Pieces pieces;
    for (std::size_t begin = 0; begin < text.size();) {
      const int n = pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), begin,
                                PCRE2_ANCHORED, match_, nullptr);
      const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match_);
      if (n <= 0 || range[1] <= begin) {
        ADD_FAILURE() << "the oracle does not match at byte " << begin;
        break;
      }
      pieces.emplace_back(text.substr(begin, range[1] - begin));
      begin = range[1];
    }
    return pieces;
  }

 private:
  pcre2_code* code_ = nullptr;
  pcre2_match_data* match_ = nullptr;
};

// Each stretch between numbers is split on its own, as the two steps of EXAONE 3.x do.
Pieces split_around_numbers(const Oracle& oracle, std::string_view text) {
  const CharTable& table = CharTable::get();
  Pieces pieces;
  std::size_t stretch = 0;
  const auto flush = [&](std::size_t end) {
    for (auto& piece : oracle.split(text.substr(stretch, end - stretch))) pieces.push_back(std::move(piece));
  };
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint c = decode_utf8(text.data() + i);
    if (table.flags(c.value) & CharTable::kNumber) {
      flush(i);
      pieces.emplace_back(text.substr(i, c.n_bytes));
      stretch = i + c.n_bytes;
    }
    i += c.n_bytes;
  }
  flush(text.size());
  return pieces;
}

TEST(Splitter, EqualsTheExpressionsOnRandomText) {
  const char32_t alphabet[] = {
      ' ',    ' ',     ' ',     '\n',    '\r',    '\t',    0x0B,   0x85,   0xA0,   0x2003, 0x2028, 0x3000,
      0x200B, 0x200D,  '\'',    '\'',    's',     'S',     't',    'T',    'r',    'e',    'R',    'E',
      'v',    'V',     'l',     'L',     'm',     'd',     'D',    0x17F,  0x212A, 'k',    '/',    '/',
      '!',    '.',     '_',     '0',     '9',     0xBD,    0x2463, 0x661,  0x2167, 'a',    0xE9,   0xDF,
      0x1C5,  0x2B0,   0x301,   0x303,   0x20DD,  0x903,   0x94D,  0xAC00, 0xD7A3, 0x1100, 0x1161, 0x3131,
      0x4E2D, 0x1F469, 0x1F3FB, 0x10400, 0x1D400, 0x1D7CE, 0xFE0F, 0,      1,      0x1C,   0xFFFD, 0xE000};
  const Oracle gpt2(kGpt2Expression);
  const Oracle superword(kSuperwordExpression);
  std::mt19937 random(7);
  for (int i = 0; i < 60'000; ++i) {
    std::string text;
    const auto length = 1 + random() % (i % 4 == 0 ? 40 : 9);
    for (std::size_t n = 0; n < length; ++n) append_utf8(text, alphabet[random() % std::size(alphabet)]);
    ASSERT_EQ(split(SplitterKind::kExaone4, text), gpt2.split(text)) << testing::PrintToString(text);
    ASSERT_EQ(split(SplitterKind::kExaoneMoe, text), superword.split(text)) << testing::PrintToString(text);
    ASSERT_EQ(split(SplitterKind::kExaone, text), split_around_numbers(gpt2, text))
        << testing::PrintToString(text);
  }
}

#endif

}  // namespace
}  // namespace exa
