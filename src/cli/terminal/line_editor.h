// What a person types: editing, history, Korean characters two columns wide, several lines, pastes.
//
// Ownership and threads: owns the terminal's editing state and the history; one at a time, on the main
// thread. Source: libedit's editline(7) (wide-character interface); xterm's control sequences (bracketed
// paste); the XDG base directory specification.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace exa {

// Lines typed one after the other → one message. A backslash at the end of a line takes the next one in;
// a line that begins with """ takes all in up to a line that ends with """.
class MessageLines {
 public:
  // True where the message is whole.
  bool add(std::string_view line);
  // The message; an empty one begins.
  std::string take();
  bool begun() const { return begun_; }

 private:
  std::string text_;
  bool begun_ = false;
  bool block_ = false;
};

// Pastes of several lines stand in the line as a short note, so that they can be seen and deleted at once.
class Pastes {
 public:
  // What to put into the line for a pasted text: the text itself where it is one line.
  std::string shorten(std::string text);
  // The line with every note replaced by its text.
  std::string expand(std::string line) const;

 private:
  std::vector<std::string> texts_;
};

class LineEditor {
 public:
  enum class Result {
    kLine,         // a message was typed
    kInterrupted,  // Ctrl-C: what was typed is dropped
    kEnd,          // Ctrl-D on an empty line
  };

  // history: the file that keeps the lines between runs (mode 0600, made with its folders); empty keeps none.
  // A history that cannot be read or written is no error.
  explicit LineEditor(std::filesystem::path history);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  // The next message, UTF-8, without the newline at its end. Errors: kIo where the terminal is gone.
  Result read(std::string& message);

  // A short answer to a question, which stands in place of the prompt; the history does not keep it.
  Result read_answer(const std::string& question, std::string& line);

  // $XDG_STATE_HOME/exaone/history, or ~/.local/state/…; empty where EXAONE_NOHISTORY is 1 or there is no
  // home.
  static std::filesystem::path history_file();

 private:
  Result read_line(const std::wstring& prompt, bool remember, std::string& line);

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace exa
