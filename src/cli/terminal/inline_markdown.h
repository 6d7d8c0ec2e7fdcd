// Emphasis and code inside a line of Markdown: which characters are text, and how they are styled.
//
// Markers that nothing closes are text, and stars between digits (2*3*4). Ownership and threads: a pure
// function. Source: CommonMark 0.31: 2.4 (escapes of the markers shown here), 6.1 (code spans), 6.2 (emphasis
// with stars; underscores are text, because code is full of them).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace exa {

struct StyledText {
  std::string text;
  bool bold = false;
  bool italic = false;
  bool code = false;
  bool operator==(const StyledText&) const = default;
};

// text: whole UTF-8 characters of one line. before: the character in front of it, a space at the line's
// start. whole: the line ends with it; otherwise nothing is returned while what still comes may change what
// it says.
std::optional<std::vector<StyledText>> parse_inline(std::string_view text, char32_t before, bool whole);

}  // namespace exa
