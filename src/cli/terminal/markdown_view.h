// Markdown as a person reads it on a terminal, while it still comes: headings, lists, bold, code, tables.
//
// What cannot be told yet (the start of a line, a run of stars, a table) waits; all else goes out at once.
// Underscores are text: code is full of them. Emphasis ends with its line, closed or not: stars that a line
// opens and never closes are not shown.
// Ownership and threads: a value that belongs to one answer.
// Source: CommonMark 0.30 and GitHub's tables, as far as language models write them; ECMA-48 (styles).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

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

  void take(char c);
  void take_start(char c);
  void decide_start(char c);
  void take_inline(char c);
  void take_code(char c);
  void end_line();
  void end_table();
  void end_run(char next);
  void literal(std::string_view text);
  void restyle();
  std::vector<std::string> cells_of(std::string_view line) const;
  std::string rendered_cell(std::string_view cell, bool heading) const;

  std::size_t columns_;
  std::string out_;
  Line line_ = Line::kStart;
  std::string start_;               // of the line, while it may be a marker
  std::string fence_;               // the characters that opened the code block; empty outside
  std::vector<std::string> table_;  // its lines so far
  std::string run_;                 // stars or backticks whose meaning the next character decides
  char before_run_ = ' ';
  char last_ = ' ';
  bool escaped_ = false;
  bool bold_ = false;
  bool italic_ = false;
  bool heading_ = false;
  std::string code_span_;  // the backticks that opened it
};

}  // namespace exa
