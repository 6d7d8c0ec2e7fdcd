// The JSON of one tool call, followed character by character: where the name and the arguments stand.
//
// Ownership and threads: a value that belongs to one call.
// Source: RFC 8259; exaone-models specification 6.5 ({"name": …, "arguments": …}).
#pragma once

#include <cstddef>
#include <string>

namespace exa {

class CallScan {
 public:
  enum class Status {
    kOpen,   // the beginning of a JSON value
    kWhole,  // a JSON value, perhaps whitespace behind it
    kBad,    // neither
  };

  void push(char c);
  // The text ends here: a number or word at its end is whole.
  void end();

  Status status() const { return status_; }
  // The next character belongs to a string.
  bool in_string() const { return lex_ == Lex::kString || lex_ == Lex::kEscape || lex_ == Lex::kUnicode; }

  // The value of "name" of the outermost object; empty until it is whole.
  const std::string& name() const { return name_; }
  // The value of "arguments" (or "parameters") of the outermost object: bytes [begin, end) of what was
  // pushed.
  bool arguments_begun() const { return arguments_begin_ != kNowhere; }
  bool arguments_whole() const { return arguments_end_ != kNowhere; }
  bool arguments_are_text() const { return arguments_are_text_; }  // a JSON string
  std::size_t arguments_begin() const { return arguments_begin_; }
  std::size_t arguments_end() const { return arguments_end_; }

 private:
  enum class Lex { kNone, kString, kEscape, kUnicode, kScalar };
  enum class Expect { kValue, kValueOrEnd, kKey, kKeyOrEnd, kColon, kCommaOrEnd, kNothing };
  static constexpr std::size_t kNowhere = static_cast<std::size_t>(-1);

  void structure(char c);
  void begin_value(char c);
  void end_value(std::size_t offset);
  void end_string();
  void end_scalar(std::size_t offset);
  void close(char bracket);
  void fail() { status_ = Status::kBad; }

  Status status_ = Status::kOpen;
  Lex lex_ = Lex::kNone;
  Expect expect_ = Expect::kValue;
  std::string open_;     // the brackets that are open
  std::string token_;    // the string or scalar under way
  bool is_key_ = false;  // the string under way is a key
  int hex_digits_ = 0;   // of \uXXXX, still to come
  std::string key_;      // of the outermost object, decoded
  std::size_t n_ = 0;    // bytes pushed
  std::string name_;
  std::size_t arguments_begin_ = kNowhere;
  std::size_t arguments_end_ = kNowhere;
  bool arguments_are_text_ = false;
};

}  // namespace exa
