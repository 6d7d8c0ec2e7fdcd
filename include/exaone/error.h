// The one error type of the project: what went wrong, in whose bytes, and what was expected instead.
//
// Ownership and threads: a value; thrown on the thread that reads foreign bytes or a request, caught at three
// doors (the CLI's main, the server's request, the engine's submit).
// Source: the exit codes are promise G40 of the reliability specification.
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace exa {

// Each kind has one process exit code, see exit_code().
enum class ErrorKind {
  kUsage,        // a flag or argument is wrong
  kBadInput,     // a file or request breaks its format
  kUnsupported,  // well-formed, but nothing this program can do
  kMemory,       // does not fit into memory
  kIo,           // the operating system refused: missing file, full disk
  kInterrupted,  // the user or a caller stopped it
  kIncomplete,   // an answer was cut short of what was promised of it
  kInternal,     // our bug
};

class Error : public std::exception {
 public:
  // message: one sentence without a final full stop, naming expected and found.
  // where: file, key, tensor, line or byte offset; may be empty.
  Error(ErrorKind kind, std::string message, std::string where = {})
      : kind_(kind), message_(std::move(message)), where_(std::move(where)) {
    what_ = where_.empty() ? message_ : where_ + ": " + message_;
  }

  ErrorKind kind() const { return kind_; }
  const std::string& message() const { return message_; }
  const std::string& where() const { return where_; }
  // "where: message"
  const char* what() const noexcept override { return what_.c_str(); }

 private:
  ErrorKind kind_;
  std::string message_;
  std::string where_;
  std::string what_;
};

// 1 usage, 2 bad input, 3 unsupported, 4 memory, 5 I/O, 7 incomplete, 130 interrupted, 70 internal.
int exit_code(ErrorKind kind);

}  // namespace exa
