#include "engine/answer_writer.h"

#include <utility>

#include "text/utf8.h"

namespace exa {

AnswerWriter::AnswerWriter(const Tokenizer& tokenizer, WriterOptions options)
    : tokenizer_(&tokenizer),
      options_(std::move(options)),
      decoder_(tokenizer),
      parser_(options_.answer),
      sampler_(options_.sampling) {}

bool AnswerWriter::inside_character() const {
  return incomplete_tail(tail_) > 0;
}

// The model's next tokens are those of the text, which ends the reasoning.
void AnswerWriter::end_reasoning(const std::string& text) {
  for (const TokenId id : tokenizer_->encode(text, true)) written_.push_back(id);
  options_.reasoning_budget.reset();
}

std::optional<FinishReason> AnswerWriter::advance(std::span<const float> logits) {
  parser_.clear_pieces();
  const bool reasoning = parser_.in_reasoning();
  if (reasoning && written_.empty() && !inside_character() && options_.reasoning_budget &&
      n_reasoning_ >= *options_.reasoning_budget) {
    end_reasoning(options_.budget_end);
  }
  if (written_.empty()) {
    if (!reasoning && options_.grammar && !grammar_) {
      grammar_.emplace(options_.grammar, n_reasoning_ > 0 ? GrammarState::Begin::kAfterReasoning
                                                          : GrammarState::Begin::kAtText);
    }
    GrammarState* const grammar = grammar_ ? &*grammar_ : nullptr;
    const std::optional<TokenId> id = sampler_.sample(logits, options_.n_prompt + n_generated_, grammar);
    if (!id || (grammar && !grammar->accept(*id))) return FinishReason::kError;
    last_ = *id;
    if (reasoning && options_.owes_content && tokenizer_->ends_generation(last_))
      end_reasoning(reasoning_end(options_.answer.thinking));
  }
  if (!written_.empty()) {
    last_ = written_.front();
    written_.pop_front();
  }
  ++n_generated_;
  sampler_.accept(last_);
  if (reasoning) ++n_reasoning_;
  if (tokenizer_->ends_generation(last_)) return FinishReason::kStop;
  // Control tokens are nothing to read: a turn that the model invents leaves no marks in the text.
  if (tokenizer_->kind(last_) != TokenKind::kControl) {
    parser_.push(decoder_.push(last_));
    tail_ += tokenizer_->token_bytes(last_);
    if (tail_.size() > 8) tail_.erase(0, tail_.size() - 8);
  }
  if (!parser_.stopped_by().empty()) return FinishReason::kStop;
  if (n_generated_ >= options_.max_tokens) return FinishReason::kLength;
  return std::nullopt;
}

void AnswerWriter::flush() {
  parser_.clear_pieces();
  parser_.push(decoder_.finish());
  parser_.finish();
}

bool AnswerWriter::satisfies_request(const Answer& answer) const {
  if (!options_.owes_content || !answer.tool_calls.empty()) return true;
  // A grammar lets a text end by itself only where it may.
  if (answer.reason == FinishReason::kStop && answer.stop.empty()) return true;
  return !options_.answer.calls && options_.grammar && options_.grammar->grammar().matches(answer.content);
}

std::string AnswerWriter::call_id(int index) const {
  constexpr std::string_view kLetters = "0123456789abcdefghijklmnopqrstuvwxyz";
  const auto place =
      static_cast<std::uint64_t>(options_.n_prompt) * 65536 + static_cast<std::uint64_t>(index);
  auto rest = static_cast<std::uint64_t>(uniform_at(~options_.sampling.seed, place) * 0x1p52);
  std::string id = "call_";
  for (int i = 0; i < 10; ++i, rest /= kLetters.size()) id += kLetters[rest % kLetters.size()];
  return id;
}

}  // namespace exa
