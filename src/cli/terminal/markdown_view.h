// Markdown as a person reads it on a terminal, while it still comes: headings, lists, bold, code, tables.
//
// What cannot be told yet (the start of a line, a phrase between markers, a table) waits; all else goes out
// at once. No character is lost that CommonMark calls text: markers that nothing closes in their line are
// text. Shown as written, although CommonMark reads them: underscores (code is full of them), links,
// pictures, HTML, entities, backslashes in front of anything but the markers shown here, and emphasis over
// several lines. Ownership and threads: a value that belongs to one answer. Source: CommonMark 0.31 and
// GitHub's tables, as far as language models write them; ECMA-48 (styles).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "cli/terminal/inline_markdown.h"

namespace exa {

// Columns that the text takes on a terminal: Korean letters two, combining marks none. Valid UTF-8.
std::size_t text_columns(std::string_view text);

// The text with lines broken at spaces where they take more columns; what goes on is indented. A word that is
// wider than the line stays whole. Valid UTF-8, no styles.
std::string wrapped(std::string_view text, std::size_t columns, std::size_t indent = 0);

class MarkdownView {
 public:
  // columns: of the terminal; tables that need more are shown as they were written.
  explicit MarkdownView(std::size_t columns) : columns_(columns) {}

  // text: whole UTF-8 characters, safe for a terminal. Returns what to write.
  std::string push(std::string_view text);
  // The end: what waited, and no style left on.
  std::string finish();

 private:
  enum class Line { kStart, kInline, kCode };

  void take(std::string_view character);
  bool may_be_marker() const;
  void take_start(std::string_view character);
  void decide_start(std::string_view character);
  bool closes_fence(std::string_view line) const;
  void begin_code(std::string_view start, bool whole);
  void take_inline(std::string_view text);
  void flush_inline();
  void take_code(std::string_view text);
  void show(const std::vector<StyledText>& pieces);
  void end_line();
  void end_table();
  std::vector<std::string> cells_of(std::string_view line) const;
  std::string rendered_cell(std::string_view cell, bool heading) const;

  std::size_t columns_;
  std::string out_;
  Line line_ = Line::kStart;
  std::string start_;  // of the line, while it may be a marker
  std::string fence_;  // the characters that opened the code block; empty outside
  bool fence_in_quote_ = false;
  bool blank_ = true;               // the line before was empty, or there is none
  bool in_list_ = false;            // indentation continues an item
  std::vector<std::string> table_;  // its lines so far
  std::string held_;                // from the first marker on that is not decided
  char32_t before_held_ = U' ';
  char32_t last_ = U' ';
  bool heading_ = false;
  StyledText shown_;  // the style that is on; its text is empty
};

}  // namespace exa
