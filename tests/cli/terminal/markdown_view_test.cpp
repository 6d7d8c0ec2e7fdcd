#include "cli/terminal/markdown_view.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/utf8.h"

namespace exa {
namespace {

const std::string kReset = "\x1b[0m";

std::string rendered(const std::string& text, std::size_t columns = 80) {
  MarkdownView view(columns);
  const std::string out = view.push(text);
  return out + view.finish();
}

// What is left when the styles are taken out.
std::string plain(const std::string& text, std::size_t columns = 80) {
  const std::string styled = rendered(text, columns);
  std::string out;
  for (std::size_t i = 0; i < styled.size(); ++i) {
    if (styled[i] == '\x1b') {
      i = styled.find('m', i);
    } else {
      out += styled[i];
    }
  }
  return out;
}

TEST(MarkdownView, PlainTextStays) {
  for (const std::string text :
       {"안녕하세요.\n둘째 줄", "a * b * c", "2*3*4 = 24", "snake_case_name", "__init__", "1. one\n2. two",
        "#tag", "C:\\path", "a | b", "x < y > z", "-5 degrees"}) {
    EXPECT_EQ(plain(text), text);
  }
}

TEST(MarkdownView, Emphasis) {
  EXPECT_EQ(rendered("a **b** c"), "a \x1b[0m\x1b[1mb\x1b[0m c" + kReset);
  EXPECT_EQ(plain("**서울**은 *수도*다. `code *x*` \\*no\\*"), "서울은 수도다. code *x* *no*");
  EXPECT_EQ(plain("이것은**중요**하다"), "이것은중요하다");
  EXPECT_EQ(rendered("`x`"), "\x1b[0m\x1b[36mx\x1b[0m" + kReset);
  // What is open at the end of a line does not leak into the next.
  EXPECT_EQ(rendered("**a\nb"), "**a\nb" + kReset);
}

TEST(MarkdownView, LinesOfTheirOwnKind) {
  EXPECT_EQ(plain("## 제목\ntext"), "제목\ntext");
  EXPECT_EQ(rendered("# T"), "\x1b[0m\x1b[1mT\x1b[0m" + kReset);
  EXPECT_EQ(plain("- a\n  * b\n+ c"), "• a\n  • b\n• c");
  EXPECT_EQ(plain("# \nx"), "\nx");
  EXPECT_EQ(plain("> said"), "│ said");
  EXPECT_EQ(plain("a\n---\nb", 5), "a\n─────\nb");
  EXPECT_EQ(plain("- **bold** item"), "• bold item");
}

TEST(MarkdownView, CodeBlocksAreLeftAlone) {
  EXPECT_EQ(plain("```python\nx = a * b  # **no**\n\n    y\n```\nend"),
            "  python\n  x = a * b  # **no**\n  \n      y\nend");
  EXPECT_EQ(plain("~~~\n```\n~~~"), "  ```\n");
  EXPECT_EQ(plain("```\nunfinished"), "  unfinished");
}

TEST(MarkdownView, TablesAreAligned) {
  EXPECT_EQ(
      plain("| 도시 | n |\n|---|--:|\n| 서울 | 9 |\n| Busan | 10 |\nend"),
      "┌───────┬────┐\n│ 도시  │  n │\n├───────┼────┤\n│ 서울  │  9 │\n│ Busan │ 10 │\n└───────┴────┘\nend");
  EXPECT_EQ(plain("| a | b |\n| c | d |"), "| a | b |\n| c | d |");
  const std::string wide = "| a | b |\n|---|---|\n| " + std::string(90, 'x') + " | y |";
  EXPECT_EQ(plain(wide), wide);
  EXPECT_EQ(plain("|a|b|\n|-|-|\n|**x**|"), "┌───┬───┐\n│ a │ b │\n├───┼───┤\n│ x │   │\n└───┴───┘");
}

TEST(MarkdownView, TextGoesOutAsItComes) {
  MarkdownView view(80);
  EXPECT_EQ(view.push("a"), "a");
  EXPECT_EQ(view.push("b *"), "b ");
  EXPECT_EQ(view.push(" "), "* ");
}

TEST(MarkdownView, CutsChangeNothing) {
  const std::string pieces[] = {"# ", "- ", "*",   "**", "`",  "```", "\n",  " ", "a",
                                "한", "|",  "---", "> ", "\\", "~~~", "1. ", ":"};
  std::mt19937 generator(5);
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (std::size_t n = generator() % 25; n > 0; --n) text += pieces[generator() % std::size(pieces)];
    MarkdownView view(40);
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t n = decode_utf8(text.data() + at).n_bytes;
      out += view.push(std::string_view(text).substr(at, n));
      at += n;
    }
    ASSERT_EQ(out + view.finish(), rendered(text, 40)) << text;
  }
}

// A character and how it is shown: b bold, i italic, c code.
using Shown = std::vector<std::pair<std::string, std::string>>;

Shown shown(const std::string& styled) {
  Shown out;
  std::string style;
  for (std::size_t at = 0; at < styled.size();) {
    if (styled[at] == '\x1b') {
      const std::size_t end = styled.find('m', at);
      const std::string code = styled.substr(at + 2, end - at - 2);
      if (code == "0") style.clear();
      if (code == "1") style += 'b';
      if (code == "3") style += 'i';
      if (code == "36") style += 'c';
      at = end + 1;
      continue;
    }
    const std::size_t n = decode_utf8(styled.data() + at).n_bytes;
    out.emplace_back(styled.substr(at, n), style);
    at += n;
  }
  return out;
}

bool is_blank(const std::pair<std::string, std::string>& character) {
  return character.first == " " || character.first == "\t";
}

Shown without_margins(Shown text) {
  while (!text.empty() && is_blank(text.back())) text.pop_back();
  while (!text.empty() && is_blank(text.front())) text.erase(text.begin());
  return text;
}

std::string joined(const Shown& text) {
  std::string out;
  for (const auto& [character, style] : text) out += character;
  return out;
}

// tools/reference/make_markdown_cases.py: what CommonMark's reference calls text is shown, in its style.
TEST(MarkdownView, NoTextIsLost) {
  std::ifstream file(std::filesystem::path(EXAONE_SOURCE_DIR) / "tests/data/markdown/lines.jsonl");
  std::mt19937 generator(7);
  int n_lines = 0;
  for (std::string row; std::getline(file, row); ++n_lines) {
    const auto wanted = nlohmann::json::parse(row);
    const std::string line = wanted["line"], kind = wanted["kind"];
    std::string expected_styled;
    for (const auto& run : wanted["runs"]) {
      const std::string style = run[1];
      expected_styled += kReset;
      if (style.find('b') != std::string::npos) expected_styled += "\x1b[1m";
      if (style.find('i') != std::string::npos) expected_styled += "\x1b[3m";
      if (style.find('c') != std::string::npos) expected_styled += "\x1b[36m";
      expected_styled += run[0].get<std::string>();
    }
    const Shown expected = without_margins(shown(expected_styled));

    // In one piece, and cut at random.
    const std::string whole = rendered(line);
    MarkdownView view(80);
    std::string pieces;
    for (std::size_t at = 0; at < line.size();) {
      std::size_t n = 0;
      for (std::size_t more = 1 + generator() % 4; more > 0 && at + n < line.size(); --more) {
        n += decode_utf8(line.data() + at + n).n_bytes;
      }
      pieces += view.push(std::string_view(line).substr(at, n));
      at += n;
    }
    ASSERT_EQ(pieces + view.finish(), whole) << row;

    Shown got = without_margins(shown(whole));
    if (kind == "rule") {
      EXPECT_TRUE(joined(got).starts_with("─")) << row;
      continue;
    }
    if (kind == "nested") {
      // Markers inside markers stay as they were written: the text is there, in order.
      std::size_t at = 0;
      for (const auto& [character, style] : got) at += at < expected.size() && character == expected[at].first;
      EXPECT_EQ(at, expected.size()) << row << "\n" << joined(got);
      continue;
    }
    if (kind == "item" || kind == "quote") {
      ASSERT_FALSE(got.empty());
      EXPECT_EQ(got[0].first, kind == "item" ? "•" : "│") << row;
      got.erase(got.begin());
      got = without_margins(got);
    }
    EXPECT_EQ(joined(got), joined(expected)) << row;
    EXPECT_TRUE(got == expected) << row << "\n" << whole;
  }
  EXPECT_GE(n_lines, 1900);
}

TEST(MarkdownView, CopiedCodeIsWhatWasWritten) {
  const std::string query = "SELECT count(*) FROM t; rm -rf *.o *.a; f(*args, **kwargs)";
  EXPECT_EQ(plain(query), query);
  EXPECT_EQ(plain("```a b```"), "a b");
  EXPECT_EQ(plain("    f(*args, **kwargs)"), "      f(*args, **kwargs)");
  EXPECT_EQ(plain("- ```py\n  *a*\n  ```\n*b*"), "- \n  py\n    *a*\nb");
  EXPECT_EQ(plain("> ```\n> *a*\n> ```\n*b*"), "> \n  *a*\nb");
  EXPECT_EQ(plain("|a|b|\n|-|-|\n|*x|y|z*|"), "┌────┬───┬────┐\n│ a  │ b │    │\n├────┼───┼────┤\n│ *x │ y │ z* │\n└────┴───┴────┘");
  const std::string long_line = "*" + std::string(5000, 'x') + " and **more";
  EXPECT_EQ(plain(long_line), long_line);
}

TEST(Wrapped, BreaksAtSpaces) {
  EXPECT_EQ(wrapped("one two three", 8), "one two\nthree");
  EXPECT_EQ(wrapped("one two three", 7), "one two\nthree");
  EXPECT_EQ(wrapped("key   first second\nnext", 11, 6), "key   first\n      second\nnext");
  EXPECT_EQ(wrapped("가나 다라 마", 9), "가나 다라\n마");
  EXPECT_EQ(wrapped("a unbreakable b", 4), "a\nunbreakable\nb");
  EXPECT_EQ(wrapped("fits", 80), "fits");
  EXPECT_EQ(wrapped("a\n\n b ", 80), "a\n\n b ");
  EXPECT_EQ(wrapped("", 80), "");
}

TEST(TextColumns, KoreanTakesTwo) {
  EXPECT_EQ(text_columns("한국어"), 6u);
  EXPECT_EQ(text_columns("abc"), 3u);
  EXPECT_EQ(text_columns("e\xcc\x81"), 1u);
  EXPECT_EQ(text_columns("🙂"), 2u);
}

}  // namespace
}  // namespace exa
