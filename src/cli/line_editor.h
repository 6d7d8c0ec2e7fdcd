// A line typed by a person: editing, history, Korean characters two columns wide.
//
// Ownership and threads: owns the terminal's editing state and the history; one at a time, on the main
// thread. Source: libedit's editline(7) (wide-character interface); the XDG base directory specification.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

namespace exa {

class LineEditor {
 public:
  enum class Result {
    kLine,         // a line was typed
    kInterrupted,  // Ctrl-C: what was typed is dropped
    kEnd,          // Ctrl-D on an empty line
  };

  // history: the file that keeps the lines between runs (mode 0600, made with its folders); empty keeps none.
  // A history that cannot be read or written is no error.
  explicit LineEditor(std::filesystem::path history);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  // The next line, UTF-8, without its newline. Errors: kIo where the terminal is gone.
  Result read(std::string& line);

  // $XDG_STATE_HOME/exaone/history, or ~/.local/state/…; empty where EXAONE_NOHISTORY is 1 or there is no
  // home.
  static std::filesystem::path history_file();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace exa
