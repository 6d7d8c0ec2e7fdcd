#include "cli/terminal/markdown_view.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

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
  EXPECT_EQ(rendered("**a\nb"), "\x1b[0m\x1b[1ma\x1b[0m\nb" + kReset);
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
    for (const char c : text) out += view.push({&c, 1});
    ASSERT_EQ(out + view.finish(), rendered(text, 40)) << text;
  }
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
