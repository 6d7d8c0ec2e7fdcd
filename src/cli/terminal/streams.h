// Standard input and output as the subcommands use them: results checked to the last byte, text checked for
// UTF-8, nothing of a model's text may drive the terminal.
//
// Ownership and threads: free functions on the process's descriptors; one thread.
// Source: promises G10 and G40 of the reliability specification; RFC 3629; ECMA-48 (control characters).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace exa {

// Thrown when the reader of standard output is gone: the program ends quietly.
struct ReaderGone {};

// All of `text` to standard output. Errors: ReaderGone; kIo with the system's reason.
void write_out(std::string_view text);
// All of `text` to standard error; failures are ignored.
void write_note(std::string_view text);
// What C++ and C streams still hold goes to standard output. Errors: as write_out.
void flush_out();

bool stdin_is_terminal();
// A pipe or a file: somebody gave it to be read.
bool stdin_is_piped();
bool stdout_is_terminal();
bool stderr_is_terminal();
// True where dimmed text is wanted on that descriptor's terminal: NO_COLOR unset or empty, TERM not "dumb".
bool may_style();

// All of standard input. Errors: kIo; kBadInput beyond 64 MiB.
std::string read_all_input();

// Standard input line by line, as lines come.
class LineReader {
 public:
  // The next line without its newline; false at the end. Errors: kIo; kBadInput for a line beyond 64 MiB or
  // one that is not UTF-8 (offset into the whole input).
  bool next(std::string& line);

 private:
  std::string buffer_;
  std::size_t taken_ = 0;  // bytes of all lines before buffer_
  bool ended_ = false;
};

// Errors: kBadInput naming the offset of the first invalid byte; where: "standard input".
// Gives descriptors 0, 1 and 2 something to be where the caller closed them, so that no file that is opened
// gets such a number. Reading standard input and writing standard output are then errors; notes are lost.
void fill_standard_descriptors();

void require_utf8(std::string_view text, const std::string& where);

// The text with control characters other than newline and tab replaced by U+FFFD. text: whole UTF-8
// characters.
std::string for_terminal(std::string_view text);
// Any bytes as one line of valid UTF-8 that may go to a terminal: newlines as \n and tabs as \t, the rest as
// for_terminal.
std::string one_line(std::string_view bytes);

}  // namespace exa
