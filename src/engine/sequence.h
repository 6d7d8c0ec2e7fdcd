// One request under way: its tokens, the text they became, and when it is over.
//
// Ownership and threads: borrows the tokenizer; belongs to one request, one thread.
// Source: exaone-models specification 5.5 (what ends an answer) and 6.5 (reasoning and content).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "chat/prompt.h"
#include "engine/answer_split.h"
#include "engine/sampler.h"
#include "exaone/engine.h"
#include "text/tokenizer.h"

namespace exa {

class Sequence {
 public:
  enum class Text {
    kSplit,     // reasoning and content are told apart, both trimmed
    kVerbatim,  // all is content, as it comes
  };

  // max_tokens: the most this sequence generates, at least 1.
  Sequence(const Tokenizer& tokenizer, const Prompt& prompt, Text text, SamplingValues sampling,
           std::int64_t max_tokens);

  // Takes the next token from the logits [vocab] of the one before. The reason where that was the end.
  std::optional<FinishReason> advance(std::span<const float> logits);
  // Lets out the text that still waited (a started character, a started tag).
  void flush();

  // The text that advance() or flush() let out; empty strings mostly.
  const std::string& new_reasoning() const { return reasoning_; }
  const std::string& new_content() const { return content_; }

  TokenId last() const { return last_; }
  std::int64_t n_generated() const { return n_generated_; }  // the end token included
  std::int64_t n_reasoning() const { return n_reasoning_; }

 private:
  void let_out(const std::string& text);

  const Tokenizer* tokenizer_;
  StreamDecoder decoder_;
  Text text_;
  AnswerSplit split_;
  Sampler sampler_;
  std::int64_t n_prompt_;
  std::int64_t max_tokens_;
  std::int64_t n_generated_ = 0;
  std::int64_t n_reasoning_ = 0;
  TokenId last_ = 0;
  std::string reasoning_;
  std::string content_;
};

}  // namespace exa
