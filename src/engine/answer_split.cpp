#include "engine/answer_split.h"

namespace exa {
namespace {

constexpr std::string_view kOpen = "<think>";
constexpr std::string_view kClose = "</think>";

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

}  // namespace

bool AnswerSplit::may_be_tag(std::string_view text) const {
  return (!answer_started_ && kOpen.starts_with(text)) || (in_reasoning_ && kClose.starts_with(text));
}

void AnswerSplit::push_text(char c, std::string& out) {
  if (is_space(c)) {
    if (part_started_) spaces_ += c;
    return;
  }
  out += spaces_;
  spaces_.clear();
  out += c;
  answer_started_ = part_started_ = true;
}

void AnswerSplit::release_tag(std::string& out) {
  for (const char c : tag_) push_text(c, out);
  tag_.clear();
}

void AnswerSplit::push(std::string_view text, std::string& reasoning, std::string& content) {
  for (const char c : text) {
    std::string& out = in_reasoning_ ? reasoning : content;
    tag_ += c;
    if (!may_be_tag(tag_)) {
      tag_.pop_back();
      release_tag(out);
      // Both tags have their only "<" in front: a tag can begin anew with this character, not inside the old
      // one.
      tag_ = c;
      if (!may_be_tag(tag_)) release_tag(out);
    } else if (tag_ == kOpen) {
      tag_.clear();
      in_reasoning_ = answer_started_ = true;
    } else if (tag_ == kClose) {
      tag_.clear();
      spaces_.clear();
      in_reasoning_ = part_started_ = false;
      answer_started_ = true;
    }
  }
}

void AnswerSplit::finish(std::string& reasoning, std::string& content) {
  release_tag(in_reasoning_ ? reasoning : content);
  spaces_.clear();
}

}  // namespace exa
