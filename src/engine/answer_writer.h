// Writes an answer: draws its tokens out of logits, one after the other, and tells what text they become and
// when it is over.
//
// Ownership and threads: borrows the tokenizer; belongs to one sequence, one thread.
// Source: exaone-models specification 5.5 (what ends an answer) and 6.5 (reasoning, content, calls).
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "chat/answer.h"
#include "engine/sampler.h"
#include "exaone/engine.h"
#include "grammar/grammar_state.h"
#include "text/tokenizer.h"

namespace exa {

struct WriterOptions {
  AnswerOptions answer;
  SamplingValues sampling;
  std::int64_t n_prompt = 0;    // tokens in front of the answer
  std::int64_t max_tokens = 1;  // the most that are generated, at least 1
  // Tokens of thinking after which budget_end is written in the model's place; unset: no limit.
  std::optional<std::int64_t> reasoning_budget;
  std::string budget_end;                 // ends with reasoning_end()
  bool owes_content = false;              // it may not end with its thoughts
  std::shared_ptr<BoundGrammar> grammar;  // what the content follows; null: nothing
};

class AnswerWriter {
 public:
  AnswerWriter(const Tokenizer& tokenizer, WriterOptions options);

  // Takes the next token from the logits [vocab] of the one before. The reason where that was the end.
  // Errors: kUnsupported where the text is too ambiguous for its grammar.
  std::optional<FinishReason> advance(std::span<const float> logits);
  // Lets out the text that still waited (a started character, a started tag, a call without its end).
  void flush();

  // What advance() or flush() let out; mostly one piece or none.
  const std::vector<AnswerPiece>& pieces() const { return parser_.pieces(); }
  const AnswerParser& parser() const { return parser_; }

  // Answer::satisfies_request, of the answer with its reason, stop text and whole calls.
  bool satisfies_request(const Answer& answer) const;

  // An id for call `index`: no other call of a conversation with this answer has it.
  std::string call_id(int index) const;

  TokenId last() const { return last_; }
  std::int64_t n_generated() const { return n_generated_; }  // the end token included
  std::int64_t n_reasoning() const { return n_reasoning_; }

 private:
  bool inside_character() const;
  void end_reasoning(const std::string& text);

  const Tokenizer* tokenizer_;
  WriterOptions options_;
  StreamDecoder decoder_;
  AnswerParser parser_;
  Sampler sampler_;
  std::optional<GrammarState> grammar_;  // from the end of the reasoning on
  std::deque<TokenId> written_;          // tokens that come next whatever the model says
  std::string tail_;                     // the last bytes, to see whether they end inside a character
  std::int64_t n_generated_ = 0;
  std::int64_t n_reasoning_ = 0;
  TokenId last_ = 0;
};

}  // namespace exa
