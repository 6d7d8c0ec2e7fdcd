// The answer's text, token by token, told apart into reasoning (up to "</think>") and content (the rest).
//
// The tag itself is never part of either, one spurious "<think>" at the very start is dropped, whitespace
// around both parts is trimmed. Where the tags fall between pushes does not matter. Ownership and threads: a
// splitter belongs to one answer. Source: exaone-models specification 6.5.
#pragma once

#include <string>
#include <string_view>

namespace exa {

class AnswerSplit {
 public:
  // in_reasoning: the prompt ended inside an open <think> block. A leading "<think>" of the answer opens one
  // too.
  explicit AnswerSplit(bool in_reasoning) : in_reasoning_(in_reasoning) {}

  // Appends what became certain with `text` to the two parts; what may still be a tag or trailing whitespace
  // waits.
  void push(std::string_view text, std::string& reasoning, std::string& content);
  // The end of the answer: a tag begun and not finished is text, trailing whitespace is dropped.
  void finish(std::string& reasoning, std::string& content);

  // True until the end of the reasoning has been pushed.
  bool in_reasoning() const { return in_reasoning_; }

 private:
  bool may_be_tag(std::string_view text) const;
  void push_text(char c, std::string& out);
  void release_tag(std::string& out);

  bool in_reasoning_;
  bool answer_started_ = false;  // a character that is not whitespace came: "<think>" is text from here on
  bool part_started_ = false;    // the same for the current part: whitespace counts from here on
  std::string spaces_;           // whitespace after text, part of it if more text comes
  std::string tag_;              // the beginning of a tag
};

}  // namespace exa
